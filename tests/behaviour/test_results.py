"""What a map leaves: its result files, and what ``htrun collect`` makes of them."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.conftest import parse, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

    Shared = Callable[..., tuple[Shell, Any]]

VALUES = """
import collections, dataclasses, datetime, decimal, enum, fractions, math, pathlib, uuid
import numpy as np

@dataclasses.dataclass
class Point:
    x: float
    label: str = "here"
    inner: object = None

class Color(enum.Enum):
    RED = "red"

class Level(enum.IntEnum):
    HIGH = 3

Pair = collections.namedtuple("Pair", "left right")

class Opaque:
    def __repr__(self):
        return "<opaque thing>"

VALUES = {
    "text": "t\\u00e9xt \\u2603 \\"quoted\\" \\n\\t\\x00",
    "int": 2**80,
    "float": 0.1,
    "minus zero": -0.0,
    "bool": True,
    "none": None,
    "list": [1, [2, [3]], {}],
    "dict": {"a": {"b": [1, None]}, "": 1, "\\u00fc": 2},
    "nan": math.nan,
    "infinities": [math.inf, -math.inf, {"deep": [math.nan]}],
    "tuple": (1, ("a", (2,))),
    "set": {3, 1, 2},
    "frozenset of str": frozenset("cab"),
    "bytes": b"\\x00\\xff",
    "bytearray": bytearray(b"abc"),
    "datetime": datetime.datetime(2024, 2, 29, 12, 30, 15, 500000),
    "datetime with zone": datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
    "date": datetime.date(2024, 2, 29),
    "time": datetime.time(1, 2),
    "timedelta": datetime.timedelta(minutes=1.5),
    "Decimal": decimal.Decimal("1.10"),
    "Fraction": fractions.Fraction(1, 3),
    "Path": pathlib.Path("a/b"),
    "UUID": uuid.UUID(int=1),
    "complex": 1 + 2j,
    "dataclass": Point(1.0, inner=Point(math.nan)),
    "enum": [Color.RED, Level.HIGH],
    "namedtuple": Pair(1, "b"),
    "range": range(3),
    "deque": collections.deque([1, 2]),
    "OrderedDict": collections.OrderedDict(b=1, a=2),
    "Counter": collections.Counter("aab"),
    "int keys": {1: "a", 2.5: "b", None: "c", True: "d"},
    "numpy scalars": [np.float64(0.5), np.float32(0.25), np.int64(3), np.bool_(True), np.str_("s")],
    "numpy nan": np.float64("nan"),
    "numpy array": np.arange(6).reshape(2, 3),
    "numpy floats": np.array([1.5, np.nan, np.inf]),
    "numpy 0-d": np.array(7),
    "numpy datetime": np.datetime64("2024-02-29T12:00:00"),
    "numpy nat": [np.datetime64("NaT"), np.array(["2024-02-29", "NaT"], "datetime64[D]"), np.timedelta64("NaT")],
    "numpy timedelta": [np.timedelta64(5, "s"), np.array([1500, 2], "timedelta64[ms]")],
    "numpy longdouble": np.longdouble(0.5),
    "lone surrogate": ["a\\ud800b", {"\\udcff": 1}],
    "numpy in dict": {"mean": np.float64(2.0), np.int64(5): np.zeros(2)},
    "str subclass": type("Name", (str,), {})("sub") if False else "sub",
}

def value(name):
    return VALUES[name]

def unexportable(name):
    return {"opaque": Opaque(), "nested": {"deep": [1, Opaque()]}, "function": value, "lambda": lambda: 3,
            "cycle": (lambda l: l.append(l) or l)([]), "fine": 1, "keys": {frozenset(): 1}}[name]
