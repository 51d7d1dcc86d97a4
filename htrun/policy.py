"""How the components of a map are run: how many a job, how often, for how long, how many at once."""

from __future__ import annotations

import math
import numbers
import re
from typing import TYPE_CHECKING, Any

from htrun.exceptions import UsageError
from htrun.transfers import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    Value = int | float | str

AUTO = "auto"
"""The chunk size, or the request, that is found out by what the function took and used before, or takes now."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(value: Any) -> float:
    """Return a number of seconds from what stands for it: a number, or one with a unit as timeout(1) takes them.

    Raises
    ------
    UsageError
        If it is none, or not above 0.
    """
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        seconds = float(found[1]) * _SECONDS[found[2]] if found else math.nan
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        seconds = float(value)
    else:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        shown = quoted(value) if isinstance(value, str) else repr(value)
        raise UsageError(f"{shown} is no duration: it is a number of seconds above 0, or has a unit: 90s, 5m, 2h, 1d")
    return seconds


def _count(minimum: int) -> Callable[[Any], int]:
    def count(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*[0-9]+\s*", value):
            value = int(value)
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < minimum:
            shown = quoted(value) if isinstance(value, str) else repr(value)
            raise UsageError(f"{shown} is not right: it is a whole number from {minimum}")
        return int(value)

    return count


def _chunk_size(value: Any) -> int | str:
    if value == AUTO:
        return AUTO
    try:
        return _count(1)(value)
    except UsageError as error:
        raise UsageError(f"{error}, or {AUTO}") from None


_READERS: dict[str, Callable[[Any], Value]] = {
    "chunk_size": _chunk_size,
    "max_jobs": _count(1),
    "max_running": _count(1),
    "max_idle": _count(1),
    "retries": _count(0),
    "timeout": duration,
}

KEYS = tuple(_READERS)
"""What a policy may say.

``chunk_size``
    Components a job, or ``auto``.
``max_jobs``
    How many jobs a map becomes at the most, where the chunk size is found out.
``max_running``, ``max_idle``
    How many jobs run, or wait, at once at the most.
``retries``
    How often a component that has failed is tried again.
``timeout``
    How long a component may take, in seconds.
"""


def shown(key: str, value: Value) -> str:
    """Return one of ``KEYS`` with its value as it can be given: ``timeout = 5m``."""
    if key == "timeout":
        unit = next(unit for unit in "dhms" if float(value) % _SECONDS[unit] == 0 or unit == "s")
        value = f"{float(value) / _SECONDS[unit]:.12g}{unit}"
    return f"{key} = {value}"


def read(key: str, value: Any) -> Value:
    """Return the value of one of ``KEYS`` as it is kept; raises UsageError."""
    try:
        return _READERS[key](value)
    except UsageError as error:
        raise UsageError(f"{key}: {error}") from None
