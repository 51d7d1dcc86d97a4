"""What annotations say of the values given to a parameter: which strings are files, what a table's field means."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import inspect
import os
import pathlib
import sys
import types
import typing
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias, TypeVar, Union, get_args, get_origin

from htrun.exceptions import UsageError
from htrun.runner.calls import PATH_KEY
from htrun.transfers import OnWire, TransferPath, is_transfer, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Bring: TypeAlias = "Callable[[str], Any]"
"""From a file as the user named it to what stands for it on the wire."""
Converter: TypeAlias = "Callable[[Any, Bring], Any]"

REFUSED = object()
"""Says that an empty field of a table means nothing."""

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_READERS: dict[Any, Callable[[str], object]] = {
    int: int,
    float: float,
    bool: lambda text: _BOOLEANS[text.lower()],
}
# Linters move imports that only annotations need under `if TYPE_CHECKING`, so these names are known anyway.
_KNOWN_NAMES: dict[str, Any] = {
    "collections": collections,
    "os": os,
    "pathlib": pathlib,
    "typing": typing,
    "PathLike": os.PathLike,
    "TransferPath": TransferPath,
    **{name: getattr(pathlib, name) for name in ("Path", "PosixPath", "PurePath", "PurePosixPath")},
    **{name: getattr(typing, name) for name in ("Annotated", "Any", "Callable", "Collection", "Dict", "Final")},
    **{name: getattr(typing, name) for name in ("FrozenSet", "Iterable", "Iterator", "List", "Literal", "Mapping")},
    **{name: getattr(typing, name) for name in ("Optional", "Sequence", "Set", "Tuple", "Union")},
}


def resolve(function: Callable[..., Any], parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Return annotations with the names in them looked up, those apart that hold a name which is nowhere."""
    names = _names(function)
    result = {}
    for parameter in parameters:
        if parameter.annotation is not Parameter.empty:

            def holder() -> None: ...

            holder.__annotations__ = {"it": parameter.annotation}
            try:
                # First what is a string as a whole, of which typing takes less than Python does; then those within.
                holder.__annotations__ = inspect.get_annotations(holder, globals=names, eval_str=True)
                result[parameter.name] = typing.get_type_hints(holder, names, include_extras=True)["it"]
            except Exception:  # noqa: BLE001, S112 (evaluating the user's annotations can raise anything)
                continue
    return result