"""

EXPORTS: dict[str, Any] = {
    "text": 'téxt ☃ "quoted" \n\t\x00',
    "int": 2**80,
    "float": 0.1,
    "minus zero": -0.0,
    "bool": True,
    "none": None,
    "list": [1, [2, [3]], {}],
    "dict": {"a": {"b": [1, None]}, "": 1, "ü": 2},
    "nan": None,
    "infinities": [None, None, {"deep": [None]}],
    "tuple": [1, ["a", [2]]],
    "set": [1, 2, 3],
    "frozenset of str": ["a", "b", "c"],
    "bytes": "AP8=",
    "bytearray": "YWJj",
    "datetime": "2024-02-29T12:30:15.500000",
    "datetime with zone": "2024-02-29T00:00:00+00:00",
    "date": "2024-02-29",
    "time": "01:02:00",
    "timedelta": 90.0,
    "Decimal": "1.10",
    "Fraction": "1/3",
    "Path": "a/b",
    "UUID": "00000000-0000-0000-0000-000000000001",
    "complex": {"real": 1.0, "imag": 2.0},
    "dataclass": {"x": 1.0, "label": "here", "inner": {"x": None, "label": "here", "inner": None}},
    "enum": ["red", 3],
    "namedtuple": {"left": 1, "right": "b"},
    "range": [0, 1, 2],
    "deque": [1, 2],
    "OrderedDict": {"b": 1, "a": 2},
    "Counter": {"a": 2, "b": 1},
    "int keys": {"1": "d", "2.5": "b", "null": "c"},
    "numpy scalars": [0.5, 0.25, 3, True, "s"],
    "numpy nan": None,
    "numpy array": [[0, 1, 2], [3, 4, 5]],
    "numpy floats": [1.5, None, None],
    "numpy 0-d": 7,
    "numpy datetime": "2024-02-29T12:00:00",
    "numpy nat": [None, ["2024-02-29", None], None],
    "numpy timedelta": [5.0, [1.5, 0.002]],
    "numpy longdouble": 0.5,
    "lone surrogate": ["a\ufffdb", {"\ufffd": 1}],
    "numpy in dict": {"mean": 2.0, "5": [0.0, 0.0]},
}
NONFINITE = 1 + 3 + 1 + 1 + 2


def run_values(shell: Shell) -> dict[str, Any]:
    """Return a value of each type."""
    shell.write("m.py", VALUES)
    calls = shell.jsonl("in.jsonl", EXPORTS)
    done = shell("m.py:value", "--args", calls, "--tag", "t", "--chunk-size", 10)
    return {"stderr": done.stderr}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_value_of_this_type_exports_sensibly(shared: Shared, name: str) -> None:
    """A value of this type has a form in strict JSON, wherever it is in the output."""
    shell, _ = shared("values", run_values)
    row = shell.outputs()[list(EXPORTS).index(name)]
    assert row["status"] == "COMPLETED", row
    assert row["output"] == EXPORTS[name]
    assert type(row["output"]) is type(EXPORTS[name])


def test_nan_and_infinities_become_null_and_that_is_said_once(shared: Shared) -> None:
    """NaN and infinities are exported as null, and their number is said once on stderr, by the run and by collect."""
    shell, result = shared("values", run_values)
    for text in (result["stderr"], shell("collect", "t").stderr, shell("collect", "t", "--format", "csv").stderr):
        notes = [line for line in text.splitlines() if "NaN" in line]
        assert len(notes) == 1
        assert re.search(rf"\b{NONFINITE}\b", notes[0])
    assert "NaN" not in shell("collect", "t").stdout


def test_what_has_no_json_form_is_an_error_that_names_the_component(shell: Shell) -> None:
    """An output without a JSON form is an error that names the component, unless ``--default`` says otherwise."""
    shell.write("m.py", VALUES)
    names = ["fine", "opaque", "nested", "function", "lambda", "cycle", "keys", "fine"]
    rows = shell.run("m.py:unexportable", names, "--chunk-size", 10)
    assert [row["status"] for row in rows] == ["COMPLETED"] * len(names)
    assert [row["output"] for row in rows] == [1, None, None, None, None, None, None, 1]
    assert "Opaque" in rows[1]["reason"]
    assert "deep" in rows[2]["reason"]

    for form in ("jsonl", "csv", "tsv"):
        done = shell("collect", "t", "--format", form, code=1)
        assert "component 1" in done.stderr
        assert "--default repr" in done.stderr
    done = shell("collect", "t", "--output", "out.jsonl", code=1)
    assert not (shell.cwd / "out.jsonl").exists()

    shown = shell("collect", "t", "--default", "repr").rows
    assert [row["component"] for row in shown] == list(range(len(names)))
    assert shown[1]["output"] == "<opaque thing>"
    assert shown[2]["output"] == "{'deep': [1, <opaque thing>]}"
    kept = shell("collect", "t", "--default", "skip").rows
    assert kept == [{"component": n, "status": "COMPLETED", "output": 1} for n in (0, len(names) - 1)]
    assert shell("collect", "t", "--default", "skip", "--values").lines == ["1", "1"]


RECORDS = """
import sys, time

