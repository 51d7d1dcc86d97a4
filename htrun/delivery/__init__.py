"""How Python reaches an execute node: one module a method, found by entry point (group ``htrun.delivery``)."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from htrun.exceptions import EngineError, UnknownPythonDeliveryMethod, UsageError
from htrun.runner import wire
from htrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from importlib_metadata import EntryPoint

    from htrun.settings import Config
    from htrun.store import MapDirectory


class Prepared(NamedTuple):
    """What a delivery method has prepared for the jobs of a map; kept with it, for all of its submissions.

    Attributes
    ----------
    submit : mapping of str to str
        The submit commands that start the runner, ``executable`` and ``arguments`` among them. Values are in the
        language of submit descriptions, where what is not meant as a macro has been escaped (see ``escape`` and
        ``arguments``). Those of ``transfer_input_files`` and ``requirements`` are added to what the jobs have of their
        own.
    runner : mapping
        What the runner is told, as JSON (``job.json``).
    python : str or None
        The minor version that the node's own python3 has to be of, such as ``3.11``, if that is not all one.
    """

    submit: Mapping[str, str]
    runner: Mapping[str, Any] = {}
    python: str | None = None


class Delivery(Protocol):
    """A way to get a Python interpreter to run the runner on an execute node.

    The entry point is a class, or a function, that takes the text after the colon in ``NAME:ARGUMENT``, None if there
    is no colon. It raises UsageError where that is not what it needs. It may have an attribute ``complete``, a function
    that takes this text and the settings and returns the text that is kept with the map, what was left to the settings
    filled in; or raises HtrunError, where the method cannot be used here.

    The class of one that brings packages along may have a method ``here(target, settings, say)``: it returns the
    directory of this machine that has them (pathlib.Path), and tells ``say`` what takes its time. They are imported
    from there when the target is, before ``prepare``; and by the engine local, for which ``prepare`` is called then as
    well.

    Attributes
    ----------
    name : str
    summary : str
        What it does, in a few words for the header of a run.

    One that needs nothing but what is on a file system that the nodes share, and starts what ``Place.bundle`` names,
    has an attribute ``works_in_place``, which is true.
    """

    name: str
    summary: str

    def prepare(self, place: Place) -> Prepared:
        """Make what the jobs of a map need, before anything is submitted; see ``Place``. Raises HtrunError."""
        ...


class Place(NamedTuple):
    """The map that a delivery method prepares.

    Attributes
    ----------
    tag : str
    directory : MapDirectory
        Under a name that lasts only until the map is made. The files in its ``delivery`` directory, which is to be made
        if there are any, are brought along by each job under their names; once, if one is the ``container_image``.
    path : pathlib.Path
        Where the map's directory is going to be.
    settings : Config
    target : pathlib.Path or None
        The file that the target is in, if it was found in one.
    bundle : str
        The runner, relative to the directory that jobs are started in.
    """

    tag: str
    directory: MapDirectory
    path: Path
    settings: Config
    target: Path | None = None
    bundle: str = wire.BUNDLE


AUTO = "auto"
"""What stands for one of the methods, as the settings and the pool have it."""
_registered: dict[str, Callable[[str | None], Delivery]] = {}

_MACRO = re.compile(r"\$(?=\w*\()")
_BEYOND_ESCAPE = re.compile(r"[\r\n]|\$\$\w*\(|\$\(DOLLAR\)|\\/|[\ud800-\udfff]", re.IGNORECASE)


def escape(text: str) -> str:
    """Return text that a submit description takes literally: a ``$`` in it begins no macro.

    Raises
    ------
    EngineError
        If it has a line break, or the beginning of a macro that HTCondor expands when a job is matched, or the macro
        that stands for ``$`` itself, or ends a directory's name with a backslash, or is not in UTF-8: submit
        descriptions have no way to write these.
    """
    found = _BEYOND_ESCAPE.search(text)
    if found:
        what = "a line break" if found[0] in "\r\n" else "\\/" if found[0] == "\\/" else repr(found[0])
        raise EngineError(f"HTCondor can use no name or path with {what} in it: {text!r}")
    return _MACRO.sub("$(DOLLAR)", text)


def arguments(*words: str) -> str:
    """Return words as the ``arguments`` command in HTCondor's quoted syntax (condor_submit(1), "arguments")."""
    quoted = []
    for word in words:
        inner = word.replace("'", "''").replace('"', '""')
        quoted.append(f"'{inner}'" if not word or any(c in word for c in " \t'") else inner)
    return '"' + escape(" ".join(quoted)) + '"'


