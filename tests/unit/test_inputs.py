"""Calls from inputs: whether they fit, the files that they name, and how they get to the wire."""

from __future__ import annotations

import base64
import codecs
import gzip
import io
import json
import os
import pickle
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from htrun.encoder import InputsOptions
from htrun.exceptions import BadInputs, EmptyMap, UsageError
from htrun.inputs import encode_call, read, single
from htrun.runner.calls import brought_files, decode_call
from htrun.transfers import FileTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRATCH = "/scratch"


def anything(*args: Any, **kwargs: Any) -> None:
    """Take anything."""


def measure(path: Path, size: int = 1, *, dark: Path | None = None) -> None:
    """Take files."""


def scale(x: float, factor: int = 2) -> None:
    """Take numbers."""


def each(items: Any) -> None:
    """Take one thing."""


def encoded(data: bytes, function: Callable[..., Any] = anything, **options: Any) -> list[bytes]:
    """Return the calls of a text as they are on the wire."""
    table = options.pop("files", FileTable())
    directory = options.pop("directory", Path("/nowhere"))
    return list(read("-", function, InputsOptions(**options), table, directory, io.BytesIO(data)))


def errors(data: bytes, function: Callable[..., Any] = anything, **options: Any) -> list[str]:
    """Return what is wrong with a text, as ``line: message`` each."""
    with pytest.raises(BadInputs) as caught:
        encoded(data, function, **options)
    return [str(error).removeprefix("<stdin>:").strip() for error in caught.value.errors]