def f(x, mode="ok"):
    print(f"printed {x}")
    if mode == "fail":
        raise ValueError(f"failed, on {x}")
    if mode == "plain":
        return x
    return {"x": x, "inner": {"y": x + 0.5, "deep": {"z": [x]}}, "text": f'a,"b"\\n{x}', "none": None, "status": "mine"}
"""


def run_records(shell: Shell) -> None:
    """Run a map with objects, plain values and failures among its outputs."""
    shell.write("m.py", RECORDS)
    shell.write("in.csv", "x,mode\n0,ok\n1,fail\n2,plain\n3,ok\n")
    shell.write("types.py", "from m import f as g\n\ndef f(x: int, mode: str = 'ok'):\n    return g(x, mode)\n")
    done = shell("types.py:f", "--args", "in.csv", "--tag", "t", "--chunk-size", 2, code=1)
    assert "3 completed" in done.stderr


def test_collect_prints_what_outputs_jsonl_holds(shared: Shared) -> None:
    """Without options ``htrun collect`` prints what ``outputs.jsonl`` holds, byte by byte."""
    shell, _ = shared("records", run_records)
    text = (shell.path() / "outputs.jsonl").read_text(encoding="utf-8")
    assert shell("collect", "t").stdout == text
    rows = [parse(line) for line in text.splitlines()]
    assert [row["status"] for row in rows] == ["COMPLETED", "ERRORED", "COMPLETED", "COMPLETED"]
    assert rows[1] == {"component": 1, "status": "ERRORED", "error": {"type": "ValueError", "message": "failed, on 1"}}
    assert rows[2] == {"component": 2, "status": "COMPLETED", "output": 2}


def test_run_json_says_what_ran(shared: Shared) -> None:
    """``run.json`` holds the target, versions, options, times and counts."""
    shell, _ = shared("records", run_records)
    run = json.loads((shell.path() / "run.json").read_bytes())
    assert run["target"] == "types.py:f"
    assert run["tag"] == "t"
    assert run["engine"] == shell.engine
    assert run["options"]["chunk_size"] == 2
    assert run["counts"] == {"COMPLETED": 3, "ERRORED": 1}
    assert run["components"] == 4
    assert run["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert run["versions"]["htrun"]
    assert run["started"] < run["finished"] < time.time()
    assert run["command"][1:] == ["types.py:f", "--args", "in.csv", "--tag", "t", "--chunk-size", "2"]


def test_values_are_the_next_commands_inputs(shared: Shared, local: Shell) -> None:
    """``--values`` prints only the outputs of completed components, one a line, fit to be inputs."""
    shell, _ = shared("records", run_records)
    values = shell("collect", "t", "--values")
    assert [row if isinstance(row, int) else row["x"] for row in values.rows] == [0, 2, 3]
    local.write("n.py", "def g(*args, **kwargs):\n    return [args, sorted(kwargs)]\n")
    local("n.py:g", "--args", "-", "--tag", "n", input=values.stdout)
    keys = ["inner", "none", "status", "text", "x"]
    assert local("collect", "n", "--values").rows == [[[], keys], [[2], []], [[], keys]]


def test_with_inputs_shows_what_each_component_was_called_with(shared: Shared) -> None:
    """``--with-inputs`` adds the arguments to each row, in tables as columns."""
    shell, _ = shared("records", run_records)
    inputs = [{"x": x, "mode": mode} for x, mode in enumerate(["ok", "fail", "plain", "ok"])]
    assert [row["input"] for row in shell("collect", "t", "--with-inputs").rows] == inputs
    table = list(csv.DictReader(io.StringIO(shell("collect", "t", "--with-inputs", "--format", "csv").stdout)))
    assert [(row["input.x"], row["input.mode"]) for row in table] == [(str(i["x"]), i["mode"]) for i in inputs]


def test_tables_spread_the_keys_of_objects_over_columns(shared: Shared) -> None:
    """In CSV and TSV, an object's keys are columns, any other value is in a column ``output``."""
    shell, _ = shared("records", run_records)
    for form, delimiter in (("csv", ","), ("tsv", "\t")):
        text = shell("collect", "t", "--format", form).stdout
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
        assert [row["component"] for row in rows] == ["0", "1", "2", "3"]
        assert [row["status"] for row in rows] == ["COMPLETED", "ERRORED", "COMPLETED", "COMPLETED"]
        assert [row["x"] for row in rows] == ["0", "", "", "3"]
        assert [row["output"] for row in rows] == ["", "", "2", ""]
        assert rows[3]["text"] == 'a,"b"\n3'
        assert json.loads(rows[3]["inner"]) == {"y": 3.5, "deep": {"z": [3]}}
        assert rows[3]["output.status"] == "mine"
        assert "failed, on 1" in rows[1]["error"]
        assert text.count("component") == 1


