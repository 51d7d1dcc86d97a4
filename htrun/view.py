"""What is known of a map: the state of its components as of the last look at the disk."""

from __future__ import annotations

import array
import math
import os
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from htrun import snapshot
from htrun.engines.base import get_engine
from htrun.exceptions import EngineError, MapWasRemoved
from htrun.index import Totals
from htrun.logs import get_logger
from htrun.outputs import place as place_files
from htrun.runner import wire
from htrun.state import UNFINISHED, ComponentStatus
from htrun.statuses import CODES, STATUSES, Statuses, load
from htrun.store import read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from htrun.engines.base import Engine
    from htrun.index import Records
    from htrun.records import Record
    from htrun.state import JobState
    from htrun.store import MapDirectory


_logger = get_logger(__name__)

_WORTH_KEEPING = 1 << 16  # bytes of records and of the log
_MUCH = 1 << 20  # bytes that were read since the last snapshot of a map that goes on
_KEEP_SECONDS = 10.0  # between two snapshots of a map that goes on


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
        self._loaded: Statuses | None = None  # of a map that has ended, only when its snapshot's header is not enough
        self._header: dict[str, Any] | None = None
        self._job_index: array.array[int] | None = None  # made when it is asked for
        self._identity = snapshot.Identity(None, None, None)  # as of the last refresh
        self._kept: tuple[snapshot.Identity, int] | None = None  # of the last snapshot, and how much was read by then
        self._kept_at = -math.inf
        self._may_keep = True
        self.notes: list[str] = []
        """What is to be said of output files that could not be moved where they were to go."""
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
    def _statuses(self) -> Statuses:
        loaded = self._loaded  # once: a refresh in another thread may drop it
        if loaded is None:
            with self._looking:
                loaded = self._loaded
                if loaded is None:
                    loaded = load(self.directory, self.engine, self._header)
                    if self._header is not None and not loaded.submissions:
                        loaded.refresh()  # what was kept is of no use
                    self._loaded = loaded
        return loaded

    @property
    def records(self) -> Records:
        """The records that components have left, as of the last refresh."""
        return self._statuses.records

    @property
    def _jobs(self) -> dict[int, JobState]:
        return self._statuses.jobs

    @property
    def _codes(self) -> bytearray:
        return self._statuses.codes

    @property
    def submissions(self) -> int:
        """How many times components were submitted, as of the last refresh."""
        return int(self._header["submitted"]) if self._header else len(self._statuses.submissions)

    @property
    def is_transient(self) -> bool:
        """Whether its tag was made up."""
        return bool(self.directory.info.get("transient"))

    def refresh(self) -> None:
        """Look at the disk for what is new; raises MapWasRemoved."""
        with self._looking, self.guard():
            self._refresh()

    def _refresh(self) -> None:
        log = self.engine.event_log(self.directory)
        self._identity = snapshot.Identity.of(self.directory, log)  # before reading: what comes later is for the next
        # The process of a local run keeps what there is to know at its end: to read that takes less than all records.
        is_kept = self.engine.records_are_live and (self._kept is None or self._kept[0] != self._identity)
        if self._loaded is None or self._header is not None or is_kept:
            header, is_same = snapshot.read(self.directory, log, self._identity) or (None, False)
            before, self._header = self._header, header if is_same and header is not None and header["ended"] else None
            if self._header is not None:
                if self._header != before:
                    self._loaded = self._job_index = None  # they are of another one, from before components ran again
                return
            if self._loaded is None:
                self._loaded = load(self.directory, self.engine, header)
        if self._statuses.refresh():
            self._job_index = None
        self._place_files()
        self._keep()

    def _place_files(self) -> None:
        """Put the output files of components whose records are new where users find them."""
        records = self.records
        if records.with_files and not self.results_are_written():  # which they are once these files are there
            for component in sorted(records.with_files):
                record = records.get(component)
                try:
                    problems = [] if record is None else place_files(self.directory, component, record)
                except PermissionError:  # of somebody who may only look
                    self._may_keep = False  # as if they had been seen to
                    break
                for problem in problems:
                    _logger.warning("map %s: %s", self.tag, problem)
                    self.notes.append(problem)
        records.with_files.clear()

    def _keep(self, *, at_once: bool = False) -> None:
        """Keep what is known for those who look next, where it takes much to find out; not all the time."""
        records, log = self.records, self._identity.log
        size = records.size + (log.size if log else 0)
        identity, before = self._kept or (None, 0)
        live = self.engine.records_are_live  # those that are not may yet come of removed jobs
        ended = records.finished == len(self) if live else self.has_ended and not self.removed
        if not self._may_keep or size < _WORTH_KEEPING:
            return
        if not (ended and identity != self._identity) and not at_once:
            rests = time.monotonic() < self._kept_at + _KEEP_SECONDS
            if ended or rests or size - before < _MUCH:
                return
        self._kept = self._identity, size
        self._kept_at = time.monotonic()
        header = {
            "ended": ended,
            "counts": self.counts(),
            "submitted": self.submissions,
            "usage": self._usage() if records.usage_is_known else None,
        }
        log_path = self.engine.event_log(self.directory)
        snapshot.write(self.directory, log_path, self._identity, header, self._statuses.dump())

    def total_usage(self) -> Totals:
        """Return what all components took, as of the last refresh."""
        if self._header is not None and self._header["usage"] is not None:
            return Totals(*self._header["usage"])
        with self._looking:
            was_known = self.records.usage_is_known
            usage = self._usage()
            if not was_known:
                self._keep(at_once=True)
        return usage

    def _usage(self) -> Totals:
        usage = self.records.total_usage()
        memory = max((state.memory_mb for state in self._jobs.values() if state.components), default=0)
        return usage._replace(max_memory_mb=max(usage.max_memory_mb, memory))

    @property
    def component_statuses(self) -> list[ComponentStatus]:
        """The status of each component, as of the last refresh."""
        return [STATUSES[code] for code in self._codes]

    def status_of(self, component: int) -> ComponentStatus:
        """Return the status of one component, as of the last refresh."""
        return STATUSES[self._codes[component]]

    def counts(self) -> Counter[ComponentStatus]:
        """Return how many components are in each status, as of the last refresh."""
        if self._header is not None:
            return Counter({ComponentStatus(status): number for status, number in self._header["counts"].items()})
        return self._statuses.counts()

    def components_with(self, *statuses: ComponentStatus, start: int = 0, stop: int | None = None) -> Iterator[int]:
        """Yield the components that are in one of these statuses, of a range of them or all, in order."""
        codes = {CODES[status] for status in statuses}
        return (component for component, code in enumerate(self._codes[start:stop], start) if code in codes)

    @property
    def is_active(self) -> bool:
        """Whether anything can still become of a component by itself, as of the last refresh.

        Held components wait for a user, so they make no map active.
        """
        return bool(self.unfinished) and self.engine.is_working(self.directory)

    @property
    def unfinished(self) -> int:
        """How many components are neither finished nor held, as of the last refresh."""
        counts = self.counts()
        return sum(counts[status] for status in UNFINISHED)

    @property
    def errored(self) -> int:
        """How many components have errored, as of the last refresh."""
        return self.counts()[ComponentStatus.ERRORED]

    @property
    def removed(self) -> int:
        """How many components were removed, as of the last refresh."""
        return self.counts()[ComponentStatus.REMOVED]

    @property
    def finished(self) -> int:
        """How many components have completed, errored or been removed, as of the last refresh."""
        return len(self) - self.unfinished - self.counts()[ComponentStatus.HELD]

    @property
    def has_ended(self) -> bool:
        """Whether all components have completed, errored or been removed, as of the last refresh."""
        return not self.unfinished and not self.counts()[ComponentStatus.HELD]

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
                        if self._codes[component] == CODES[status]:  # and not recorded, or in another job by now
                            reason = state.reason or "no reason given"
                            result[component] = ComponentHold(state.code, reason, state.subcode, component)
        return dict(sorted(result.items()))

    def running(self) -> Iterator[tuple[str | None, list[int]]]:
        """Yield where components run, None for this machine, and which do there: a job at a time."""
        running = CODES[ComponentStatus.RUNNING]
        for state in self._jobs.values():
            if state.status is ComponentStatus.RUNNING:
                spans = (range(start, stop) for start, stop in state.components)
                components = [c for span in spans for c in span if self._codes[c] == running]
                if components:
                    yield state.node, components

    def job_of(self, component: int) -> JobState | None:
        """Return the latest job that a component was in, or None."""
        return self._jobs.get(self.job_number(component))

    @property
    def retried(self) -> frozenset[str]:
        """Job directories with records that are new, and attempts that have failed, until ``forget_retried``."""
        return frozenset(self._loaded.retried if self._loaded else ())

    def forget_retried(self, names: Collection[str]) -> None:
        """Note that all has been done about these job directories."""
        self._statuses.retried.difference_update(names)

    def components_in(self, names: Collection[str]) -> list[int]:
        """Return the components of the jobs that have these directories, in order."""
        ranges = [span for state in self._jobs.values() if state.records in names for span in state.components]
        return sorted({component for start, stop in ranges for component in range(start, stop)})

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
