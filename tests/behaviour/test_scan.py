"""``--scan``: calls without a file of inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

SIM = """
from pathlib import Path

def sim(x, y="none", **others):
    return [x, y, others]

def read(path: Path, n=1):
    return path.read_text() * n

def strict(x, y=0):
    return x
"""


@pytest.fixture
def sim(local: Shell) -> Shell:
    """Return a place with functions to scan."""
    local.write("m.py", SIM)
    return local


def test_all_combinations_run(shell: Shell) -> None:
    """Every combination is a component, in the order in which they are written."""
    shell.write("m.py", SIM)
    rows = shell.run("m.py:sim", None, "--scan", "x=1:2,y=[a,b]", "--scan", "z=0.5")
    expected = [[x, y, {"z": 0.5}] for x in (1, 2) for y in ("a", "b")]
    assert [row["output"] for row in rows] == expected


def test_values_are_paired_on_request(sim: Shell) -> None:
    """With ``--zip`` there are as many components as values."""
    rows = sim.run("m.py:sim", None, "--zip", "--scan", "x=1:2,y=[a,b],z=5")
    assert [row["output"] for row in rows] == [[1, "a", {"z": 5}], [2, "b", {"z": 5}]]
    done = sim("m.py:sim", "--zip", "--scan", "x=1:2,y=[a]", "--tag", "u", code=4)
    assert "x has 2, y has 1" in done.stderr


def test_it_fits_with_what_inputs_have(sim: Shell) -> None:
    """Files come along, fields are options, nothing runs with ``--collect-only``."""
    for name in "ab":
        sim.write(f"{name}.txt", name)
    rows = sim.run("m.py:read", None, "--scan", "path=[a.txt,b.txt],n=2")
    assert [row["output"] for row in rows] == ["aa", "bb"]
    sim("m.py:sim", "--scan", "x=[a.txt,1]", "--transfer", "x", "-o", "request_cpus=@cpus", "--tag", "u", code=4)
    sim("m.py:strict", "--scan", "x=[a.txt],cpus=[1,2]", "--transfer", "x", "-o", "request_cpus=@cpus", "--tag", "u")
    assert len(sim.outputs("u")) == 2
    done = sim("m.py:strict", "--scan", "x=1:3", "--collect-only", "-q")
    assert done.lines == ['0: strict {"x": 1}', '1: strict {"x": 2}', '2: strict {"x": 3}']


def test_a_wider_scan_resumes(sim: Shell) -> None:
    """With ``--resume`` the combinations that were there are not run again."""
    sim.run("m.py:strict", None, "--scan", "x=1:3,y=[1,2]")
    done = sim("m.py:strict", "--scan", "y=[1,2],x=1:4", "--tag", "t", "--resume")
    assert "6 of 8 results are there already, 2 to run" in done.stdout + done.stderr
    assert [row["output"] for row in sim.outputs()] == [1, 2, 3, 4] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scan", "x=1:1o"], "htrun: error: --scan: column 5 of 'x=1:1o': '1o' in the range 1:1o is no number"),
        (["--scan", "x=1,yy=2"], "--scan: unexpected argument 'yy' (did you mean 'y'?); strict takes x, y=..."),
        (["--scan", "y=1"], "--scan: missing argument 'x'; strict takes x, y=..."),
        (["--scan", "x=1", "-o", "request_cpus=@cpu"], "--scan: no field 'cpu', which is to have the option request_cpus"),
        (["--scan", "x=[1,{\"$path\":\"no\"}]"], "--scan: call 1: no such file: no"),
        (["--scan", "x=1", "--args", "-"], "--scan and --args exclude each other"),
        (["--scan", "x=1", "--input-format", "csv"], "--input-format is for the file of --args"),
        (["--zip"], "--zip pairs the values of --scan"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(sim: Shell, words: list[str], message: str) -> None:
    """Nothing is made, and the message says where it is wrong."""
    assert message in sim("m.py:strict", *words, "--tag", "t", code=4).stderr
    assert not sim.path().exists()
