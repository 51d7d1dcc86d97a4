"""Transplants: listing, describing and removing them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from htrun.exceptions import UsageError
from htrun.transplant import ABOUT, PACKED, Transplant, transplant_info, transplants

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of transplants, which is not there yet."""
    monkeypatch.setenv("HTRUN_DIR", str(tmp_path))
    return tmp_path / "transplants"


def make(path: Path, created: float, *packages: str) -> Path:
    """Make a transplant."""
    path.mkdir(parents=True)
    (path / PACKED).write_bytes(b"x" * 1500)
    (path / ABOUT).write_text(json.dumps({"created": created, "packages": packages}))
    return path


def test_transplants_are_listed_the_oldest_first(place: Path) -> None:
    """What is no transplant yet is left out."""
    assert transplants() == ()
    assert transplant_info() == ""
    make(place / "aaa", 2e9, "numpy==2.0")
    make(place / "bbb", 1e9)
    (place / "half").mkdir()
    first, second = transplants()
    assert (first.hash, first.packages, first.size) == ("bbb", (), 1500)
    assert (second.hash, second.packages, second.path) == ("aaa", ("numpy==2.0",), place / "aaa")
    assert second.created.timestamp() == 2e9
    assert transplant_info().startswith("0: bbb\n")
    assert "numpy==2.0" in transplant_info().partition("\n1: aaa\n")[2]


def test_removing_one_leaves_the_others(place: Path) -> None:
    """Its directory is gone afterwards."""
    make(place / "a", 1e9)
    make(place / "b", 2e9)
    transplants()[0].remove()
    assert [transplant.hash for transplant in transplants()] == ["b"]
    assert not (place / "a").exists()


@pytest.mark.parametrize(
    "about", ["{", "[]", "{}", '{"created": "x", "packages": []}', '{"created": 1e99, "packages": []}']
)
def test_a_damaged_one_is_an_error_that_names_it(place: Path, about: str) -> None:
    """It says which, and what is wrong."""
    (make(place / "a", 1) / ABOUT).write_text(about)
    with pytest.raises(UsageError, match="transplants/a is a damaged transplant"):
        transplants()


def test_what_is_none_is_an_error(tmp_path: Path) -> None:
    """``Transplant.load`` names the directory."""
    with pytest.raises(UsageError, match=r"is no transplant: .*: No such file"):
        Transplant.load(tmp_path)
