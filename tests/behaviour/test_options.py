"""What is asked of the jobs of a map: options, fixed and from fields of the inputs, and files that come along."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

LOOK = """
import os

def look(x=None, **others):
    return {name: open(name, encoding="utf-8").read() for name in os.listdir()}

def double(x):
    return 2 * x

def add(x, mem):
    return [x, mem]
"""

NAMES = [
    "plain.txt",
    "with space",
    "it's",
    'dou"ble"',
    "comma,comma",
    "semi;colon",
    "$(x)",
    "$$(x)",
    "-dash",
    "ünï☃",
    "back\\slash",
    "line\nbreak",
    "calls.jsonl",
]


def ads(shell: Shell, tool: Callable[..., str], attributes: list[str]) -> list[list[str]]:
    """Return attributes of the jobs of the map ``t`` as they are when they have ended, by their position."""
    cluster = [json.loads(line) for line in (shell.path() / ".htrun" / "submissions.jsonl").read_text().splitlines()]
    number = next(row["cluster"] for row in cluster if "cluster" in row)

    def find() -> list[list[str]]:
        words = ["-af:r,", *attributes]
        jobs = tool("condor_history", number, *words).splitlines()
        return [] if tool("condor_q", number, *words).split() else [job.split(", ") for job in jobs]

    return sorted(until(find, "the jobs are in the history"), key=lambda job: int(job[0]))


@pytest.mark.parametrize("names", [NAMES])
def test_input_files_come_along_under_their_own_names(shell: Shell, names: list[str]) -> None:
    """Each component finds the input files in its directory, whatever they are called."""
    shell.write("m.py", LOOK)
    words: list[object] = []
    for number, name in enumerate(names):
        shell.write(f"data/{name}", f"text {number}")
        words.append(f"--input-file=data/{name}")
    rows = shell.run("m.py:look", [[1], [2]], *words)
    expected = {name: f"text {number}" for number, name in enumerate(names)}
    assert [row["output"] for row in rows] == [expected, expected]


def test_input_files_and_files_of_arguments_do_not_meet(shell: Shell) -> None:
    """A file of an argument lands elsewhere if an input file has its name; a directory comes along as well."""
    shell.write(
        "m.py",
        "from pathlib import Path\n\ndef f(path: Path):\n    return [Path('a').read_text(), path.read_text(), Path('d/b').read_text()]\n",
    )
    shell.write("a", "of the option")
    shell.write("other/a", "of the argument")
    shell.write("d/b", "deep")
    rows = shell.run("m.py:f", ["other/a"], "--input-file", "a", "--input-file", "d")
    assert rows[0]["output"] == ["of the option", "of the argument", "deep"]


def test_what_is_wrong_with_input_files_is_told_before_anything_is_made(local: Shell) -> None:
    """Missing files, URLs of no file, and two files of one name are errors that leave nothing behind."""
    local.write("m.py", LOOK)
    local.write("a", "")
    local.write("other/a", "")
    calls = local.jsonl("in.jsonl", [1])
    done = local(
        "m.py:look", "--args", calls, "--input-file", "nope", "--input-file", "https://x.org/",
        "--input-file", "a", "--input-file", "other/a", code=4,
    )  # fmt: skip
    assert "no such file: nope" in done.stderr
    assert "a URL that names no file: https://x.org/" in done.stderr
    assert "a and other/a have the same name" in done.stderr
    assert not (local.cwd / "results").exists()


def test_a_field_that_is_no_parameter_is_taken_out_of_the_call(shell: Shell) -> None:
    """Options come from fields of JSON lines; the function gets those that are its parameters."""
    shell.write("m.py", LOOK)
    calls = [{"x": 1, "mem": "100MB", "n": True}, {"x": 2, "mem": 128, "n": 1.5}]
    rows = shell.run("m.py:double", calls, "-o", "request_memory=@mem", "-o", "+N=@n")
    assert [row["output"] for row in rows] == [2, 4]
    written = json.loads((shell.path() / ".htrun" / "options.json").read_text())
    assert written == {"request_memory": ["100MB", "128"], "MY.N": ["true", "1.5"]}
    shell("remove", "t")
    rows = shell.run("m.py:add", [{"x": 1, "mem": 100}], "-o", "request_memory=@mem")
    assert rows[0]["output"] == [1, 100]


@pytest.mark.parametrize(("name", "mark"), [("in.csv", ","), ("in.tsv", "\t")])
def test_options_from_the_columns_of_a_table(shell: Shell, name: str, mark: str) -> None:
    """Options come from columns of tables; a column that is no parameter is not passed on."""
    shell.write("m.py", "def f(x: int):\n    return x\n")
    shell.write(name, f'x{mark}my mem\n1{mark}100MB\n2{mark}"128 MB"\n')
    shell("m.py:f", "--args", name, "--tag", "t", "-o", "request_memory=@my mem")
    assert [row["output"] for row in shell.outputs()] == [1, 2]
    written = json.loads((shell.path() / ".htrun" / "options.json").read_text())
    assert written == {"request_memory": ["100MB", "128 MB"]}


def test_all_that_is_wrong_with_options_in_inputs_is_told(local: Shell) -> None:
    """Missing fields and values that cannot be are reported with their lines, beside what else is wrong."""
    local.write("m.py", LOOK)
    local.write(
        "in.jsonl",
        '{"x": 1, "mem": 1}\n{"x": 2}\n[3]\n{"x": 4, "mem": null}\n{"y": 5, "mem": "2 parsecs"}\n{"x": 6, "mem": "a\\nb"}\n{"x": 7, "mem": ""}\n',
    )
    done = local("m.py:double", "--args", "in.jsonl", "-o", "request_memory=@mem", code=4)
    said = [line.partition(": ")[::2] for line in done.stderr.splitlines() if line.startswith("in.jsonl")]
    assert [where for where, _ in said] == [f"in.jsonl:{n}" for n in (2, 3, 4, 5, 5, 6, 7)]
    assert "no field 'mem'" in said[0][1]
    assert "no object" in said[1][1]
    assert "not None" in said[2][1]
    assert "'2 parsecs' is not right" in said[3][1]
    assert "unexpected argument 'y'" in said[4][1]
    assert "a line break" in said[5][1]
    assert "the value is empty" in said[6][1]
    local.write("in.csv", "x\n1\n2\n")
    done = local("m.py:double", "--args", "in.csv", "-o", "request_memory=@mem", code=4)
    assert [line for line in done.stderr.splitlines() if "in.csv" in line] == [
        "in.csv:1: no field 'mem', which is to have the option request_memory"
    ]
    assert not (local.cwd / "results").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "foo"], "say KEY=VALUE"),
        (["-o", "=x"], "say KEY=VALUE"),
        (["-o", "foo=@"], "no field named"),
        (["-o", "a b=1"], "cannot be called 'a b'"),
        (["-o", "foo=@x"], "no --args"),
        (["-o", "Output=x"], "the option Output is reserved"),
        (["-o", "+In=x"], "--input-file"),
        (["-o", "MY.HtrunMap=x"], "reserved"),
        (["-o", "hold=true"], "'htrun hold' holds those of a map"),
        (["--request-memory", "2 parsecs"], "a size is a number"),
        (["--request-cpus", "0"], "a whole number from 1"),
        (["--request-cpus", "2", "-o", "RequestCpus=3"], "given twice"),
        (["-o", "+a=1", "-o", "MY.A=@x"], "given twice"),
        (["-o", "+a=@y", "-o", "MY.A=@x"], "given twice"),
    ],
)
def test_options_that_cannot_be(local: Shell, words: list[str], said: str) -> None:
    """What is wrong with an option is told before anything is made."""
    local.write("m.py", LOOK)
    assert said in local("m.py:look", *words, code=4).stderr
    assert not (local.cwd / "results").exists()


def test_this_machine_honours_request_cpus(local: Shell) -> None:
    """There are no more workers than CPUs for them; options without effect are told, and kept all the same."""
    local.write("m.py", LOOK)
    done = local("m.py:double", "--args", local.jsonl("in.jsonl", [1, 2, 3]), "--tag", "t", "--request-cpus", 10_000,
                 "--request-memory", "1GB")  # fmt: skip
    assert "note: request_memory says nothing to the engine local" in done.stderr
    started = (local.path() / ".htrun" / "events.jsonl").read_text().splitlines()[0]
    assert json.loads(started)["workers"] == 1
    options = json.loads((local.path() / ".htrun" / "map.json").read_text())["options"]
    assert options["submit"] == {"request_cpus": "10000", "request_memory": "1GB"}


@pytest.mark.parametrize(
    ("delivery", "said"),
    [("dokcer:x", "there is no delivery method 'dokcer'"), ("auto:x", "the delivery method auto ")],
)
def test_what_is_no_delivery_is_all_that_is_said(local: Shell, delivery: str, said: str) -> None:
    """That this machine has no use for a delivery method is said of one that there is."""
    done = local("math:sqrt", "--args", "-", "--delivery", delivery, code=4, input="1\n")
    assert done.stderr.startswith(f"htrun: error: {said}")
    done = local("math:sqrt", "--args", "-", "--delivery", "docker:x", input="1\n")
    assert "htrun: note: --delivery says nothing to the engine local" in done.stderr


def test_each_job_asks_for_what_its_component_does(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """Variadic and fixed options, built-in and custom, are in the ads of the jobs as they were given."""
    condor.write("m.py", LOOK)
    odd = ['"a, b;c"', '"it\'s $(DOLLAR)5"', '"$(component)"', '"#ü  x"', '"{[(*)]}"', '"="']
    calls = [{"x": n, "mem": 100 + n, "odd": text, "r": n % 2} for n, text in enumerate(odd)]
    condor.run(
        "m.py:double", calls, "-o", "request_memory=@mem", "-o", "+Odd=@odd", "-o", '+Fixed="$(component) $(Process)"',
        "-o", "requirements=TARGET.Cpus > 0", "--request-disk", "20MB", "--request-cpus", 2, "-o", "priority=3",
        "-o", "mine=@@x", "-o", '+At="$(mine)"', "-o", "+E=1 + 1", "-o", "rank=@r",
    )  # fmt: skip
    attributes = ["ProcId", "RequestMemory", "RequestDisk", "RequestCpus", "JobPrio", "Fixed", "At", "Rank", "E"]
    rows = ads(condor, condor_tool, attributes)
    assert rows == [
        [str(n), str(100 + n), "20480", "2", "3", f'"{n} {n}"', '"@x"', str(n % 2), "1 + 1"] for n in range(6)
    ]
    wanted = ads(condor, condor_tool, ["ProcId", "Requirements"])
    assert all("TARGET.Cpus > 0" in row[1] and "TARGET.Memory >= RequestMemory" in row[1] for row in wanted)
    texts = [row[1:] for row in ads(condor, condor_tool, ["ProcId", "Odd"])]
    expected = ['"a, b;c"', '"it\'s $5"', '"2"', '"#ü  x"', '"{[(*)]}"', '"="']
    assert [", ".join(text) for text in texts] == expected


def test_an_empty_option_is_none(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """An option that is empty for all components is as if it were not given."""
    condor.write("m.py", LOOK)
    condor.run(
        "m.py:double",
        [{"x": 1, "own": "1\t+ 1"}, {"x": 2, "own": "2"}],
        "-o",
        "+Own=@own",
        "-o",
        "+Mine=",
        "-o",
        "rank=",
    )
    rows = ads(condor, condor_tool, ["ProcId", "Own", "Mine", "Rank"])
    assert rows == [["0", "1 + 1", "undefined", "0.0"], ["1", "2", "undefined", "0.0"]]


def test_components_whose_options_differ_share_no_job(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """Jobs have components of one and the same options only, and as many of them as the chunk size lets them."""
    condor.write("m.py", LOOK)
    sizes = [100, 100, 100, 200, 200, 100, 300]
    rows = condor.run(
        "m.py:double", [{"x": n, "mem": size} for n, size in enumerate(sizes)],
        "-o", "request_memory=@mem", "--chunk-size", 2,
    )  # fmt: skip
    assert [row["output"] for row in rows] == [2 * n for n in range(7)]
    memory = [row[1] for row in ads(condor, condor_tool, ["ProcId", "RequestMemory"])]
    assert memory == ["100", "100", "200", "100", "300"]
    jobs = condor.path() / ".htrun" / "jobs"
    headers = [json.loads((jobs / str(n) / "calls.jsonl").read_bytes().splitlines()[0]) for n in range(5)]
    assert [header["components"] for header in headers] == [[[0, 2]], [[2, 3]], [[3, 5]], [[5, 6]], [[6, 7]]]


def test_requirements_that_no_slot_meets_keep_jobs_waiting(condor: Shell) -> None:
    """A requirement that a user gives is one that slots have to meet."""
    condor.write("m.py", LOOK)
    condor("m.py:double", "--args", condor.jsonl("in.jsonl", [1]), "--tag", "t", "--detach", "-o", "requirements=false")
    assert condor.counts() == {"IDLE": 1}


MISSING = """
from pathlib import Path
import htrun
from m import look

