"""Which components of a map are those of another one: told by what they are called with, and not by their position."""

from __future__ import annotations

import hashlib
import json
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from htrun.store import MapDirectory

_DIGEST_BYTES = 12
_BITS = 32
"""Of the number of a component, behind a digest."""


def match(old: MapDirectory, new: MapDirectory, components: int, *candidates: bytearray) -> array[int]:
    """Find for the components of a map those of an earlier one that are called with the same.

    These are calls of the same JSON, whatever its spaces and the order of its keys, with the same files: of the same
    path, size and time of modification. Where output files go counts, too. Of calls that are there several times each
    is matched once, at the same position if it can be.

    Of a million components some tens of bytes each are kept, and no more than a number of those that are not where they
    were.

    Parameters
    ----------
    old, new : MapDirectory
    components : int
        How many the new map has, which need not be described yet.
    *candidates : bytearray
        A byte for each component of the earlier map: 1 for those that may be matched, as many as can be before those of
        the next of these. They are emptied.

    Returns
    -------
    array of int
        By component of the new map: that of the earlier one, or -1.
    """
    taken = array("i", [-1]) * components
    left = bytearray(b"\1") * components
    for good in candidates:
        everything = bytearray(b"\1") * max(old.components, components)
        pairs = zip(_keys(old, everything, plain=False), _keys(new, everything, plain=False), strict=False)
        for (component, before), (_, now) in pairs:
            if good[component] and left[component] and before == now:
                taken[component] = component
                good[component] = left[component] = 0
        for plain in (False, True):
            if 1 in good and 1 in left:
                _join(_digests(old, good, plain=plain), _digests(new, left, plain=plain), taken, good, left)
    return taken


def _join(before: list[int], now: list[int], taken: array[int], good: bytearray, left: bytearray) -> None:
    """Match the components of equal digests, which are in order."""
    mask = (1 << _BITS) - 1
    positions = iter(before)
    source = next(positions, None)
    for entry in now:
        while source is not None and source >> _BITS < entry >> _BITS:
            source = next(positions, None)
        if source is None:
            return
        if source >> _BITS == entry >> _BITS:
            taken[entry & mask] = source & mask
            good[source & mask] = left[entry & mask] = 0
            source = next(positions, None)


def _digests(directory: MapDirectory, chosen: bytearray, *, plain: bool) -> list[int]:
    """Return the digests of chosen components with their numbers behind them, sorted."""
    return sorted(
        int.from_bytes(hashlib.blake2b(key, digest_size=_DIGEST_BYTES).digest(), "big") << _BITS | component
        for component, key in _keys(directory, chosen, plain=plain)
    )


def _keys(directory: MapDirectory, chosen: bytearray, *, plain: bool) -> Iterator[tuple[int, bytes]]:
    """Yield chosen components, and what tells their calls from others.

    Parameters
    ----------
    directory : MapDirectory
    chosen : bytearray
        A byte for each component, 1 for those that are.
    plain : bool
        Whether calls are to be the same that are written in different ways.
    """
    has_remaps = directory.remaps_file.exists()
    with directory.calls.open("rb") as lines:
        for component, line in enumerate(lines):
            if not chosen[component]:
                continue
            key, tab, brought = line[:-1].partition(b"\t")
            if plain:
                with suppress(ValueError, RecursionError):
                    key = json.dumps(json.loads(key), sort_keys=True).encode()
            if tab:
                key += b"\t" + _brought(directory, brought, plain=plain)
            if has_remaps:
                key += b"\n" + json.dumps(directory.remaps(component), sort_keys=True).encode()
            yield component, key


def _brought(directory: MapDirectory, brought: bytes, *, plain: bool) -> bytes:
    """Return what tells the files of a call from others, instead of their numbers in the map."""
    table = directory.files
    rows = ((name, table[number]) for number, name in json.loads(brought))
    # In maps of before there was --resume it does not say what state files were in, so they count as changed.
    files = [[name, row["path"], row.get("state", "")] for name, row in rows]
    return json.dumps(sorted(files) if plain else files).encode()
