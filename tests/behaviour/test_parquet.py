"""Inputs in Parquet."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.conftest import Shell

FUNCTIONS = """
from pathlib import Path

def echo(**kwargs):
    return kwargs

def f(x, y=0):
    return [x, y]

def read(path: Path):
    return path.read_text()
"""

COLUMNS = {
    "int": (pa.array([1, None]), 1),
    "float": (pa.array([1.5, None]), 1.5),
    "half": (pa.array([1.5, None], pa.float16()), 1.5),
    "big": (pa.array([2**64 - 1, None], pa.uint64()), 2**64 - 1),
    "text": (pa.array(["ä\n", None]), "ä\n"),
    "bool": (pa.array([True, None]), True),
    "list": (pa.array([[1, None], None]), [1, None]),
    "struct": (pa.array([{"a": 1, "when": dt.date(2026, 1, 2)}, None]), {"a": 1, "when": "2026-01-02"}),
    "map": (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), {"a": 1}),
    "date": (pa.array([dt.date(2026, 1, 2), None]), "2026-01-02"),
    "time": (pa.array([1000, None], pa.time64("ns")), "00:00:00.000001"),
    "seconds": (pa.array([0, None], pa.timestamp("s")), "1970-01-01T00:00:00"),
    "nanoseconds": (pa.array([10**9 + 1000, None], pa.timestamp("ns", "UTC")), "1970-01-01T00:00:01.000001+00:00"),
    "times": (pa.array([[10**9], None], pa.list_(pa.timestamp("ns"))), ["1970-01-01T00:00:01"]),
    "duration": (pa.array([1_500_000_000, None], pa.duration("ns")), 1.5),
    "decimal": (pa.array([Decimal("1.10"), None]), "1.10"),
    "binary": (pa.array([b"\x00\xff", None]), "AP8="),
    "words": (pa.array(["a", None]).dictionary_encode(), "a"),
}


def write(path: Path, table: dict[str, Any] | pa.Table, **options: Any) -> Path:
    """Write a table to a Parquet file."""
    parquet.write_table(pa.table(table) if isinstance(table, dict) else table, path, **options)
    return path


@pytest.fixture
def place(local: Shell) -> Shell:
    """Return a place with some functions."""
    local.write("m.py", FUNCTIONS)
    return local


def test_types(place: Shell) -> None:
    """Values are what JSON has for them, and else what they are exported as; null is None."""
    write(place.cwd / "in.parquet", {name: column for name, (column, _) in COLUMNS.items()})
    place("m.py:echo", "--args", "in.parquet", "--tag", "t", "-q")
    first, second = (row["output"] for row in place.outputs())
    assert first == {name: value for name, (_, value) in COLUMNS.items()}
    assert second == dict.fromkeys(COLUMNS)


def test_rows_are_calls(shell: Shell) -> None:
    """Each row is a component, in order, whatever groups they are in, from a file or standard input."""
    shell.write("m.py", FUNCTIONS)
    path = write(shell.cwd / "in.PARQUET", {"x": range(1000), "y": [i % 7 for i in range(1000)]}, row_group_size=128)
    shell("m.py:f", "--args", path, "--tag", "t", "-q")
    assert [row["output"] for row in shell.outputs()] == [[i, i % 7] for i in range(1000)]
    with path.open("rb") as stdin:
        done = subprocess.run(
            [*shell.command, "m.py:f", "--args", "-", "--input-format", "parquet", "--collect-only", "-q"],
            cwd=shell.cwd, env=shell.env, stdin=stdin, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout.splitlines()[-1] == '999: f {"x": 999, "y": 5}'


def test_files_and_options_come_from_columns(place: Shell) -> None:
    """A column of a parameter for files names them, and one of no parameter may have an option."""
    place.write("a.txt", "a")
    write(place.cwd / "in.parquet", {"path": ["a.txt"], "memory": ["1GB"]})
    place("m.py:read", "--args", "in.parquet", "-o", "request_memory=@memory", "--tag", "t", "-q")
    assert place.outputs()[0]["output"] == "a"


def test_what_is_wrong_is_told(place: Shell) -> None:
    """What does not fit is told once for a column, and by row for values; so is what is no Parquet, or is one."""

    def complaint(*words: object) -> str:
        return place("m.py:f", "--args", *words, "--tag", "t", code=4).stderr.strip()

    path = write(place.cwd / "in.parquet", {"x": [1, 2], "z": [3, 4]})
    assert complaint("in.parquet") == "in.parquet: unexpected argument 'z'; f takes x, y=..."
    assert "in.parquet: no field 'zz' (did you mean 'z'?)" in complaint("in.parquet", "-o", "request_memory=@zz")
    place.write("in.jsonl", path.read_bytes())
    assert complaint("in.jsonl") == "in.jsonl: this is a Parquet file; add --input-format parquet"
    place.write("bad.parquet", "nonsense")
    assert complaint("bad.parquet").startswith("bad.parquet: Parquet magic bytes not found")
    assert "did you mean in.parquet?" in complaint("in.parqet", "--input-format", "parquet")
    write(path, {"x": pa.array([1], pa.timestamp("ns"))})
    assert complaint("in.parquet") == "in.parquet: Casting from timestamp[ns] to timestamp[us] would lose data: 1"
    write(path, pa.table([[1], [2]], ["x", "x"]))
    assert complaint("in.parquet") == "in.parquet: the column 'x' is there twice"
    write(path, {"x": pa.array([], pa.int64())})
    assert "has no inputs" in place("m.py:f", "--args", path, "--tag", "t", code=5).stderr


def test_it_says_what_to_install(place: Shell) -> None:
    """Without pyarrow the message says what brings it, and nothing else needs it."""
    place.write("blocked/pyarrow.py", "raise ImportError('No module named pyarrow')\n")
    write(place.cwd / "in.parquet", {"x": [1]})
    env = {"PYTHONPATH": str(place.cwd / "blocked")}
    done = place("m.py:f", "--args", "in.parquet", env=env, code=4)
    assert "pip install 'htrun[parquet]'" in done.stderr
    place("m.py:f", "--args", "-", input="1\n", env=env)


def test_rows_are_read_a_group_at_a_time(place: Shell) -> None:
    """A file is not read as a whole, so that large ones take no memory."""
    path = write(place.cwd / "in.parquet", {"x": range(200_000)}, row_group_size=10_000, use_dictionary=False)
    script = f"""
import sys
from htrun.parquet import read_rows
class Counted:
    def __init__(self, file): self.file, self.count = file, 0
    def read(self, size=-1):
        data = self.file.read(size)
        self.count += len(data)
        return data
    def __getattr__(self, name): return getattr(self.file, name)
with open({str(path)!r}, "rb") as file:
    counted = Counted(file)
    assert next(read_rows(counted, lambda names: True, print)) == (1, b'{{"x": 0}}')
    print(counted.count)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) < path.stat().st_size / 2
