"""How Python reaches an execute node: one module a method, found by entry point (group ``htrun.delivery``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from htrun.exceptions import EngineError, UnknownPythonDeliveryMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from importlib_metadata import EntryPoint


class Delivery(Protocol):
    """A way to get a Python interpreter to run the runner on an execute node.

    Attributes
    ----------
    name : str
    summary : str
        What it does, in a few words for the header of a run.
    """

    name: str
    summary: str

    def submit_description(self, runner: str) -> Mapping[str, str]:
        """Return the submit commands that start ``runner``, a zip file in the job's scratch directory.

        At least ``executable`` and ``arguments`` are among them. Values are in the language of submit descriptions,
        where what is not meant as a macro has been escaped (see ``escape`` and ``arguments``).
        """
        ...


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
    """Return the names of the delivery methods that are installed."""
    return sorted(_methods())


def get_delivery(name: str) -> Delivery:
    """Return the delivery method of this name; raise UnknownPythonDeliveryMethod with the names there are."""
    methods = _methods()
    if name not in methods:
        raise UnknownPythonDeliveryMethod(
            f"there is no delivery method {name!r}; there are {', '.join(sorted(methods))}"
        )
    make: Callable[[], Delivery] = methods[name].load()
    return make()
