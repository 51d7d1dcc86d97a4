"""Small parts of sentences."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def count(number: int, name: str) -> str:
    """Return a number of things: ``1 slot``, ``2,000 slots``."""
    return f"{number:,} {name}{'s' * (number != 1)}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return what to say behind a name that is not there: ``(did you mean 'x'?)`` after a space, or nothing."""
    import difflib  # only now: mostly nothing is misspelt

    close = difflib.get_close_matches(name[:100], list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def elapsed(moment: float | None) -> str:
    """Return how long it is since a moment, in seconds since the epoch: ``40 s``, ``3 hours``."""
    seconds = max(0, int(time.time() - moment)) if moment is not None else 0
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def duration(seconds: float) -> str:
    """Return a duration as pytest writes it: ``1.23s``, from a minute on with hours too: ``75.00s (0:01:15)``."""
    return f"{seconds:.2f}s" if seconds < 60 else f"{seconds:.2f}s ({timedelta(seconds=int(seconds))})"


def clock(seconds: float) -> str:
    """Return a duration as a clock shows it: ``0:01:15``, ``26:00:00``."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def moment(seconds: float) -> str:
    """Return a moment, in seconds since the epoch, in local time: ``2026-01-31 12:00:00``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def printable(text: str) -> str:
    """Return text with the halves of surrogate pairs that UTF-8, and so Jupyter, cannot hold as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