htrun.map(
    look, [1, 2], tag="t",
    map_options=htrun.MapOptions(fixed_input_files="a.txt", input_files=[["b.txt", Path("late.txt")], "b.txt"]),
)
"""


def info_of(shell: Shell) -> dict[str, Any]:
    """Return the description of the map ``t``."""
    info: dict[str, Any] = json.loads((shell.path() / ".htrun" / "map.json").read_text())
    return info


def test_a_missing_file_holds_what_needs_it(shell: Shell) -> None:
    """From Python, files need not exist: a component without its own is held, and goes on when it is there."""
    shell.write("m.py", LOOK)
    shell.write("make.py", MISSING)
    shell.write("a.txt", "a")
    shell.write("b.txt", "b")
    subprocess.run([sys.executable, "make.py"], cwd=shell.cwd, env=shell.env, check=True)
    assert "late.txt" in shell("wait", "t", code=6).stderr
    assert shell.counts() == {"HELD": 1, "COMPLETED": 1}
    shell.write("late.txt", "late")
    shell("release", "t")
    shell("wait", "t")
    outputs = [json.loads(line) for line in shell("collect", "t", "--values").lines]
    assert outputs == [{"a.txt": "a", "b.txt": "b", "late.txt": "late"}, {"a.txt": "a", "b.txt": "b"}]


def test_lengths_that_do_not_match_leave_nothing_behind(local: Shell) -> None:
    """Options that are not given for each component are an error, and no map is made."""
    local.write("m.py", LOOK)
    for options in ('request_memory=["1GB"]', 'input_files=["m.py"] * 3'):
        text = MISSING.replace('fixed_input_files="a.txt", input_files=[["b.txt", Path("late.txt")], "b.txt"]', options)
        local.write("make.py", text)
        done = subprocess.run(
            [sys.executable, "make.py"], cwd=local.cwd, env=local.env, check=False, stderr=subprocess.PIPE
        )
        assert done.returncode == 1
        assert b"MisalignedInputData: the option" in done.stderr
        assert not local("tags").stdout