def _names(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what annotations of a function can name."""
    names = dict(_KNOWN_NAMES)
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    if hasattr(function, "__globals__"):
        return names | function.__globals__
    kind = function if isinstance(function, type) else type(function)
    for base in reversed(kind.__mro__):  # what it inherits is annotated in terms of other modules
        names.update(vars(sys.modules.get(base.__module__, typing)))
    return names


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, or else the annotation itself, without wrappers that change nothing."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner: Iterable[Any] = get_args(annotation)
    elif origin in (Annotated, Final, ClassVar):
        inner = get_args(annotation)[:1]
    elif isinstance(annotation, dataclasses.InitVar):
        inner = (annotation.type,)
    elif isinstance(annotation, typing.NewType):
        inner = (annotation.__supertype__,)
    elif isinstance(annotation, TypeVar):
        inner = annotation.__constraints__ or (annotation.__bound__,)
    else:
        yield annotation
        return
    for member in inner:
        yield from _members(member)


def _alias_value(annotation: Any) -> Any:
    """Return what a type alias made by the ``type`` statement stands for; None for anything else."""
    origin = get_origin(annotation)
    alias = annotation if origin is None else origin
    if type(alias).__name__ != "TypeAliasType":
        return None
    try:
        return alias.__value__ if origin is None else alias.__value__[get_args(annotation)]
    except Exception:  # noqa: BLE001 (it is evaluated only now, and can raise anything)
        return None


def _leaves(annotation: Any) -> Iterator[Any]:
    for member in _members(annotation):
        value = _alias_value(member)
        if value is None:
            yield member
        else:
            yield from _leaves(value)


def _is_path(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return kind is os.PathLike or (isinstance(kind, type) and issubclass(kind, (pathlib.PurePath, TransferPath)))


def file_converter(annotation: Any) -> Converter | None:
    """Return what finds the files in values of an annotated parameter; None if there can be none."""
    return _compile(annotation, {})


def _compile(annotation: Any, aliases: dict[Any, Converter]) -> Converter | None:
    found = [_compile_member(member, aliases) for member in _members(annotation)]
    converters = [converter for converter in found if converter is not None]
    if len(converters) <= 1:
        return converters[0] if converters else None

    def convert(value: Any, bring: Bring) -> Any:
        for converter in converters:  # each leaves alone what it does not know, and what is converted already
            value = converter(value, bring)
        return value

    return convert


def _compile_member(annotation: Any, aliases: dict[Any, Converter]) -> Converter | None:
    if _is_path(annotation):
        return lambda value, bring: bring(value) if type(value) is str else value
    alias = _alias_value(annotation)
    if alias is not None:
        return _compile_alias(annotation, alias, aliases)
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if not isinstance(origin, type) or not arguments:
        return None
    if issubclass(origin, collections.abc.Mapping):
        return _compile_values(arguments[-1], aliases)
    if issubclass(origin, tuple) and arguments[-1] is not Ellipsis:
        return _compile_tuple(arguments, aliases)
    if issubclass(origin, collections.abc.Iterable | collections.abc.Container):
        return _compile_items(arguments[0], aliases)
    return None


def _compile_alias(alias: Any, value: Any, aliases: dict[Any, Converter]) -> Converter | None:
    if alias in aliases:  # it contains itself; what it compiles to is known by the time this is called
        return lambda item, bring: aliases[alias](item, bring)
    aliases[alias] = _unchanged
    converter = _compile(value, aliases)
    if converter is not None:
        aliases[alias] = converter
    return converter


def _compile_values(annotation: Any, aliases: dict[Any, Converter]) -> Converter | None:
    converter = _compile(annotation, aliases)
    if converter is None:
        return None

    def convert(value: Any, bring: Bring) -> Any:
        if type(value) is not dict or is_transfer(value):
            return value
        return {key: converter(item, bring) for key, item in value.items()}

    return convert


def _compile_tuple(annotations: tuple[Any, ...], aliases: dict[Any, Converter]) -> Converter | None:
    converters = [_compile(annotation, aliases) for annotation in annotations]
    if not any(converters):
        return None

    def convert(value: Any, bring: Bring) -> Any:
        if type(value) is not list:
            return value
        items = [c(item, bring) if c else item for c, item in zip(converters, value, strict=False)]
        return items + value[len(items) :]

    return convert


def _compile_items(annotation: Any, aliases: dict[Any, Converter]) -> Converter | None:
    converter = _compile(annotation, aliases)
    if converter is None:
        return None
    return lambda value, bring: [converter(item, bring) for item in value] if type(value) is list else value


def _unchanged(value: Any, bring: Bring) -> Any:  # noqa: ARG001 (a Converter)
    return value


def convert_strings(value: Any, bring: Bring) -> Any:
    """Take every string for a file: the converter of parameters that the user named."""
    if type(value) is str:
        return bring(value)
    if type(value) is list:
        return [convert_strings(item, bring) for item in value]
    if type(value) is dict and not is_transfer(value):
        return {key: convert_strings(item, bring) for key, item in value.items()}
    return value


def cell_reader(
    name: str, annotation: Any, default: object, *, is_file: bool, literal: bool
) -> Callable[[str], Any] | None:
    """Return what makes the fields of a table's column values for a parameter; None if they stay as they are.

    Parameters
    ----------
    name : str
    annotation : Any
    default : object
        What an empty field means where the annotation does not allow None; REFUSED if it is an error.
    is_file : bool
        Whether the fields are files whatever the annotation says.
    literal : bool
        Whether paths are to be passed as they are.

    Returns
    -------
    callable or None
        From the field to the value; raises UsageError.
    """
    leaves = list(_leaves(annotation))
    kinds = [kind for kind in _READERS if kind in leaves]
    others = [leaf for leaf in leaves if leaf is not type(None) and leaf not in kinds]
    optional = type(None) in leaves
    empty = None if optional else default
    if is_file or any(map(_is_path, others)):
        return functools.partial(_read_path, name, empty, literal)
    if kinds and not others:
        return functools.partial(_read_number, name, empty, kinds)
    return (lambda text: text or None) if optional else None


def _read_path(name: str, empty: object, literal: bool, text: str) -> object:
    if text:
        return OnWire({PATH_KEY: [text]}) if literal else text
    if empty is REFUSED:
        raise UsageError(f"{name}: an empty file name")
    return empty


def _read_number(name: str, empty: object, kinds: list[type], text: str) -> object:
    text = text.strip()
    if not text:
        if empty is REFUSED:
            raise UsageError(f"{name}: an empty field is not {_one_of(kinds)}")
        return empty
    for kind in kinds:
        try:
            if "_" not in text:  # Python's int() and float() take 1_000
                return _READERS[kind](text)
        except (KeyError, ValueError):
            continue
    raise UsageError(f"{name}: {quoted(text)} is not {_one_of(kinds)}")


def _one_of(kinds: list[type]) -> str:
    return " or ".join(f"{'an' if kind is int else 'a'} {kind.__name__}" for kind in kinds)
