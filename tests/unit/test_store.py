"""A map's directory: what appears does so whole, and what a kill has torn is passed over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htrun.exceptions import InvalidMapDirectory, MapWasRemoved
from htrun.index import Records
from htrun.runner.records import drop_torn_line, last_recorded, recorded_components
from htrun.store import DirectoryBuilder, MapDirectory, atomic_write, remove_directory, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS = b"".join(
    b'{"component":%d,"status":"%s","attempt":1,"output":%d}\n' % (number, status, number)
    for number, status in [(0, b"COMPLETED"), (3, b"ERRORED"), (1, b"COMPLETED"), (3, b"COMPLETED")]
)


def make(parent: Path, components: int = 5) -> MapDirectory:
    """Return the directory of a map."""
    builder = DirectoryBuilder(parent)
    builder.write_calls(b"[%d]" % number for number in range(components))
    builder.write_info({"format": 1, "components": components, "uid": "u"})
    directory = builder.move_to(parent / "t")
    directory.job(0).mkdir()
    return directory


@given(st.integers(0, len(RECORDS)))
@settings(max_examples=50)
def test_records_can_be_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Of a file of records that was cut anywhere every whole one counts; what is appended later is found."""
    directory = make(tmp_path_factory.mktemp("map"))
    file = directory.job(0) / "records.jsonl"
    file.write_bytes(RECORDS[:cut])
    records = Records(directory)
    records.read("0")
    whole = RECORDS[:cut].count(b"\n")
    assert records.finished == len({0, 3, 1} & {[0, 3, 1, 3][i] for i in range(whole)})
    assert recorded_components(str(file)) == {[0, 3, 1, 3][i] for i in range(whole)}
    assert last_recorded(str(directory.job(0))) == ([-1, 0, 3, 1, 3][whole])
    file.write_bytes(RECORDS)
    records.read("0")
    assert records.finished == 3
    assert [records.status(number) for number in (0, 1, 3)] == ["COMPLETED"] * 3
    assert records.get(2) is None
    record = records.get(3)
    assert record is not None
    assert record.output_json() == b"3"


def test_a_line_that_is_no_record_spoils_no_other(tmp_path: Path) -> None:
    """Lines that are torn, of components that there are not, or no records at all, are passed over."""
    directory = make(tmp_path)
    bad = b'{"component":99,"status":"COMPLETED"}\n{"comp{"component":1\n\n\xff\n'
    (directory.job(0) / "records.jsonl").write_bytes(bad + RECORDS)
    records = Records(directory)
    assert records.read("0")
    assert [None if record is None else record.data["component"] for record in records.walk(range(5))] == [
        0,
        1,
        None,
        3,
        None,
    ]


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    """Whoever appends to a file of lines cuts off first what a kill has left of a last one, however long that is."""
    file = tmp_path / "lines"
    for left in (b"", b"one\n", b"one\ntwo\n"):
        file.write_bytes(left + b"x" * 200_000)
        assert drop_torn_line(str(file)) == len(left)
        assert file.read_bytes() == left
    assert drop_torn_line(str(tmp_path / "none")) == 0


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A file that is being written is not there before its end; after an error the old one is, and nothing else."""
    path = tmp_path / "f"
    with atomic_write(path) as stream:
        stream.write(b"old")
        assert not path.exists()
    with pytest.raises(TypeError), atomic_write(path) as stream:
        stream.write(b"new" + 1)  # type: ignore[operator]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    """Return the process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


KILLED = """
import os, sys
from pathlib import Path
from htrun.store import atomic_write

with atomic_write(Path(sys.argv[1])) as file:
    os.kill(os.getpid(), 9)
"""


def test_what_killed_writers_have_left_is_swept(tmp_path: Path) -> None:
    """The half of a file that a killed process has left is removed by who writes beside it; that of a live one stays."""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "killed")], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_write(tmp_path / "alive"):
        write_json(tmp_path / "new", 7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alive", "new"]


def test_a_link_or_a_pipe_stays_what_it_is(tmp_path: Path) -> None:
    """What a symbolic link leads to is replaced, not the link; a device is written to."""
    (tmp_path / "link").symlink_to("file")
    with atomic_write(tmp_path / "link") as stream:
        stream.write(b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"data"
    with atomic_write(Path(os.devnull)) as stream:
        stream.write(b"data")
    assert not Path(os.devnull).is_file()


def not_there(path: Path) -> None:
    """Leave it away."""


def empty(path: Path) -> None:
    """Make an empty one."""
    path.write_bytes(b"")


def newer(path: Path) -> None:
    """Make one of a later format."""
    path.write_text(json.dumps({"format": 99}))


def no_object(path: Path) -> None:
    """Make one that is no object."""
    path.write_text("[]")


@pytest.mark.parametrize("spoil", [not_there, empty, newer, no_object])
def test_a_directory_that_is_no_map_is_told(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """A directory without a readable description of this format is an error that names it."""
    directory = MapDirectory(tmp_path)
    directory.inner.mkdir()
    spoil(directory.info_file)
    with pytest.raises(InvalidMapDirectory) as caught:
        directory.info  # noqa: B018
    assert str(tmp_path) in str(caught.value)


def test_a_lock_of_a_map_that_is_gone(tmp_path: Path) -> None:
    """Locking a map that was removed is an error, and makes no directories in its place."""
    directory = make(tmp_path)
    remove_directory(directory.path)
    remove_directory(directory.path)  # nothing to do
    with pytest.raises(MapWasRemoved), directory.lock("results"):
        pass
    assert os.listdir(tmp_path) == []


def test_submissions_are_read_back(tmp_path: Path) -> None:
    """What was submitted is read back with its cluster; a line that was torn did not happen."""
    directory = make(tmp_path)
    directory.append_submission({"submission": 0, "first_job": 0, "chunk_size": 2, "components": [[0, 5]]})
    directory.append_submission({"submission": 0, "cluster": 12})
    with directory.submissions.open("ab") as file:
        file.write(b'{"submission": 1, "fir')
    assert [(s.submission, s.cluster, s.components) for s in directory.read_submissions()] == [(0, 12, ((0, 5),))]
    directory.append_submission({"submission": 1, "first_job": 3, "chunk_size": 2, "components": [[1, 2], [4, 5]]})
    assert [s.size for s in directory.read_submissions()] == [5, 2]
