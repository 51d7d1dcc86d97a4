"""What becomes of components whose process died."""

from __future__ import annotations

import json
import os
import time

from . import environment, failures, outputs, records, wire
from .capture import save_output, write_all
from .files import remove_tree
from .hooks import checkpoint_path
from .scratch import component_scratch
from .timeouts import describe_timeout
from .usage import disk_kb

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from typing import Any

    from .slots import Slot
    from .spec import Spec


class Deaths:
    """Says which components go on from a checkpoint, and writes the records of those that do not.

    Parameters
    ----------
    spec : Spec
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._resumed_from: dict[int, tuple[int, int]] = {}

    def can_resume(self, component: int, status: int) -> bool:
        """Tell whether a component whose process died can go on from a checkpoint.

        It can if it was killed and has saved one since it was started last. One that is killed without getting any
        further would be so for ever.
        """
        try:
            saved = os.stat(checkpoint_path(self.spec.checkpoints, component))
        except OSError:
            return False
        identity = (saved.st_ino, saved.st_mtime_ns)
        if not os.WIFSIGNALED(status) or self._resumed_from.get(component) == identity:
            return False
        self._resumed_from[component] = identity
        self.spec.attempts.resume(component)
        return True

    def can_try_again(self, slot: Slot, component: int, status: int) -> bool:
        """Tell whether another attempt at a component is due, whose process died, and note that this one has failed."""
        attempts = self.spec.attempts
        fresh = attempts.read(slot.records)
        if component in fresh and os.WIFEXITED(status) and os.WEXITSTATUS(status) == failures.SPENT:
            return True  # the worker has noted it
        if not attempts.are_left(component):
            return False
        spans = save_output(slot.records, slot.scratch)
        attempts.fail(slot.records, component, self._describe(slot, component, status), *spans)
        if os.path.isdir(os.path.join(slot.scratch, wire.OUTPUTS)):
            outputs.drop(slot.scratch, slot.records, component)
        self.spec.after_component(None)
        return True

    def _describe(self, slot: Slot, component: int, status: int) -> dict[str, Any]:
        if slot.overdue == component and self.spec.timeout is not None:
            return describe_timeout(self.spec.timeout)
        return failures.describe_death(status, os.path.join(slot.records, wire.WORKER_LOG))

    def record(self, slot: Slot, component: int, status: int) -> None:
        """Write the record of a component, in the place of the worker that died of it."""
        path = os.path.join(slot.records, wire.RECORDS)
        records.drop_torn_line(path)
        running, started = slot.board.read()
        now = time.time()
        error = self._describe(slot, component, status)
        error["scratch"] = failures.list_scratch(component_scratch(slot.scratch))
        disk = disk_kb(component_scratch(slot.scratch), os.path.join(slot.scratch, wire.OUTPUTS))
        remove_tree(component_scratch(slot.scratch))  # it may be what has filled the disk
        stdout, stderr = save_output(slot.records, slot.scratch)
        text = (
            '%s,"attempt":%d,"node":%s,"started":%.6f,"wall_s":%.6f,"memory_mb":%.1f%s,'
            '"stdout":[%d,%d],"stderr":[%d,%d]%s%s,"error":%s}\n'
            % (
                records.record_prefix(component, wire.ERRORED),
                self.spec.attempts.number(component),
                self.spec.node,
                started if running >= 0 else now,
                max(0.0, now - started) if running >= 0 else 0.0,
                slot.memory_mb,
                ',"disk_kb":%d' % disk if disk else "",
                *stdout,
                *stderr,
                self._take_outputs(slot, component),
                self.spec.attempts.note(slot.records, component),
                json.dumps(error),
            )
        )
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            write_all(fd, text.encode("utf-8"))
        finally:
            os.close(fd)
        if not os.path.exists(os.path.join(slot.records, wire.ENVIRONMENT)):
            environment.write(slot.records)
        checkpoint = checkpoint_path(self.spec.checkpoints, component)
        saved = os.path.exists(checkpoint)
        if saved:
            os.unlink(checkpoint)
        self.spec.after_component(checkpoint if saved else None)

    def _take_outputs(self, slot: Slot, component: int) -> str:
        """Take what a component had handed over; return what its record says of that.

        All of it comes back, wherever it was to go: sending files may take long, and others wait to be told what to do.
        """
        if not os.path.isdir(os.path.join(slot.scratch, wire.OUTPUTS)):
            return ""
        try:
            rows, _ = outputs.take(slot.scratch, slot.records, component, {}, os.replace)
        except OSError:  # the component has an error as it is
            return ""
        return ',"files":' + json.dumps(rows) if rows else ""
