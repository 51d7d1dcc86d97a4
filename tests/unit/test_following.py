"""What comes after a position in what a component has printed, of which the middle was left out."""

from __future__ import annotations

import pytest

from htrun.following import _after
from htrun.runner.printing import KEPT_BYTES, left_out

MISSING = 1000
SIZE = 2 * KEPT_BYTES + MISSING
PRINTED = bytes(range(251)) * (SIZE // 251) + b"x" * (SIZE % 251)
NOTE = left_out(SIZE)
KEPT = PRINTED[:KEPT_BYTES] + NOTE + PRINTED[-KEPT_BYTES:]


@pytest.mark.parametrize("position", [0, 1, KEPT_BYTES - 1, KEPT_BYTES])
def test_from_the_beginning_all_that_was_kept(position: int) -> None:
    """Whoever has seen a part of the beginning gets its rest, the note, and the end."""
    assert _after(KEPT, position) == PRINTED[position:KEPT_BYTES] + NOTE + PRINTED[-KEPT_BYTES:]


@pytest.mark.parametrize("position", [KEPT_BYTES + 1, KEPT_BYTES + MISSING])
def test_from_the_middle_the_note_and_the_end(position: int) -> None:
    """Whoever has seen a part of what was left out gets the note and the end, nothing of the latter twice."""
    assert _after(KEPT, position) == NOTE + PRINTED[-KEPT_BYTES:]


@pytest.mark.parametrize("position", [KEPT_BYTES + MISSING + 1, SIZE - 1, SIZE])
def test_from_the_end_its_rest(position: int) -> None:
    """Whoever has followed it as far as the end gets what comes after that."""
    assert _after(KEPT, position) == PRINTED[position:]


def test_where_nothing_was_left_out() -> None:
    """Of little everything after the position."""
    assert _after(b"abc", 2) == b"c"
    assert _after(b"abc", 5) == b""
