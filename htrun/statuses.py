"""What has become of each component of a map, as far as its log and its records have been read."""

from __future__ import annotations

import bisect
import json
from collections import Counter
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from htrun import snapshot
from htrun.index import Records
from htrun.runner import wire
from htrun.state import ComponentStatus, JobState, fold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from htrun.engines.base import Engine
    from htrun.store import MapDirectory
    from htrun.submissions import Submission

# One byte a component, so that a million of them are counted at the speed of bytes.count.
CODES = {status: code for code, status in enumerate(ComponentStatus)}
STATUSES = tuple(ComponentStatus)
_IDLE = CODES[ComponentStatus.IDLE]
_LOST = CODES[ComponentStatus.ERRORED]  # of a job that is over, without a record
_AT_WORK = (ComponentStatus.RUNNING, ComponentStatus.SUSPENDED)


class Statuses:
    """The statuses of the components of a map, and what they follow from.

    Parameters
    ----------
    directory : MapDirectory
    engine : Engine

    Attributes
    ----------
    records : Records
    jobs : dict of int to JobState
        Those that still tell something: a local job whose components all have records is left out.
    submissions : list of Submission
    codes : bytearray
        The code of each component's status.
    retried : set of str
        Job directories that have had new records, and where attempts have failed; whoever sees to them takes them out.
    """

    def __init__(self, directory: MapDirectory, engine: Engine) -> None:
        self._directory = directory
        self._engine = engine
        self._base = bytearray([_IDLE]) * directory.components
        self._begin()

    def _begin(self) -> None:
        """Know nothing."""
        self.records = Records(self._directory)
        self._reader = self._engine.events(self._directory)
        self.jobs: dict[int, JobState] = {}
        self._settled: set[str] = set()
        self.retried: set[str] = set()
        self.submissions: list[Submission] = []
        self._submissions_size = -1
        self.codes = bytearray(self._base)
        self._counted: bytearray | None = None
        self._counts: Counter[ComponentStatus] = Counter()

    def refresh(self) -> bool:
        """Read what is new; tell whether anything is."""
        is_new = self._read_submissions()
        live = self._engine.records_are_live
        if live:  # before the events, so that jobs with records of all their components need not be kept
            is_new = self._read_records() or is_new
        events = list(self._reader.read(self.jobs, self._is_settled))
        if events:
            self.jobs = fold(self.jobs, events)
        # Whatever has become of the log, records count.
        is_new = self._read_records() or bool(events) or is_new
        if live and events:
            self.jobs = {job: state for job, state in self.jobs.items() if not self._tells_nothing(state)}
        if is_new:
            self.codes = self._resolve()
        return is_new

    def counts(self) -> Counter[ComponentStatus]:
        """Return how many components are in each status."""
        if self._counted is not self.codes:  # which are never changed, but made anew
            self._counted = self.codes
            self._counts = Counter({status: n for status in STATUSES if (n := self.codes.count(CODES[status]))})
        return self._counts.copy()

    def _read_records(self) -> bool:
        if self._engine.records_are_live:
            names = self._directory.job_names()
        else:
            over = [s for s in self.jobs.values() if s.is_over and s.records is not None]
            names = {state.records for state in over if state.records is not None} - self._settled
            self._settled.update(
                state.records
                for state in over
                if state.status is ComponentStatus.COMPLETED and state.records is not None
            )
            if self.submissions and self.submissions[0].adopted:
                adopted = set(map(str, range(self.submissions[0].adopted))) - self._settled
                self._settled |= adopted
                names |= adopted
        fresh = [name for name in sorted(names) if self.records.read(name)]
        if self._directory.info.get("options", {}).get("retries"):
            self.retried.update(name for name in fresh if (self._directory.job(name) / wire.ATTEMPTS).exists())
        return bool(fresh)

    def _is_settled(self, directory: int, start: int, stop: int) -> bool:
        return self.records.is_settled(directory, start, stop)

    def _tells_nothing(self, state: JobState) -> bool:
        return state.status is ComponentStatus.COMPLETED and all(
            self.records.is_settled(int(state.records or 0), start, stop) for start, stop in state.components
        )

    def _read_submissions(self) -> bool:
        """Take in what was submitted again: what these components had left before does not count any more."""
        try:
            size = self._directory.submissions.stat().st_size
        except FileNotFoundError:
            return False
        if size == self._submissions_size:
            return False
        submissions = self._directory.read_submissions()
        known = len(self.submissions)
        if [s.components for s in submissions[:known]] != [s.components for s in self.submissions]:
            self._begin()  # one was taken back: what counts is what was there before it
            known = 0
        self._submissions_size = size
        self.submissions = submissions
        again = submissions[max(1, known) :]
        for submission in again:
            self.records.supersede(submission.components, submission.first_job)
        return bool(again)

    def _resolve(self) -> bytearray:
        codes = bytearray(self._base)
        again = self.submissions[1:]
        beginnings = [submission.first_job for submission in again]
        states: list[list[JobState]] = [[] for _ in range(len(again) + 1)]
        for job, state in sorted(self.jobs.items()):
            directory = job if state.records is None else int(state.records)
            states[bisect.bisect_right(beginnings, directory)].append(state)
        self._apply(codes, states[0])
        for submission, of_submission in zip(again, states[1:], strict=True):
            for start, stop in submission.components:
                codes[start:stop] = self._base[start:stop]
            self._apply(codes, of_submission)
        # A record decides: 1 and 2 are the index's codes of an outcome, see Records.
        completed, errored = CODES[ComponentStatus.COMPLETED], CODES[ComponentStatus.ERRORED]
        outcomes = self.records.outcomes
        if self.records.finished == len(codes):
            return outcomes.translate(_outcome_table(completed, errored))
        if self.records.finished:
            size = len(codes)
            mask = int.from_bytes(outcomes.translate(_HAS_RECORD), "little")
            have = int.from_bytes(outcomes.translate(_outcome_table(completed, errored)), "little")
            keep = int.from_bytes(codes, "little") & ~mask
            codes = bytearray((keep | (have & mask)).to_bytes(size, "little"))
        return codes

    def _apply(self, codes: bytearray, states: Iterable[JobState]) -> None:
        """Write the status of jobs to their components."""
        for state in states:
            code = _LOST if state.status is ComponentStatus.COMPLETED else CODES[state.status]
            for start, stop in state.components:
                codes[start:stop] = bytes([code]) * (stop - start)
                if self._engine.records_are_live and state.status in _AT_WORK:
                    # A worker runs the components of its job one after the other, and leaves records on the way.
                    first = self.records.outcomes.find(b"\0", start, stop)
                    codes[first + 1 : stop] = bytes([_IDLE]) * (stop - first - 1)

    def dump(self) -> list[bytes]:
        """Return all that is known, for a snapshot."""
        index, sections = self.records.dump()
        kept = {
            "index": index,
            "cursor": self._reader.cursor,
            "jobs": [(job, *_values(state)) for job, state in self.jobs.items()],
            "settled": sorted(self._settled),
            "retried": sorted(self.retried),
            "submissions": len(self.submissions),
            "submissions_size": self._submissions_size,
        }
        return [json.dumps(kept).encode(), *sections]

    def restore(self, sections: list[bytes]) -> None:
        """Know what was dumped; raises ValueError, KeyError, TypeError or OSError if that cannot be."""
        kept = json.loads(sections[0])
        submissions = self._directory.read_submissions()[: kept["submissions"]]
        for submission in submissions[1:]:
            self.records.supersede(submission.components, submission.first_job)
        self.records.restore(kept["index"], sections[1:])
        self._reader = self._engine.events(self._directory, kept["cursor"])
        self.jobs = {job: _state(values) for job, *values in kept["jobs"]}
        self._settled = set(kept["settled"])
        self.retried = set(kept["retried"])
        self.submissions = submissions
        self._submissions_size = kept["submissions_size"]
        self.codes = self._resolve()


def load(directory: MapDirectory, engine: Engine, header: dict[str, Any] | None) -> Statuses:
    """Return what is known of a map by a snapshot; nothing where that is of no use."""
    if header is not None:
        statuses = Statuses(directory, engine)
        try:
            statuses.restore(snapshot.read_sections(directory, header))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it was damaged, or the records are not those that it is of
        else:
            return statuses
    return Statuses(directory, engine)


_NAMES = tuple(field.name for field in fields(JobState))
_values = attrgetter(*_NAMES)


def _state(values: list[Any]) -> JobState:
    """Return a state whose values were dumped as JSON, where tuples have become lists."""
    given: dict[str, Any] = {
        name: tuple(tuple(item) if isinstance(item, list) else item for item in value)
        if isinstance(value, list)
        else value
        for name, value in zip(_NAMES, values, strict=True)
    }
    return JobState(**{**given, "status": ComponentStatus(given["status"])})


_HAS_RECORD = bytes([0, 255, 255]) + bytes(253)


def _outcome_table(completed: int, errored: int) -> bytes:
    return bytes([0, completed, errored]) + bytes(253)
