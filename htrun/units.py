"""Sizes of memory and disk space, as users and HTCondor write them."""

from __future__ import annotations

import re

SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTPE]i?B?|B)?", re.IGNORECASE)
UNITS = {unit: 1024**power for power, unit in enumerate(("B", "KB", "MB", "GB", "TB", "PB", "EB"))}
"""The bytes of a unit; HTCondor's are powers of 1024."""


def read_size(text: str) -> tuple[float, str] | None:
    """Return a size, such as ``2GB`` or ``1.5 gib``, as a number and one of ``UNITS``; None if it is none.

    The unit is empty where there is only a number, whose unit depends on what it is the size of: by condor_submit(1),
    MiB of memory, and KiB of disk space.
    """
    found = SIZE.fullmatch(text.strip())
    if found is None:
        return None
    letter = (found[2] or "")[:1].upper()
    return float(found[1]), letter if letter in ("", "B") else f"{letter}B"
