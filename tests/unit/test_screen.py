"""Cells of what is drawn on terminals."""

from __future__ import annotations

import pytest

from htrun.cli.screen import cell, columns


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 3, "abc"),
        ("", 2, "  "),
        ("täg", 4, "täg "),
        ("ta\u0308g", 4, "ta\u0308g "),  # a combining character takes no column
        ("\u4f60\u597d", 5, "\u4f60\u597d "),  # wide ones take two
        ("\u4f60\u597d", 3, "\u4f60 "),
        ("a\x1b[31mb\nc", 8, "a?[31mb?"),
        ("abc", 0, ""),
    ],
)
def test_a_cell_takes_its_columns(text: str, width: int, shown: str) -> None:
    """Whatever a text is, it takes as many columns as it is given, and moves no cursor."""
    assert cell(text, width) == shown
    assert columns(shown) == width


def test_numbers_are_at_the_right() -> None:
    """Spaces go before a text that is put to the right."""
    assert cell("12", 4, right=True) == "  12"
