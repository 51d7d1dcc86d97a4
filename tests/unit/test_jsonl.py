"""What lines of JSON become as calls, and what is said of lines that cannot."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htrun.encoder import InputsOptions
from htrun.exceptions import BadInputs
from htrun.inputs import read
from htrun.runner.calls import decode_call
from htrun.transfers import FileTable

if TYPE_CHECKING:
    from collections.abc import Callable

SCRATCH = "/scratch"


def anything(*args: Any, **kwargs: Any) -> None:
    """Take anything."""


def encoded(data: bytes, function: Callable[..., Any] = anything, **options: Any) -> list[bytes]:
    """Return the calls of a text as they are on the wire."""
    return list(read("-", function, InputsOptions(**options), FileTable(), Path(), io.BytesIO(data)))


def decoded(data: bytes, function: Callable[..., Any] = anything, **options: Any) -> list[Any]:
    """Return the calls of a text as the function gets them: a list, or a dict where it is not empty."""
    calls = [decode_call(line, SCRATCH) for line in encoded(data, function, **options)]
    return [kwargs or args for args, kwargs in calls]


def errors(data: bytes, function: Callable[..., Any] = anything, **options: Any) -> list[str]:
    """Return what is wrong with a text, as ``line: message`` each."""
    with pytest.raises(BadInputs) as caught:
        encoded(data, function, **options)
    return [str(error).removeprefix("<stdin>:").strip() for error in caught.value.errors]


@pytest.mark.parametrize(
    ("line", "call"),
    [
        pytest.param(b'{"x": 1, "y": [2]}', {"x": 1, "y": [2]}, id="an object is keyword arguments"),
        pytest.param(b'[1, "a"]', [1, "a"], id="an array is positional arguments"),
        pytest.param(b"{}", [], id="an empty object is no arguments"),
        pytest.param(b"3", [3], id="a number"),
        pytest.param(b'"a\\tb"', ["a\tb"], id="a string"),
        pytest.param(b"null", [None], id="null"),
        pytest.param(b" \t[1,\t2]\r", [1, 2], id="white space, a TAB within included"),
        pytest.param(b"[1,\r2]", [1, 2], id="a carriage return as white space"),
        pytest.param('"a\u2028b\u0085c"'.encode(), ["a\u2028b\u0085c"], id="what Unicode calls line ends"),
        pytest.param(b'["\\ud800"]', ["\ud800"], id="a lone surrogate"),
        pytest.param(b'\xef\xbb\xbf{"x": 1}', {"x": 1}, id="after a byte order mark"),
        pytest.param(b"[1e400, -Infinity]", [float("inf"), float("-inf")], id="infinities"),
        pytest.param(b"123456789012345678901234567890", [123456789012345678901234567890], id="a big integer"),
        pytest.param(b'{"p\\u0061th": "x"}', {"path": "x"}, id="a key with an escape"),
        pytest.param(b'["$path", "\\"$path\\":"]', ["$path", '"$path":'], id="the key as a value"),
    ],
)
def test_lines(line: bytes, call: Any) -> None:
    """A line of JSON is a call, whatever it holds."""
    assert decoded(line) == [call]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"1\n2\n", id="with a newline at the end"),
        pytest.param(b"1\n2", id="without one"),
        pytest.param(b"1\r\n2\r\n", id="with CRLF"),
        pytest.param(b"\n1\n\n \t\n\x0c\n2\n\r\n", id="with blank lines"),
    ],
)
def test_line_ends(data: bytes) -> None:
    """Lines end with LF or CRLF, and blank ones are skipped."""
    assert decoded(data) == [[1], [2]]


@pytest.mark.parametrize(
    ("line", "wire"),
    [
        pytest.param('{"é" : 1.50}', '{"é" : 1.50}', id="an object as it is written"),
        pytest.param("  [1 , 2]", "[1 , 2]", id="an array as it is written"),
        pytest.param('"é"', '["é"]', id="anything else in an array"),
        pytest.param("[1,\t2]", "[1,2]", id="anew where there is a TAB"),
    ],
)
def test_lines_are_kept(line: str, wire: str) -> None:
    """A line goes on the wire as it was written, unless there is a reason against it."""
    assert encoded(line.encode()) == [wire.encode()]


def test_nan() -> None:
    """NaN arrives as NaN."""
    (call,) = decoded(b"[NaN]")
    assert call[0] != call[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param(
            b"{'x': 1}",
            "column 2: Expecting property name enclosed in double quotes (strings take double",
            id="single quotes",
        ),
        pytest.param(
            b"['x']", "column 2: Expecting value (strings take double quotes)", id="a string in single quotes"
        ),
        pytest.param(b'  {"x" 1}', "column 8: Expecting ':' delimiter", id="the column counts white space"),
        pytest.param(
            b'{"x": 1}, ', "column 9: Extra data (no comma follows a line's value)", id="a comma between lines"
        ),
        pytest.param(b"1 2", "column 3: Extra data", id="two values"),
        pytest.param(b"[None]", "column 2: Expecting value (None is written null)", id="None"),
        pytest.param(b'{"x": True}', "column 7: Expecting value (True is written true)", id="True"),
        pytest.param(
            b"a.txt",
            "column 1: Expecting value (strings take double quotes; a table needs --input-format csv or tsv)",
            id="bare text",
        ),
        pytest.param(b'{"x": 1', "column 8: Expecting ',' delimiter (the line ends too early)", id="cut off"),
        pytest.param(b'["x', "column 2: Unterminated string", id="a string cut off"),
        pytest.param(b'["a\x01"]', "column 4: Invalid control character", id="a control character"),
        pytest.param(b"[\x00]", "column 2: Expecting value (a NUL byte; is this text, and in UTF-8?)", id="a NUL"),
        pytest.param(b' "\xc3\xa9\xff"', "invalid UTF-8 at byte 5 (0xff)", id="invalid UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', "invalid UTF-8 at byte 2 (0xed)", id="an encoded surrogate"),
        pytest.param(b"[" * 200_000, "nested too deep", id="nested too deep"),
        pytest.param(
            b'{"$path": ' + b"[" * 3000 + b"]" * 3000 + b', "x": 1}', "nested too deep", id="nested too deep for us"
        ),
        pytest.param(b'{"a": {"x": 1, "y": 2, "x": 1}}', "the key 'x' is there twice in one object", id="a key twice"),
    ],
)
def test_invalid_json(line: bytes, message: str) -> None:
    """A line that is not JSON is an error that says where, and what to do about common mistakes."""
    (error,) = errors(b"\n" + line + b"\n1\n")
    assert error.startswith(f"2: {message}")


@pytest.mark.parametrize("line", [b"[1, 2,]", b'{"x": 1,}'])
def test_comma_too_many(line: bytes) -> None:
    """A comma after the last item is pointed out, in words that depend on the version of Python."""
    (error,) = errors(line)
    assert "no comma follows the last item" in error or "Illegal trailing comma" in error


def test_integer_of_too_many_digits() -> None:
    """An integer that Python refuses to read is an error of its line, where there is such a limit."""
    line = b"9" * 10_000
    try:
        int(line)
    except ValueError:
        assert errors(line) == ["1: an integer of too many digits"]
    else:
        assert len(encoded(line)) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b'[\n {"x": 1},\n {"x": 2}\n]\n', "jq -c '.[]'", id="an array"),
        pytest.param(b'[{\n  "x": 1\n}]\n', "jq -c '.[]'", id="an array that begins with an object"),
        pytest.param(b'{\n  "x": 1\n}\n', "jq -c .", id="an object"),
    ],
)
def test_one_document_over_several_lines(data: bytes, message: str) -> None:
    """A pretty-printed document is one error, which says what makes JSONL of it."""
    expected = f"1: this is one JSON document over several lines, not a call a line; {message} makes JSONL of it"
    assert errors(data) == [expected]


def test_an_array_with_an_item_a_line() -> None:
    """An array that goes on in the next line gets the same advice."""
    assert "jq -c '.[]' makes JSONL" in errors(b'[{"x": 1},\n{"x": 2}]\n')[0]


def test_one_long_line() -> None:
    """A line of many megabytes takes time in proportion."""
    line = b'{"x": [' + b'"a", ' * 2_000_000 + b"0]}"
    started = time.monotonic()
    assert encoded(line) == [line]
    assert time.monotonic() - started < 10


text = st.text(st.characters(codec=None)) | st.sampled_from(["$path", "items", "\ud800", "\u2028\t\r\n\0"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(text, children, max_size=4),
    max_leaves=10,
)


@given(st.lists(values, min_size=1), st.booleans(), st.sampled_from(["\n", "\r\n", "\n \n"]))
@settings(deadline=None)
def test_jsonl_round_trip(items: list[Any], ascii_only: bool, end: str) -> None:
    """Any values written as JSONL arrive as they were."""
    content = end.join(json.dumps(item, ensure_ascii=ascii_only) for item in items)
    try:
        data = content.encode()
    except UnicodeEncodeError:
        data = end.join(map(json.dumps, items)).encode()
    calls = [item if isinstance(item, (dict, list)) else [item] for item in items]
    assert decoded(data, detect=False) == [call or [] for call in calls]
