"""What rows of CSV and TSV become as calls, and what is said of rows that cannot."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htrun.encoder import InputsOptions
from htrun.exceptions import BadInputs, EmptyMap
from htrun.inputs import read
from htrun.runner.calls import decode_call
from htrun.transfers import FileTable

if TYPE_CHECKING:
    from collections.abc import Callable

SCRATCH = "/scratch"


def anything(*args: Any, **kwargs: Any) -> None:
    """Take anything."""


def measure(path: Path, size: int = 1, *, dark: Path | None = None) -> None:
    """Take files."""


def scale(x: float, factor: int = 2) -> None:
    """Take numbers."""


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


def test_header_alone() -> None:
    """A table without rows makes an empty map."""
    with pytest.raises(EmptyMap):
        encoded(b"x,y\n", format="csv")


@pytest.mark.parametrize(
    ("data", "format_", "calls"),
    [
        pytest.param(b"x,y\n1,2\n3,4\n", "csv", [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}], id="CSV"),
        pytest.param(b"x\ty\n1,2\t3\n", "tsv", [{"x": "1,2", "y": "3"}], id="TSV"),
        pytest.param(b"\xef\xbb\xbfx,y\r\n1,2\r\n", "csv", [{"x": "1", "y": "2"}], id="as Excel writes it"),
        pytest.param(
            b" x , y\n1, 2\n", "csv", [{"x": "1", "y": " 2"}], id="white space in the header alone is dropped"
        ),
        pytest.param(b'x,y\n"a,b\n\nc","d""e"\n', "csv", [{"x": "a,b\n\nc", "y": 'd"e'}], id="quotes"),
        pytest.param(b'x\ty\n"a\tb"\tc\n', "tsv", [{"x": "a\tb", "y": "c"}], id="quotes in TSV"),
        pytest.param(b"x,y\n\n1,2\n  \n\r\n3,4", "csv", [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}], id="blank lines"),
        pytest.param(b'x\n""\n\n', "csv", [{"x": ""}], id="an empty string in quotes is no blank line"),
        pytest.param(b"x\ty\n\t\n", "tsv", [{"x": "", "y": ""}], id="a TAB alone is two empty fields"),
        pytest.param("x\né\u2028\n".encode(), "csv", [{"x": "é\u2028"}], id="what is not ASCII"),
        pytest.param(b"$path\na\n", "csv", [{"$path": "a"}], id="a column called $path"),
    ],
)
def test_tables(data: bytes, format_: str, calls: list[Any]) -> None:
    """A row of a table is a call with the header's names."""
    assert decoded(data, format=format_) == calls


def test_fields_become_what_annotations_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers and files in a table arrive as such."""
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    for name in ("a.txt", "b.txt", "d/a.txt"):
        Path(name).touch()
    table = b"path,size,dark\na.txt,12,\nd/a.txt,,b.txt\n"
    assert decoded(table, measure, format="csv") == [
        {"path": Path("/scratch/a.txt"), "size": 12, "dark": None},
        {"path": Path("/scratch/a.txt"), "dark": Path("/scratch/b.txt")},
    ]
    assert decoded(b"path\nx/y\n", measure, format="csv", detect=False) == [{"path": Path("x/y")}]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"x\nabc\n", ["2: x: 'abc' is not a float"], id="no number"),
        pytest.param(
            b"x,factor\n1,a\nb,c\n",
            ["2: factor: 'a' is not an int", "3: x: 'b' is not a float", "3: factor: 'c' is not an int"],
            id="several",
        ),
        pytest.param(
            b"x,factor\n1\n1,2,3\n",
            ["2: 1 field, but the header has 2", "3: 3 fields, but the header has 2"],
            id="fields that are missing or too many",
        ),
        pytest.param(
            b"x,fctor\n1,2\n3,4\n",
            ["1: unexpected argument 'fctor' (did you mean 'factor'?); scale takes x, factor=..."],
            id="a misspelt name is one error",
        ),
        pytest.param(
            b"factor\n1\n2\n",
            ["1: missing argument 'x'; scale takes x, factor=..."],
            id="a missing column is one error",
        ),
        pytest.param(
            b"x,,x\n1,2,3\n",
            ["1: column 2 has no name", "1: the column 'x' is there twice"],
            id="a header without names",
        ),
        pytest.param(
            b"a;b\n1;2\n",
            ["1: unexpected argument 'a;b'; scale takes x, factor=... (columns are separated by ',' here, not by ';')"],
            id="semicolons",
        ),
        pytest.param(
            b'x\n"\n1\n"\n1\n"a\n\nb"\nc\n',
            ["6: x: 'a\\n\\nb' is not a float", "9: x: 'c' is not a float"],
            id="rows over several lines count from their first",
        ),
        pytest.param(b'x\n1\n"2\n3\n', ["3: a quote that opens in this row is never closed"], id="an open quote"),
        pytest.param(b'x,factor\n1,"2"3\n4,5\n', ["2: ',' expected after '\"'"], id="text after a quote"),
        pytest.param(
            b"x\r1\r2\r",
            ["1: a carriage return in the middle of a line; did an old Macintosh program write this?"],
            id="carriage returns alone",
        ),
        pytest.param(
            b"x\n\xff\n1\0\n2\n",
            ["2: invalid UTF-8 at byte 1 (0xff)", "3: a NUL byte; is this text, and in UTF-8?"],
            id="no text",
        ),
        pytest.param(b"\xffx\n1\n", ["1: invalid UTF-8 at byte 1 (0xff)"], id="a header that is no text"),
    ],
)
def test_bad_tables(data: bytes, expected: list[str]) -> None:
    """What is wrong with a table is said with the line where its row begins."""
    assert errors(data, scale, format="csv") == expected


def test_long_fields() -> None:
    """A field of a table has no limit of length."""
    assert decoded(b"x\n" + b"a" * 1_000_000, format="csv") == [{"x": "a" * 1_000_000}]


rows = st.lists(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=3, max_size=3),
    min_size=1,
)


@given(rows, st.sampled_from(["csv", "tsv"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@settings(deadline=None)
def test_table_round_trip(table: list[list[str]], format_: str, quoting: Any) -> None:
    """Any rows written by the csv module arrive as they were."""
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter="," if format_ == "csv" else "\t", quoting=quoting).writerows(
        [["x", "y", "$path"], *table]
    )
    expected = [dict(zip(("x", "y", "$path"), row, strict=True)) for row in table]
    assert decoded(stream.getvalue().encode(), format=format_) == expected
