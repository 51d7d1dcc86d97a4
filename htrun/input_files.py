"""Input files that the options of a map name: every component brings them along, or each its own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from htrun.exceptions import UsageError
from htrun.transfers import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from htrun.options import MapOptions
    from htrun.transfers import FileTable, TransferFile, TransferPath

_MAX_PROBLEMS = 20


class InputFiles:
    """The files that the options of a map bring along.

    Parameters
    ----------
    options : MapOptions
    table : FileTable
        The files are added here.
    directory : str or os.PathLike
        What relative paths are relative to.

    Raises
    ------
    UsageError
        If a file cannot be brought along, or two of a component have the same name.
    """

    def __init__(self, options: MapOptions, table: FileTable, directory: Path) -> None:
        problems: list[str] = []

        def find(given: list[str | TransferPath], others: Mapping[str, TransferFile]) -> dict[str, TransferFile]:
            found = dict(others)
            for text in map(str, given):
                try:
                    file = table.find(os.path.join(directory, text), text)
                except UsageError as error:
                    problems.append(f"an input file cannot be brought along: {error}")
                    continue
                # Of a directory that has nothing in it there is to be something, too.
                names = [file.name] if file.contents is None else [*file.contents, f"./{file.id}"]
                others = {o.id: o for o in (found.setdefault(name, file) for name in names) if o.id != file.id}
                for other in others.values():
                    both = f"{shown(other.given)} and {shown(file.given)}"
                    same = "the same name" if file.contents is other.contents is None else "files of the same name"
                    problems.append(f"the input files {both} have {same}, by which a component finds them")
            return found

        self._fixed = find(options.fixed_input_files, {})
        self._each = [find(files, self._fixed) for files in options.input_files or ()]
        if problems:
            more = [f"... and {len(problems) - _MAX_PROBLEMS:,} more"] if len(problems) > _MAX_PROBLEMS else []
            raise UsageError("\n".join([*dict.fromkeys(problems[:_MAX_PROBLEMS]), *more]))

    @property
    def fixed_names(self) -> frozenset[str]:
        """The names of the files that all components bring along."""
        return frozenset(self._fixed)

    def names(self, component: int) -> frozenset[str]:
        """Return the names that other files of a component must not land under."""
        return frozenset(self._of(component))

    def _of(self, component: int) -> dict[str, TransferFile]:
        return self._each[component] if component < len(self._each) else self._fixed

    def attach(self, calls: Iterable[bytes]) -> Iterable[bytes]:
        """Return encoded calls that bring the files along."""
        return self._attach(calls) if self._fixed or self._each else calls

    def _attach(self, calls: Iterable[bytes]) -> Iterable[bytes]:
        for component, call in enumerate(calls):
            files = self._of(component)
            arguments, _, listed = call.partition(b"\t")
            landing = {file.id: name if file.contents is None else "." for name, file in files.items()}
            brought = [list(item) for item in landing.items()]
            brought += json.loads(listed) if listed else []
            if brought:
                yield b"%b\t%b" % (arguments, json.dumps(brought, separators=(",", ":")).encode("ascii"))
            else:
                yield call
