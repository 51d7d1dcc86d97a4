"""Output files on their way from the job directories: to another file system, and nowhere that a node names."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from htrun.outputs import move, place
from htrun.records import Record
from htrun.store import MapDirectory


@pytest.fixture
def _another_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(path: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.usefixtures("_another_file_system")
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


@pytest.mark.usefixtures("_another_file_system")
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


def test_records_that_were_tampered_with(tmp_path: Path) -> None:
    """A node cannot have files of this machine's moved, nor put its own elsewhere, be it through a link."""
    directory = MapDirectory(tmp_path / "map")
    job = tmp_path / "map/.htrun/jobs/0"
    job.mkdir(parents=True)
    (tmp_path / "mine").write_text("mine")
    for number in range(5):
        (job / f"file.0.{number}").write_text("theirs")
    (job / "file.0.").mkdir()
    outside = str(tmp_path / "outside")
    rows = [
        ["f", "good", 0],
        ["f", "../../../outside", 1],
        ["f", outside, 2],
        ["l", "link", str(tmp_path)],
        ["f", "link/outside", 3],
        ["f", "stolen", "/../../../../../mine"],
    ]
    place(directory, 0, Record(json.dumps({"component": 0, "files": rows}).encode(), job))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map", "mine"]
    assert sorted(path.name for path in (tmp_path / "map/files/0").iterdir()) == ["good", "link"]
