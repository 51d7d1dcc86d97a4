"""What is known of a map: the state of its components as of the last look at the disk."""

from __future__ import annotations

import array
import bisect
import os
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from htrun.engines.base import get_engine
from htrun.exceptions import EngineError, MapWasRemoved
from htrun.logs import get_logger
from htrun.outputs import place as place_files
from htrun.records import Records
from htrun.runner import wire
from htrun.state import ComponentStatus, JobState, fold
from htrun.store import MapDirectory, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from htrun.engines.base import Engine
    from htrun.records import Record
    from htrun.submissions import Submission


_logger = get_logger(__name__)

# One byte a component, so that a million of them are counted at the speed of bytes.count.
_CODES = {status: code for code, status in enumerate(ComponentStatus)}
_STATUSES = tuple(ComponentStatus)
_ACTIVE = tuple(
    _CODES[s]
    for s in (ComponentStatus.UNMATERIALIZED, ComponentStatus.IDLE, ComponentStatus.RUNNING, ComponentStatus.SUSPENDED)
)


@dataclass(frozen=True)
class ComponentHold:
    """Why a component is held, or was removed.

    Attributes
    ----------
    code : int or None
        As in HTCondor's manual, "HoldReasonCode".
    reason : str
    subcode : int or None
    component : int
        -1 where that is not said.
    """

    code: int | None
    reason: str
    subcode: int | None = None
    component: int = -1

    def __str__(self) -> str:
        return f"[{self.code}] {self.reason}" if self.code is not None else self.reason


