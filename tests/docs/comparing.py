"""What a page shows beside what came out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def differences(shown: Sequence[str], found: Sequence[str]) -> str | None:
    """Return None if lines are as they are shown, else what is the matter.

    In what is shown, ``...`` stands for anything within a line, and a line of ``...`` for any lines. Space at the
    ends of lines and blank lines at the end do not count, nor how many seconds something took (``0.31s``), and how
    long that makes the rules beside it.
    """
    shown, found = _trimmed(shown), _trimmed(found)
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    begin, end = 0, len(found)
    first, last = parts[0], parts[-1]
    if not _same(first, found[: len(first)]):
        return _tell("begin with", first, found)
    begin = len(first)
    if len(parts) == 1:
        return None if begin == end else _tell("are no more than", first, found)
    end -= len(last)
    for part in parts[1:-1]:
        at = next((n for n in range(begin, end - len(part) + 1) if _same(part, found[n : n + len(part)])), None)
        if at is None:
            return _tell("have, after what is before it,", part, found)
        begin = at + len(part)
    if end < begin or not _same(last, found[end:]):
        return _tell("end with", last, found)
    return None


def _trimmed(lines: Sequence[str]) -> list[str]:
    kept = [line.rstrip() for line in lines]
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _same(shown: Sequence[str], found: Sequence[str]) -> bool:
    return len(shown) == len(found) and all(map(_line_is, shown, found))


def _line_is(shown: str, found: str) -> bool:
    shown, found = _leveled(shown), _leveled(found)
    return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), found) is not None


def _leveled(line: str) -> str:
    """Return a line with the same time in the place of each, and rules of the same length."""
    return re.sub(r"={9,}", "=" * 9, re.sub(r"\b\d+\.\d\ds\b", "0.00s", line))


def _tell(what: str, part: Sequence[str], found: Sequence[str]) -> str:
    wanted = [*(f"    {line}" for line in part)] or ["    nothing"]
    got = [*(f"    {line}" for line in found)] or ["    nothing"]
    return "\n".join([f"the lines do not {what}:", *wanted, "they are:", *got])
