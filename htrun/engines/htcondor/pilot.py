"""The few components that go first where it is not known what one takes, and what they tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from htrun.engines.htcondor.bindings import bindings
from htrun.engines.htcondor.chunks import Times
from htrun.engines.htcondor.eventlog import events_file
from htrun.engines.htcondor.rawlog import RawLog
from htrun.runner import wire
from htrun.submissions import Submission, join

if TYPE_CHECKING:
    from htrun.store import MapDirectory
    from htrun.submissions import Ranges

_JOBS = 8
_FEW = 40
"""So many components are as well submitted at once."""
_SECONDS = 10.0
"""How long the first job may run before it is clear that jobs of one component are long enough."""
_GRACE_SECONDS = 3.0
"""How long the others may take when one is back."""
_START_SECONDS = 60.0
"""How long to wait for a job to start: as long as none does, the rest could not run either."""
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
    """Watches the jobs of a pilot.

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
        for event in self._log.new():
            if event.cluster != self._submission.cluster or event.proc < 0:
                continue
            moment, kind = float(event.timestamp), int(event.type)
            if self._submitted is None:
                self._submitted = moment
            if kind in begins:
                self._started.setdefault(event.proc, moment)
            elif kind in ends:
                self._ended.setdefault(event.proc, moment)

    def is_over(self, now: float) -> bool:
        """Tell whether there is no point in waiting for more at a time, in seconds since the epoch."""
        if len(self._ended) >= self._submission.jobs:
            return True
        if self._ended:
            return now >= min(self._ended.values()) + _GRACE_SECONDS
        if self._started:
            return now >= min(self._started.values()) + _SECONDS
        return self._submitted is not None and now >= self._submitted + _START_SECONDS

    def times(self, now: float) -> Times | None:
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
        running = [max(0.0, now - moment) for proc, moment in self._started.items() if proc not in self._ended]
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


def is_watched(directory: MapDirectory) -> bool:
    """Tell whether a command sees to it that the rest of a map follows its pilot."""
    guard = Guard(directory)
    if guard.take():
        guard.release()
        return False
    return True