def test_columns_of_the_same_name_are_kept_apart(local: Shell) -> None:
    """A column that would have the name of another one gets a longer one, and no value is lost."""
    local.write("m.py", "def f(x):\n    return {'a.b': 1, 'a': {'b': 2}, 'status': 3}\n")
    local.run("m.py:f", [0])
    text = local("collect", "t", "--format", "csv", "--flatten").stdout
    assert text == "component,status,a.b,output.a.b,output.status\n0,COMPLETED,1,2,3\n"
    assert "--with-inputs" in local("collect", "t", "--values", "--with-inputs", code=4).stderr


def test_flatten_makes_dotted_columns(shared: Shared) -> None:
    """With ``--flatten`` nested objects become columns with dotted names."""
    shell, _ = shared("records", run_records)
    text = shell("collect", "t", "--format", "csv", "--flatten").stdout
    row = list(csv.DictReader(io.StringIO(text, newline="")))[3]
    assert row["inner.y"] == "3.5"
    assert json.loads(row["inner.deep.z"]) == [3]
    assert "inner" not in row
    assert "--format" in shell("collect", "t", "--flatten", code=4).stderr


def test_status_selects_components(shared: Shared) -> None:
    """``--status`` keeps the components in that status, in any case, repeatedly."""
    shell, _ = shared("records", run_records)
    assert [row["component"] for row in shell("collect", "t", "--status", "errored").rows] == [1]
    assert [row["component"] for row in shell("collect", "t", "--status", "COMPLETED").rows] == [0, 2, 3]
    both = shell("collect", "t", "--status", "COMPLETED", "--status", "ERRORED").rows
    assert [row["component"] for row in both] == [0, 1, 2, 3]
    assert shell("collect", "t", "--status", "HELD").stdout == ""
    assert "COMPLETED" in shell("collect", "t", "--status", "nonsense", code=4).stderr


