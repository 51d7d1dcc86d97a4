"""The few components that go first where it is not known what one takes, and what they tell."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from htrun.engines.htcondor.bindings import bindings
from htrun.engines.htcondor.chunks import Times
from htrun.engines.htcondor.eventlog import events_file
from htrun.engines.htcondor.rawlog import RawLog
from htrun.exceptions import EngineError
from htrun.logs import get_logger
from htrun.runner import wire
from htrun.submissions import Submission, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from htrun.store import MapDirectory
    from htrun.submissions import Ranges

_logger = get_logger(__name__)
_JOBS = 8
_FEW = 40
"""So many components are as well submitted at once."""
_SECONDS = 10.0
"""How long the first job may run before it is clear that jobs of one component are long enough."""
_GRACE_SECONDS = 3.0
"""How long the others may take when one is back."""
_START_SECONDS = 60.0
"""How long to wait for a job to start: as long as none does, the rest could not run either."""
_AGAIN_SECONDS = 10.0
_PATIENCE_SECONDS = 600.0
"""How often, and for how long, it is tried to submit the rest where the schedd does not take it."""
_GOLDEN = 0.6180339887498949
_LOCK = "pilot"


def chosen(components: Ranges, most: int = _JOBS) -> Ranges:
    """Return which of the components go first, spread over all of them; nothing where it does not pay.

    They are not at equal distances, at which slow ones may be.
    """
    each = Submission(0, 0, 1, components)
    if each.size <= _FEW:
        return ()
    jobs = sorted({int(each.size * (number * _GOLDEN % 1)) for number in range(min(_JOBS, most))})
    return join(each.chunk(job)[0][0] for job in jobs)


class Pilot:
    """Watches the jobs of a pilot, by a clock of its own: that of the machine may be set back.

    Parameters
    ----------
    directory : MapDirectory
    submission : Submission
    """

    def __init__(self, directory: MapDirectory, submission: Submission) -> None:
        self._directory = directory
        self._submission = submission
        self._log = RawLog(events_file(directory))
        self._submitted: float | None = None
        self._started: dict[int, float] = {}
        self._ended: dict[int, float] = {}

    def look(self) -> None:
        """Read what is new in the event log."""
        types = bindings().JobEventType
        begins = (int(types.EXECUTE),)
        ends = tuple(map(int, (types.JOB_TERMINATED, types.JOB_ABORTED, types.JOB_HELD)))
        clock, now = time.monotonic(), time.time()
        for event in self._log.new():
            if event.cluster != self._submission.cluster or event.proc < 0:
                continue
            moment, kind = clock - max(0.0, now - float(event.timestamp)), int(event.type)
            if self._submitted is None:
                self._submitted = moment
            if kind in begins:
                self._started.setdefault(event.proc, moment)
            elif kind in ends:
                self._ended.setdefault(event.proc, moment)

    def is_over(self) -> bool:
        """Tell whether there is no point in waiting for more."""
        now = time.monotonic()
        if len(self._ended) >= self._submission.jobs:
            return True
        if self._ended:
            return now >= min(self._ended.values()) + _GRACE_SECONDS
        if self._started:
            return now >= min(self._started.values()) + _SECONDS
        return self._submitted is not None and now >= self._submitted + _START_SECONDS

    def times(self) -> Times | None:
        """Return what components take: those that have completed, and those that have run for so long; None if none.

        Those that failed say nothing: a function that fails at once is not quick.
        """
        completed = []
        for job in range(self._submission.first_job, self._submission.first_job + self._submission.jobs):
            try:
                lines = (self._directory.job(job) / wire.RECORDS).read_bytes().splitlines()
                completed += [row["wall_s"] for row in map(json.loads, lines) if row["status"] == wire.COMPLETED]
            except (OSError, ValueError, KeyError, TypeError):
                continue
        if not completed:
            return None
        now = time.monotonic()
        running = [now - moment for proc, moment in self._started.items() if proc not in self._ended]
        known = completed + running
        return Times(sum(known) / len(known), max(known))


class Guard:
    """The lock that a command holds while it sees to it that the rest follows: its death is visible at once."""

    def __init__(self, directory: MapDirectory) -> None:
        self._lock = FileLock(directory.lock_file(_LOCK))

    def take(self) -> bool:
        """Take the lock, unless another command has it; tell whether it is ours."""
        if not self._lock.is_locked:
            try:
                self._lock.acquire(timeout=0)
            except (Timeout, FileNotFoundError):
                return False
        return True

    @property
    def is_ours(self) -> bool:
        """Whether this command has the lock."""
        return bool(self._lock.is_locked)

    def release(self) -> None:
        """Let another one take it."""
        self._lock.release()


class Follower:
    """What a command that follows a map knows of what was put off in it."""

    def __init__(self) -> None:
        self._guard: Guard | None = None
        self._pilot: Pilot | None = None
        self._nothing_put_off_at = -1  # the size of the list of submissions
        self._again_at = -math.inf
        self._give_up_at = math.inf

    def is_due(self, directory: MapDirectory) -> bool:
        """Tell whether it is time for this command to submit the rest of the map."""
        size = directory.submissions_size()
        if size == self._nothing_put_off_at:
            return False
        submissions = directory.read_submissions()
        last = submissions[-1] if submissions else None
        # The rest has been planned, and has no cluster, where it could not be submitted at the first try.
        if last is None or not (last.pilot or (last.cluster is None and self._pilot)):
            self._nothing_put_off_at = size
            self.release()
            return False
        if last.pilot and last.cluster is None:
            return False
        self._guard = self._guard or Guard(directory)
        if not self._guard.take():
            return False
        self._pilot = self._pilot or Pilot(directory, last)
        # By what was there at the look before: whoever follows the map has seen it too, and stops at an error of it.
        is_over = self._pilot.is_over()
        self._pilot.look()
        return is_over and time.monotonic() >= self._again_at

    @contextmanager
    def trying(self, directory: MapDirectory) -> Iterator[None]:
        """Let what fails be due again after some seconds; raises EngineError when it has failed for long."""
        try:
            yield
        except EngineError as error:
            _logger.warning("cannot submit the rest of %s yet: %s", directory.path, error)
            now = time.monotonic()
            self._again_at = now + _AGAIN_SECONDS
            self._give_up_at = min(self._give_up_at, now + _PATIENCE_SECONDS)
            if now >= self._give_up_at:
                raise EngineError(
                    f"the rest of the jobs could not be submitted for {_PATIENCE_SECONDS / 60:.0f} minutes: {error}; "
                    f"'htrun wait {directory.info['tag']}' tries it again"
                ) from error

    @property
    def is_watching(self) -> bool:
        """Whether it is this command that sees to it that the rest follows."""
        return self._guard is not None and self._guard.is_ours

    def release(self) -> None:
        """Let another command see to it."""
        if self._guard is not None:
            self._guard.release()
        self._guard = self._pilot = None


def is_watched(directory: MapDirectory) -> bool:
    """Tell whether a command sees to it that the rest of a map follows its pilot."""
    guard = Guard(directory)
    if guard.take():
        guard.release()
        return False
    return True
