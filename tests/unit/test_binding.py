"""What signatures say of calls."""

from __future__ import annotations

import copy
import dataclasses
import functools
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from htrun.binding import Binding
from htrun.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import NothingOfTheKind  # type: ignore[attr-defined]


class Mark(str):
    """Stands for a file, and is no string any more."""

    __slots__ = ()


def mark(text: str) -> Mark:
    """Return what stands for a file."""
    return Mark(f"<{text}>")


def converted(function: Callable[..., Any], arguments: Any, **options: Any) -> Any:
    """Return arguments, a dict or a list, with every file marked."""
    binding = Binding(function, **options)
    arguments = copy.deepcopy(arguments)
    if isinstance(arguments, dict):
        binding.convert_keywords(arguments, mark)
    else:
        binding.convert_positions(arguments, mark)
    return arguments


def annotated(annotation: Any) -> Callable[..., Any]:
    """Return a function of one annotated parameter."""

    def function(x: Any) -> None: ...

    function.__annotations__["x"] = annotation
    return function


def every(first: Path, /, second: str, *rest: Path, key: list[Path], **others: Path) -> None:
    """Takes paths in all ways."""


def unresolvable(x: NothingOfTheKind, path: Path) -> None:
    """Has an annotation that is nowhere."""


@functools.wraps(every)
def wrapper(*args: Any, **kwargs: Any) -> None:
    """Takes what `every` takes."""


class Holder:
    """Has everything callable that a class can have."""

    def __init__(self, path: Path) -> None: ...

    def __call__(self, path: Path) -> None:
        """Be a callable object."""

    def method(self, path: Path) -> None:
        """Be bound."""

    @classmethod
    def of_class(cls, path: Path) -> None:
        """Be bound to the class."""

    @staticmethod
    def static(path: Path) -> None:
        """Be bound to nothing."""


@dataclasses.dataclass
class Job:
    """A dataclass with a field that only its __init__ sees."""

    path: Path
    other: dataclasses.InitVar[Path]
    name: str = "x"


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        pytest.param(every, ["a", "b", "c", "d"], ["<a>", "b", "<c>", "<d>"], id="by position, *args included"),
        pytest.param(every, {"key": ["a"], "more": "b"}, {"key": ["<a>"], "more": "<b>"}, id="**kwargs"),
        pytest.param(wrapper, ["a", "b"], ["<a>", "b"], id="a wrapped function"),
        pytest.param(unresolvable, {"x": "a", "path": "b"}, {"x": "a", "path": "<b>"}, id="beside an unknown name"),
        pytest.param(functools.partial(every, "a"), ["b", "c"], ["b", "<c>"], id="a partial"),
        pytest.param(functools.partial(functools.partial(Job), "a"), ["b"], ["<b>"], id="a partial of a partial"),
        pytest.param(Holder, ["a"], ["<a>"], id="a class"),
        pytest.param(Holder(Path()), ["a"], ["<a>"], id="a callable object"),
        pytest.param(Holder(Path()).method, ["a"], ["<a>"], id="a bound method"),
        pytest.param(Holder.of_class, ["a"], ["<a>"], id="a class method"),
        pytest.param(Holder.static, ["a"], ["<a>"], id="a static method"),
        pytest.param(Job, {"path": "a", "other": "b"}, {"path": "<a>", "other": "<b>"}, id="a dataclass"),
        pytest.param(print, ["a"], ["a"], id="a builtin"),
        pytest.param(max, ["a"], ["a"], id="a builtin without signature"),
    ],
)
def test_files_by_parameter(function: Callable[..., Any], arguments: Any, expected: Any) -> None:
    """Annotations count whatever kind of callable they belong to."""
    assert converted(function, arguments) == expected


@pytest.mark.parametrize(
    ("transfer", "arguments", "expected"),
    [
        pytest.param({"x"}, {"x": "a", "y": "b"}, {"x": "<a>", "y": "b"}, id="a string"),
        pytest.param({"x"}, {"x": {"a": [1, {"b": "x"}]}}, {"x": {"a": [1, {"b": "<x>"}]}}, id="at any depth"),
        pytest.param({"x", "y"}, ["a", "b"], ["<a>", "<b>"], id="by position"),
        pytest.param({"y"}, {"y": {"$path": "a"}}, {"y": {"$path": "a"}}, id="an object that is a file already"),
        pytest.param({"z"}, {"z": "a", "other": "b"}, {"z": "<a>", "other": "b"}, id="one of **kwargs"),
        pytest.param({"kwargs"}, {"z": "a", "x": "b"}, {"z": "<a>", "x": "b"}, id="all of **kwargs"),
    ],
)
def test_transfer_by_name(transfer: set[str], arguments: Any, expected: Any) -> None:
    """In a parameter that the user names every string is a file, with or without detection."""

    def function(x: Any, y: Any = None, **kwargs: Any) -> None: ...

    assert converted(function, arguments, transfer=transfer) == expected
    assert converted(function, arguments, transfer=transfer, detect=False) == expected


