"""What a job fetches from its directory at the access point when it starts anew."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from htrun.runner.access_point import AccessPoint

if TYPE_CHECKING:
    from typing_extensions import Self

THERE = {"records.jsonl": b"one\ntwo\n", "output.0.json": b"[1, 2]", "checkpoint.1": b"tar", "half.part": b"h"}


class Chirp:
    """A directory at an access point; the connection is lost in the midst of one file."""

    lost_in = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def getdir(self, path: str, stat_dict: bool) -> dict[str, Any]:
        """Return the sizes of files."""
        return {name: {"size": len(data)} for name, data in THERE.items()}

    def fetch(self, name: str, path: str) -> None:
        """Copy a file, or the half of it."""
        if name == self.lost_in:
            Path(path).write_bytes(THERE[name][: len(THERE[name]) // 2])
            raise OSError("the connection is lost")
        Path(path).write_bytes(THERE[name])


@pytest.mark.parametrize("lost_in", ["", "output.0.json", "checkpoint.1"])
def test_what_is_fetched_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost_in: str) -> None:
    """Records that are more than those here come, and what they speak of; a half of a file never does."""
    module: Any = ModuleType("htchirp")
    module.HTChirp = Chirp
    monkeypatch.setitem(sys.modules, "htchirp", module)
    monkeypatch.setattr(Chirp, "lost_in", lost_in)
    monkeypatch.setenv("_CONDOR_CHIRP_CONFIG", "here")
    (tmp_path / "records.jsonl").write_bytes(b"one\n")
    AccessPoint(str(tmp_path)).fetch()
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert all(data in (THERE[name], b"one\n") for name, data in found.items())
    assert "half.part" not in found
    assert lost_in not in found
    assert not lost_in or found["records.jsonl"] == b"one\n", "records come after what they speak of"
    assert lost_in or found.keys() == THERE.keys() - {"half.part"}
