"""Where files are, which can be brought along, and where they land."""

from __future__ import annotations

import copy
import os
import pickle
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from htrun import TransferPath as ExportedTransferPath
from htrun.exceptions import UsageError
from htrun.transfers import FileTable, Landing, TransferFile, TransferPath, escape, shown, to_wire

if TYPE_CHECKING:
    from collections.abc import Callable


def land(*paths: str) -> list[str]:
    """Return where files land that one component brings along."""
    table = {path: f"f{number}" for number, path in enumerate(dict.fromkeys(paths))}
    landing = Landing()
    return [landing.place(TransferFile(table[path], path, path, is_dir=False)) for path in paths]


@pytest.mark.parametrize(
    ("text", "protocol", "location", "path"),
    [
        pytest.param("https://host/a/b", "https", "host", "/a/b", id="a web address"),
        pytest.param("s3://bucket/key//b?x=1", "s3", "bucket", "/key//b?x=1", id="double slashes and a query"),
        pytest.param("https://host", "https", "host", "", id="nothing but a host"),
        pytest.param("file:///a/b", "file", None, "/a/b", id="no location"),
        pytest.param("osdf://a:80/b/", "osdf", "a:80", "/b/", id="a port and a final slash"),
        pytest.param("x-y+z.1://h/a", "x-y+z.1", "h", "/a", id="all characters that protocols may have"),
        pytest.param("/a/b.txt", None, None, "/a/b.txt", id="an absolute path"),
        pytest.param("a b/ü", None, None, "a b/ü", id="a relative path"),
        pytest.param("C:\\data", None, None, "C:\\data", id="a drive letter is no protocol"),
        pytest.param("1a://b", None, None, "1a:/b", id="protocols begin with a letter"),
    ],
)
def test_parse(text: str, protocol: str | None, location: str | None, path: str) -> None:
    """A text is a URL where it begins with a protocol, and a local path otherwise."""
    parsed = TransferPath.parse(text)
    assert (parsed.protocol, parsed.location, parsed.path) == (protocol, location, path)
    assert parsed.is_remote == (protocol is not None)
    assert str(parsed) == (text if protocol else path)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        pytest.param(TransferPath("a/b", "http", "host"), "http://host/a/b", id="a relative path on a server"),
        pytest.param(TransferPath("/", "http", "host") / "a" / "b", "http://host/a/b", id="joined from the root"),
        pytest.param(TransferPath("bucket", protocol="s3", location="h") / "x", "s3://h/bucket/x", id="joined"),
        pytest.param(TransferPath.parse("s3://h/a/b").parent, "s3://h/a", id="the parent of a URL"),
        pytest.param(TransferPath.parse("s3://h/a/b.c").with_suffix(".d"), "s3://h/a/b.d", id="another suffix"),
        pytest.param(TransferPath("a") / Path("b"), "a/b", id="joined locally"),
        pytest.param(TransferPath("a") / "b/", "a/b/", id="the contents of a directory"),
        pytest.param(TransferPath("s3", "s3", "h") / "b/", "s3://h/s3/b/", id="a directory on a server"),
        pytest.param((TransferPath("/a") / "b/").resolve(), "/a/b/", id="the contents, resolved"),
        pytest.param(TransferPath("a/") / "b", "a/b", id="something in the contents"),
        pytest.param(TransferPath("a/b/").parent, "a", id="the parent of contents"),
        pytest.param(TransferPath("a/b/").parents[0], "a", id="the first of the parents"),
        pytest.param(TransferPath.parse("s3://h/a/b").parents[1], "s3://h/", id="the parents of a URL"),
        pytest.param(TransferPath("a/b").relative_to(TransferPath("a")), "b", id="relative to another"),
        pytest.param("a" / TransferPath("b"), "a/b", id="joined to a text"),
        pytest.param("a" / TransferPath("/b"), "/b", id="an absolute path joined to a text"),
        pytest.param(TransferPath("a/b").parent, "a", id="the parent of a local path"),
        pytest.param(TransferPath(TransferPath.parse("s3://h/a")), "s3://h/a", id="a copy"),
    ],
)
def test_joining(made: TransferPath, text: str) -> None:
    """Paths are joined and split like those of pathlib, and keep protocol and location."""
    assert isinstance(made, TransferPath)
    assert str(made) == text


def test_parts_of_a_path() -> None:
    """Name, suffix and the like are there for local and remote paths."""
    assert TransferPath.parse("https://host/a/b.txt").name == "b.txt"
    assert TransferPath.parse("https://host/a/b.txt").suffix == ".txt"
    assert TransferPath("a/b.txt").stem == "b"