def _methods() -> dict[str, EntryPoint]:
    from importlib_metadata import entry_points  # only now: it costs start-up time

    return {point.name: point for point in entry_points(group="htrun.delivery")}


def delivery_names() -> list[str]:
    """Return what a delivery method may be called, ``auto`` included."""
    return [AUTO, *sorted({*_methods(), *_registered})]


def _maker(text: str) -> tuple[Callable[[str | None], Delivery], str, str | None]:
    """Return what makes the delivery method of ``NAME`` or ``NAME:ARGUMENT``, its name, and the argument."""
    name, colon, argument = text.partition(":")
    given = argument if colon else None
    if name in _registered:
        return _registered[name], name, given
    if name == AUTO:
        no_argument(name, given)
    methods = _methods()
    if name not in methods:
        names = delivery_names()
        hint = did_you_mean(name.lower(), names)
        raise UnknownPythonDeliveryMethod(f"there is no delivery method {name!r}{hint}; there are {', '.join(names)}")
    try:
        return methods[name].load(), name, given
    except Exception as error:
        raise UnknownPythonDeliveryMethod(
            f"the delivery method {name} is installed, but cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def check_known(text: str) -> None:
    """Raise UnknownPythonDeliveryMethod where there is no such method."""
    if text != AUTO:
        _maker(text)


def complete(text: str, settings: Config) -> str:
    """Return ``NAME`` or ``NAME:ARGUMENT`` as it is kept with a map: with what was left to the settings.

    Raises
    ------
    UnknownPythonDeliveryMethod
        With the names there are.
    HtrunError
        If it needs an argument, or another one, or cannot be used here.
    """
    make, name, argument = _maker(text)
    fill = getattr(make, "complete", None)
    if fill is not None:
        argument = fill(argument, settings)
    make(argument)
    return name if argument is None else f"{name}:{argument}"


def get_delivery(text: str) -> Delivery:
    """Return the delivery method of ``NAME`` or ``NAME:ARGUMENT``.

    Raises
    ------
    UnknownPythonDeliveryMethod
        With the names there are.
    UsageError
        If it needs an argument, or another one.
    """
    make, _, argument = _maker(text)
    return make(argument)


def register_delivery_method(
    name: str,
    descriptors_func: Callable[[str, Path], Mapping[str, Any]],
    setup_func: Callable[[str, Path], Any] | None = None,
) -> None:
    """Make a delivery method of your own known, in this process.

    Parameters
    ----------
    name : str
        What ``DELIVERY_METHOD`` or ``--delivery`` is to be for it. A method that you have registered is replaced.
    descriptors_func : callable
        Takes the map's tag and directory and returns a dict of submit commands. Those that start the runner,
        ``htrun.pyz`` in the job's directory, are as in the method ``assume`` unless there is an ``executable``; without
        ``arguments``, that gets the runner as its argument. What is in ``transfer_input_files``, a text or a list, is
        brought along beside what the job needs.
    setup_func : callable, optional
        Takes the same, and is called before that, to make what the map needs.

    Raises
    ------
    UsageError
        If the name is that of an installed method, or cannot be one.
    """
    from functools import partial

    from htrun.delivery.registered import Registered

    if not isinstance(name, str) or not re.fullmatch(r"[^\s:]+", name):
        raise UsageError(f"a delivery method cannot be called {name!r}: give it a name without colons and spaces")
    if name == AUTO or name in _methods():
        raise UsageError(f"there is a delivery method {name} already: give yours another name")
    for function in (descriptors_func, *([] if setup_func is None else [setup_func])):
        if not callable(function):
            raise UsageError(f"the delivery method {name} needs functions of the map's tag and path, not {function!r}")
    _registered[name] = partial(Registered, name, descriptors_func, setup_func)


def brings_packages(text: str) -> bool:
    """Tell whether a delivery method, if there is one, serves targets where no Python has to be brought to as well."""
    try:
        return text != AUTO and hasattr(_maker(text)[0], "here")
    except (UnknownPythonDeliveryMethod, UsageError):
        return False


def import_packages(text: str, target: Path | None, settings: Config, say: Callable[[str], object]) -> None:
    """Let this process import what a delivery method brings along for a target; what is installed here comes first.

    Raises HtrunError.
    """
    if brings_packages(text):
        delivery: Any = get_delivery(text)
        directory = str(delivery.here(target, settings, say))
        if directory not in sys.path:
            sys.path.append(directory)


def no_argument(name: str, argument: str | None) -> None:
    """Raise UsageError if there is an argument, which a delivery method has no use for."""
    if argument is not None:
        raise UsageError(f"the delivery method {name} takes no argument: {name}:{argument}")
