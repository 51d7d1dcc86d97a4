"""The index of a map's records: what became of each component, and where that is written."""

from __future__ import annotations

import array
import math
import os
import re
from contextlib import closing
from itertools import groupby, islice, pairwise
from operator import sub
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from htrun.records import HEAD_BYTES, Record, read_usage
from htrun.runner import wire
from htrun.store import whole_lines
from htrun.submissions import join

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from htrun.records import Usage
    from htrun.store import MapDirectory
    from htrun.submissions import Ranges

_NONE, COMPLETED, _ERRORED = 0, 1, 2
_OUTCOMES = {b"CO": COMPLETED, b"ER": _ERRORED}
_FIRST_LETTER = bytes.maketrans(b"CE", bytes([COMPLETED, _ERRORED]))

_BLOCKS_AT_ONCE = 8
_FILES_AT_ONCE = 64

_HEAD = re.compile(rb'\{"component":([0-9]{1,18}),"status":"(CO|ER)')
_HEADS = re.compile(b"\n" + _HEAD.pattern)  # a line's beginning is found sooner by the newline than by "^"
_NEXT_COMPLETED = re.compile(rb'\n(?:\{"component":([0-9]{1,18}),"status":"CO)?')  # nothing where that does not follow
_FINISHED = re.compile(rb"[\x01\x02]")
_PLAIN_USAGE = re.compile(
    rb'^\{"component":[0-9]+,"status":"[A-Z]+","attempt":[0-9]+,"node":"[^"\n]*","python":"[^"\n]*",'
    rb'"started":[0-9.]+,"wall_s":([0-9.]+),"cpu_s":[0-9.]+,"memory_mb":([0-9.]+)',
    re.MULTILINE,
)


class Totals(NamedTuple):
    """What components took: their largest wall time and the sum of all, in seconds, their largest memory, in MiB."""

    max_wall_s: float = 0.0
    total_wall_s: float = 0.0
    max_memory_mb: float = 0.0


class Run(NamedTuple):
    """Records of consecutive components that follow each other in one file.

    Attributes
    ----------
    start, stop : int
        The components, as a half-open range.
    data : bytes
        Their lines.
    directory : pathlib.Path
        The job directory that they are in.
    """

    start: int
    stop: int
    data: bytes
    directory: Path


