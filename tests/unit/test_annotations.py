"""What annotations say of the values given to a parameter."""

from __future__ import annotations

import collections.abc
import copy
import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Final, NewType, Optional, TypeVar, Union

import pytest

import htrun
from htrun.binding import LEFT_OUT, Binding
from htrun.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path as OnlyForTypeCheckers  # noqa: F401

FileName = NewType("FileName", Path)
Files = list[Path]
AnyPath = TypeVar("AnyPath", bound=os.PathLike)
Tree = Union[str, list["Tree"]]  # noqa: UP007


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


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        pytest.param(Path, "a", "<a>", id="a path"),
        pytest.param(PurePosixPath, "a", "<a>", id="another class of pathlib"),
        pytest.param(os.PathLike, "a", "<a>", id="os.PathLike"),
        pytest.param(os.PathLike[str], "a", "<a>", id="os.PathLike[str]"),
        pytest.param(htrun.TransferPath, "a", "<a>", id="htrun.TransferPath"),
        pytest.param("Path", "a", "<a>", id="an annotation as a string"),
        pytest.param("Optional['pathlib.Path']", "a", "<a>", id="a string in a string"),
        pytest.param(Path, 3, 3, id="a number is no file"),
        pytest.param(Path, None, None, id="null is no file"),
        pytest.param(Path, ["a"], ["a"], id="a list where a path is meant"),
        pytest.param(str, "a", "a", id="a string"),
        pytest.param(Any, "a", "a", id="anything"),
        pytest.param(type[Path], "a", "a", id="a class of paths"),
        pytest.param(Callable[[Path], Path], "a", "a", id="a function of paths"),
        pytest.param(list, ["a"], ["a"], id="a list of whatever"),
        pytest.param(list[str], ["a"], ["a"], id="a list of strings"),
        pytest.param(list[Path], ["a", 1, "b"], ["<a>", 1, "<b>"], id="a list of paths"),
        pytest.param(list[Path], "a", "a", id="a string where a list is meant"),
        pytest.param(set[Path], ["a"], ["<a>"], id="a set stays the list that JSON gives"),
        pytest.param(frozenset[Path], ["a"], ["<a>"], id="a frozenset"),
        pytest.param(typing.List[Path], ["a"], ["<a>"], id="typing.List"),  # noqa: UP006
        pytest.param(Sequence[Path], ["a"], ["<a>"], id="a sequence"),
        pytest.param(typing.Iterable[Path], ["a"], ["<a>"], id="typing.Iterable"),
        pytest.param(collections.abc.Collection[Path], ["a"], ["<a>"], id="a collection"),
        pytest.param(tuple[int, Path], ["a", "b"], ["a", "<b>"], id="a tuple by position"),
        pytest.param(tuple[int, Path], ["a", "b", "c"], ["a", "<b>", "c"], id="more than the tuple holds"),
        pytest.param(tuple[int, Path], ["a"], ["a"], id="less than the tuple holds"),
        pytest.param(tuple[Path, ...], ["a", "b"], ["<a>", "<b>"], id="a tuple of any length"),
        pytest.param(dict[str, Path], {"a": "b"}, {"a": "<b>"}, id="the values of a dict"),
        pytest.param(dict[Path, str], {"a": "b"}, {"a": "b"}, id="not the keys of a dict"),
        pytest.param(Mapping[str, list[Path]], {"a": ["b"]}, {"a": ["<b>"]}, id="nested"),
        pytest.param(dict[str, Path], {"$path": "b"}, {"$path": "b"}, id="an object that is a file already"),
        pytest.param(Optional[Path], "a", "<a>", id="Optional"),  # noqa: UP045
        pytest.param(Path | None, None, None, id="null where it is allowed"),
        pytest.param(Union[int, Path], "a", "<a>", id="Union"),  # noqa: UP007
        pytest.param(str | Path, "a", "<a>", id="a path or a string is a path"),
        pytest.param(Path | list[Path] | dict[str, Path], ["a"], ["<a>"], id="several forms"),
        pytest.param(list[Path] | tuple[int, Path], ["a", "b"], ["<a>", "<b>"], id="two forms that fit"),
        pytest.param(Annotated[Path, "the image"], "a", "<a>", id="Annotated"),
        pytest.param(list[Annotated[Path, []]], ["a"], ["<a>"], id="Annotated with something unhashable"),
        pytest.param(FileName, "a", "<a>", id="NewType"),
        pytest.param(Files, ["a"], ["<a>"], id="an alias"),
        pytest.param(Tree, ["a"], ["a"], id="an alias that contains itself"),
        pytest.param(AnyPath, "a", "<a>", id="a type variable"),
        pytest.param(Final[Path], "a", "<a>", id="Final"),
        pytest.param("OnlyForTypeCheckers | Path", "a", "a", id="a name that is nowhere"),
        pytest.param("[][0]", "a", "a", id="an annotation that raises"),
        pytest.param(42, "a", "a", id="an annotation that is no type"),
    ],
)
def test_files_by_annotation(annotation: Any, value: Any, expected: Any) -> None:
    """Strings are files exactly where the annotation says path; all else stays as JSON gives it."""
    assert converted(annotated(annotation), {"x": value}) == {"x": expected}
    assert converted(annotated(annotation), [value]) == [expected]


def test_paths_imported_for_type_checkers_only() -> None:
    """A Path that only type checkers import is known all the same."""
    code = "from __future__ import annotations\ndef f(x: Sequence[Path], y: pathlib.Path, z: PathLike[str]): ..."
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    assert converted(namespace["f"], {"x": ["a"], "y": "b", "z": "c"}) == {"x": ["<a>"], "y": "<b>", "z": "<c>"}