def test_output_is_written_atomically(shared: Shared, local: Shell) -> None:
    """``--output`` writes a file whole or not at all, beside nothing else, and says nothing on stdout."""
    shell, _ = shared("records", run_records)
    place = local.cwd / "with space $(x)"
    place.mkdir()
    (place / "out.csv").write_text("old")
    done = shell("collect", "t", "--format", "csv", "--output", place / "out.csv")
    assert done.stdout == ""
    assert (place / "out.csv").read_text() == shell("collect", "t", "--format", "csv").stdout
    assert [p.name for p in place.iterdir()] == ["out.csv"]
    done = shell("collect", "t", "--output", place / "missing" / "out.csv", code=4)
    assert done.stderr == f"htrun: error: {place / 'missing' / 'out.csv'}: No such file or directory\n"
    shell("collect", "t", "-o", place, code=4)


def test_collect_shows_what_is_there_so_far(shell: Shell) -> None:
    """``htrun collect`` works on a running map: it shows the components that are finished."""
    shell.write(
        "m.py",
        """
        import time
        from pathlib import Path

        def f(x, gate):
            while x and not Path(gate).exists():
                time.sleep(0.05)
            return x
        """,
    )
    gate = shell.home / "gate"
    calls = shell.jsonl("in.jsonl", [[x, str(gate)] for x in range(3)])
    shell("m.py:f", "--args", calls, "--tag", "t", "--detach", "--no-transfer")
    first = '{"component":0,"status":"COMPLETED","output":0}\n'
    until(lambda: shell("collect", "t").stdout == first, "the first component is there")
    assert shell("collect", "t", "--values").stdout == "0\n"
    assert [row["component"] for row in shell("collect", "t", "--status", "running").rows] in ([1], [1, 2], [2], [])
    assert not (shell.path() / "outputs.jsonl").exists()
    gate.touch()
    shell("wait", "t")
    assert [row["output"] for row in shell.outputs()] == [0, 1, 2]
    assert shell("collect", "t").stdout == (shell.path() / "outputs.jsonl").read_text()


def test_results_do_not_depend_on_the_event_log(local: Shell) -> None:
    """What has a record counts, be the log of events lost or damaged; odd records are passed over."""
    local.write("m.py", "def f(x):\n    return x\n")
    local.run("m.py:f", range(3), "--workers", 1)
    inner = local.path() / ".htrun"
    (inner / "events.jsonl").write_text('null\n5\n{"job":"x"}\n{"job":0}\n[]\ngarbage\n')
    with (inner / "jobs" / "0" / "records.jsonl").open("a") as file:
        file.write('{"component":0,"status":"WHAT"}\n{"component":1,"status":"ERRORED"}\n')
    assert [row["status"] for row in local("collect", "t").rows] == ["COMPLETED", "ERRORED", "COMPLETED"]
    assert "damaged" in local("errors", "t").stdout
    (inner / "events.jsonl").unlink()
    local("wait", "t", code=1)
    local("status")
    assert [row["status"] for row in local.outputs()] == ["COMPLETED", "ERRORED", "COMPLETED"]
    with (inner / "calls.jsonl").open("r+b") as file:
        file.truncate(5)
    assert local("collect", "t", "--with-inputs").rows[-1]["input"] == "<damaged>"


def test_the_extension_of_a_file_names_its_format(local: Shell) -> None:
    """What is written to a file is in the format of its extension, unless another one is asked for."""
    local("math:sqrt", "--args", local.jsonl("in.jsonl", [4]), "--tag", "t")
    for name in ("t.csv", "t.TSV", "t.json"):
        local("collect", "t", "-o", name)
    local("collect", "t", "-o", "other.csv", "--format", "jsonl")
    texts = [(local.cwd / name).read_text() for name in ("t.csv", "t.TSV", "t.json", "other.csv")]
    assert texts[0] == "component,status,output\n0,COMPLETED,2.0\n"
    assert texts[1] == texts[0].replace(",", "\t")
    assert texts[2] == texts[3] == '{"component":0,"status":"COMPLETED","output":2.0}\n'
    assert "results are JSONL, CSV or TSV" in local("collect", "t", "-o", "t.parquet", code=4).stderr
