"""What is left to do of a local map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from htrun.engines.local.events import LocalEvents
from htrun.runner import wire
from htrun.runner.records import recorded_components
from htrun.state import ComponentStatus, fold
from htrun.submissions import marked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from htrun.store import MapDirectory
    from htrun.submissions import Submission

_DONE, _TODO = b"\0", b"\1"


def unfinished(directory: MapDirectory, submissions: Sequence[Submission]) -> list[tuple[int, int]]:
    """Return the components that have no record since they were submitted last, and are not held, as ranges."""
    todo = bytearray(directory.components)
    names = [int(name) for name in directory.job_names()]
    states = fold({}, LocalEvents(directory).read({}))
    ends = [submission.first_job for submission in submissions[1:]] + [1 << 62]
    for submission, end in zip(submissions, ends, strict=True):
        if submission.adopted:
            continue
        for start, stop in submission.components:
            todo[start:stop] = _TODO * (stop - start)
        for _, state in sorted(states.items()):
            if state.status is ComponentStatus.HELD and submission.first_job <= int(state.records or 0) < end:
                for start, stop in state.components:
                    todo[start:stop] = _DONE * (stop - start)
        for name in names:
            if submission.first_job <= name < end:
                for component in recorded_components(str(directory.job(name) / wire.RECORDS)):
                    todo[component] = 0
    return list(marked(todo))
