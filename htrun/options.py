"""Map options: what users ask of the jobs of a map beside the function and its inputs."""

from __future__ import annotations

import collections
import math
import numbers
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from htrun import policy
from htrun.exceptions import HtrunError, MisalignedInputData, ReservedOptionKeyword, UsageError
from htrun.remaps import Remaps, read_remaps
from htrun.reserved import RESERVED_KEYS, why_reserved
from htrun.transfers import TransferPath, quoted, shown
from htrun.units import SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from htrun.submissions import Ranges

    File = str | os.PathLike[str] | TransferPath

_KEY = re.compile(r"(?P<custom>(?:\+|my\.)\s*)?(?P<name>(?!my\.)[a-z_]\w*(?:\.\w+)*)", re.IGNORECASE | re.ASCII)
_PREFIX = re.compile(r"^\s*(?:\+|my\.)\s*", re.IGNORECASE)
_ALIASES = {
    "requestcpu": "request_cpus",
    "requestgpu": "request_gpus",
    "requestmemory": "request_memory",
    "requestdisk": "request_disk",
    "shouldtransferfile": "should_transfer_files",
}
"""Options of several names, so that what is asked for in one place overrides what is in another."""
_NOT_CARRIED = re.compile(r"[\r\n\0\x1f\ud800-\udfff]|\\$")  # after trimming
_CHECKED = {
    "request_memory": (SIZE, "a size is a number, of MB, or has a unit, such as 2GB"),
    "request_disk": (SIZE, "a size is a number, of KB, or has a unit, such as 2GB"),
    "request_cpus": (re.compile(r"[1-9][0-9]*"), "it is a whole number from 1"),
    "request_gpus": (re.compile(r"[0-9]+"), "it is a whole number"),
}
SIZED = ("request_memory", "request_disk")
"""The options that may be that."""
TRANSFER = "should_transfer_files"
"""The option that says whether jobs get their files from HTCondor, or find them on a shared file system."""
_AMOUNT = re.compile(r"[-+]?\.?[0-9][0-9.]*\s*[A-Za-z]*")
"""What is no ClassAd expression, but a number, perhaps with a unit."""
CREDENTIALS = frozenset(
    f"{kind}_{name}" for kind in ("aws", "s3", "gs") for name in ("access_key_id_file", "secret_access_key_file")
)
"""Options that name files with credentials for URLs, on this machine too."""
_COMPONENT = re.compile(r"\$\w*\(\s*component\s*[,:)]", re.IGNORECASE)


def is_in_place(submit_options: Mapping[str, str]) -> bool:
    """Tell whether jobs with these options run in the map's directory, and HTCondor transfers nothing."""
    return submit_options.get(TRANSFER) == "NO"


def option_key(key: str) -> str:
    """Return the one spelling of an option's name: lower case, or ``MY.Name`` for a custom one.

    Raises
    ------
    UsageError
        If nothing can have that name.
    ReservedOptionKeyword
    """
    text = key.strip() if isinstance(key, str) else ""
    instead = why_reserved(text)
    if instead is not None:
        raise ReservedOptionKeyword(text, instead)
    match = _KEY.fullmatch(text)
    if match is None:
        raise UsageError(f"an option cannot be called {quoted(str(key))}")
    if match["custom"]:
        return f"MY.{match['name']}"
    name = match["name"].lower()
    return _ALIASES.get(name.replace("_", "").removesuffix("s"), name)


def option_value(key: str, value: Any) -> str:
    """Return a single value of an option as it stands in a submit file.

    Parameters
    ----------
    key : str
        As ``option_key`` returns it.
    value : str, bool, int, float or os.PathLike

    Raises
    ------
    UsageError
        If there is no way to write it, or it is no amount where one is needed.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, numbers.Real):
        if not math.isfinite(value):
            raise UsageError(f"{key}: {value} is no value for an option")
        text = str(value)
    elif isinstance(value, str):
        text = value.strip()
    else:
        what = "None" if value is None else f"an object of type {type(value).__name__}"
        raise UsageError(f"{key}: a value is a string, a number or a bool, not {what}")
    found = _NOT_CARRIED.search(text)
    if found:
        what = {"\n": "a line break", "\r": "a line break", "\\": "a backslash at its end"}.get(
            found[0], repr(found[0])
        )
        raise UsageError(f"{key}: HTCondor takes no value with {what}: {quoted(text)}")
    if key in SIZED and text.lower() == policy.AUTO:
        return policy.AUTO
    if key == TRANSFER:
        text = text.upper()
        if text not in ("YES", "NO"):
            raise ReservedOptionKeyword(
                key, f"it can be YES or NO, since jobs have to know which before they start, and not {quoted(text)}"
            )
    checked = _CHECKED.get(key)
    if checked is not None and _AMOUNT.fullmatch(text) and not checked[0].fullmatch(text):
        raise UsageError(f"{key}: {quoted(text)} is not right: {checked[1]}")
    return text


def component_value(key: str, value: Any) -> str:
    """Return the value of a variadic option for one component, as ``option_value`` does.

    It cannot be empty: to HTCondor it would be as if that job had no such command, and such a job inherits what the
    first one of its submission has.
    """
    text = option_value(key, value)
    if not text:
        raise UsageError(f"{key}: the value is empty, but each input needs one if any has one")
    if key == TRANSFER or (key in SIZED and text == policy.AUTO):
        raise UsageError(f"{key}: {text} is for all inputs alike: give it as a single value")
    return text


def _option(key: str, value: Any) -> str | list[str]:
    """Return an option's value, or its values, as they stand in a submit file."""
    if isinstance(value, (set, frozenset)):
        raise UsageError(f"{key}: a set has no order, so it is not clear which value is whose")
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray, Mapping, os.PathLike)):
        return [component_value(key, item) for item in value]
    return option_value(key, value)


