"""The engine's side of the contract."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.adoption import never_submitted
from htrun.engines.base import Nodes
from htrun.engines.local.events import LocalEvents, event_log, has_ended
from htrun.engines.local.process import MAX_WORKERS, is_alive, last_words, prepare, rest, start, stop, usable_cpus
from htrun.runner import wire
from htrun.runner.hooks import checkpoint_path, saved

if TYPE_CHECKING:
    from collections.abc import Collection

    from htrun.engines.base import Action, Attribute, Resources, Transfers
    from htrun.store import MapDirectory
    from htrun.submissions import Ranges

_LITTLE_SPACE = 1 << 16  # bytes, in which no more than a few records find room


class LocalEngine:
    """Runs components in worker processes on this machine; see ``Engine``."""

    name = "local"
    records_are_live = True
    pauses_waiting = True
    outlives_interrupt = False
    needs_delivery = False

    def why_not(self) -> str | None:
        """Return None: this machine is always there."""
        return None

    def describe(self) -> str:
        """Return how many processors there are."""
        return f"this machine, {usable_cpus()} CPUs"

    def check_urls(self, urls: Collection[str], options: Collection[str]) -> None:  # noqa: ARG002
        """Refuse URLs that nothing on this machine can fetch or send; see ``Engine``."""
        if urls:
            from htrun.engines.local import remote  # only now: most maps do without

            remote.check(urls)

    def nodes(self) -> Nodes:
        """Return what is known of this machine; see ``Engine``."""
        return Nodes(machines=1, sharing=1, domain="this machine", docker=0)

    def prepare(self) -> None:
        """Start the process that will work on the map; see ``Engine``."""
        prepare()

    def submit(self, directory: MapDirectory, components: Ranges, *, followed: bool = False) -> None:  # noqa: ARG002
        """Start the detached process that runs components, or give them to the one that runs; see ``Engine``."""
        submissions = directory.read_submissions()
        end = submissions[-1].first_job + max(MAX_WORKERS, submissions[-1].adopted) if submissions else 0
        row = {
            "submission": len(submissions),
            "first_job": -(-end // MAX_WORKERS) * MAX_WORKERS,
            "chunk_size": 1,
            "components": components,
        }
        _forget_checkpoints(directory, components)
        directory.append_submission(row)
        if all(submission.adopted for submission in submissions):
            start(directory)
        else:
            _give(directory, "run", "")

    def advance(self, directory: MapDirectory) -> None:
        """Do nothing: the map's process sees to everything; see ``Engine``."""

    def let_go(self, directory: MapDirectory) -> None:
        """Do nothing; see ``Engine``."""

    def carry_on(self, directory: MapDirectory) -> None:
        """Start the map's process again; see ``Engine``."""
        rest = never_submitted(directory)
        if rest:
            self.submit(directory, rest)
        elif not is_alive(directory):
            start(directory)

    def events(self, directory: MapDirectory, cursor: Any = None) -> LocalEvents:
        """Return a reader of the map's events; see ``Engine``."""
        return LocalEvents(directory, cursor or 0)

    def event_log(self, directory: MapDirectory) -> Path:
        """Return the path of the map's event log; see ``Engine``."""
        return event_log(directory)

    def scratch(self, directory: MapDirectory, job: str) -> Path | None:
        """Return the scratch directory of the worker that a job is on; see ``Engine``."""
        return directory.inner / wire.SCRATCH / str(int(job) % MAX_WORKERS)

    def transfers(self, directory: MapDirectory) -> dict[int, Transfers]:  # noqa: ARG002 (see ``Engine``)
        """Return nothing: records say how long files were copied; see ``Engine``."""
        return {}

    def resources(self, directory: MapDirectory) -> dict[int, Resources]:  # noqa: ARG002 (see ``Engine``)
        """Return nothing: records say what each component has used; see ``Engine``."""
        return {}

    def is_working(self, directory: MapDirectory) -> bool:
        """Tell whether the map's process lives; see ``Engine``."""
        return is_alive(directory)

    def rest(self, directory: MapDirectory, seconds: float) -> None:
        """Let some seconds pass, or what is left of a run; see ``Engine``."""
        rest(directory, seconds)

    def left_behind(self, directory: MapDirectory) -> str | None:
        """Tell how the map's process ended if it was not by itself, or that it never started; see ``Engine``."""
        if is_alive(directory) or has_ended(directory):
            return None
        said = last_words(directory)
        if said:
            return said
        if shutil.disk_usage(directory.path).free < _LITTLE_SPACE:
            return f"there is no space left on the disk of {directory.path}"
        return "the process that ran it on this machine was killed, perhaps for lack of memory"

    def act(self, directory: MapDirectory, action: Action, reason: str) -> None:
        """End the map's process, or tell it what to do; see ``Engine``."""
        if action == "remove":
            stop(directory)
        elif directory.read_submissions():
            _give(directory, action, reason)

    def edit(self, directory: MapDirectory, attribute: Attribute, value: int) -> None:
        """Do nothing; see ``Engine``."""

    def exclude(self, directory: MapDirectory, machines: Collection[str]) -> list[str]:  # noqa: ARG002 (see ``Engine``)
        """Return nothing: there is no other machine; see ``Engine``."""
        return []

    def explain(self, directory: MapDirectory) -> list[str]:
        """Tell what the map's process is at; see ``Engine``."""
        from htrun.engines.local.explain import explain  # only now: hardly any run needs it

        return explain(directory.info["tag"], event_log(directory), alive=is_alive(directory))


def _forget_checkpoints(directory: MapDirectory, components: Ranges) -> None:
    """Let components begin at their beginning."""
    for component in saved(str(directory.checkpoints)):
        if any(start <= component < stop for start, stop in components):
            Path(checkpoint_path(str(directory.checkpoints), component)).unlink(missing_ok=True)


def _give(directory: MapDirectory, order: str, reason: str) -> None:
    from htrun.engines.local import orders  # only now: most runs are given none

    orders.give(directory, order, reason)
