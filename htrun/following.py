"""What a component prints, as it comes: from its worker's files while it runs, by its record when it has ended."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from htrun.records import Record
from htrun.runner import wire
from htrun.runner.printing import KEPT_BYTES
from htrun.runner.records import component_of
from htrun.state import ComponentStatus
from htrun.store import whole_lines
from htrun.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from htrun.state import JobState
    from htrun.view import MapView

_BLOCK_BYTES = 1 << 20
_LEFT_OUT = re.compile(rb"\n\[htrun left out (\d+) bytes here[^\n]*\n")


class _Place(NamedTuple):
    """Where a component runs: job, its directory, that of its worker, and how many attempts have failed there."""

    job: int
    directory: Path
    scratch: Path
    failed: int


class Following:
    """Follows what a component prints to a stream.

    Parameters
    ----------
    map_ : MapView
    component : int
    stream : {"stdout", "stderr"}

    Attributes
    ----------
    is_over : bool
        Whether the component has ended, and all that it printed was returned.
    waits : str or None
        Why what it prints cannot be seen at the moment, in words.
    """

    def __init__(self, map_: MapView, component: int, stream: str) -> None:
        self.is_over = False
        self.waits: str | None = None
        self._map = map_
        self._component = component
        self._stream = stream
        self._job = -1
        self._attempt = 0  # the one that is being followed
        self._position = 0  # how much of it was returned, as it was printed
        self._recorded: tuple[int, set[int]] = (0, set())
        self._record: Record | None = None  # of which the map does not know yet

    def read(self, *, live: bool) -> Iterator[bytes]:
        """Look at the map, and yield what is new; of a component that runs not all at once.

        Parameters
        ----------
        live : bool
            Whether to look at a component that has not ended.

        Raises
        ------
        MapWasRemoved, OSError
        """
        place = self._look(live=live)
        record = self._map.records.get(self._component) or self._record
        if record is not None:
            yield from self._ended([*record.failures(), record.data], record.directory)
            self.is_over = True
            return
        if place is None:
            return
        if place.job != self._job:  # it begins anew, perhaps after having been vacated
            self._job, self._position = place.job, 0
        yield from self._ended(self._failures(place.directory), place.directory)
        new = self._peek(place.scratch / self._stream)
        # What was read is the component's if it still runs: it is taken away before the record is written.
        if new is not None and self._look(live=live) == place:
            data, self._position = new
            yield data

    def _look(self, *, live: bool) -> _Place | None:
        """Look at the map; return where the component runs, if that can be seen and it is the one that runs there."""
        map_ = self._map
        map_.refresh()
        self.waits = None
        status = map_.status_of(self._component)
        state = map_.job_of(self._component)
        if not live or status.is_final:
            return None
        if state is None or state.status is not ComponentStatus.RUNNING:
            self.waits = f"it is {status}"
            return None
        job = map_.job_number(self._component)
        name = state.records or str(job)
        scratch = map_.engine.scratch(map_.directory, name)
        if scratch is None:
            others = sum(stop - start for start, stop in state.components) - 1
            shared = f", which has {count(others, 'component')} besides it" if others else ""
            where = f" on {state.node}" if state.node else ""
            self.waits = f"it runs{where}; what it prints comes back when its job ends{shared}"
            return None
        directory = map_.directory.job(name)
        if self._running_in(state, directory) != self._component:
            self.waits = "its job runs others before it"
            return None
        return _Place(job, directory, scratch, len(self._failures(directory)))

    def _running_in(self, state: JobState, directory: Path) -> int | None:
        """Return which of a job's components runs: they do in their order, and it is the first that has not ended."""
        recorded = set() if self._map.engine.records_are_live else self._read_recorded(directory)
        for start, stop in state.components:
            for component in self._map.components_with(ComponentStatus.RUNNING, start=start, stop=stop):
                if component not in recorded:
                    return component
        return None

    def _read_recorded(self, directory: Path) -> set[int]:
        """Return which components have records in a job directory, of which the map does not know yet."""
        with suppress(FileNotFoundError), (directory / wire.RECORDS).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != self._recorded[0]:
                found = set()
                for line in (line for block in whole_lines(file) for line in block.splitlines()):
                    found.add(component_of(line))
                    if component_of(line) == self._component:
                        self._record = Record(line, directory)
                self._recorded = size, found
            return self._recorded[1]
        return set()

    def _failures(self, directory: Path) -> list[dict[str, Any]]:
        """Return what became of attempts at the component in a job directory that have failed."""
        rows = []
        with suppress(FileNotFoundError), (directory / wire.ATTEMPTS).open("rb") as file:
            rows = [json.loads(line) for block in whole_lines(file) for line in block.splitlines()]
        return [row for row in rows if row["component"] == self._component]

    def _ended(self, attempts: Iterable[dict[str, Any]], directory: Path) -> Iterator[bytes]:
        """Yield what is new of attempts that have ended: what they printed is in the job's own file."""
        for row in attempts:
            attempt = row.get("attempt", 1)
            if attempt >= self._attempt:
                start, stop = row.get(self._stream) or (0, 0)
                with suppress(FileNotFoundError), (directory / self._stream).open("rb") as file:
                    file.seek(start)
                    yield _after(file.read(stop - start), self._position)
                self._attempt, self._position = attempt + 1, 0

    def _peek(self, path: Path) -> tuple[bytes, int] | None:
        """Return what is new in the file that the component prints to, and how far that goes; None for nothing.

        Of much output the middle is given back to the disk while it is written: what was not seen by then is left out.
        """
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        with file:
            size = os.fstat(file.fileno()).st_size
            start = self._position
            if start > size > 0:  # the component has emptied it, as programs do that open /dev/stdout
                start = 0
            missed = size - KEPT_BYTES - start if start >= KEPT_BYTES else 0
            note = b"\n[htrun left out %d bytes here: too many to follow]\n" % missed if missed > 0 else b""
            start += max(0, missed)
            end = start + _BLOCK_BYTES if start >= KEPT_BYTES else min(start + _BLOCK_BYTES, KEPT_BYTES)
            data = os.pread(file.fileno(), min(end, size) - start, start) if size > start else b""
            now = os.fstat(file.fileno()).st_size
            is_gone = now < size or (start >= KEPT_BYTES and start < now - KEPT_BYTES)
            return (note + data, start + len(data)) if data and not is_gone else None


def _after(kept: bytes, position: int) -> bytes:
    """Return what comes after a position in what was printed, of which the middle may not have been kept."""
    found = _LEFT_OUT.match(kept, KEPT_BYTES)
    if found is None or position <= KEPT_BYTES:
        return kept[position:]
    behind = position - KEPT_BYTES - int(found[1])
    return kept[found.end() + behind :] if behind > 0 else kept[KEPT_BYTES:]
