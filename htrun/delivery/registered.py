"""Delivery methods that users register in Python, as HTMap's could."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from htrun.delivery import Prepared, arguments, no_argument
from htrun.delivery.assume import commands
from htrun.exceptions import UsageError
from htrun.runner import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from htrun.delivery import Place

    Descriptors = Callable[[str, Path], Mapping[str, Any]]
    SetUp = Callable[[str, Path], Any]


class Registered:
    """What a pair of functions says; see ``register_delivery_method``."""

    summary = "as registered by htrun.register_delivery_method"

    def __init__(self, name: str, descriptors: Descriptors, set_up: SetUp | None, argument: str | None = None) -> None:
        no_argument(name, argument)
        self.name = name
        self._descriptors = descriptors
        self._set_up = set_up

    def prepare(self, place: Place) -> Prepared:
        """Call the functions; see ``Delivery``.

        They get the directory that the map has now, so that they can write into it, and what they say of it is
        changed to the one that it is going to have.
        """
        now = place.directory.path
        if self._set_up is not None:
            self._call(self._set_up, place.tag, now)
        given = self._call(self._descriptors, place.tag, now)
        if not hasattr(given, "items"):
            raise UsageError(f"{self._who} is to return a dict of submit commands, not {given!r}")
        own = {}
        for key, value in given.items():
            text = self._text(key, value).replace(str(now), str(place.path))
            own[key.strip().lower() if re.fullmatch(r"[\w ]+", key) else key.strip()] = text
        ours = commands()
        if "executable" in own:
            ours = {"arguments": arguments(wire.BUNDLE)}
        return Prepared({**ours, **own})

    @property
    def _who(self) -> str:
        return f"the delivery method {self.name}"

    def _call(self, function: Callable[[str, Path], Any], tag: str, directory: Path) -> Any:
        try:
            return function(tag, directory)
        except Exception as error:
            raise UsageError(f"{self._who} failed: {type(error).__name__}: {error}") from error

    def _text(self, key: Any, value: Any) -> str:
        """Return a value as a submit description has it."""
        if not isinstance(key, str) or not key.strip():
            raise UsageError(f"{self._who} returned a submit command that is no name: {key!r}")
        if key.strip().lower() == "transfer_input_files" and isinstance(value, (list, tuple)):
            value = ", ".join(self._text(key, item) for item in value)
        elif isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, (int, float)):
            value = str(value)
        elif isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str):
            raise UsageError(f"{self._who} returned for {key} what is no text, number or bool: {value!r}")
        if "\n" in value or "\r" in value:
            raise UsageError(f"{self._who} returned for {key} a text with a line break: {value!r}")
        return value
