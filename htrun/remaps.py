"""Where output files are sent instead of into the map's directory: what users say, checked, and as it is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from htrun.exceptions import UsageError
from htrun.transfers import TransferPath, quoted, shown
from htrun.urls import is_url, joined, normalized

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Remap = dict[str, str]
"""From names of output files to destinations as they were given."""

_COMPONENT = re.compile(r"\$\(component\)", re.IGNORECASE)


def read_remaps(remaps: Any) -> Remap | list[Remap] | None:
    """Return the option ``output_remaps`` with plain texts in it; raises UsageError."""
    if remaps is None:
        return None
    if isinstance(remaps, Mapping):
        return {output_name(name): _destination(name, to) for name, to in remaps.items()}
    if isinstance(remaps, (str, bytes, PurePath, TransferPath)) or not isinstance(remaps, Iterable):
        raise UsageError("output_remaps: it maps names of output files to where they go, or has one such mapping each")
    each = [read_remaps(remap) if isinstance(remap, Mapping) else None for remap in remaps]
    if not all(isinstance(remap, dict) for remap in each):
        raise UsageError("output_remaps: for each component it has a mapping from names of output files")
    return each  # type: ignore[return-value]


def output_name(name: Any) -> str:
    """Return the name of an output file, of a path its last part; raises UsageError."""
    if isinstance(name, (PurePath, TransferPath)):
        name = name.name
    elif isinstance(name, os.PathLike):
        name = os.path.basename(os.fspath(name))  # noqa: PTH119
    if not isinstance(name, str):
        raise UsageError(f"output_remaps: the name of an output file is a text, not {name!r}")
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UsageError(f"output_remaps: {quoted(name)} is no name of an output file, such as 'out.txt'")
    return name


def _destination(name: Any, to: Any) -> str:
    if not isinstance(to, (str, os.PathLike, TransferPath)):
        raise UsageError(f"output_remaps: {name} goes to a path or a URL, not to an object of type {type(to).__name__}")
    text = str(to) if isinstance(to, TransferPath) else os.fspath(to)
    check_destination(text)
    return text


def check_destination(text: Any) -> None:
    """Raise UsageError if nothing can be sent to what was given as a destination."""
    if not isinstance(text, str):
        raise UsageError(f"a destination is a text, not {text!r}")
    try:
        if is_url(text):
            normalized(joined(text, "x") if text.endswith("/") else text)
    except ValueError as error:
        raise UsageError(f"nothing can be sent to {error}: {shown(text)}") from None
    if not text or "\0" in text:
        raise UsageError(f"no file can have the name {quoted(text)}")


@dataclass(frozen=True)
class Remaps:
    """Where the output files of a map go.

    Attributes
    ----------
    directory : str
        What relative destinations are relative to.
    fixed : dict of str to str
        For all components.
    each : list of dict
        For each component; empty if there are none but fixed ones.
    """

    directory: str
    fixed: Remap = field(default_factory=dict)
    each: Sequence[Remap] = ()

    @classmethod
    def of(cls, given: Remap | list[Remap] | None, directory: str) -> Remaps:
        """Return the remaps that were read from an option."""
        return cls(directory, each=given) if isinstance(given, list) else cls(directory, given or {})

    def __bool__(self) -> bool:
        return bool(self.fixed) or any(self.each)

    def component(self, component: int) -> Remap:
        """Return the destinations of a component's output files: absolute paths and URLs, by name."""
        given = self.each[component] if self.each else self.fixed
        return {name: self._resolved(name, to, component) for name, to in given.items()}

    def _resolved(self, name: str, to: str, component: int) -> str:
        to = _COMPONENT.sub(str(component), to)
        if is_url(to):
            return normalized(joined(to, name) if to.endswith("/") else to)
        path = os.path.normpath(os.path.join(self.directory, to))
        return os.path.join(path, name) if to.endswith("/") else path

    def check(self, count: int) -> Iterator[str]:
        """Yield the URLs among the destinations of a number of components; raises UsageError for what cannot be."""
        several = [to for to in self.fixed.values() if not _COMPONENT.search(to)] if count > 1 else []
        if several:
            raise UsageError(
                f"the output files of {count:,} components cannot all go to {shown(several[0])}: "
                "put $(component) in it, which is the number of the component"
            )
        sure = len(self.fixed) == 1  # its destinations differ in the number
        seen: dict[str, int] = {}
        parents: dict[str, str | None] = {}
        for component in range(count if self else 0):
            for name, to in self.component(component).items():
                if not sure and to in seen:
                    both = f"component {component}" if seen[to] == component else f"components {seen[to]}, {component}"
                    raise UsageError(
                        f"two output files of {both} would go to {shown(to)}: put $(component), which is the number "
                        "of the component, into where they go, or send them elsewhere"
                    )
                if not sure:
                    seen[to] = component
                if is_url(to):
                    yield to
                    continue
                problem = _problem(to, parents)
                if problem:
                    raise UsageError(f"the output file {quoted(name)} cannot go to {shown(to)}: {problem}")

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` takes."""
        return {"directory": self.directory, **({"each": self.each} if self.each else {"fixed": self.fixed})}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Remaps:
        """Return the remaps that ``to_json`` was called of."""
        return cls(value["directory"], value.get("fixed", {}), value.get("each", ()))


def _problem(path: str, parents: dict[str, str | None]) -> str | None:
    """Return why no file can be written at a path, None if it seems that one can."""
    if os.path.isdir(path):  # noqa: PTH112 (no Path for each of a million components)
        return "that is a directory; a slash at the end says that it goes into it"
    parent = os.path.dirname(path)
    if parent not in parents:
        parents[parent] = _parent_problem(Path(parent))
    return parents[parent]


def _parent_problem(path: Path) -> str | None:
    while not os.path.lexists(path):
        path = path.parent
    if not path.is_dir():
        return f"{path} is no directory"
    return None if os.access(path, os.W_OK | os.X_OK) else f"{path} is not writable"
