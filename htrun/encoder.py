"""Arguments to calls on the wire, and what is wrong with them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from htrun.exceptions import BadInputs, EmptyMap, InputError, UsageError
from htrun.runner.calls import PATH_KEY
from htrun.transfers import FileTable, Landing, OnWire, escape, to_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from htrun.binding import Binding
    from htrun.columns import Columns

_MAX_ERRORS = 20


@dataclass(frozen=True, slots=True)
class InputsOptions:
    """How inputs are read.

    Attributes
    ----------
    format : {"jsonl", "csv", "tsv", "parquet"} or None
        None to go by the extension: ``.csv``, ``.tsv`` and ``.parquet``, JSONL by any other.
    transfer : frozenset of str
        The parameters in whose values every string is a file to bring along.
    detect : bool
        Whether annotations, and objects such as ``{"$path": "a.txt"}``, say what is a file to bring along.
    taken : frozenset of str
        The names of files that map options bring along, which no file of the arguments lands under.
    columns : Columns or None
        The fields that have map options; their values are gathered there.
    """

    format: Literal["jsonl", "csv", "tsv", "parquet"] | None = None
    transfer: frozenset[str] = frozenset()
    detect: bool = True
    taken: frozenset[str] = frozenset()
    columns: Columns | None = None


class Encoder:
    """Turns arguments into calls on the wire, and gathers what is wrong with them.

    Parameters
    ----------
    path : str
        What errors name as the place of the inputs.
    binding : Binding
    files : FileTable
        The files that calls name are added here.
    directory : pathlib.Path
        What relative names of files are relative to.
    options : InputsOptions
    beside : pathlib.Path, optional
        The directory of the file of inputs: an error tells if a name is right there.
    unit : str
        What the inputs are counted in, if not in lines.

    Attributes
    ----------
    path : str
    binding : Binding
    detect : bool
        As in the options.
    columns : Columns or None
        Where the values of map options are gathered, if any come from the inputs.
    not_passed : frozenset of str
        The fields that are for these alone, and no arguments.
    locate : callable
        From the name of a file that an input brings along to its path; may raise UsageError.
    total : int
        How many things are wrong.
    """

    def __init__(
        self,
        path: str,
        binding: Binding,
        files: FileTable,
        directory: Path,
        options: InputsOptions,
        *,
        beside: Path | None = None,
        unit: str = "",
    ) -> None:
        self.path = path
        self.binding = binding
        self.detect = options.detect
        self.columns = options.columns or None
        self.not_passed = self.columns.not_passed(binding) if self.columns else frozenset()
        self.locate: Callable[[str], str] = lambda name: os.path.join(directory, name)
        self.total = 0
        self._errors: list[InputError] = []
        self._taken = options.taken
        self._files = files
        self._beside = beside
        self._unit = unit
        self._line = 0
        self._landing: Landing | None = None

    def checked(self, calls: Iterable[bytes]) -> Iterator[bytes]:
        """Yield calls that this has encoded; at the end, raise BadInputs if anything is wrong, EmptyMap without any."""
        empty = True
        for call in calls:
            empty = False
            yield call
        if self.total:
            raise BadInputs(self._errors, self.total)
        if empty:
            raise EmptyMap(f"{self.path} has no inputs, so there is nothing to run")

    def report(self, line: int | None, message: str) -> None:
        """Note that something is wrong with a line, or with the whole of the inputs."""
        self.total += 1
        if len(self._errors) < _MAX_ERRORS:
            if self._unit and line is not None:
                line, message = None, f"{self._unit} {line}: {message}"
            self._errors.append(InputError(self.path, line, message))

    def check_names(self, names: Sequence[str]) -> bool:
        """Tell whether keyword arguments of these names, which all inputs have, fit; report what is wrong with them."""
        problems = self.columns.missing(names) if self.columns else []
        problems += self.binding.keyword_problems(tuple(name for name in names if name not in self.not_passed))
        for problem in problems:
            self.report(None, problem)
        return not problems

    def take_options(self, line: int, arguments: dict[str, Any] | list[Any]) -> bool:
        """Take the values of map options out of a call; tell whether they are there, and right."""
        assert self.columns is not None
        fields = arguments if isinstance(arguments, dict) else {}
        problems = self.columns.take(fields)
        for problem in problems:
            self.report(line, problem if isinstance(arguments, dict) else f"{problem}: this is no object")
        for name in self.not_passed:
            fields.pop(name, None)
        return not problems

    def encode(self, line: int, arguments: dict[str, Any] | list[Any], *, has_path_key: bool) -> bytes | None:
        """Return a call that fits on the wire; None if it is the same as plain JSON, without files.

        Parameters
        ----------
        line : int
            Where the call begins.
        arguments : dict or list
        has_path_key : bool
            Whether any object in the arguments may have the key ``$path``.
        """
        self._line = line
        self._landing = None
        if isinstance(arguments, dict):
            self.binding.convert_keywords(arguments, self._bring)
        else:
            self.binding.convert_positions(arguments, self._bring)
        if has_path_key:
            bring = self._bring if self.detect else None
            if isinstance(arguments, dict):
                arguments = escape({name: to_wire(value, bring) for name, value in arguments.items()})
            else:
                arguments = to_wire(arguments, bring)
        elif self._landing is None:
            return None
        call = dumps(arguments)
        return call if self._landing is None else b"%b\t%b" % (call, dumps(self._landing.files()))

    def _bring(self, given: str) -> Any:
        try:
            file = self._files.find(self.locate(given), given, self._beside)
        except UsageError as error:
            self.report(self._line, str(error))
            return given
        if self._landing is None:
            self._landing = Landing(self._taken)
        return OnWire({PATH_KEY: self._landing.place(file)})


def dumps(value: Any) -> bytes:
    """Return JSON as it stands in calls."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")