@pytest.mark.parametrize(
    ("function", "line", "message"),
    [
        pytest.param(
            measure,
            '{"path": "a", "sze": 1}',
            "unexpected argument 'sze' (did you mean 'size'?); measure takes path, size=..., *, dark=...",
            id="a misspelt argument",
        ),
        pytest.param(measure, '{"size": 1}', "missing argument 'path'; measure takes", id="a missing argument"),
        pytest.param(measure, "[1, 2, 3]", "3 positional arguments are too many; measure takes", id="too many"),
        pytest.param(
            each,
            '{"a": 1}',
            "unexpected argument 'a'; each takes items; to pass the object itself, write [{...}]",
            id="an object where one argument is needed",
        ),
        pytest.param(
            each,
            "[1, 2]",
            "2 positional arguments are too many; each takes items; to pass the array itself, write [[...]]",
            id="an array where one argument is needed",
        ),
    ],
)
def test_calls_that_do_not_fit(function: Callable[..., Any], line: str, message: str) -> None:
    """A call that the function does not take is an error of its line."""
    (error,) = errors(line.encode(), function)
    assert error.startswith(f"1: {message}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a directory with files in it."""
    for name in ("a.txt", "b.txt", "d/a.txt", "e/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("function", "line", "options", "call", "files"),
    [
        pytest.param(measure, '{"path": "a.txt"}', {}, {"path": Path("/scratch/a.txt")}, ["a.txt"], id="by annotation"),
        pytest.param(measure, '"a.txt"', {}, [Path("/scratch/a.txt")], ["a.txt"], id="by position"),
        pytest.param(
            measure,
            '{"path": "a.txt", "dark": "d/a.txt"}',
            {},
            {"path": Path("/scratch/a.txt"), "dark": Path("/scratch/1/a.txt")},
            ["a.txt", "1/a.txt"],
            id="two of one name",
        ),
        pytest.param(
            anything,
            '[["a.txt", {"x": "b.txt"}], "a.txt"]',
            {"transfer": frozenset({"args"})},
            [[Path("/scratch/a.txt"), {"x": Path("/scratch/b.txt")}], Path("/scratch/a.txt")],
            ["a.txt", "b.txt"],
            id="by name, at any depth",
        ),
        pytest.param(
            anything,
            '{"x": [{"$path": "a.txt"}, "b.txt"]}',
            {},
            {"x": [Path("/scratch/a.txt"), "b.txt"]},
            ["a.txt"],
            id="by an object in the line",
        ),
        pytest.param(
            anything, '{"$path": "d"}', {}, [Path("/scratch/d")], ["d"], id="an object that is the whole line"
        ),
        pytest.param(
            anything,
            '[{"\\u0024path": "d"}]',
            {},
            [Path("/scratch/d")],
            ["d"],
            id="an object with an escape in its key",
        ),
        pytest.param(
            anything,
            '[{"$path": 3}, {"$path": "x", "more": {"$path": "a.txt"}}]',
            {},
            [{"$path": 3}, {"$path": "x", "more": Path("/scratch/a.txt")}],
            ["a.txt"],
            id="objects that are no files",
        ),
        pytest.param(
            measure, '{"path": {"$path": "a.txt"}}', {}, {"path": Path("/scratch/a.txt")}, ["a.txt"], id="both"
        ),
        pytest.param(measure, "[null]", {}, [None], [], id="no file where one may be"),
        pytest.param(measure, '{"path": "x"}', {"detect": False}, {"path": "x"}, [], id="not without detection"),
        pytest.param(
            anything, '[{"$path": "x"}]', {"detect": False}, [{"$path": "x"}], [], id="no object without detection"
        ),
        pytest.param(
            anything,
            '{"$path": "x", "y": 1}',
            {"detect": False},
            {"$path": "x", "y": 1},
            [],
            id="arguments that look like a file",
        ),
        pytest.param(
            measure,
            '{"path": "a.txt"}',
            {"detect": False, "transfer": frozenset({"path"})},
            {"path": Path("/scratch/a.txt")},
            ["a.txt"],
            id="by name without detection",
        ),
    ],
)
def test_files(
    data: Path, function: Callable[..., Any], line: str, options: dict[str, Any], call: Any, files: list[str]
) -> None:
    """Files are found, and the function gets the paths where they land."""
    table = FileTable()
    (wire,) = encoded(line.encode(), function, files=table, directory=data, **options)
    args, kwargs = decode_call(wire, SCRATCH)
    brought = brought_files(wire)
    assert (kwargs or args) == call
    assert [name for _, name in brought] == files
    assert [identifier for identifier, _ in brought] == [file.id for file in table]


def test_wire_of_files(data: Path) -> None:
    """A call with files has their ids and places behind a TAB."""
    (wire,) = encoded(b'{"path": "d/a.txt"}', measure, directory=data)
    assert wire == b'{"path":{"$path":"a.txt"}}\t[["f0","a.txt"]]'


def test_files_with_odd_names(tmp_path: Path) -> None:
    """Any name that a file can have gets through."""
    names = ["a\tb", "a\nb", 'a"b', "é", os.fsdecode(b"\xff"), "-x", "$path", "a b,c"]
    for name in names:
        (tmp_path / name).touch()
    wires = encoded("\n".join(map(json.dumps, names)).encode(), measure, directory=tmp_path)
    assert not any(wire.count(b"\t") > 1 or b"\n" in wire for wire in wires)
    assert [decode_call(wire, SCRATCH)[0] for wire in wires] == [[Path("/scratch", name)] for name in names]


def test_all_that_is_wrong_is_reported_together(data: Path) -> None:
    """All errors are reported in the order of the file: bad lines, bad calls and missing files."""
    source = data / "d" / "in.jsonl"
    source.write_text('{"path": "missing", "dark": "https://host/"}\n{"path": 1\n{}\n{"path": "d/a.txt"}\n"in.jsonl"\n')
    with pytest.raises(BadInputs) as caught:
        list(read(str(source), measure, InputsOptions(), FileTable(), data))
    assert str(caught.value).splitlines() == [
        f"{source}:1: no such file: missing",
        f"{source}:1: a URL that names no file: https://host/",
        f"{source}:2: column 11: Expecting ',' delimiter (the line ends too early)",
        f"{source}:3: missing argument 'path'; measure takes path, size=..., *, dark=...",
        f"{source}:5: no such file: in.jsonl (there is one beside the inputs: {source})",
    ]
    assert caught.value.total == 5


def test_many_errors() -> None:
    """The first 20 errors are kept, and all are counted."""
    with pytest.raises(BadInputs) as caught:
        encoded(b"oops\n" * 1000)
    assert len(caught.value.errors) == 20
    assert caught.value.total == 1000


def test_unknown_transfer_is_an_error_at_once() -> None:
    """A name to transfer that is no parameter is an error before anything is read."""
    with pytest.raises(UsageError, match=r"cannot transfer 'pth'.*did you mean 'path'"):
        read("nowhere.jsonl", measure, InputsOptions(transfer=frozenset({"pth"})), FileTable(), Path())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(gzip.compress(b"1"), "this is a gzip file; try: zcat", id="gzip"),
        pytest.param(b"PK\x03\x04xyz", "this is a zip file, or a workbook of a spreadsheet program", id="zip"),
        pytest.param(
            codecs.BOM_UTF16_LE + b"1\0", "this is text in UTF-16; try: iconv -f utf-16 -t utf-8", id="UTF-16"
        ),
        pytest.param("1".encode("utf-16"), "this is text in UTF-16", id="UTF-16 as Python writes it"),
    ],
)
@pytest.mark.parametrize("name", ["in.jsonl", "in.csv"])
def test_files_that_are_no_text(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """A file in a form that is not read is one error, without a line."""
    source = tmp_path / name
    source.write_bytes(content)
    with pytest.raises(BadInputs) as caught:
        list(read(str(source), anything, InputsOptions(), FileTable(), tmp_path))
    assert str(caught.value).startswith(f"{source}: {message}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("in.jsnl", "in.jsnl: no such file (did you mean {}/in.jsonl?)", id="not there, but a similar one"),
        pytest.param("zzz", "zzz: no such file", id="not there"),
        pytest.param("nowhere/in.jsonl", "nowhere/in.jsonl: no such file", id="not even the directory"),
        pytest.param("directory", "directory: is a directory", id="a directory"),
        pytest.param("in.jsonl/x", "in.jsonl/x: not a directory", id="below a file"),
        pytest.param("loop", "loop: too many levels of symbolic links", id="a loop"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, message: str) -> None:
    """A file that cannot be read is one error, without a line."""
    (tmp_path / "in.jsonl").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadInputs) as caught:
        list(read(str(tmp_path / name), anything, InputsOptions(), FileTable(), tmp_path))
    assert str(caught.value) == f"{tmp_path}/{message}".format(tmp_path)


@pytest.mark.parametrize("format_", ["jsonl", "csv", "tsv"])
@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_nothing_to_run(format_: str, data: bytes) -> None:
    """Inputs without a call make an empty map."""
    with pytest.raises(EmptyMap, match="<stdin> has no inputs"):
        encoded(data, format=format_)


def test_slow_pipe() -> None:
    """A call is there as soon as its line is, however slowly a pipe delivers."""
    receiver, sender = os.pipe()
    seen = []

    def send() -> None:
        with os.fdopen(sender, "wb", buffering=0) as stream:
            for number in range(3):
                stream.write(b"%d\n" % number)
                for _ in range(1000):
                    if len(seen) == number + 1:
                        break
                    time.sleep(0.005)

    thread = threading.Thread(target=send)
    thread.start()
    with os.fdopen(receiver, "rb") as stream:
        started = time.monotonic()
        for line in read("-", anything, InputsOptions(), FileTable(), Path(), stream):
            seen.append(line)  # noqa: PERF402 (the other thread looks at each)
    thread.join()
    assert seen == [b"[0]", b"[1]", b"[2]"]
    assert time.monotonic() - started < 4


def test_memory_does_not_grow_with_the_file() -> None:
    """Lines are read as they are asked for, and not before."""

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = (b"[1]\n" * len(buffer))[: len(buffer)]
            return len(buffer)

    stream: BinaryIO = io.BufferedReader(Endless())
    calls: Iterator[bytes] = read("-", anything, InputsOptions(), FileTable(), Path(), stream)
    assert [next(calls) for _ in range(10)] == [b"[1]"] * 10


@pytest.mark.parametrize(("name", "count"), [("in.csv", 1), ("in.CSV", 1), ("in.tsv", 1), ("in.txt", 2), ("in", 2)])
def test_format_by_extension(tmp_path: Path, name: str, count: int) -> None:
    """The extension says what a file is; JSONL is what has no other."""
    (tmp_path / name).write_text("1\n2\n")
    calls = read(str(tmp_path / name), anything, InputsOptions(), FileTable(), tmp_path)
    assert len(list(calls)) == count


def test_single() -> None:
    """Without inputs there is one call without arguments, if the function can be called so."""
    assert single(anything) == b"[]"
    with pytest.raises(
        UsageError, match=r"missing argument 'x'; scale takes .*; arguments come from a file: --args FILE"
    ):
        single(scale)


@pytest.mark.parametrize(
    ("args", "kwargs", "is_json"),
    [
        pytest.param([], {}, True, id="nothing"),
        pytest.param([1, "é", None, {"a": [0.1]}], {}, True, id="by position"),
        pytest.param([], {"x": "\ud800"}, True, id="by keyword"),
        pytest.param([{"$path": "x"}], {}, True, id="data that looks like a file"),
        pytest.param([1], {"x": 2}, False, id="both"),
        pytest.param([(1, 2)], {}, False, id="a tuple"),
        pytest.param([], {"x": {1: 2}}, False, id="keys that are no strings"),
        pytest.param([10**5000], {}, not hasattr(sys, "get_int_max_str_digits"), id="an integer of too many digits"),
    ],
)
def test_encode_call(args: list[Any], kwargs: dict[str, Any], is_json: bool) -> None:
    """Any call gets through, as JSON if that gives back the same."""
    line = encode_call(args, kwargs)
    assert (line[:1] != b'"') == is_json
    assert decode_call(line, SCRATCH) == (args, kwargs)
    assert brought_files(line) == []


def test_pickled_calls_with_files() -> None:
    """A pickled call can have files as well."""
    pickled = base64.b64encode(pickle.dumps(((1,), {"x": 2})))
    line = b'"%b"\t[["f0","a"]]' % pickled
    assert decode_call(line, SCRATCH) == ([1], {"x": 2})
    assert brought_files(line) == [("f0", "a")]


@given(
    st.binary() | st.lists(st.sampled_from(b'{"$path":[1,}] \t\r\n\'x;\\u0024\xff\x00'), max_size=60).map(bytes),
    st.sampled_from(["jsonl", "csv", "tsv"]),
    st.sampled_from([anything, measure, scale, each]),
    st.booleans(),
)
@example(b'{"path": "\\ud800"}', "jsonl", measure, True)
@example(b'[{"$path": "\\u0000"}]', "jsonl", measure, True)
@settings(max_examples=500, deadline=None)
def test_random_bytes(data: bytes, format_: str, function: Callable[..., Any], detect: bool) -> None:
    """Whatever the bytes, they make calls that can be decoded and that fit, or an error that is meant for users."""
    try:
        lines = encoded(data, function, format=format_, detect=detect)
    except (BadInputs, EmptyMap):
        return
    for line in lines:
        args, kwargs = decode_call(line, SCRATCH)
        function(*args, **kwargs)


@pytest.mark.parametrize("line", [b"", b"\0\0\0", b"[1", b"[1]]"])
def test_a_damaged_call(line: bytes) -> None:
    """What is no call any more is an error in the words of the JSON reader."""
    with pytest.raises(ValueError, match=r"Expecting|Extra data"):
        decode_call(line, SCRATCH)
