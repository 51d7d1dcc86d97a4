"""What a function's signature says of its calls: which arguments fit, and which of them name files."""

from __future__ import annotations

import functools
import inspect
import sys
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from htrun.annotations import REFUSED, cell_reader, convert_strings, file_converter, resolve
from htrun.exceptions import UsageError
from htrun.transfers import quoted
from htrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from htrun.annotations import Bring, Converter

LEFT_OUT = object()
"""What an empty field of a table is for a parameter that has a default."""


class Binding:
    """A function's signature, compiled for checking and converting many calls.

    Parameters
    ----------
    function : callable
        Where it has no signature, as some builtins, any call fits.
    transfer : collection of str
        The parameters in whose values every string is a file.
    detect : bool
        Whether strings are files where annotations say so.

    Attributes
    ----------
    name : str
        The function's name.
    has_converters : bool
        Whether any argument can name a file.
    keyword_problems : callable
        From the names of keyword arguments, as a tuple, to a list that says why they do not fit.

    Raises
    ------
    UsageError
        If the function has no parameter of a name in `transfer`.
    """

    def __init__(self, function: Callable[..., Any], transfer: Collection[str] = (), *, detect: bool = True) -> None:
        self.name = _name(function)
        self._detect = detect
        self._parameters = _parameters(function)
        self._annotations = resolve(function, self._parameters.values())
        self._set_rules()
        self._set_converters(frozenset(transfer))
        # Where one line has a misspelt name, a million have it.
        self.keyword_problems = functools.lru_cache(maxsize=100)(self._keyword_problems)

    def _set_rules(self) -> None:
        parameters = self._parameters.values()
        positional = [p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
        by_keyword = [p for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
        kinds = {p.kind for p in parameters}
        required = [p for p in parameters if _is_required(p)]
        self._positional = [p.name for p in positional]
        self._takes_any_position = Parameter.VAR_POSITIONAL in kinds
        self._takes_any_keyword = Parameter.VAR_KEYWORD in kinds
        self._keywords = frozenset(p.name for p in by_keyword)
        self._required = frozenset(p.name for p in required)
        self._position_only = [p.name for p in positional if p.kind is Parameter.POSITIONAL_ONLY]
        self._keyword_only = [p.name for p in required if p.kind is Parameter.KEYWORD_ONLY]
        self._least = sum(map(_is_required, positional))
        self._only = required[0].name if len(required) == 1 and required[0] in positional else None
        # What the fast checks below compare with; None where no such call can fit.
        self._keywords_needed = None if self._required.intersection(self._position_only) else self._required
        self._positions = None if self._keyword_only else (self._least, len(positional))

    def _set_converters(self, transfer: frozenset[str]) -> None:
        self._transfer = transfer
        converters: dict[str, Converter] = dict.fromkeys(sorted(transfer), convert_strings)
        if self._detect:
            for name, annotation in self._annotations.items():
                converter = file_converter(annotation)
                if converter is not None:
                    converters.setdefault(name, converter)
        variadic = {p.kind: converters.get(p.name) for p in self._parameters.values() if p.name not in self._keywords}
        self._rest = variadic.get(Parameter.VAR_POSITIONAL)
        self._others = variadic.get(Parameter.VAR_KEYWORD)
        self._by_position = [converters.get(name) for name in self._positional]
        self._by_keyword = {
            name: converter
            for name, converter in converters.items()
            if name in self._keywords or name not in self._parameters
        }
        self.has_converters = bool(converters)
        for name in transfer:
            if name not in self._parameters and not self._takes_any_keyword:
                hint = self._similar(name)
                raise UsageError(f"cannot transfer {quoted(name)}: no such parameter{hint}; {self.describe()}")

    def describe(self) -> str:
        """Return what the function takes, in words."""
        words = []
        star = not self._takes_any_position
        for parameter in self._parameters.values():
            kind = parameter.kind
            if kind is Parameter.KEYWORD_ONLY and star:
                words.append("*")
                star = False
            prefix = "*" if kind is Parameter.VAR_POSITIONAL else "**" if kind is Parameter.VAR_KEYWORD else ""
            words.append(f"{prefix}{parameter.name}{'' if parameter.default is Parameter.empty else '=...'}")
        if self._position_only:
            words.insert(len(self._position_only), "/")
        return f"{self.name} takes {', '.join(words) or 'no arguments'}"

    def fits_keywords(self, arguments: dict[str, Any]) -> bool:
        """Tell whether the function can be called with these keyword arguments."""
        needed = self._keywords_needed
        given = arguments.keys()
        return needed is not None and given >= needed and (self._takes_any_keyword or given <= self._keywords)

    def has_keyword(self, name: str) -> bool:
        """Tell whether the function has a parameter of this name, which can be given by keyword."""
        return name in self._keywords

    def fits_positions(self, count: int) -> bool:
        """Tell whether the function can be called with that many positional arguments."""
        limits = self._positions
        return limits is not None and limits[0] <= count and (count <= limits[1] or self._takes_any_position)

    def _keyword_problems(self, names: tuple[str, ...]) -> list[str]:
        problems = []
        for name in names:
            if name not in self._keywords and not self._takes_any_keyword:
                if name in self._position_only:
                    problems.append(f"argument {name!r} is taken by position only; {self.describe()}")
                else:
                    hint = self._similar(name, without=names)
                    problems.append(f"unexpected argument {quoted(name)}{hint}; {self.describe()}")
        return problems or self._missing([name for name in names if name not in self._position_only], "position")

    def position_problems(self, count: int) -> list[str]:
        """Return in words why the function cannot be called with that many positional arguments."""
        if count > len(self._positional) and not self._takes_any_position:
            words = "argument is" if count == 1 else "arguments are"
            return [f"{count} positional {words} too many; {self.describe()}"]
        return self._missing(self._positional[:count], "keyword")

    def wants_one(self, names: Collection[str] = ()) -> bool:
        """Tell whether one argument, which is not among those named, is all that the function needs."""
        return self._only is not None and self._only not in names

    def _missing(self, names: Collection[str], other_way: str) -> list[str]:
        missing = [name for name in self._parameters if name in self._required and name not in names]
        only = self._position_only if other_way == "position" else self._keyword_only
        out_of_reach = [name for name in missing if name in only]
        if out_of_reach:
            return [f"argument {out_of_reach[0]!r} is taken by {other_way} only; {self.describe()}"]
        listed = ", ".join(map(repr, missing))
        return [f"missing argument{'s' * (len(missing) > 1)} {listed}; {self.describe()}"] if missing else []

    def _similar(self, name: str, without: Collection[str] = ()) -> str:
        return did_you_mean(name, (known for known in self._parameters if known not in without))

    def convert_keywords(self, arguments: dict[str, Any], bring: Bring) -> None:
        """Put what stands for a file in the place of its name, in keyword arguments that fit."""
        for name, converter in self._by_keyword.items():
            if name in arguments:
                arguments[name] = converter(arguments[name], bring)
        if self._others is not None:
            for name, value in arguments.items():
                if name not in self._keywords and name not in self._by_keyword:
                    arguments[name] = self._others(value, bring)

    def convert_positions(self, arguments: list[Any], bring: Bring) -> None:
        """Put what stands for a file in the place of its name, in positional arguments that fit."""
        known = len(self._by_position)
        for position in range(len(arguments)):
            converter = self._by_position[position] if position < known else self._rest
            if converter is not None:
                arguments[position] = converter(arguments[position], bring)

    def cell_reader(self, name: str) -> Callable[[str], Any] | None:
        """Return what makes the fields of a table's column values for a parameter; None if they stay as they are.

        The callable returns LEFT_OUT for an empty field that means the default, and raises UsageError.
        """
        parameter = self._parameters.get(name) if name in self._keywords else None
        if parameter is None:
            parameter = next((p for p in self._parameters.values() if p.kind is Parameter.VAR_KEYWORD), None)
        if parameter is None:
            return None
        is_file = name in self._transfer or parameter.name in self._transfer
        empty = REFUSED if _is_required(parameter) else LEFT_OUT
        annotation = self._annotations.get(parameter.name)
        return cell_reader(name, annotation, empty, is_file=is_file, literal=not self._detect and not is_file)


def _name(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _is_required(parameter: Parameter) -> bool:
    variadic = parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return parameter.default is Parameter.empty and not variadic


def _parameters(function: Callable[..., Any]) -> Mapping[str, Parameter]:
    try:
        if sys.version_info >= (3, 14):  # names that exist for type checkers alone must not end it here
            import annotationlib

            return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF).parameters
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        variadic = (Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD))
        return {parameter.name: parameter for parameter in variadic}


def refusal_of(function: Any) -> str:
    """Return why something cannot be mapped, an empty string if it can."""
    if not callable(function):
        return f"it is of type {type(function).__name__}, and not a function"
    for called in (function, type(function).__call__):
        if inspect.iscoroutinefunction(called):
            return (
                "it is an async function, which returns a coroutine and not a result; "
                "map a plain function that calls asyncio.run() on it"
            )
        if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
            return "it is a generator function, and a generator cannot be sent back; return a list instead"
    return ""
