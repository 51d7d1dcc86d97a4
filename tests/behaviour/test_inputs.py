"""The lines of a file as calls, and what is said about those that are wrong."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

ECHO = """
from pathlib import Path
from typing import Optional

def echo(*args, **kwargs):
    return [list(args), kwargs]

def typed(n: int, x: float = 0.5, flag: bool = False, name: str = "none", maybe: Optional[int] = None):
    return [n, x, flag, name, maybe, [type(v).__name__ for v in (n, x, flag, name, maybe)]]

def size(text):
    return len(text)

def depth(value):
    d = 0
    while isinstance(value, list) and value:
        value, d = value[0], d + 1
    return d

def points(text):
    return [ord(c) for c in text]

def none():
    return "called"

def keyword_only(*, size):
    return size
"""


@pytest.fixture
def echo(local: Shell) -> Shell:
    """Return a place with functions that show what they were called with."""
    local.write("m.py", ECHO)
    return local


def test_a_line_of_json_is_a_call(shell: Shell) -> None:
    """An object gives keyword arguments, an array positional ones, any other value the single positional argument."""
    shell.write("m.py", ECHO)
    values: list[Any] = [{"a": 1, "b": [2]}, [1, {"x": 2}], "text", 3, 4.5, None, True, [], {}, [[]], [{}]]
    values += ["line\u2028separator \t tab \\ \" ' $(x) ☃ \ufffd", {"ü": "\x00\x7f"}, 10**400, [1e308, -0.0]]
    rows = shell.run("m.py:echo", values, "--chunk-size", 4)
    expected = []
    for value in values:
        args = value if isinstance(value, list) else [] if isinstance(value, dict) else [value]
        expected.append([args, value if isinstance(value, dict) else {}])
    assert [row["output"] for row in rows] == expected


def test_without_args_the_function_is_called_once(shell: Shell) -> None:
    """Without ``--args`` the function is called once with no arguments."""
    shell.write("m.py", ECHO)
    assert shell.run("m.py:echo") == [{"component": 0, "status": "COMPLETED", "output": [[], {}]}]


FINE = {
    "blank lines": ("in.jsonl", b"\n1\n\n  \n\t\n2\n\n"),
    "CRLF": ("in.jsonl", b"1\r\n2\r\n"),
    "a byte order mark": ("in.jsonl", codecs.BOM_UTF8 + b"1\n2\n"),
    "no newline at the end": ("in.jsonl", b"1\n2"),
    "any extension": ("in.weird", b"1\n2\n"),
    "spaces around values": ("in.jsonl", b"  1  \n\t2\n"),
    "a table": ("in.csv", b"n\n1\n2\n"),
    "a table with CRLF and a byte order mark": ("in.csv", codecs.BOM_UTF8 + b"n\r\n1\r\n2\r\n"),
    "a table with blank lines": ("in.csv", b"n\n\n1\n\n2\n"),
    "a table by tabs": ("in.tsv", b"n\tname\n1\tx\n2\ty\n"),
    "a table in capitals": ("IN.CSV", b"n\n1\n2\n"),
}


@pytest.mark.parametrize(("name", "data"), FINE.values(), ids=FINE)
def test_what_text_editors_leave_is_fine(echo: Shell, name: str, data: bytes) -> None:
    """Blank lines, CRLF, a byte order mark and a missing last newline change nothing."""
    echo.write(name, data)
    echo("m.py:typed", "--args", name, "--tag", "t")
    assert [row["output"][0] for row in echo.outputs()] == [1, 2]


def test_fields_of_a_table_are_converted_by_annotations(shell: Shell) -> None:
    """CSV gives keyword arguments by header, as int, float, bool and Optional where the parameter says so."""
    shell.write("m.py", ECHO)
    shell.write(
        "in.csv",
        'n,x,flag,name,maybe\n1,2.5,true,"quoted, with ""comma""\nand line",7\n 2 ,1e3,0,,\n-3,inf,YES,null,\n',
    )
    shell("m.py:typed", "--args", "in.csv", "--tag", "t")
    types = ["int", "float", "bool", "str", "NoneType"]
    assert [row["output"] for row in shell.outputs()] == [
        [1, 2.5, True, 'quoted, with "comma"\nand line', 7, ["int", "float", "bool", "str", "int"]],
        [2, 1000.0, False, "", None, types],
        [-3, None, True, "null", None, types],
    ]
    shell("m.py:typed", "--args", "-", "--input-format", "tsv", "--tag", "u", input="n\tname\n5\ta,b\n")
    assert shell.outputs("u")[0]["output"][3] == "a,b"


def test_paths_in_a_table_are_files(shell: Shell) -> None:
    """A column whose parameter is annotated ``Path`` names files to bring along."""
    shell.write("m.py", "from pathlib import Path\n\ndef f(path: Path, n: int):\n    return path.read_text() * n\n")
    shell.write("a b.txt", "ab")
    shell.write("in.csv", "n,path\n2,a b.txt\n")
    shell("m.py:f", "--args", "in.csv", "--tag", "t")
    assert shell.outputs()[0]["output"] == "abab"


def test_dash_reads_standard_input(shell: Shell) -> None:
    """``--args -`` reads standard input, in the format that ``--input-format`` names."""
    shell.write("m.py", ECHO)
    shell("m.py:echo", "--args", "-", "--tag", "t", input='{"x": 1}\n[2]\n')
    assert [row["output"] for row in shell.outputs()] == [[[], {"x": 1}], [[2], {}]]


@dataclass(frozen=True)
class Bad:
    """Inputs that are wrong, and what is to be said about them."""

    id: str
    data: bytes
    message: str
    function: str = "typed"
    name: str = "in.jsonl"
    code: int = 4


BAD = [
    Bad("invalid JSON", b"[1]\n[1, }\n", r"^in\.jsonl:2: column 5: "),
    Bad("single quotes", b"{'n': 1}\n", r"^in\.jsonl:1: column 2: .*double quotes"),
    Bad("a trailing comma", b"[1,]\n", r"^in\.jsonl:1: column 4: "),
    Bad("a document over several lines", b"[\n  1,\n  2\n]\n", r"^in\.jsonl:1: .*jq -c"),
    Bad("two values on a line", b"1 2\n", r"^in\.jsonl:1: column 3: "),
    Bad("NUL bytes", b"1\n\0\n", r"^in\.jsonl:2: .*NUL"),
    Bad("invalid UTF-8", b'"a\xffb"\n', r"^in\.jsonl:1: invalid UTF-8 at byte 3"),
    Bad("UTF-16", '"x"\n'.encode("utf-16"), r"^in\.jsonl: .*UTF-16"),
    Bad("a compressed file", gzip.compress(b"1\n"), r"^in\.jsonl: .*gzip"),
    Bad("nested too deep", b"[" * 200_000 + b"]" * 200_000 + b"\n", r"^in\.jsonl:1: .*deep"),
    Bad("an integer of too many digits", b"[" + b"1" * 5000 + b"]\n", r"^in\.jsonl:1: .*digits"),
    Bad("a key twice", b'{"n": 1, "n": 2}\n', r"^in\.jsonl:1: .*'n' is there twice"),
    Bad("an unexpected argument", b'{"n": 1}\n{"nn": 1, "n": 2}\n', r"^in\.jsonl:2: unexpected argument 'nn'"),
    Bad("a missing argument", b'{"x": 1}\n', r"^in\.jsonl:1: missing argument 'n'"),
    Bad("too many arguments", b"[1,2,3,4,5,6]\n", r"^in\.jsonl:1: 6 positional arguments are too many"),
    Bad("an argument where none is taken", b"1\n", r"^in\.jsonl:1: .*too many", "none"),
    Bad("a position where a keyword is needed", b"1\n", r"^in\.jsonl:1: .*", "keyword_only"),
    Bad(
        "a field that is no int",
        b"n\n1\nabc\n2.5\n",
        r"^in\.csv:3: n: .*abc.* int(.|\n)*^in\.csv:4: n: ",
        name="in.csv",
    ),
    Bad("a field that is no float", b"n,x\n1,one\n", r"^in\.csv:2: x: .*one.*float", name="in.csv"),
    Bad("a field that is no bool", b"n,flag\n1,maybe\n", r"^in\.csv:2: flag: .*maybe.*bool", name="in.csv"),
    Bad("an empty field where one is needed", b"n,x\n,1\n", r"^in\.csv:2: n: ", name="in.csv"),
    Bad("a header that is no parameter", b"n,size\n1,2\n", r"^in\.csv:1: .*size", name="in.csv"),
    Bad("a header twice", b"n,n\n1,2\n", r"^in\.csv:1: .*n", name="in.csv"),
    Bad("a missing column", b"x\n1\n", r"^in\.csv:1: .*'n'", name="in.csv"),
    Bad("too few fields", b"n,x\n1\n", r"^in\.csv:2: ", name="in.csv"),
    Bad("too many fields", b"n,x\n1,2,3\n", r"^in\.csv:2: ", name="in.csv"),
    Bad("a quote that is never closed", b'n,name\n1,"x\n2,y\n', r"^in\.csv:2: .*quote", name="in.csv"),
    Bad("nothing", b"", r"no inputs", code=5),
    Bad("blank lines only", b"\n  \n\r\n", r"no inputs", code=5),
    Bad("a byte order mark only", codecs.BOM_UTF8, r"no inputs", code=5),
    Bad("a header only", b"n,x\n", r"no inputs", name="in.csv", code=5),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.id)
def test_bad_inputs_are_told_with_their_lines_before_anything_starts(echo: Shell, bad: Bad) -> None:
    """Wrong inputs are told as ``file:line: message`` with exit code 4, empty ones with 5; nothing is made."""
    echo.write(bad.name, bad.data)
    before = sorted(os.listdir(echo.cwd))
    done = echo(f"m.py:{bad.function}", "--args", bad.name, "--tag", "t", code=bad.code)
    assert done.stdout == ""
    assert re.search(bad.message, done.stderr, re.MULTILINE), done.stderr
    assert max(map(len, done.stderr.splitlines())) < 1000
    assert [name for name in sorted(os.listdir(echo.cwd)) if name != "__pycache__"] == before
    assert echo("tags").stdout == ""
    assert not list((echo.home / "registry").rglob("t"))


def test_all_errors_are_told_at_once(echo: Shell) -> None:
    """The first 20 errors are shown, in the order of the file, and the rest is counted."""
    echo.write("in.jsonl", "".join("{}\n" if n % 2 else "oops\n" for n in range(1, 61)))
    lines = echo("m.py:typed", "--args", "in.jsonl", code=4).stderr.splitlines()
    assert [line.split(":")[1] for line in lines[:20]] == [str(n) for n in range(1, 21)]
    assert "40 more" in lines[20]
    assert len(lines) == 21
    done = echo("m.py:typed", "--args", "-", code=4, input='{"n": 1}\noops\n')
    assert done.stderr.startswith("<stdin>:2: column 1: ")


def test_what_is_no_readable_file_is_told(echo: Shell) -> None:
    """A directory, a file without permission and one that is not there are told by name, with exit code 4."""
    (echo.cwd / "directory").mkdir()
    echo.write("secret.jsonl", "1\n").chmod(0)
    echo.write("modules.jsonl", "1\n")
    for name, message in (
        ("directory", "directory"),
        ("nowhere.jsonl", "no such file"),
        ("module.jsonl", "did you mean"),
    ):
        done = echo("m.py:typed", "--args", name, code=4)
        assert done.stderr.startswith(f"{name}: ")
        assert message in done.stderr
    if os.geteuid() != 0:  # who may read everything
        assert "secret.jsonl: permission denied" in echo("m.py:typed", "--args", "secret.jsonl", code=4).stderr
    assert echo("tags").stdout == ""


def test_a_function_that_needs_arguments_needs_a_file(echo: Shell) -> None:
    """Without ``--args``, a function with required parameters is refused, and the message names the option."""
    done = echo("m.py:typed", code=4)
    assert "missing argument 'n'" in done.stderr
    assert "--args" in done.stderr


def test_a_line_of_100_mb_is_an_argument_like_any_other(echo: Shell) -> None:
    """A line of 100 MB arrives."""
    echo.write("in.jsonl", b'"' + b"x" * 100_000_000 + b'"\n')
    echo("m.py:size", "--args", "in.jsonl", "--tag", "t")
    assert echo.outputs()[0]["output"] == 100_000_000


def test_nesting_that_python_can_parse_arrives(echo: Shell) -> None:
    """Values nested a few hundred levels deep arrive as they are."""
    assert echo.run("m.py:depth", [[json.loads("[" * 300 + "1" + "]" * 300)]])[0]["output"] == 300


def test_lone_surrogates_arrive_unchanged(shell: Shell) -> None:
    """A lone surrogate in a JSON string reaches the function; exported it is a character that all programs take."""
    shell.write("m.py", ECHO + "\ndef same(text):\n    return text\n")
    assert shell.run("m.py:points", ["\ud800\udfff\udc00"])[0]["output"] == [0x103FF, 0xDC00]
    assert shell.run("m.py:same", ["a\ud800"], "--overwrite")[0]["output"] == "a\ufffd"
    (shell.path() / "outputs.jsonl").read_bytes().decode("utf-8")


INVALID_TAGS = [
    "",
    "a/b",
    "../up",
    ".hidden",
    "-dash",
    "with space",
    "st*r",
    "wh?t",
    "[x]",
    "new\nline",
    "a:b",
    "x" * 300,
]


@pytest.mark.parametrize("tag", INVALID_TAGS, ids=ascii)
def test_an_invalid_tag_is_refused(echo: Shell, tag: str) -> None:
    """A tag that could not be a name of a directory, or would be taken for a pattern, is refused with exit code 4."""
    done = echo("m.py:echo", f"--tag={tag}", code=4)
    assert "invalid tag" in done.stderr
    assert not (echo.cwd / "results").exists()
    assert echo("tags").stdout == ""


def test_a_taken_tag_is_refused_before_the_inputs_are_read(echo: Shell) -> None:
    """A taken tag is refused with exit code 4, whatever else is wrong, and its map stays as it is."""
    echo.run("m.py:echo", [1])
    before = (echo.path() / "outputs.jsonl").read_bytes()
    done = echo("m.py:echo", "--tag", "t", "--args", "-", code=4, input="oops\n")
    assert "taken" in done.stderr
    assert "--overwrite" in done.stderr
    assert (echo.path() / "outputs.jsonl").read_bytes() == before
    assert [p.name for p in (echo.cwd / "results").iterdir()] == ["t"]


def test_a_usage_error_has_exit_code_4(local: Shell) -> None:
    """Options that do not exist, have a wrong value or contradict each other are usage errors, exit code 4."""
    local.write("m.py", ECHO)
    for words in (
        ["m.py:echo", "--nonsense"],
        ["m.py:echo", "--workers", "0"],
        ["m.py:echo", "--chunk-size", "-1"],
        ["m.py:echo", "--maxfail", "x"],
        ["m.py:echo", "--engine", "nonsense"],
        ["m.py:echo", "--tb", "nonsense"],
        ["m.py:echo", "--detach", "--stdout"],
        ["m.py:typed", "--transfer", "nonsense", "--args", "-"],
        ["m.py:echo", "extra"],
        ["collect"],
        ["collect", "nowhere"],
        ["status", "nowhere"],
        ["wait"],
        ["remove"],
    ):
        done = local(*words, code=4)
        assert done.stdout == "", words
        assert done.stderr, words
    assert not (local.cwd / "results").exists()
