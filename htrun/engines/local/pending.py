"""What is left to do of a local map."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from htrun.engines.local.events import LocalEvents
from htrun.index import Records
from htrun.runner import wire
from htrun.runner.records import drop_torn_line
from htrun.state import ComponentStatus, fold
from htrun.submissions import marked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from htrun.runner.attempts import Attempts
    from htrun.store import MapDirectory
    from htrun.submissions import Submission

_DONE, _TODO = b"\0", b"\1"
_RECORDED = re.compile(rb"[^\0]+")


def unfinished(directory: MapDirectory, submissions: Sequence[Submission]) -> list[tuple[int, int]]:
    """Return the components that have no record since they were submitted last, and are not held, as ranges."""
    todo = bytearray(directory.components)
    records = Records(directory)
    for submission in submissions[1:]:
        records.supersede(submission.components, submission.first_job)
    for name in directory.job_names():
        drop_torn_line(str(directory.job(name) / wire.RECORDS))
        records.read(name)
    states = fold({}, LocalEvents(directory).read({}, records.is_settled))
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
    for found in _RECORDED.finditer(records.outcomes):
        todo[found.start() : found.end()] = _DONE * (found.end() - found.start())
    return list(marked(todo))


def read_attempts(directory: MapDirectory, submissions: Sequence[Submission], attempts: Attempts) -> None:
    """Take in which attempts have failed since components were submitted last: by a process that was killed."""
    names = sorted(int(name) for name in directory.job_names())
    ends = [submission.first_job for submission in submissions[1:]] + [1 << 62]
    for submission, end in zip(submissions, ends, strict=True):
        for start, stop in submission.components:
            attempts.forget(range(start, stop))
        for name in names:
            if submission.first_job <= name < end:
                attempts.read(str(directory.job(name)))
