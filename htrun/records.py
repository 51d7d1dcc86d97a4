"""The record of a component: what became of it."""

from __future__ import annotations

import base64
import io
import json
import re
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from htrun.exceptions import InvalidOutputStatus, OutputNotLoadable, WrongPython
from htrun.runner import pythons, wire
from htrun.store import read_json

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeGuard


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
        OutputNotLoadable
            If unpickling it raises anything else, which is its cause.
        """
        pickled = self.pickled()
        if pickled is not None:
            return _loads(pickled, self.data)
        output = self.output_json()
        if output is None:
            raise InvalidOutputStatus(f"the record of component {self.data.get('component')} does not hold its output")
        return json.loads(output)

    @property
    def is_pickled(self) -> bool:
        """Whether JSON does not hold the output exactly, so that it is pickled as well."""
        return self.line.find(b',"pickle', 0, self.line.find(b',"output')) >= 0

    def pickled(self) -> bytes | None:
        """Return the pickle of the output without loading it; None where JSON holds it exactly."""
        if not self.is_pickled:
            return None
        data = self.data
        return base64.b64decode(data["pickle"]) if "pickle" in data else self._side_file("pickle_file")

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
        """Return what the component printed to ``stdout`` or ``stderr``, in earlier attempts too where it is there."""
        spans = [row.get(stream) for row in (*self.failures(), self.data)]
        parts = []
        with suppress(FileNotFoundError), (self.directory / stream).open("rb") as file:
            for start, stop in filter(None, spans):
                file.seek(start)
                parts.append(file.read(stop - start))
        return b"".join(parts)

    def failures(self) -> list[dict[str, Any]]:
        """Return what became of attempts before this one: ``attempt``, ``type``, ``message`` and ``node`` of each."""
        failures: list[dict[str, Any]] = self.data.get("failures", [])
        return failures

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


_SIDE_FILE = re.compile(rf"{re.escape(wire.SIDE_FILE)}\d+\.(json|pickle)")


def is_side_file(name: object) -> TypeGuard[str]:
    """Tell whether a name, as a record has it, is one that the runner gives to a file beside it."""
    return isinstance(name, str) and _SIDE_FILE.fullmatch(name) is not None


HEAD_BYTES = 600
"""In so many a record has said what its component used; a node's name may have 255 (RFC 1035), the rest is numbers."""
_USAGE = re.compile(rb'"wall_s":([0-9.]+)(?:,"cpu_s":([0-9.]+))?(?:,"memory_mb":([0-9.]+))?(?:,"disk_kb":([0-9]+))?')


class Usage(NamedTuple):
    """What a component has used: seconds, and at the most MiB of memory and KiB of disk; 0 where that is not known."""

    component: int
    wall_s: float
    cpu_s: float
    memory_mb: float
    disk_kb: int


def read_usage(component: int, line: bytes) -> Usage | None:
    """Return what a component has used, from the beginning of its record; None if that is damaged."""
    found = _USAGE.search(line, 0, HEAD_BYTES)
    if found is None:
        return None
    wall, cpu, memory, disk = found.groups(b"0")
    return Usage(component, float(wall), float(cpu), float(memory), int(disk))


def _loads(pickled: bytes, data: dict[str, Any]) -> Any:
    """Return the pickled output of a record."""
    python = data.get("python")
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
        said = traceback.format_exception_only(error)[-1].strip()
        raise OutputNotLoadable(data["component"], said) from error
