"""Moving output files to another file system."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from htrun.outputs import move


@pytest.fixture(autouse=True)
def _another_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(path: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(Path, "replace", replace)


def test_a_tree_with_links_is_moved(tmp_path: Path) -> None:
    """Links within a directory are there as links, be they to directories."""
    source = tmp_path / "source"
    (source / "a").mkdir(parents=True)
    (source / "a/x").write_text("x")
    os.symlink("a/x", source / "b")
    os.symlink("a", source / "0")
    move(source, tmp_path / "far/target")
    target = tmp_path / "far/target"
    assert not source.exists()
    assert sorted(path.name for path in target.iterdir()) == ["0", "a", "b"]
    assert (os.readlink(target / "b"), os.readlink(target / "0")) == ("a/x", "a")
    assert (target / "b").read_text() == "x"


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was at the target stays, and so does the file that was to be moved."""

    def copy(_: Path, target: str, **__: Any) -> None:
        Path(target).write_text("ha")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(shutil, "copy2", copy)
    (tmp_path / "new").write_text("half")
    (tmp_path / "far").mkdir()
    (tmp_path / "far/old").write_text("old")
    with pytest.raises(OSError, match="full"):
        move(tmp_path / "new", tmp_path / "far/old")
    assert (tmp_path / "new").read_text() == "half"
    assert [(path.name, path.read_text()) for path in (tmp_path / "far").iterdir()] == [("old", "old")]
