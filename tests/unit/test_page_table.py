"""The table in a report: what is kept of numbers and texts in how many bytes."""

from __future__ import annotations

import base64
import hashlib
import zlib

from hypothesis import given
from hypothesis import strategies as st

from htrun.page.table import _fitting, _planes, _some, _three_digits


def amount(code: int) -> float:
    """Return the number of a code, as the page's script does."""
    return float(((code - 1) % 900 + 100) * 10.0 ** ((code - 1) // 900 - 8)) if code else 0.0


@given(st.floats(min_value=1e-6, max_value=9.9e9))
def test_three_digits(value: float) -> None:
    """A number comes back with three digits, and its code fits into two bytes."""
    code = _three_digits(value)
    assert 0 < code < 2**16
    assert abs(amount(code) - value) <= 0.0051 * value


def test_digits_that_carry() -> None:
    """What rounds to the next power of ten is that, what is next to nothing is nothing."""
    assert amount(_three_digits(9.999)) == 10
    assert _three_digits(0.0) == _three_digits(9e-7) == 0


@given(st.lists(st.integers(min_value=0, max_value=2**32 - 1), max_size=20))
def test_planes(numbers: list[int]) -> None:
    """Numbers are told from their bytes, all lowest ones of which come first."""
    data, size = _planes(numbers, 4), len(numbers)
    assert [sum(data[place * size + row] << 8 * place for place in range(4)) for row in range(size)] == numbers


@given(st.integers(min_value=0, max_value=500), st.integers(min_value=0, max_value=50))
def test_some(size: int, most: int) -> None:
    """Of many there are some, at equal distances, from the first on; of few all."""
    chosen = _some(range(size), most)
    assert len(chosen) <= max(1, most)
    if size <= most:
        assert list(chosen) == list(range(size))


def unpacked(column: str) -> list[str]:
    """Return the texts of a column."""
    return zlib.decompress(base64.b64decode(column)).decode().split("\n")


def test_texts_are_cut_until_they_fit() -> None:
    """They are whole if there is room, else as long as there is room for, else left out."""
    texts = [f"{number * 7919 % 1000:03} {'x' * 90}" for number in range(100)]
    length, column = _fitting(texts, 10_000)
    assert length is None
    assert unpacked(column) == texts
    different = [hashlib.sha256(bytes([number])).hexdigest() for number in range(100)]
    length, column = _fitting(different, 3_000)
    assert length in (30, 40)
    assert all(len(text) <= length for text in unpacked(column))
    assert _fitting(texts, 10) == (0, "")
    assert _fitting([], 100)[0] is None