def test_inherited_annotations() -> None:
    """A dataclass that inherits a field from another module has its annotation looked up there."""
    base: dict[str, Any] = {"__name__": "test_binding_base"}
    module = type(sys)("test_binding_base")
    vars(module).update(base)
    exec("from __future__ import annotations\nfrom pathlib import Path as P\nimport dataclasses", vars(module))
    sys.modules["test_binding_base"] = module
    try:
        exec("@dataclasses.dataclass\nclass Base:\n    path: P", vars(module))
        derived = dataclasses.make_dataclass("Derived", [("n", int)], bases=(vars(module)["Base"],))
        assert converted(derived, ["a", 1]) == ["<a>", 1]
    finally:
        del sys.modules["test_binding_base"]


@pytest.mark.parametrize(
    ("annotation", "field", "value"),
    [
        pytest.param(int, " -12 ", -12, id="an integer"),
        pytest.param(float, "1e-3", 0.001, id="a float"),
        pytest.param(float, "3", 3.0, id="a float without a point"),
        pytest.param(float, "inf", float("inf"), id="infinity"),
        pytest.param(bool, "TRUE", True, id="true"),
        pytest.param(bool, "off", False, id="off"),
        pytest.param(bool, "0", False, id="0"),
        pytest.param("int", "1", 1, id="an annotation as a string"),
        pytest.param(Annotated[int, "n"], "1", 1, id="Annotated"),
        pytest.param(int | None, "1", 1, id="an optional integer"),
        pytest.param(int | None, "", None, id="an optional integer that is left empty"),
        pytest.param(Path | None, "", None, id="an optional path that is left empty"),
        pytest.param(str | None, "", None, id="an optional string that is left empty"),
        pytest.param(str | None, "a", "a", id="an optional string"),
        pytest.param(float | int, "3", 3, id="an integer where it can be one"),
        pytest.param(float | int, "3.5", 3.5, id="a float where it must be one"),
        pytest.param(Path, "a", "a", id="a path"),
        pytest.param(str, " a ", " a ", id="a string"),
        pytest.param(str, "", "", id="an empty string"),
        pytest.param(int | str, "3", "3", id="an integer or a string"),
        pytest.param(list[int], "[1]", "[1]", id="anything else"),
        pytest.param(Any, "3", "3", id="Any"),
    ],
)
def test_fields(annotation: Any, field: str, value: object) -> None:
    """A field of a table becomes what the annotation says, and stays a string otherwise."""
    reader = Binding(annotated(annotation)).cell_reader("x")
    result = reader(field) if reader else field
    assert (type(result), result) == (type(value), value)


@pytest.mark.parametrize(
    ("annotation", "field", "message"),
    [
        pytest.param(int, "abc", "x: 'abc' is not an int", id="a word"),
        pytest.param(int, "1.0", "x: '1.0' is not an int", id="a float"),
        pytest.param(int, "1_000", "x: '1_000' is not an int", id="underscores"),
        pytest.param(float, "1_0.5", "x: '1_0.5' is not a float", id="underscores in a float"),
        pytest.param(bool, "maybe", "x: 'maybe' is not a bool", id="no truth value"),
        pytest.param(int | float | None, "x", "x: 'x' is not an int or a float", id="one of several"),
        pytest.param(int, " ", "x: an empty field is not an int", id="nothing"),
        pytest.param(Path, "", "x: an empty file name", id="no file"),
    ],
)
def test_fields_that_do_not_convert(annotation: Any, field: str, message: str) -> None:
    """A field that cannot be what the annotation says is an error that says so."""
    reader = Binding(annotated(annotation)).cell_reader("x")
    assert reader is not None
    with pytest.raises(UsageError) as caught:
        reader(field)
    assert str(caught.value) == message


def test_empty_fields_mean_the_default() -> None:
    """An empty field is left out where there is a default."""

    def function(n: int = 3, path: Path = Path(), name: str = "x", **others: float) -> None: ...

    binding = Binding(function)
    readers = {name: binding.cell_reader(name) for name in ("n", "path", "name", "others", "z")}
    assert readers.pop("name") is None
    assert [reader("") for reader in readers.values() if reader] == [LEFT_OUT] * 4


def test_paths_in_fields_without_detection() -> None:
    """Without detection the field of a parameter that takes a path is that path, unless it is named for transfer."""
    literal = Binding(annotated(Path), detect=False).cell_reader("x")
    named = Binding(annotated(Path), {"x"}, detect=False).cell_reader("x")
    assert literal is not None
    assert literal("a") == {"$path": ["a"]}
    assert named is not None
    assert named("a") == "a"


if sys.version_info >= (3, 12):

    @pytest.mark.parametrize(
        ("code", "value", "expected"),
        [
            pytest.param("type A = Path", "a", "<a>", id="an alias"),
            pytest.param("type A = Path | list[A]", [["a"], "b"], [["<a>"], "<b>"], id="an alias that contains itself"),
            pytest.param("type B[T] = list[T]\ntype A = B[Path]", ["a"], ["<a>"], id="an alias with a parameter"),
            pytest.param("type A = Nowhere", "a", "a", id="an alias of a name that is nowhere"),
        ],
    )
    def test_type_statement(code: str, value: Any, expected: Any) -> None:
        """Aliases made by the type statement are looked into."""
        namespace: dict[str, Any] = {"Path": Path}
        exec(f"{code}\ndef f(x: A): ...", namespace)
        assert converted(namespace["f"], [value]) == [expected]