def test_transfer_of_a_parameter_that_is_not_there() -> None:
    """A name that is no parameter's is an error that suggests one."""

    def measure(path: str, size: int = 3) -> None: ...

    with pytest.raises(UsageError) as caught:
        Binding(measure, {"sze"})
    assert str(caught.value) == (
        "cannot transfer 'sze': no such parameter (did you mean 'size'?); measure takes path, size=..."
    )


def test_no_detection() -> None:
    """Without detection annotations say nothing."""
    assert converted(annotated(Path), ["a"], detect=False) == ["a"]


def test_functions_without_paths_cost_nothing() -> None:
    """There is nothing to convert where no annotation has a path in it."""
    assert not Binding(annotated(dict[str, list[int | str]])).has_converters
    assert Binding(annotated(dict[str, list[int | Path]])).has_converters


def pair(a: int, b: int = 0) -> None:
    """Take one or two."""


def position_only(a: int, /, b: int = 0) -> None:
    """Take the first by position only."""


def keyword_only(a: int, *, b: int) -> None:
    """Take the second by keyword only."""


def nothing() -> None:
    """Take nothing."""


def anything(*args: int, **kwargs: int) -> None:
    """Take anything."""


def caught(a: int, /, **kwargs: int) -> None:
    """Take one by position only, and any keywords."""


@pytest.mark.parametrize(
    ("function", "names", "problems"),
    [
        pytest.param(pair, "a", [], id="what is required"),
        pytest.param(pair, "ab", [], id="all"),
        pytest.param(anything, "xyz", [], id="**kwargs"),
        pytest.param(max, "xyz", [], id="no signature"),
        pytest.param(keyword_only, "ab", [], id="keyword-only"),
        pytest.param(functools.partial(pair, 1), "b", [], id="a partial"),
        pytest.param(pair, "b", ["missing argument 'a'; pair takes a, b=..."], id="one missing"),
        pytest.param(keyword_only, "", ["missing arguments 'a', 'b'; keyword_only takes a, *, b"], id="two missing"),
        pytest.param(pair, "ac", ["unexpected argument 'c'; pair takes a, b=..."], id="one too many"),
        pytest.param(
            pair,
            ["aa"],
            ["unexpected argument 'aa' (did you mean 'a'?); pair takes a, b=..."],
            id="a misspelt one is not called missing as well",
        ),
        pytest.param(nothing, "a", ["unexpected argument 'a'; nothing takes no arguments"], id="none taken"),
        pytest.param(
            position_only,
            "ab",
            ["argument 'a' is taken by position only; position_only takes a, /, b=..."],
            id="position-only",
        ),
        pytest.param(
            caught,
            "a",
            ["argument 'a' is taken by position only; caught takes a, /, **kwargs"],
            id="position-only beside **kwargs",
        ),
    ],
)
def test_keywords(function: Callable[..., Any], names: Sequence[str], problems: list[str]) -> None:
    """Keyword arguments fit, or it is said why not."""
    binding = Binding(function)
    assert binding.fits_keywords(dict.fromkeys(names)) == (not problems)
    assert binding.keyword_problems(tuple(names)) == problems


@pytest.mark.parametrize(
    ("function", "count", "problems"),
    [
        pytest.param(pair, 1, [], id="what is required"),
        pytest.param(pair, 2, [], id="all"),
        pytest.param(anything, 9, [], id="*args"),
        pytest.param(max, 9, [], id="no signature"),
        pytest.param(position_only, 1, [], id="position-only"),
        pytest.param(nothing, 0, [], id="none"),
        pytest.param(functools.partial(pair, 1), 1, [], id="a partial"),
        pytest.param(pair, 0, ["missing argument 'a'; pair takes a, b=..."], id="one missing"),
        pytest.param(pair, 3, ["3 positional arguments are too many; pair takes a, b=..."], id="too many"),
        pytest.param(nothing, 1, ["1 positional argument is too many; nothing takes no arguments"], id="one too many"),
        pytest.param(
            keyword_only,
            1,
            ["argument 'b' is taken by keyword only; keyword_only takes a, *, b"],
            id="keyword-only",
        ),
    ],
)
def test_positions(function: Callable[..., Any], count: int, problems: list[str]) -> None:
    """Positional arguments fit, or it is said why not."""
    binding = Binding(function)
    assert binding.fits_positions(count) == (not problems)
    assert binding.position_problems(count) == problems


def test_python_agrees() -> None:
    """A call fits exactly if Python itself could make it."""

    def takes(function: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        try:
            function(*args, **kwargs)
        except TypeError:
            return False
        return True

    for function in (pair, position_only, keyword_only, nothing, anything, caught, every, functools.partial(every, 1)):
        binding = Binding(function)
        for count in range(5):
            assert binding.fits_positions(count) == takes(function, *range(count))
            for names in combinations(("a", "b", "first", "second", "key"), count):
                arguments = dict.fromkeys(names)
                assert binding.fits_keywords(arguments) == takes(function, **arguments), (function, names)