class Records:
    """The index of a map's records: where each component's latest one is. It grows by reading what is new.

    Most records follow those of the component before in the same file. So the index is of runs of such records, none of
    them longer than what is read at once, and of which run each component's record is in.

    Parameters
    ----------
    directory : MapDirectory

    Attributes
    ----------
    outcomes : bytearray
        A byte a component: 0 without a record, 1 completed, 2 errored.
    finished : int
        How many components have a record.
    with_files : set of int
        The components with output files among those that were read; whoever sees to these empties it.
    size : int
        How many bytes of records have been read.
    """

    def __init__(self, directory: MapDirectory) -> None:
        count = directory.components
        self._directory = directory
        self.outcomes = bytearray(count)
        self.finished = 0
        self.with_files: set[int] = set()
        self.size = 0
        self._run_of = array.array("i", bytes(4 * count))
        self._firsts, self._stops, self._sources, self._starts, self._ends = (array.array("q") for _ in range(5))
        self._usage: tuple[array.array[float], ...] = tuple(array.array("d") for _ in Totals._fields)
        self._names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._read: dict[str, tuple[int, int]] = {}  # up to where, and when the file was changed by then
        self._since: array.array[int] | None = None  # the first job directory that counts, made when one does not

    def supersede(self, ranges: Ranges, first_job: int) -> None:
        """Forget what components have left in job directories before ``first_job``: they were submitted again."""
        if self._since is None:
            self._since = array.array("q", bytes(8 * len(self.outcomes)))
        for start, stop in ranges:
            self._since[start:stop] = array.array("q", [first_job]) * (stop - start)
            self.finished -= (stop - start) - self.outcomes.count(_NONE, start, stop)
            self.outcomes[start:stop] = bytes(stop - start)
            self.with_files.difference_update(range(start, stop))

    def read(self, name: str) -> bool:
        """Take in what is new in the records of a job directory; tell whether anything is."""
        position, _ = self._read.get(name, (0, 0))
        before = position
        try:
            with (self._directory.job(name) / wire.RECORDS).open("rb") as file:
                state = os.fstat(file.fileno())
                if state.st_size <= position:
                    return False
                file.seek(position)
                for block in whole_lines(file):
                    self._take(name, block, position)
                    position += len(block)
        except FileNotFoundError:
            return False
        self._read[name] = position, state.st_mtime_ns
        self.size += position - before
        return position > before

    def _take(self, name: str, block: bytes, position: int) -> None:
        """Take in whole lines, the first of which is at a position in the records of a job directory."""
        numbers, outcomes = _read_heads(block)
        if not numbers or max(numbers) >= len(self.outcomes):
            self._take_damaged(name, block, position)
            return
        steps = map(sub, islice(numbers, 1, None), numbers)
        bounds = [place for place, step in enumerate(steps, 1) if step != 1]
        start = 0
        for begin, end in pairwise([0, *bounds, len(numbers)]):
            last = block.index(b'\n{"component":%d,' % numbers[end - 1], start) if end > begin + 1 else start
            stop = block.index(b"\n", last + 1) + 1
            self._add(name, numbers[begin], outcomes[begin:end], position + start, block[start:stop])
            start = stop

    def _take_damaged(self, name: str, block: bytes, position: int) -> None:
        """Take in lines some of which are no records: torn, with a later one appended, or of no component."""
        for line in block.splitlines(keepends=True):
            head = _HEAD.match(line)
            if head and line.endswith(b"\n") and int(head[1]) < len(self.outcomes):
                self._add(name, int(head[1]), bytes([_OUTCOMES[head[2]]]), position, line)
            position += len(line)

    def _add(self, name: str, first: int, outcomes: bytes, start: int, lines: bytes) -> None:
        """Add a run of records to the index."""
        if name not in self._numbers:
            self._numbers[name] = len(self._names)
            self._names.append(name)
        run = len(self._firsts)
        row = (first, first + len(outcomes), self._numbers[name], start, start + len(lines))
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)
        for measure in self._usage:
            measure.append(math.nan)
        for begin, end in self._counting(first, first + len(outcomes), int(name)):
            self._run_of[begin:end] = array.array("i", [run]) * (end - begin)
            self.finished += self.outcomes.count(_NONE, begin, end)
            # Only now: another thread may look for the record that it tells of.
            self.outcomes[begin:end] = outcomes[begin - first : end - first]
            if b',"files":[' in lines:
                for component, line in enumerate(lines.split(b"\n")[begin - first : end - first], begin):
                    if line.find(b',"files":[', 0, HEAD_BYTES) >= 0:
                        self.with_files.add(component)

    @property
    def _columns(self) -> tuple[array.array[int], ...]:
        return self._firsts, self._stops, self._sources, self._starts, self._ends

    def _counting(self, start: int, stop: int, job: int) -> Ranges:
        """Return those of components that were not submitted again after a job, as ranges."""
        if self._since is None or max(self._since[start:stop]) <= job:
            return ((start, stop),)
        return join(component for component in range(start, stop) if self._since[component] <= job)

    def is_settled(self, job: int, start: int, stop: int) -> bool:
        """Tell whether components all have records, or were all submitted again after a job."""
        if self.outcomes.find(_NONE, start, stop) < 0:
            return True
        return self._since is not None and min(self._since[start:stop]) > job

    def status(self, component: int) -> str:
        """Return the status that a component's record says; KeyError without one."""
        outcome = self.outcomes[component]
        if outcome == _NONE:
            raise KeyError(component)
        return wire.COMPLETED if outcome == COMPLETED else wire.ERRORED

    def get(self, component: int) -> Record | None:
        """Return a component's record, or None."""
        return next(iter(self.walk([component])), None)

    def walk(self, components: Iterable[int]) -> Generator[Record | None]:
        """Yield the records of components, None for one without."""
        lines: dict[int, list[bytes]] = {}
        with closing(_Files(self._directory)) as files:
            for component in components:
                if self.outcomes[component] == _NONE:
                    yield None
                    continue
                run = self._run_of[component]
                if run not in lines:
                    if len(lines) >= _BLOCKS_AT_ONCE:
                        lines.pop(next(iter(lines)))
                    lines[run] = self._data(run, files).split(b"\n")
                place = component - self._firsts[run]
                line = lines[run][place] if place < len(lines[run]) else b""  # of a file that was cut since
                yield Record(line, files.directory(self._names[self._sources[run]]))

    def runs(self, minimum: int = 1) -> Generator[Run]:
        """Yield the records of components, in order: all there are, or those in runs of some components at least."""
        with closing(_Files(self._directory)) as files:
            for run, start, stop in self._pieces():
                if stop - start >= minimum:
                    yield self._piece(run, start, stop, files)

    def by_directory(self) -> Iterator[tuple[Path, Iterator[Run]]]:
        """Yield job directories, and the records in each that count, in the order in which they are there."""
        with closing(_Files(self._directory)) as files:
            pieces = sorted(self._pieces(), key=lambda piece: (self._sources[piece[0]], piece[0], piece[1]))
            for source, of_source in groupby(pieces, key=lambda piece: self._sources[piece[0]]):
                yield files.directory(self._names[source]), (self._piece(*piece, files) for piece in of_source)

    def usage_of(self, components: Sequence[int]) -> Iterator[Usage]:
        """Yield what ``usage`` does, of some components, in ascending order."""
        for component, record in zip(components, self.walk(components), strict=True):
            usage = read_usage(component, record.line) if record is not None else None
            if usage is not None:
                yield usage

    def usage(self) -> Iterator[Usage]:
        """Yield what each component with a record has used."""
        for run in self.runs():
            for component, line in enumerate(run.data.split(b"\n")[:-1], run.start):
                usage = read_usage(component, line)
                if usage is not None:
                    yield usage

    def total_usage(self) -> Totals:
        """Return what all components took that have a record."""
        if self.usage_is_known and sum(self._stops) - sum(self._firsts) == self.finished:  # no run is out of date
            wall, walls, memory = self._usage
            return Totals(max(wall, default=0.0), sum(walls), max(memory, default=0.0))
        total = Totals()
        with closing(_Files(self._directory)) as files:
            for run, start, stop in self._pieces():
                of_run = Totals(*(measure[run] for measure in self._usage))
                is_whole = (start, stop) == (self._firsts[run], self._stops[run])
                if not is_whole or math.isnan(of_run.total_wall_s):
                    of_run = _usage(self._piece(run, start, stop, files))
                if is_whole:
                    for measure, value in zip(self._usage, of_run, strict=True):
                        measure[run] = value
                total = Totals(
                    max(total.max_wall_s, of_run.max_wall_s),
                    total.total_wall_s + of_run.total_wall_s,
                    max(total.max_memory_mb, of_run.max_memory_mb),
                )
        return total

    @property
    def usage_is_known(self) -> bool:
        """Whether ``total_usage`` needs to read no record for its answer, or few."""
        return not any(map(math.isnan, self._usage[0]))

    def _pieces(self) -> Iterator[tuple[int, int, int]]:
        """Yield runs, with the components whose latest records are there, in the order of these."""
        begin = _FINISHED.search(self.outcomes)
        while begin:
            start = begin.start()
            run = self._run_of[start]
            stop = self._stops[run]
            length = stop - start
            if (
                self._run_of[start:stop] != array.array("i", [run]) * length
                or self.outcomes.find(_NONE, start, stop) >= 0
            ):
                stop = start
                while self._run_of[stop] == run and self.outcomes[stop] != _NONE:
                    stop += 1
            yield run, start, stop
            begin = _FINISHED.search(self.outcomes, stop)

    def _piece(self, run: int, start: int, stop: int, files: _Files) -> Run:
        data = self._data(run, files)
        first = self._firsts[run]
        if (start, stop) != (first, self._stops[run]):
            data = b"".join([line + b"\n" for line in data.split(b"\n")[start - first : stop - first]])
        return Run(start, stop, data, files.directory(self._names[self._sources[run]]))

    def _data(self, run: int, files: _Files) -> bytes:
        return files.read(self._names[self._sources[run]], self._starts[run], self._ends[run])

    def dump(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the index as what is kept as JSON and what as bytes, for ``restore``."""
        arrays: tuple[array.array[Any], ...] = (self._run_of, *self._columns, *self._usage)
        return {"names": self._names, "read": self._read}, [bytes(self.outcomes), *(a.tobytes() for a in arrays)]

    def restore(self, kept: dict[str, Any], sections: list[bytes]) -> None:
        """Take over what ``dump`` gave in the place of what is there; raises ValueError if the files are others."""
        for name, (position, changed) in kept["read"].items():
            state = (self._directory.job(name) / wire.RECORDS).stat()
            if state.st_size < position or (state.st_size == position and state.st_mtime_ns != changed):
                raise ValueError(f"the records of job {name} are not those that were read")
        self._names = kept["names"]
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._read = {name: (position, changed) for name, (position, changed) in kept["read"].items()}
        self.size = sum(position for position, _ in self._read.values())
        arrays: tuple[array.array[Any], ...] = (self._run_of, *self._columns, *self._usage)
        outcomes, *others = sections
        for column, section in zip(arrays, others, strict=True):
            del column[:]
            column.frombytes(section)
        if not len(self.outcomes) == len(outcomes) == len(self._run_of):
            raise ValueError("they are of another number of components")
        self.outcomes[:] = outcomes
        self.finished = len(outcomes) - outcomes.count(_NONE)


class _Files:
    """Files of records that are read from, a few of them open at a time."""

    def __init__(self, directory: MapDirectory) -> None:
        self._directory = directory
        self._open: dict[str, BinaryIO] = {}
        self._paths: dict[str, Path] = {}

    def directory(self, name: str) -> Path:
        """Return a job directory."""
        if name not in self._paths:
            self._paths[name] = self._directory.job(name)
        return self._paths[name]

    def read(self, name: str, start: int, end: int) -> bytes:
        """Return a part of the records of a job directory."""
        file = self._open.get(name)
        if file is None:
            if len(self._open) >= _FILES_AT_ONCE:
                self._open.pop(next(iter(self._open))).close()
            file = self._open[name] = (self.directory(name) / wire.RECORDS).open("rb", buffering=0)
        return os.pread(file.fileno(), end - start, start)

    def close(self) -> None:
        for file in self._open.values():
            file.close()


def _read_heads(block: bytes) -> tuple[list[int], bytes]:
    """Return which components whole lines are of, and a byte with the outcome of each; nothing if some are no records.

    That all have completed is so common that it is tried first, which takes half the time.
    """
    first = _NEXT_COMPLETED.match(b"\n" + block[:HEAD_BYTES])
    found = [first and first[1], *_NEXT_COMPLETED.findall(block)[:-1]]
    if all(found):
        return list(map(int, found)), bytes([COMPLETED]) * len(found)
    heads = _HEADS.findall(b"\n" + block)
    if len(heads) < len(found):
        return [], b""
    return [int(number) for number, _ in heads], b"".join([name for _, name in heads])[::2].translate(_FIRST_LETTER)


def _usage(run: Run) -> Totals:
    """Return what the components of a run took."""
    found = _PLAIN_USAGE.findall(run.data)
    if len(found) != run.stop - run.start:  # there are some of components that died, which say less
        usages = (read_usage(component, line) for component, line in enumerate(run.data.split(b"\n")[:-1], run.start))
        found = [(usage.wall_s, usage.memory_mb) for usage in usages if usage is not None]
    times = [float(wall) for wall, _ in found]
    return Totals(max(times, default=0.0), sum(times), max((float(memory) for _, memory in found), default=0.0))
