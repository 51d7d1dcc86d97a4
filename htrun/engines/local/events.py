"""The event log of a local map: written by its process, read by everybody."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

from htrun.engines.local.process import is_alive
from htrun.runner.records import drop_torn_line
from htrun.state import ComponentStatus, EventKind, JobEvent, fold
from htrun.store import whole_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from htrun.engines.base import IsSettled
    from htrun.state import JobState
    from htrun.store import MapDirectory


class LocalEvents:
    """Reads a local map's event log as it grows."""

    def __init__(self, directory: MapDirectory, position: int = 0) -> None:
        self._directory = directory
        self._position = position

    @property
    def cursor(self) -> int:
        """How far it has read, in bytes."""
        return self._position

    def read(self, jobs: Mapping[int, JobState], is_settled: IsSettled | None = None) -> Iterator[JobEvent]:
        """Yield what is new; jobs that still run when nobody works on them any more are given back."""
        alive = is_alive(self._directory)  # before reading: what happens later is for the next time
        events: list[JobEvent] = []
        known = set(jobs)
        for row in self._rows(known, is_settled):
            with contextlib.suppress(KeyError, TypeError, ValueError):  # not of a job, or damaged
                if row["event"] == "START":  # what ran before it was killed with the process that is no more
                    events += self._given_back(fold(jobs, events))
                else:
                    events.append(self._event(row))
                    known.add(events[-1].job)
        over = {event.job for event in events if event.kind.is_final}
        begun = [event for event in events if event.job not in over]  # of the others, how they ended says it all
        yield from (event for event in events if event.kind.is_final)
        yield from begun
        if not alive and not is_alive(self._directory):  # nor was it started meanwhile
            before = {job: state for job, state in jobs.items() if not state.is_over and job not in over}
            yield from self._given_back(fold(before, begun) if begun else before)

    def _given_back(self, jobs: Mapping[int, JobState]) -> Iterator[JobEvent]:
        """Yield that jobs do not run any more."""
        for job, state in jobs.items():
            if state.status in (ComponentStatus.RUNNING, ComponentStatus.SUSPENDED):
                yield JobEvent(job, EventKind.EVICTED, time.time(), self._position, reason="the local run was stopped")

    def _event(self, row: dict[str, Any]) -> JobEvent:
        return JobEvent(
            job=int(row["job"]),
            kind=EventKind[row["event"]],
            time=float(row["time"]),
            position=self._position,
            components=((int(row["start"]), int(row["stop"])),),
            records=str(row["worker"]),
            reason=row.get("reason"),
            code=row.get("code"),
            subcode=row.get("subcode"),
        )

    def _rows(self, known: Collection[int], is_settled: IsSettled | None) -> Iterator[Any]:
        """Yield what new lines say, without those of jobs that are not known and have ended with nothing to say."""
        try:
            file = event_log(self._directory).open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._position)
            for block in whole_lines(file):
                over: set[bytes] = set()
                if is_settled is not None:
                    over = {
                        job
                        for job, worker, start, stop in _TERMINATED.findall(block)
                        if int(job) not in known and is_settled(int(worker), int(start), int(stop))
                    }
                for line in block.split(b"\n")[:-1]:
                    self._position += len(line) + 1
                    found = _JOB.search(line) if over else None
                    if found and found[1] in over:
                        continue
                    with contextlib.suppress(ValueError):  # a torn line that a later one was appended to
                        yield json.loads(line)


def event_log(directory: MapDirectory) -> Path:
    """Return the path of a local map's event log."""
    return directory.inner / "events.jsonl"


def has_ended(directory: MapDirectory) -> bool:
    """Tell whether the process of a map has said that it ends, and has known of all that was submitted."""
    try:
        row = json.loads(_log_from(directory, near_end(directory)).splitlines()[-1])
        return bool(row["event"] == "END" and row["submissions"] == len(directory.read_submissions()))
    except (IndexError, ValueError, KeyError, TypeError):  # there is no line, or a torn one
        return False


def near_end(directory: MapDirectory) -> int:
    """Return a position in the event log, some lines before its end, the last of which may be torn."""
    path = event_log(directory)
    return max(0, path.stat().st_size - _LAST_BYTES) if path.exists() else 0


def carried_out(directory: MapDirectory, position: int = 0) -> int:
    """Return the number of the last order to a map that its log, from a position on, says was carried out."""
    return _orders(_log_from(directory, position))


def _log_from(directory: MapDirectory, position: int) -> bytes:
    try:
        with event_log(directory).open("rb") as file:
            file.seek(position)
            return file.read()
    except FileNotFoundError:
        return b""


class EventLog:
    """Appends events, a line each, every one visible at once.

    Parameters
    ----------
    path : pathlib.Path

    Attributes
    ----------
    orders : int
        How many orders have been carried out so far.
    """

    def __init__(self, path: Path) -> None:
        drop_torn_line(str(path))
        self._path = path
        self._next_job = self.orders = 0
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            for block in whole_lines(file):
                # The largest numbers, and not how many there are: a line may have been damaged.
                self._next_job = max(self._next_job, max(map(int, _JOB.findall(block)), default=-1) + 1)
                self.orders = max(self.orders, _orders(block))
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._running: dict[int, int] = {}

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def is_there(self) -> bool:
        """Tell whether the file is where it was, and neither deleted nor another map's."""
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.stat())
        except FileNotFoundError:
            return False

    def write(self, event: str, **fields: Any) -> None:
        """Append an event."""
        row = {"event": event, "time": time.time(), **fields}
        os.write(self._fd, json.dumps(row, separators=(",", ":")).encode() + b"\n")

    def range_event(self, kind: str, slot: int, worker: int, components: tuple[int, int], details: Any = ()) -> None:
        """Append an event of a range of components: a new job where one begins or is held, the slot's job otherwise."""
        if kind == "HELD":
            job = self._new_job()
        elif kind == "EXECUTE":
            job = self._running[slot] = self._new_job()
        else:
            job = self._running[slot]
        self.write(kind, job=job, worker=worker, start=components[0], stop=components[1], **dict(details))

    def order_done(self) -> None:
        """Note that one more order has been carried out."""
        self.orders += 1
        self.write("ORDER", number=self.orders)

    def release(self, states: Mapping[int, JobState]) -> list[tuple[int, int]]:
        """Undo the holds among the states of jobs; return what was held."""
        released = []
        for job, state in states.items():
            if state.status is ComponentStatus.HELD:
                for start, stop in state.components:
                    self.write("RELEASED", job=job, worker=int(state.records or 0), start=start, stop=stop)
                    released.append((start, stop))
        return released

    def _new_job(self) -> int:
        self._next_job += 1
        return self._next_job - 1


_LAST_BYTES = 1 << 16
_JOB = re.compile(rb'"job":(\d+)')
_TERMINATED = re.compile(
    rb'^\{"event":"TERMINATED","time":[0-9.]+,"job":([0-9]+),"worker":([0-9]+),"start":([0-9]+),"stop":([0-9]+)\}$',
    re.MULTILINE,
)
_ORDER = re.compile(rb'"event":"ORDER",[^\n]*"number":(\d+)')


def _orders(data: bytes) -> int:
    return max(map(int, _ORDER.findall(data)), default=0)
