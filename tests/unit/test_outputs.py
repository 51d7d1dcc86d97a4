"""Output files on their way from the job directories: to another file system, and nowhere that a node names."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from htrun.exceptions import InvalidOutputStatus
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


def test_a_link_of_an_earlier_record_is_not_followed(tmp_path: Path) -> None:
    """What a component has left before cannot lead its later files, or those of others, out of where they belong."""
    directory = MapDirectory(tmp_path / "map")
    job = tmp_path / "map/.htrun/jobs/0"
    job.mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (job / "file.0.1").write_text("theirs")
    for rows in ([["l", "link", str(tmp_path / "mine")]], [["f", "link/sub/x", 1]], [["d", "link/sub"]]):
        place(directory, 0, Record(json.dumps({"component": 0, "files": rows}).encode(), job))
        shutil.rmtree(tmp_path / "map/files/0/none", ignore_errors=True)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize(
    "rows",
    [
        ["f"],
        [[]],
        [["f"]],
        [["f", "x"]],
        [["f", 3, 0]],
        [["l", "x"]],
        [["x", "y", 0]],
        [{"f": 1}],
        [["f", "a\0b", 0]],
        [["f", "x", 10**300]],
    ],
)
def test_rows_of_no_form_of_ours_are_passed_over(tmp_path: Path, rows: Any) -> None:
    """A record that was tampered with keeps nobody from looking at the map."""
    directory = MapDirectory(tmp_path / "map")
    assert place(directory, 0, Record(json.dumps({"component": 0, "files": rows}).encode(), tmp_path)) == []
    assert not (tmp_path / "map").exists()


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (["l", "a", "x\0y"], "null byte"),
        (["l", "a", "t" * 5000], "File name too long"),
        (["l", "a", ""], "No such file"),
        (["d", "n" * 300], "File name too long"),
        (["d", "n/" * 3000], "File name too long"),
        (["d", "a/\ud800"], "surrogates not allowed"),
        (["f", "\ud800", 1], "surrogates not allowed"),
        (["f", "n" * 300, 1], "File name too long"),
        (["f", "good", 1], "Is a directory"),
        (["d", "file"], "File exists"),
        (["d", "file/a"], "File exists"),
    ],
    ids=lambda value: repr(value)[:24],
)
@pytest.mark.parametrize("first", [False, True])
def test_what_cannot_be_is_said(tmp_path: Path, row: list[Any], why: str, *, first: bool) -> None:
    """A record with what no file system takes is a problem that is told, and keeps nothing else from its place."""
    directory = MapDirectory(tmp_path / "map")
    for number in range(3):
        (tmp_path / f"file.0.{number}").write_text("x")
    (directory.output_files / "0/good").mkdir(parents=True)
    (directory.output_files / "0/file").write_text("x")
    rows = [["f", "good/x", 0], ["f", "y", 2]]
    record = Record(json.dumps({"component": 0, "files": [row, *rows] if first else [*rows, row]}).encode(), tmp_path)
    (problem,) = place(directory, 0, record)
    assert why in problem
    assert (directory.output_files / "0/good/x").exists()
    assert (directory.output_files / "0/y").exists()


def test_a_full_disk_is_no_fault_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be put anywhere is an error, so that whoever looks next tries again."""

    def replace(*_: Any, **__: Any) -> None:
        raise OSError(errno.EDQUOT, "full")

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(shutil, "copy2", replace)
    (tmp_path / "file.0.0").write_text("x")
    with pytest.raises(OSError, match="full"):
        place(MapDirectory(tmp_path / "map"), 0, Record(b'{"component":0,"files":[["f","x",0]]}', tmp_path))


@pytest.mark.parametrize("name", ["../output.0.json", "/etc/passwd", "output.0.json/../x", "link.json", "", 7, None])
@pytest.mark.parametrize("key", ["output_file", "pickle_file"])
def test_a_record_names_no_file_elsewhere(tmp_path: Path, key: str, name: Any) -> None:
    """An output that is in a file is read from the job's own directory only, be it pickled or not."""
    line = json.dumps({"component": 3, "status": "COMPLETED", key: name}, separators=(",", ":"))
    record = Record(line.encode(), tmp_path)
    with pytest.raises(InvalidOutputStatus, match=r"component 3 .* is no file of its job"):
        record.value()


def test_a_link_in_the_place_of_an_output_is_not_followed(tmp_path: Path) -> None:
    """Nor does a link lead out of there."""
    (tmp_path / "secret").write_text("7")
    (tmp_path / "output.0.json").symlink_to(tmp_path / "secret")
    record = Record(b'{"component":0,"status":"COMPLETED","output_file":"output.0.json"}', tmp_path)
    with pytest.raises(InvalidOutputStatus, match="no file of its job"):
        record.output_json()