class MapView:
    """A function, its components and their state.

    Parameters
    ----------
    tag : str
    directory : MapDirectory
    """

    def __init__(self, tag: str, directory: MapDirectory) -> None:
        self.tag = tag
        self.directory = directory
        self.engine: Engine = get_engine(directory.info["engine"])
        self.records = Records(directory)
        self._reader = self.engine.events(directory)
        self._jobs: dict[int, JobState] = {}
        self._job_index: array.array[int] | None = None  # made when it is asked for
        self._settled: set[str] = set()
        self._submissions: list[Submission] = []
        self._submissions_size = -1
        self._base = bytearray([_CODES[ComponentStatus.IDLE]]) * len(self)
        self._codes = bytearray(self._base)
        self.notes: list[str] = []
        """What is to be said of output files that could not be moved where they were to go."""
        self.retried: set[int] = set()
        """Finished components of jobs in which some were tried again."""
        self._looking = threading.RLock()  # what is read only once must be read by one thread

    def __len__(self) -> int:
        return self.directory.components

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Raise MapWasRemoved instead of what comes of a file that is not there, where that is why."""
        try:
            yield
        except (FileNotFoundError, EngineError):
            if self.is_there():
                raise
            raise MapWasRemoved(self.tag) from None

    @property
    def path(self) -> Path:
        """The map's directory."""
        return self.directory.path

    @property
    def submissions(self) -> int:
        """How many times components were submitted, as of the last refresh."""
        return len(self._submissions)

    @property
    def is_transient(self) -> bool:
        """Whether its tag was made up."""
        return bool(self.directory.info.get("transient"))

    def refresh(self) -> None:
        """Look at the disk for what is new; raises MapWasRemoved."""
        with self._looking, self.guard():
            self._refresh()

    def _refresh(self) -> None:
        self._read_submissions()
        events = list(self._reader.read(self._jobs))
        if events:
            self._jobs = fold(self._jobs, events)
            self._job_index = None
        if self.engine.records_are_live:  # so that they count whatever has become of the log
            touched = self.directory.job_names()
        else:
            touched = {
                state.records
                for state in self._jobs.values()
                if state.is_over and state.records is not None and state.records not in self._settled
            }
            self._settled.update(
                state.records
                for state in self._jobs.values()
                if state.status is ComponentStatus.COMPLETED and state.records is not None
            )
        names = sorted(touched)
        fresh = [self.records.read(name) for name in names]
        if self.directory.info.get("options", {}).get("retries"):
            for name, components in zip(names, fresh, strict=True):
                if components and (self.directory.job(name) / wire.ATTEMPTS).exists():
                    self.retried.update(components)
        if events or any(fresh):
            self._codes = self._resolve()
        with_files = self.records.with_files and self.records.with_files.intersection(chain.from_iterable(fresh))
        if with_files:
            self._place_files(with_files)

    def _place_files(self, components: Iterable[int]) -> None:
        """Put the output files of components where users find them."""
        if self.results_are_written():
            return  # which they are once these files are there
        for component in components:
            record = self.records.get(component)
            with suppress(PermissionError):  # of somebody who may only look
                if record is not None:
                    for problem in place_files(self.directory, component, record):
                        _logger.warning("map %s: %s", self.tag, problem)
                        self.notes.append(problem)

    def _read_submissions(self) -> None:
        """Take in what was submitted again: what these components had left before does not count any more."""
        try:
            size = self.directory.submissions.stat().st_size
        except FileNotFoundError:
            return
        if size == self._submissions_size:
            return
        self._submissions_size = size
        submissions = self.directory.read_submissions()
        known = len(self._submissions)
        if [s.components for s in submissions[:known]] != [s.components for s in self._submissions]:
            # One was taken back: what counts is what was there before it.
            self.records = Records(self.directory)
            self._reader = self.engine.events(self.directory)
            self._jobs = {}
            self._job_index = None
            self._settled = set()
            known = 0
        self._submissions = submissions
        again = submissions[max(1, known) :]
        for submission in again:
            self.records.supersede(submission.components, submission.first_job)
        if again:
            self._codes = self._resolve()

    def _resolve(self) -> bytearray:
        codes = bytearray(self._base)
        again = self._submissions[1:]
        beginnings = [submission.first_job for submission in again]
        states: list[list[JobState]] = [[] for _ in range(len(again) + 1)]
        for job, state in sorted(self._jobs.items()):
            directory = job if state.records is None else int(state.records)
            states[bisect.bisect_right(beginnings, directory)].append(state)
        _apply(codes, states[0])
        for submission, of_submission in zip(again, states[1:], strict=True):
            for start, stop in submission.components:
                codes[start:stop] = self._base[start:stop]
            _apply(codes, of_submission)
        # A record decides: 1 and 2 are the index's codes of an outcome, see Records.
        completed, errored = _CODES[ComponentStatus.COMPLETED], _CODES[ComponentStatus.ERRORED]
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

    @property
    def component_statuses(self) -> list[ComponentStatus]:
        """The status of each component, as of the last refresh."""
        return [_STATUSES[code] for code in self._codes]

    def status_of(self, component: int) -> ComponentStatus:
        """Return the status of one component, as of the last refresh."""
        return _STATUSES[self._codes[component]]

    def counts(self) -> Counter[ComponentStatus]:
        """Return how many components are in each status, as of the last refresh."""
        return Counter({status: n for status in _STATUSES if (n := self._codes.count(_CODES[status]))})

    def components_with(self, *statuses: ComponentStatus) -> Iterator[int]:
        """Yield the components that are in one of these statuses, in order."""
        codes = {_CODES[status] for status in statuses}
        return (component for component, code in enumerate(self._codes) if code in codes)

    @property
    def is_active(self) -> bool:
        """Whether anything can still become of a component by itself, as of the last refresh.

        Held components wait for a user, so they make no map active.
        """
        return bool(self.unfinished) and self.engine.is_working(self.directory)

    @property
    def unfinished(self) -> int:
        """How many components are neither finished nor held, as of the last refresh."""
        return sum(self._codes.count(code) for code in _ACTIVE)

    @property
    def errored(self) -> int:
        """How many components have errored, as of the last refresh."""
        return self._codes.count(_CODES[ComponentStatus.ERRORED])

    @property
    def removed(self) -> int:
        """How many components were removed, as of the last refresh."""
        return self._codes.count(_CODES[ComponentStatus.REMOVED])

    @property
    def finished(self) -> int:
        """How many components have completed, errored or been removed, as of the last refresh."""
        return len(self) - self.unfinished - self._codes.count(_CODES[ComponentStatus.HELD])

    @property
    def has_ended(self) -> bool:
        """Whether all components have completed, errored or been removed, as of the last refresh."""
        return not self.unfinished and not self._codes.count(_CODES[ComponentStatus.HELD])

    @property
    def holds(self) -> dict[int, ComponentHold]:
        """The holds of held components, by component."""
        return self._reasons(ComponentStatus.HELD)

    @property
    def removals(self) -> dict[int, ComponentHold]:
        """Why components were removed, by component."""
        return self._reasons(ComponentStatus.REMOVED)

    def _reasons(self, status: ComponentStatus) -> dict[int, ComponentHold]:
        result = {}
        for state in self._jobs.values():
            if state.status is status:
                for start, stop in state.components:
                    for component in range(start, stop):
                        if self._codes[component] == _CODES[status]:  # and not recorded, or in another job by now
                            reason = state.reason or "no reason given"
                            result[component] = ComponentHold(state.code, reason, state.subcode, component)
        return dict(sorted(result.items()))

    def job_of(self, component: int) -> JobState | None:
        """Return the latest job that a component was in, or None."""
        return self._jobs.get(self.job_number(component))

    def job_number(self, component: int) -> int:
        """Return the number of the latest job that a component was in, -1 for none."""
        if self._job_index is None:
            self._job_index = array.array("q", [-1]) * len(self)
            for job, state in sorted(self._jobs.items()):
                for start, stop in state.components:
                    self._job_index[start:stop] = array.array("q", [job]) * (stop - start)
        return self._job_index[component]

    def error(self, component: int, record: Record | None) -> dict[str, Any]:
        """Return the error of an errored component as data.

        A component whose job ended without leaving a record gets an error that says how the job ended.

        Parameters
        ----------
        component : int
        record : Record or None
            The component's record.
        """
        if record is not None:
            unknown = {"type": "Unknown", "message": "the record is damaged, and does not say what went wrong"}
            error: dict[str, Any] = {"frames": [], **unknown, **record.data.get("error", {})}
            return error
        state = self.job_of(component)
        assert state is not None, "without a job there is no error"
        message = f"the job left no record of this component: {state.reason or 'it ended with exit code 0'}"
        if state.records is not None:
            log = self.directory.job(state.records) / wire.RUNNER_LOG
            try:
                said = log.read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                said = ""
            if said:
                message += f": {said.rpartition(chr(10))[2]}" + (f"\n{said[-4000:]}" if "\n" in said else "")
        return {"type": "JobDied", "message": message, "frames": [], "node": state.node}

    def job_memories(self) -> Iterator[tuple[int, int, int]]:
        """Yield the components of jobs, as half-open ranges, with the largest memory a job was seen to use, in MiB."""
        for state in self._jobs.values():
            if state.memory_mb:
                for start, stop in state.components:
                    yield start, stop, state.memory_mb

    def results_are_written(self) -> bool:
        """Tell whether the result files were written when what is known of the map was the same as now.

        Files that were removed since are left alone: make does so to a target whose rule failed.
        """
        try:
            summary = read_json(self.directory.run_file)
            counts = {status.value: count for status, count in self.counts().items()}
            return bool(summary.get("counts") == counts and summary.get("submissions") == self.submissions)
        except (OSError, ValueError, AttributeError):
            return False

    def last_event(self) -> float:
        """Return when something happened to the map last, in seconds since the epoch."""
        try:
            return self.engine.event_log(self.directory).stat().st_mtime
        except FileNotFoundError:
            return time.time()

    def local_data(self) -> int:
        """Return the number of bytes that the map takes on disk."""
        total = 0
        for root, _, names in os.walk(self.path):
            for name in names:
                with suppress(FileNotFoundError):  # a running component's own
                    total += os.lstat(os.path.join(root, name)).st_size
        return total

    def is_there(self) -> bool:
        """Tell whether this very map is where it was, and not gone or another one in its place."""
        try:
            return bool(read_json(self.directory.info_file)["uid"] == self.directory.info["uid"])
        except (OSError, ValueError, KeyError, TypeError):
            return False


def _apply(codes: bytearray, states: Iterable[JobState]) -> None:
    """Write the status of jobs to their components."""
    lost = _CODES[ComponentStatus.ERRORED]
    for state in states:
        code = lost if state.status is ComponentStatus.COMPLETED else _CODES[state.status]
        for start, stop in state.components:
            codes[start:stop] = bytes([code]) * (stop - start)


_HAS_RECORD = bytes([0, 255, 255]) + bytes(253)


def _outcome_table(completed: int, errored: int) -> bytes:
    return bytes([0, completed, errored]) + bytes(253)
