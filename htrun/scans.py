"""Parameter scans: the calls that a few words such as ``x=1:10,y=[a,b]`` stand for.

The grammar, in which white space between the parts means nothing::

    scan    = name "=" values { "," name "=" values }
    values  = value | range | "[" (value | range) { "," (value | range) } "]"
    range   = number ":" number [ ":" number ]          START:STOP or START:STOP:STEP, both ends included
    value   = JSON | word                               a word is text without any of , [ ] { } " =

What looks like a number, or a constant, has to be one of JSON's: nobody is to find out later that ``.5`` was text.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import chain, repeat
from typing import TYPE_CHECKING, NoReturn

from htrun.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    _Values: TypeAlias = "tuple[str] | _Range"

_NAME = re.compile(r"""([^\s,=:\[\]{}"']+)\s*=\s*""")
_WORD = re.compile(r"[^,\]]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_CONSTANTS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
_SPELT = {"true": "true", "false": "false", "none": "null", "null": "null", "nan": "NaN", "inf": "Infinity"}
_LARGEST_EXPONENT = 308
_EXAMPLE = "such as x=1:10 or y=[a,b]"


@dataclass(frozen=True)
class Parameter:
    """What one parameter of a scan is to be; iterates over its values as JSON.

    Attributes
    ----------
    name : str
    parts : tuple
        The values, in parts that follow each other: ranges are not spelt out.
    is_constant : bool
        Whether it is one value, in no list.
    """

    name: str
    parts: tuple[_Values, ...]
    is_constant: bool

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.parts)


def parse(texts: Iterable[str]) -> list[Parameter]:
    """Return the parameters of a scan, in the order in which they are given.

    Parameters
    ----------
    texts : iterable of str
        Each is a part of the scan.

    Raises
    ------
    UsageError
        If a text is not of the grammar, with the column; if a name is there twice.
    """
    result: dict[str, Parameter] = {}
    for text in texts:
        parser = _Parser(text)
        for at, parameter in parser.parameters():
            if parameter.name in result:
                parser.refuse(at, f"{parameter.name} is there twice")
            result[parameter.name] = parameter
    return list(result.values())


def lines(parameters: Sequence[Parameter], *, paired: bool = False) -> Iterator[bytes]:
    """Return the calls of a scan, as lines of JSON.

    Parameters
    ----------
    parameters : sequence of Parameter
    paired : bool
        Whether the first values of all parameters make the first call, and so on, with constants in each. Otherwise
        there is a call for every combination, in which the last parameter changes first.

    Raises
    ------
    UsageError
        If parameters that are to be paired have different numbers of values.
    """
    rows = _paired(parameters) if paired else _combined(parameters)
    names = [json.dumps(parameter.name) for parameter in parameters]
    pairs = (zip(names, row, strict=True) for row in rows)
    return (f"{{{', '.join(f'{name}: {value}' for name, value in row)}}}".encode() for row in pairs)


def _combined(parameters: Sequence[Parameter]) -> Iterator[tuple[str, ...]]:
    if not parameters:
        yield ()
        return
    for before in _combined(parameters[:-1]):
        for value in parameters[-1]:
            yield (*before, value)


def _paired(parameters: Sequence[Parameter]) -> Iterator[tuple[str, ...]]:
    varying = [parameter for parameter in parameters if not parameter.is_constant]
    if len({len(parameter) for parameter in varying}) > 1:
        counts = ", ".join(f"{parameter.name} has {len(parameter):,}" for parameter in varying)
        raise UsageError(f"--zip pairs values, so all parameters need the same number of them: {counts}")
    count = len(varying[0]) if varying else 1
    return zip(*(repeat(next(iter(p)), count) if p.is_constant else p for p in parameters), strict=True)


class _Range:
    """The values of a range as JSON, each computed exactly: no error adds up."""

    def __init__(self, integers: range, scale: int | None) -> None:
        self._integers = integers
        self._scale = scale  # how many digits behind the point these integers have; None of a range of integers

    def __len__(self) -> int:
        return len(self._integers)

    def __iter__(self) -> Iterator[str]:
        if self._scale is None:
            return map(str, self._integers)
        return (repr(float(f"{integer}e-{self._scale}")) for integer in self._integers)


class _Parser:
    """Reads one text of a scan."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def refuse(self, at: int, message: str) -> NoReturn:
        """Raise UsageError with the place where something is wrong."""
        raise UsageError(f"--scan: column {at + 1} of {self._text!r}: {message}")

    def parameters(self) -> Iterator[tuple[int, Parameter]]:
        """Yield the parameters, and where each begins."""
        while True:
            self._skip()
            at = self._at
            yield at, self._parameter()
            if self._at == len(self._text):
                return
            self._expect(",", "a comma and the next NAME=VALUES")

    def _parameter(self) -> Parameter:
        found = _NAME.match(self._text, self._at)
        if found is None:
            self.refuse(self._at, f"NAME=VALUES is expected here, {_EXAMPLE}")
        self._at = found.end()
        if not self._text.startswith("[", self._at):
            values, is_range = self._values()
            return Parameter(found[1], (values,), not is_range)
        start = self._at
        parts: list[_Values] = []
        while not parts or self._text[self._at] == ",":
            self._at += 1
            self._skip()
            if not parts and self._text.startswith("]", self._at):
                self.refuse(start, f"{found[1]} has no values")
            parts.append(self._values()[0])
            if self._at == len(self._text):
                self.refuse(start, "this [ is never closed")
            if self._text[self._at] not in ",]":
                self._expect(",", "a comma or ]")
        self._at += 1
        self._skip()
        return Parameter(found[1], tuple(parts), is_constant=False)

    def _values(self) -> tuple[_Values, bool]:
        """Read a value or a range, and what follows it of white space; tell whether it is a range."""
        if self._text[self._at : self._at + 1] in ("[", "{", '"'):
            try:
                value, self._at = json.JSONDecoder().raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self.refuse(error.pos, f"{error.msg[0].lower()}{error.msg[1:]} (what is in a value has to be JSON)")
            except RecursionError:
                self.refuse(self._at, "nested too deep")
            self._skip()
            return (json.dumps(value),), False
        found = _WORD.match(self._text, self._at)
        assert found is not None, "it matches nothing too"
        start, word = self._at, found[0].rstrip()
        self._at = found.end()
        if not word:
            self.refuse(start, 'a value is missing; the empty text is ""')
        special = re.search(r'[\[{}"=]', word)
        if special:
            missing = ", or a comma before the next NAME=VALUES is missing" if special[0] == "=" else ""
            self.refuse(start + special.start(), f"text with {special[0]} in it takes double quotes{missing}")
        return self._word(word, start)

    def _word(self, word: str, at: int) -> tuple[_Values, bool]:
        parts = word.split(":")
        if len(parts) > 1 and (word[0] in "+-.0123456789" or all(map(_looks_like_number, parts))):
            return self._range(word, at, [part.strip() for part in parts]), True
        if word in _CONSTANTS:
            return (word,), False
        if _NUMBER.fullmatch(word):
            self._check_size(word, at)
            return (word,), False
        if word[0] == "'":
            self.refuse(at, "text takes double quotes")
        meant = _meant(word)
        if meant is not None:
            self.refuse(at, f'{word} is not how JSON writes it: say {meant}, or "{word}" for the text')
        return (json.dumps(word),), False

    def _range(self, word: str, at: int, parts: list[str]) -> _Range:
        for part in parts:
            if not part:
                self.refuse(at, f"a number is missing in the range {word}")
            if not _NUMBER.fullmatch(part):
                hint = f"say {_meant(part)}" if _meant(part) else 'text with a colon takes double quotes, "..."'
                self.refuse(at + word.index(part), f"{part!r} in the range {word} is no number of JSON's; {hint}")
            self._check_size(part, at + word.index(part))
        if len(parts) > 3:
            self.refuse(at, f"{word} is no range: that is START:STOP or START:STOP:STEP; text takes double quotes")
        scale = max(0, *(-int(Decimal(part).as_tuple().exponent) for part in parts))
        start, stop, step = (int(Fraction(part) * 10**scale) for part in (*parts, "1")[:3])
        if step == 0:
            self.refuse(at, f"the step of the range {word} is 0")
        integers = range(start, stop + (1 if step > 0 else -1), step)
        if not integers:
            turned = parts[2].removeprefix("-") if step < 0 else f"-{(*parts, '1')[2]}"
            self.refuse(at, f"the range {word} is empty; did you mean {parts[0]}:{parts[1]}:{turned}?")
        return _Range(integers, None if all(map(str.isdigit, "".join(parts).replace("-", ""))) else scale)

    def _check_size(self, number: str, at: int) -> None:
        exponent = re.search("[eE](.*)", number)
        if exponent and (len(exponent[1]) > 4 or abs(int(exponent[1])) > _LARGEST_EXPONENT):
            self.refuse(at, f"{number} is out of reach of floating point")

    def _expect(self, mark: str, what: str) -> None:
        if not self._text.startswith(mark, self._at):
            self.refuse(self._at, f"expected here: {what}")
        self._at += 1

    def _skip(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1


def _looks_like_number(word: str) -> bool:
    return _NUMBER.fullmatch(word.strip()) is not None or _meant(word.strip()) is not None


def _meant(word: str) -> str | None:
    """Return how JSON writes what other languages write so; None of what is no number or constant anywhere."""
    spelt = _SPELT.get(word.lower())
    if spelt is not None:
        return spelt
    with suppress(ValueError):
        return str(int(word, 10)) if word.isascii() else None
    with suppress(ValueError):
        return str(int(word, 0))
    with suppress(ValueError):
        return json.dumps(float(word))
    return None
