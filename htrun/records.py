"""The records of a map's components: what became of each, and the index of where that is written."""

from __future__ import annotations

import array
import base64
import io
import json
import re
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from htrun.exceptions import InvalidOutputStatus, WrongPython
from htrun.runner import pythons, wire
from htrun.runner.records import component_of
from htrun.store import read_json

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path
    from typing import TypeGuard

    from htrun.store import MapDirectory
    from htrun.submissions import Ranges


@dataclass(frozen=True)
class Record:
    """One component's record.

    Attributes
    ----------
    line : bytes
        The record as it is on disk, without the newline.
    directory : pathlib.Path
        The job directory that it is in.
    """

    line: bytes
    directory: Path

    @cached_property
    def data(self) -> dict[str, Any]:
        """The record as a dict."""
        data: dict[str, Any] = json.loads(self.line)
        return data

    def output_json(self) -> bytes | None:
        """Return the output as JSON without parsing it; None where it has no such form."""
        at = self.line.find(b',"output":')
        if at >= 0:
            return self.line[at + 10 : -1]
        if self.line.find(b',"output_file":') >= 0:
            return self._side_file("output_file")
        return None

    def value(self) -> Any:
        """Return the output of a completed component as Python has it.

        Raises
        ------
        InvalidOutputStatus
            If the record does not hold one.
        WrongPython
            If another version of Python has pickled it, and it cannot be loaded here.
        Exception
            Whatever unpickling it raises.
        """
        data = self.data
        if "pickle" in data:
            return _loads(base64.b64decode(data["pickle"]), data.get("python"))
        if "pickle_file" in data:
            return _loads(self._side_file("pickle_file"), data.get("python"))
        output = self.output_json()
        if output is None:
            raise InvalidOutputStatus(f"the record of component {data.get('component')} does not hold its output")
        return json.loads(output)

    def _side_file(self, key: str) -> bytes:
        """Read a file beside the records that this one names; raises InvalidOutputStatus if it leads elsewhere."""
        name: object = self.data[key]
        if not is_side_file(name) or (self.directory / name).is_symlink():
            component = self.data.get("component")
            raise InvalidOutputStatus(
                f"the output of component {component} is not read: its record says that it is in {name!r}, which is "
                f"no file of its job; whoever wrote that to {self.directory / wire.RECORDS} was not htrun"
            )
        return (self.directory / name).read_bytes()

    def printed(self, stream: str) -> bytes:
        """Return what the component printed to ``stdout`` or ``stderr``."""
        span = self.data.get(stream)
        if span is None:
            return b""
        start, stop = span
        try:
            with (self.directory / stream).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except FileNotFoundError:
            return b""

    def files(self) -> list[list[Any]]:
        """Return what output files the component has left, as ``runner.outputs.take`` does."""
        files: list[list[Any]] = self.data.get("files", [])
        return files

    def scratch(self) -> tuple[list[list[Any]], list[list[Any]]]:
        """Return the names and sizes of what was in the component's directory before its call, and after it."""
        data = self.data
        return data.get("scratch_before", []), data.get("scratch") or data.get("error", {}).get("scratch", [])

    def environment(self) -> dict[str, Any]:
        """Return what Python and packages ran the component, where that was recorded."""
        try:
            environment: dict[str, Any] = read_json(self.directory / wire.ENVIRONMENT)
        except (OSError, ValueError):
            return {}
        return environment


def _loads(pickled: bytes, python: str | None) -> Any:
    """Return what a version of Python has pickled."""
    advice = "load the map with Python %(python)s, or let it return data, not functions or classes of its own"
    try:
        return pythons.unpickler(python, advice)(io.BytesIO(pickled)).load()
    except Exception as error:
        if isinstance(error, pythons.WrongPython):
            raise WrongPython(f"an output cannot be loaded: {error}") from None
        if pythons.differs(python):
            raise WrongPython(
                f"an output that Python {python} has pickled does not load in {pythons.this_python()}: "
                f"{type(error).__name__}: {error}"
            ) from error
        raise


_NONE, _COMPLETED, _ERRORED = 0, 1, 2
_OUTCOMES = {b"CO": _COMPLETED, b"ER": _ERRORED}

_SIDE_FILE = re.compile(rf"{re.escape(wire.SIDE_FILE)}\d+\.(json|pickle)")


def is_side_file(name: object) -> TypeGuard[str]:
    """Tell whether a name, as a record has it, is one that the runner gives to a file beside it."""
    return isinstance(name, str) and _SIDE_FILE.fullmatch(name) is not None


# What every record begins with; a node's name may have 255 bytes (RFC 1035), the rest is numbers.
_HEAD_BYTES = 600
_USAGE = re.compile(rb'"wall_s":([0-9.]+)(?:,"cpu_s":([0-9.]+),"memory_mb":([0-9.]+))?')