class MapOptions(collections.UserDict[str, Any]):
    """What is asked of the jobs of a map: HTCondor's submit commands, files to bring along, and how they are run.

    A single value is a fixed option, for all components. An iterable of values, one for each component, is a variadic
    one. Values are exactly what stands after the ``=`` in a submit file; numbers and bools are written as such.

    Parameters
    ----------
    fixed_input_files : str, os.PathLike or iterable of them, optional
        Files that all components bring along. They land under their own names where the component runs.
    input_files : iterable of paths, or of iterables of paths, optional
        The files that each component brings along.
    output_remaps : mapping or iterable of mappings, optional
        From names of output files to where they are sent, paths here or URLs; one for all components, in whose
        destinations ``$(component)`` stands for the number of the component, or one for each.
    custom_options : mapping, optional
        Attributes of the job that HTCondor does not know, with or without the ``+`` or ``MY.`` of submit files.
    **kwargs
        Submit commands, and what ``htrun.policy.KEYS`` tells of: ``chunk_size``, ``retries``, ``timeout`` and the like.

    Attributes
    ----------
    policy : dict
        What is said of the latter.

    Raises
    ------
    ReservedOptionKeyword
        If an option is one of htrun's own.
    UsageError
        If an option has a name or a value that it cannot have.
    """

    RESERVED_KEYS = RESERVED_KEYS

    def __init__(
        self,
        *,
        fixed_input_files: File | Iterable[File] | None = None,
        input_files: Iterable[File | Iterable[File]] | None = None,
        output_remaps: Mapping[Any, File] | Iterable[Mapping[Any, File]] | None = None,
        custom_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.fixed_input_files: list[str | TransferPath] = _files(
            "fixed_input_files", () if fixed_input_files is None else fixed_input_files
        )
        self.input_files: list[list[str | TransferPath]] | None = None
        if input_files is not None:
            if _is_file(input_files) or not isinstance(input_files, Iterable):
                raise UsageError(
                    "input_files: it has a file, or several, for each component; a file for all is fixed_input_files"
                )
            self.input_files = [_files("input_files", files) for files in input_files]
        self.output_remaps = read_remaps(output_remaps)
        self.policy = {key: policy.read(key, kwargs.pop(key)) for key in policy.KEYS if key in kwargs}
        custom = ((f"MY.{_PREFIX.sub('', str(key))}", value) for key, value in (custom_options or {}).items())
        for key, value in (*kwargs.items(), *custom):
            if key in self:
                raise UsageError(f"the option {key} is given twice")
            self[key] = value

    def _asked(self) -> dict[str, Any]:
        """Return all that is asked for: the options, how they are run, and the files."""
        files = {
            "fixed_input_files": self.fixed_input_files or None,
            "input_files": self.input_files,
            "output_remaps": self.output_remaps,
        }
        return {**self.data, **self.policy, **{name: value for name, value in files.items() if value is not None}}

    def __repr__(self) -> str:
        return repr(self._asked())

    def __bool__(self) -> bool:
        return bool(self._asked())

    def __eq__(self, other: object) -> bool:
        return self._asked() == (other._asked() if isinstance(other, MapOptions) else other)

    def _spelling(self, key: str) -> str:
        """Return how a key is spelled here; custom options whose names differ in case are the same one."""
        key = option_key(key)
        return next((known for known in self.data if known.lower() == key.lower()), key)

    def __setitem__(self, key: str, value: Any) -> None:
        key = self._spelling(key)
        self.data[key] = _option(key, value)

    def __getitem__(self, key: str) -> Any:
        return self.data[self._known(key)]

    def __delitem__(self, key: str) -> None:
        del self.data[self._known(key)]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._known(key) in self.data

    def _known(self, key: str) -> str:
        try:
            return self._spelling(key)
        except HtrunError:
            return key  # no option has it

    @classmethod
    def merge(cls, *others: MapOptions) -> MapOptions:
        """Merge options; those more to the left take priority.

        All of the ``fixed_input_files`` are kept, and all of the ``requirements`` have to be met.
        """
        merged = cls()
        for options in others:
            if not isinstance(options, MapOptions):
                raise UsageError(f"map options are an htrun.MapOptions(...), and {options!r} is none")
            for key, value in options.items():
                if key == "requirements" and key in merged:
                    merged.data[key] = _both(merged.data[key], value)
                elif key not in merged:
                    merged[key] = value
            merged.fixed_input_files += [f for f in options.fixed_input_files if f not in merged.fixed_input_files]
            if merged.input_files is None:
                merged.input_files = options.input_files
            if merged.output_remaps is None:
                merged.output_remaps = options.output_remaps
            merged.policy = {**options.policy, **merged.policy}
        return merged


def _both(first: str | list[str], second: str | list[str]) -> str | list[str]:
    """Return requirements that are met if both are, for each component if any of them are variadic."""
    if isinstance(first, str) and isinstance(second, str):
        return f"({first}) && ({second})" if first and second else first or second
    count = max(len(values) for values in (first, second) if not isinstance(values, str))
    both = [[values] * count if isinstance(values, str) else values for values in (first, second)]
    if len(both[0]) != len(both[1]):
        raise MisalignedInputData(
            f"requirements are given for {len(both[0]):,} components in one place, for {len(both[1]):,} in another"
        )
    return [str(_both(one, other)) for one, other in zip(*both, strict=True)]


def _is_file(value: object) -> bool:
    return isinstance(value, (str, os.PathLike, TransferPath))


def _files(key: str, files: Any) -> list[str | TransferPath]:
    if _is_file(files):
        files = (files,)
    if not isinstance(files, Iterable) or isinstance(files, (bytes, bytearray)):
        raise UsageError(f"{key}: a file is a path, not an object of type {type(files).__name__}")
    result: list[str | TransferPath] = []
    for file in files:
        path = file if isinstance(file, TransferPath) or not _is_file(file) else os.fspath(file)
        if not isinstance(path, (str, TransferPath)):
            raise UsageError(f"{key}: a file is a path, not an object of type {type(path).__name__}")
        result.append(path)
    return result


@dataclass(frozen=True)
class Resolved:
    """The options of a map whose number of components is known.

    Attributes
    ----------
    fixed : dict of str to str
        Submit commands for all components.
    variadic : dict of str to list of str
        Submit commands that have a value for each component.
    remaps : Remaps
    """

    fixed: dict[str, str] = field(default_factory=dict)
    variadic: dict[str, list[str]] = field(default_factory=dict)
    remaps: Remaps = field(default_factory=lambda: Remaps(""))


def resolve(options: MapOptions, count: int, directory: Path) -> Resolved:
    """Return what options say of each of a number of components.

    A fixed option that names the component, as ``$(component)``, becomes a variadic one. Relative names of files are
    relative to ``directory``.

    Raises
    ------
    MisalignedInputData
        If there are more or fewer values of a variadic option than components.
    UsageError
        If there is no file with a credential where one is named.
    """
    files = {"input_files": options.input_files, "output_remaps": options.output_remaps}
    for name, values in (*files.items(), *options.items()):
        if values is not None and not isinstance(values, (str, Mapping)) and len(values) != count:
            has = f"{len(values):,} value{'' if len(values) == 1 else 's'}"
            inputs = "is 1 input" if count == 1 else f"are {count:,} inputs"
            raise MisalignedInputData(f"the option {name} has {has}, but there {inputs}")
    result = Resolved(remaps=Remaps.of(options.output_remaps, str(directory)))
    for key, value in options.items():
        if key in CREDENTIALS:
            value = _credential(key, value, directory)
        if isinstance(value, str) and not _COMPONENT.search(value):
            result.fixed[key] = value
        else:
            result.variadic[key] = [value] * count if isinstance(value, str) else value
    return result


def _credential(key: str, value: str | list[str], directory: Path) -> str | list[str]:
    """Return the absolute path of a file with a credential, which HTCondor would look for in the job's directory."""
    if isinstance(value, list):
        return [str(_credential(key, item, directory)) for item in value]
    if not value or "$" in value or value.upper() == "FROM INSTANCE":
        return value
    path = os.path.join(directory, value)
    try:
        with open(path, "rb"):  # noqa: PTH123
            return path
    except OSError as error:
        raise UsageError(f"{key}: {shown(value)}: {str(error.strerror).lower()}") from None


def cut(components: Ranges, variadic: Mapping[str, Sequence[str]]) -> Ranges:
    """Cut ranges of components wherever options change, so that within each of them all options are the same."""
    if not variadic:
        return components
    rows = list(zip(*variadic.values(), strict=True))
    # What names its component is another value for each, though it reads the same.
    alone = {row for row in set(rows) if any(map(_COMPONENT.search, row))}
    result = []
    for start, stop in components:
        begin = start
        for component in range(start + 1, stop):
            if rows[component] != rows[begin] or rows[begin] in alone:
                result.append((begin, component))
                begin = component
        result.append((begin, stop))
    return tuple(result)


def inherited_options(function: Any) -> list[MapOptions]:
    """Return the options that a mapped function hands on to its maps; none for any other function."""
    options = getattr(function, "map_options", None)
    return [options] if isinstance(options, MapOptions) else []
