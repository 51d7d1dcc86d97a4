"""Where output files go: what users say, checked and resolved."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from htrun.exceptions import UsageError
from htrun.options import MapOptions
from htrun.remaps import Remaps
from htrun.transfers import TransferPath


def remaps(given: Any, directory: str = "/dir$(component)") -> Remaps:
    """Return remaps as they come back from the disk."""
    made = Remaps.of(MapOptions(output_remaps=given).output_remaps, directory)
    return Remaps.from_json(json.loads(json.dumps(made.to_json())))


def test_destinations_are_paths_and_urls() -> None:
    """Relative paths become absolute, a slash at the end keeps the name, the component's number is put in."""
    made = remaps(
        {
            "a": "x/$(component)/../y$(Component)",
            "b c%": "out$(component)/",
            Path("deep/c"): TransferPath("k $(component)", "https", "h"),
            TransferPath("in/d", "s3", "h"): "s3://b/k $(component)/",
            "e f": "https://h/$(component)/",
            "g": Path("/abs/$(component)"),
        }
    )
    assert made.component(7) == {
        "a": "/dir$(component)/x/y7",
        "b c%": "/dir$(component)/out7/b c%",
        "c": "https://h/k%207",
        "d": "s3://b/k 7/d",
        "e f": "https://h/7/e%20f",
        "g": "/abs/7",
    }
    each = remaps([{"a": "x"}, {}, {"a": "$(component)"}])
    assert [each.component(n) for n in range(3)] == [{"a": "/dir$(component)/x"}, {}, {"a": "/dir$(component)/2"}]


def test_nothing_said_is_nothing() -> None:
    """Without any remap there is nothing to keep."""
    assert not remaps(None)
    assert not remaps({})
    assert not remaps([{}, {}])
    assert list(remaps([{}, {}]).check(2)) == []


def test_destinations_are_checked(tmp_path: Path) -> None:
    """The URLs are returned, and local destinations have to be such that a file can be made there."""
    here = str(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    fine = {
        "a": "new/deep/$(component)",
        "b": "https://h/$(component)",
        "c": "there/$(component)/",
        "d": "s3://b/$(component)",
    }
    assert list(remaps(fine, here).check(2)) == ["https://h/0", "s3://b/0", "https://h/1", "s3://b/1"]
    assert list(remaps({"a": "file"}, here).check(1)) == []  # is replaced
    for given, count, said in [
        ({"a": "out"}, 2, r"2 components cannot all go to out: put \$\(component\)"),
        ({"a": "https://h/x"}, 1000, r"1,000 components cannot all go to https://h/x"),
        ([{"a": "out"}, {"a": "./out"}], 2, "two output files of components 0, 1 would go to .*/out: put"),
        ({"a": "out", "b": "./out"}, 1, "two output files of component 0 would go to"),
        ({"a": "x$(component)", "b": "x1$(component)"}, 12, "two output files of components 0, 10 would go to"),
        ({"a": "there"}, 1, "that is a directory; a slash at the end"),
        ({"a": "file/x"}, 1, f"cannot go to .*: {here}/file is no directory"),
    ]:
        with pytest.raises(UsageError, match=said):
            list(remaps(given, here).check(count))


def test_destinations_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that may not be written to is told."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(UsageError, match=f"{tmp_path} is not writable"):
        list(remaps({"a": "new/x"}, str(tmp_path)).check(1))


@pytest.mark.parametrize("to", ["", "https://", "https:///x", "https://h", "s3://b", "nul\0", b"x", None])
def test_destinations_that_make_no_sense(to: Any) -> None:
    """What is no path and no URL of a file is refused at once."""
    with pytest.raises(UsageError):
        MapOptions(output_remaps={"a": to})
