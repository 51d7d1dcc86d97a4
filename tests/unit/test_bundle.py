"""The one file that runs on an execute node, run by whatever Pythons this machine has."""

from __future__ import annotations

import datetime
import json
import operator
import platform
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from htrun.engines.htcondor.bundle import write_bundle
from htrun.exceptions import WrongPython
from htrun.functions import Function
from htrun.records import Record
from htrun.store import DirectoryBuilder
from htrun.targets import load
from htrun.transfers import FileTable
from tests.tools.pythons import pythons

if TYPE_CHECKING:
    from htrun.targets import Target

SOURCE = """
import datetime
import os
import sys
from pathlib import Path

import htrun
from htrun.exceptions import HtrunError

def f(number, path: Path):
    assert issubclass(htrun.exceptions.TagNotFound, HtrunError)
    print("out", number)
    if number == 1:
        raise ValueError("one")
    if number == 2:
        os._exit(3)
    if number == 3:
        return {datetime.date(2020, 1, 1): (1, 2)}
    if number == 4:
        return lambda: 1
    return [list(sys.version_info[:2]), path.read_text(), sorted(os.listdir())]
"""


PYTHONS = pythons()


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_the_bundle_needs_nothing_but_python(tmp_path: Path, python: str) -> None:
    """Any Python from 3.8 on runs a job from its files alone, and records values, errors and deaths."""
    (tmp_path / "m.py").write_text(SOURCE)
    builder = DirectoryBuilder(tmp_path)
    builder.write_sources([(tmp_path / "m.py", "m.py")], {})
    reference = {"module": "m", "qualname": "f", "file": None}
    builder.write_info({"format": 1, "components": 6, "target": {"reference": reference}})
    job = tmp_path / "job"
    job.mkdir()
    write_bundle(builder.directory, job / "htrun.pyz")
    (job / "f0").write_text("data")
    calls = [json.dumps([n, {"$path": "a b.txt"}]) + '\t[["f0","a b.txt"]]' for n in range(6)]
    (job / "calls.jsonl").write_text("\n".join([json.dumps({"components": [[0, 6]]}), *calls, ""]))
    done = subprocess.run([python, "htrun.pyz"], cwd=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    records = [json.loads(line) for line in (job / "records.jsonl").read_text().splitlines()]
    assert [record["status"] for record in records] == ["COMPLETED", "ERRORED", "ERRORED"] + ["COMPLETED"] * 3
    version, data, names = records[5]["output"]
    assert (data, names) == ("data", ["a b.txt"])
    assert version >= [3, 8]
    assert [frame["function"] for frame in records[1]["error"]["frames"]] == ["f"]  # the user's alone
    assert records[1]["error"]["frames"][0]["file"] == "m.py"
    assert "os._exit" in records[2]["error"]["message"]
    assert records[3]["output"] == {"2020-01-01": [1, 2]}
    assert "pickle" in records[4]
    assert (job / "stdout").read_text() == "".join(f"out {n}\n" for n in range(6))


def run_job(tmp_path: Path, python: str, target: Function | Target, calls: list[bytes]) -> list[Record]:
    """Run a job with all calls of a map in a Python, and return the records."""
    builder = DirectoryBuilder(tmp_path)
    builder.write_sources([(source.path, source.name) for source in target.sources], target.made)
    versions = {"python": platform.python_version()}
    info = {"format": 1, "components": len(calls), "target": {"reference": target.reference}, "versions": versions}
    builder.write_info(info)
    job = tmp_path / "job"
    job.mkdir()
    write_bundle(builder.directory, job / "htrun.pyz")
    header = json.dumps({"components": [[0, len(calls)]]}).encode()
    (job / "calls.jsonl").write_bytes(b"".join(line + b"\n" for line in [header, *calls]))
    done = subprocess.run([python, "htrun.pyz"], cwd=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return [Record(line, job) for line in (job / "records.jsonl").read_bytes().splitlines()]


def is_this(python: str) -> bool:
    """Tell whether a Python is of this one's minor version."""
    return python == sys.executable


def check_refusal(record: Record, version: str) -> None:
    """Check that an error says which Python has made what, which one is there, and what to do."""
    error = record.data["error"]
    assert error["type"] == "WrongPython"
    assert error["frames"] == []
    assert f"byte code by Python {platform.python_version()}, which Python {version}." in error["message"]
    assert "FILE.py:FUNCTION" in error["message"]


@pytest.mark.parametrize(("version", "python"), PYTHONS.items(), ids=PYTHONS)
def test_byte_code_of_another_python_is_refused(tmp_path: Path, version: str, python: str) -> None:
    """A function with byte code runs in the Python that has pickled it, and is an error that says so in others."""
    function = Function(lambda x: x + 1)
    records = run_job(tmp_path, python, function, [function.encode([n], {}, FileTable()) for n in (1, 2)])
    if is_this(python):
        assert [record.value() for record in records] == [2, 3]
    else:
        for record in records:
            check_refusal(record, version)


@pytest.mark.parametrize(("version", "python"), PYTHONS.items(), ids=PYTHONS)
def test_what_has_no_byte_code_is_loaded_by_any_python(tmp_path: Path, version: str, python: str) -> None:
    """A function that travels by reference, and arguments without byte code, do anywhere; others are refused alone."""
    function = Function(operator.itemgetter("x"))
    given = [datetime.date(2020, 1, 1), PurePosixPath("a/b"), lambda: 1, complex(1, 2)]
    records = run_job(tmp_path, python, function, [function.encode([{"x": x}], {}, FileTable()) for x in given])
    for record, x in zip(records, given, strict=True):
        if callable(x) and not is_this(python):
            check_refusal(record, version)
        elif not callable(x):
            assert record.value() == x


@pytest.mark.parametrize(("version", "python"), PYTHONS.items(), ids=PYTHONS)
def test_results_of_another_python(tmp_path: Path, version: str, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are loaded here whatever Python has pickled them, but for byte code, of which the error says that."""
    (tmp_path / "m.py").write_text(
        "import pathlib\n\ndef f(n):\n    return [pathlib.PurePosixPath('a'), lambda: n, {1: (2,)}][n]\n"
    )
    monkeypatch.chdir(tmp_path)
    records = run_job(tmp_path, python, load("m.py:f"), [b"[%d]" % n for n in range(3)])
    assert [records[n].value() for n in (0, 2)] == [PurePosixPath("a"), {1: (2,)}]
    if is_this(python):
        assert records[1].value()() == 1
    else:
        with pytest.raises(
            WrongPython,
            match=rf"byte code by Python {version}\..*, which Python .* load the map with Python {version},",
        ):
            records[1].value()