def test_local_paths_work_as_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local TransferPath does what a pathlib.Path does, and gives TransferPaths where that gives Paths."""
    monkeypatch.chdir(tmp_path)
    path = TransferPath.cwd() / "a.txt"
    path.write_text("hello")
    assert path.read_text() == Path(path).read_text() == "hello"
    with path.open() as file:
        assert list(file) == ["hello"]
    assert list(TransferPath.cwd().glob("*.txt")) == [path]
    assert path.exists()
    assert os.fspath(TransferPath.home()) == str(Path.home())


def test_remote_paths_are_not_local() -> None:
    """A remote path is no path on this machine, and cannot be written to."""
    remote = TransferPath.parse("https://host/a")
    with pytest.raises(TypeError, match="https://host/a is not on this machine"):
        os.fspath(remote)
    with pytest.raises(AttributeError):
        remote.write_text("x")


def test_equality_and_copies() -> None:
    """Paths are equal that name the same; copies and pickles are equal to the original."""
    one = TransferPath("/a", "https", "host")
    assert one == TransferPath.parse("https://host/a") == TransferPath("a", "https", "host")
    assert one != TransferPath("/a")
    assert one != "https://host/a"
    assert len({one, TransferPath.parse("https://host/a"), TransferPath("x//y"), TransferPath("x/y")}) == 2
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == copy.copy(one) == one


def test_order() -> None:
    """Local paths are sorted as those of pathlib, before all others; nothing else compares with a path."""
    texts = ["a/b", "a.txt", "a", "b", "/z"]
    assert [str(path) for path in sorted(map(TransferPath, texts))] == [str(path) for path in sorted(map(Path, texts))]
    assert TransferPath("a") <= TransferPath("a") < TransferPath("b") < TransferPath.parse("https://host/a")
    assert TransferPath.parse("https://host/b") > TransferPath.parse("https://host/a")
    with pytest.raises(TypeError):
        _ = TransferPath("a") < Path("b")


def test_repr() -> None:
    """The repr is what makes an equal path."""
    assert repr(TransferPath("a")) == "TransferPath(path='a')"
    assert repr(TransferPath("in", "s3", "h")) == "TransferPath(path='in', protocol='s3', location='h')"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: TransferPath(""), "cannot be empty", id="an empty path"),
        pytest.param(lambda: TransferPath("a", location="host"), "needs a protocol", id="a location alone"),
        pytest.param(lambda: TransferPath("https://host/a"), r"use TransferPath\.parse", id="a URL as a path"),
    ],
)
def test_paths_that_make_no_sense(make: Callable[[], TransferPath], message: str) -> None:
    """What cannot be meant is refused."""
    with pytest.raises(UsageError, match=message):
        make()


def test_is_what_htrun_exports() -> None:
    """htrun.TransferPath is this class."""
    assert ExportedTransferPath is TransferPath


def test_same_file_same_id(tmp_path: Path) -> None:
    """A file has one id however its path is written; symbolic links are files of their own."""
    (tmp_path / "a").touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("a")
    table = FileTable()
    ids = [table.add(tmp_path / name, name) for name in ("a", "d/../a", "./a", "link", "d", "a")]
    assert ids == ["f0", "f0", "f0", "f1", "f2", "f0"]
    assert [(file.id, file.path, file.given, file.is_dir) for file in table] == [
        ("f0", f"{tmp_path}/a", "a", False),
        ("f1", f"{tmp_path}/link", "link", False),
        ("f2", f"{tmp_path}/d", "d", True),
    ]
    assert len(table) == 3


def test_files_are_looked_at_once(tmp_path: Path) -> None:
    """A file, or its absence, is looked up once, however many lines name it."""
    table = FileTable()
    (tmp_path / "a").touch()
    assert table.add(tmp_path / "a", "a") == "f0"
    (tmp_path / "a").unlink()
    assert table.add(tmp_path / "a", "a") == "f0"
    with pytest.raises(UsageError):
        table.add(tmp_path / "b", "b")
    (tmp_path / "b").touch()
    with pytest.raises(UsageError, match=r"no such file: \./b"):
        table.add(tmp_path / "b", "./b")


def test_files_that_cannot_be_brought_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only files and directories that are there can be brought along; the message says what is wrong."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # the whole path may be too long for a socket
    server.bind("socket")
    server.close()
    for given, message in {
        "missing": "no such file: missing",
        "file/x": "no such file: file/x",
        "~/x": "no such file: ~/x (only the shell knows what ~ is)",
        "dangling": "a symbolic link that leads nowhere: dangling",
        "loop": "too many levels of symbolic links: loop",
        "fifo": "a named pipe cannot be brought along: fifo",
        "socket": "a socket cannot be brought along: socket",
        "/dev/null": "a device cannot be brought along: /dev/null",
        "/": "the root directory cannot be brought along: /",
        "": "an empty file name",
        "a\0b": "no file can have this name: 'a\\x00b'",
        "\ud800": "no file can have this name: '\\ud800'",
        "x" * 300: "file name too long: " + "x" * 200 + "...",
        "https://host/": "a URL that names no file: https://host/",
        "https://host?a/b": "a URL that names no file: https://host?a/b",
        "https:///a": "a URL that names no server: https:///a",
        "s3:///a": "a URL that names no bucket: s3:///a",
        "https://host/..": "no file can have the name at the end of this URL: https://host/..",
        "https://host/a%00": "no file can have the name at the end of this URL: https://host/a%00",
        "https://\u00fc..x/a": "no server can have the name in this URL: https://\u00fc..x/a",
    }.items():
        with pytest.raises(UsageError) as caught:
            FileTable().add(tmp_path / given, given)
        assert str(caught.value) == message


def test_unreadable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is refused."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    (tmp_path / "a").touch()
    with pytest.raises(UsageError, match="permission denied: a"):
        FileTable().add(tmp_path / "a", "a")


def test_hint_at_the_file_beside_the_inputs(tmp_path: Path) -> None:
    """A relative name that would be right from the directory of the inputs is pointed out."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").touch()
    with pytest.raises(UsageError) as caught:
        FileTable().add(tmp_path / "a.txt", "a.txt", data)
    assert str(caught.value) == f"no such file: a.txt (there is one beside the inputs: {data}/a.txt)"


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """A file can have any name that the file system allows."""
    name = os.fsdecode(b"\xff\n\t.txt")
    (tmp_path / name).touch()
    table = FileTable()
    table.add(tmp_path / name, name)
    assert next(iter(table)).name == name


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        pytest.param(["/a/x", "/a/y"], ["x", "y"], id="different names"),
        pytest.param(["/a/x", "/b/x", "/c/x"], ["x", "1/x", "2/x"], id="the same name"),
        pytest.param(["/a/x", "/b/x", "/a/x", "/b/x"], ["x", "1/x", "x", "1/x"], id="the same file again"),
        pytest.param(["/1", "/a/x", "/b/x"], ["1", "x", "2/x"], id="a file called like the directory"),
        pytest.param(["/a/x", "/b/x", "/1"], ["x", "1/x", "1/1"], id="a later file called like the directory"),
        pytest.param(["/a/x", "/b/x", "/a/y", "/b/y"], ["x", "1/x", "y", "1/y"], id="two pairs share the directory"),
        pytest.param(["/a/1", "/b/1", "/c/1"], ["1", "2/1", "3/1"], id="numbers as names"),
    ],
)
def test_landing(paths: list[str], names: list[str]) -> None:
    """Files of one name land apart, and none lands in a directory that is another one's name."""
    assert land(*paths) == names