class Records:
    """The index of a map's records: where each component's latest one is. It grows by reading what is new.

    Parameters
    ----------
    directory : MapDirectory
    """

    def __init__(self, directory: MapDirectory) -> None:
        count = directory.components
        self._directory = directory
        self.outcomes = bytearray(count)
        self._sources: dict[str, int] = {}
        self._names: list[str] = []
        self._source = array.array("i", bytes(4 * count))
        self._offset = array.array("q", bytes(8 * count))
        self._length = array.array("q", bytes(8 * count))
        self._read: dict[str, int] = {}
        self._since: array.array[int] | None = None  # the first job directory that counts, made when one does not
        self.errored: set[int] = set()
        self.with_files: set[int] = set()
        self.finished = 0

    def supersede(self, ranges: Ranges, first_job: int) -> None:
        """Forget what components have left in job directories before ``first_job``: they were submitted again."""
        if self._since is None:
            self._since = array.array("q", bytes(8 * len(self.outcomes)))
        for start, stop in ranges:
            self._since[start:stop] = array.array("q", [first_job]) * (stop - start)
            self.finished -= (stop - start) - self.outcomes.count(_NONE, start, stop)
            self.outcomes[start:stop] = bytes(stop - start)
            self.errored.difference_update(range(start, stop))
            self.with_files.difference_update(range(start, stop))

    def read(self, name: str) -> list[int]:
        """Take in what is new in the records of a job directory; return the components it is of."""
        position = self._read.get(name, 0)
        try:
            with (self._directory.job(name) / wire.RECORDS).open("rb") as file:
                file.seek(position)
                data = file.read()
        except FileNotFoundError:
            return []
        data = data[: data.rfind(b"\n") + 1]
        if not data:
            return []
        source = self._sources.setdefault(name, len(self._names))
        if source == len(self._names):
            self._names.append(name)
        fresh = []
        since = self._since
        start = len(b'{"component":')
        for line in data.splitlines(keepends=True):
            comma = line.find(b",")
            try:
                component = int(line[start:comma])
                outcome = _OUTCOMES[line[comma + 11 : comma + 13]]  # ,"status":"CO...
                if component < 0 or component >= len(self.outcomes):
                    raise IndexError
            except (ValueError, KeyError, IndexError):
                position += len(line)  # a torn line that a later one was appended to
                continue
            if since is not None and int(name) < since[component]:
                position += len(line)
                continue
            self._source[component] = source
            self._offset[component] = position
            self._length[component] = len(line) - 1
            if self.outcomes[component] == _NONE:
                self.finished += 1
            self.outcomes[component] = outcome  # only now: another thread may look for the record that it tells of
            if outcome == _COMPLETED:
                self.errored.discard(component)
            else:
                self.errored.add(component)
            if line.find(b',"files":[', 0, _HEAD_BYTES) >= 0:
                self.with_files.add(component)
            fresh.append(component)
            position += len(line)
        self._read[name] = position
        return fresh

    def directories(self) -> list[str]:
        """Return the names of the job directories where there are records."""
        return list(self._names)

    def current(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield the components and the lines, with their newlines, of the records in a job directory that count."""
        source = self._sources[name]
        offset = 0
        with (self._directory.job(name) / wire.RECORDS).open("rb") as file:
            for line in file:
                with suppress(ValueError, IndexError):  # a torn line that a later one was appended to
                    component = component_of(line)
                    place = (self._source[component], self._offset[component])
                    if self.outcomes[component] != _NONE and place == (source, offset):
                        yield component, line
                offset += len(line)

    def status(self, component: int) -> str:
        """Return the status that a component's record says; KeyError without one."""
        outcome = self.outcomes[component]
        if outcome == _NONE:
            raise KeyError(component)
        return wire.COMPLETED if outcome == _COMPLETED else wire.ERRORED

    def get(self, component: int) -> Record | None:
        """Return a component's record, or None."""
        return next(iter(self.walk([component])), None)

    def walk(self, components: Iterable[int]) -> Generator[Record | None]:
        """Yield the records of components, None for one without."""
        with closing(self._lines(components)) as lines:
            for source, line in lines:
                yield None if line is None else Record(line, self._directory.job(self._names[source]))

    def usage(self) -> Iterator[tuple[int, float, float, float]]:
        """Yield (component, wall seconds, CPU seconds, peak memory in MiB) of each record, without parsing it."""
        components = [component for component, outcome in enumerate(self.outcomes) if outcome != _NONE]
        with closing(self._lines(components, limit=_HEAD_BYTES)) as lines:
            for component, (_, line) in zip(components, lines, strict=True):
                found = _USAGE.search(line or b"")
                if found:
                    yield component, float(found[1]), float(found[2] or 0), float(found[3] or 0)

    def _lines(self, components: Iterable[int], limit: int = sys.maxsize) -> Generator[tuple[int, bytes | None]]:
        """Yield where each component's record is, and its line or the beginning of it; None for one without."""
        files: dict[int, BinaryIO] = {}
        try:
            for component in components:
                source = self._source[component]
                if self.outcomes[component] == _NONE:
                    yield source, None
                    continue
                file = files.get(source)
                if file is None:
                    if len(files) >= 64:
                        files.pop(next(iter(files))).close()
                    file = files[source] = (self._directory.job(self._names[source]) / wire.RECORDS).open("rb")
                file.seek(self._offset[component])
                yield source, file.read(min(self._length[component], limit))
        finally:
            for file in files.values():
                file.close()