def test_landing_of_many_files_of_one_name() -> None:
    """Ten thousand files of one name all land apart, in no time."""
    assert len(set(land(*(f"/{number}/x" for number in range(10_000))))) == 10_000


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        pytest.param({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, id="plain data"),
        pytest.param([{"$path": "x"}], ["x!"], id="a file"),
        pytest.param({"$path": 3}, {"$path": {"items": [["$path", 3]]}}, id="no string"),
        pytest.param(
            {"$path": "x", "more": 1}, {"$path": {"items": [["$path", "x"], ["more", 1]]}}, id="more than the path"
        ),
        pytest.param({"$path": {"$path": "x"}}, {"$path": {"items": [["$path", "x!"]]}}, id="a file within"),
    ],
)
def test_to_wire(value: Any, wire: Any) -> None:
    """An object that names a file stands for it; any other that has the key is data."""
    assert to_wire(value, lambda text: text + "!") == wire


def test_to_wire_without_detection() -> None:
    """With nothing to bring files along, every object is data."""
    assert to_wire({"$path": "x"}, None) == {"$path": {"items": [["$path", "x"]]}}
    assert escape({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a b/ü.txt", "a b/ü.txt", id="as it is"),
        pytest.param("a\nb", "'a\\nb'", id="a newline"),
        pytest.param("\x1b[31m", "'\\x1b[31m'", id="a terminal's control sequence"),
        pytest.param("", "''", id="nothing"),
        pytest.param("x" * 300, "x" * 200 + "...", id="very long"),
    ],
)
def test_shown(text: str, expected: str) -> None:
    """Messages show texts on one line, of limited length and without control characters."""
    assert shown(text) == expected
