"""The examples, each run as its first lines say."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.conftest import until
from tests.behaviour.wheels import node_python

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HELPERS = {"pipeline/decays.py"}  # imported by an example, and none by itself
LIFETIMES = {"muons": 2.1969811, "pions": 0.026033}  # what the samples of the pipeline are made with, in microseconds
TIMEOUT_S = 300
# Hundreds of jobs would take minutes on the pool; chunks are what users would ask for, too.
MORE_OPTIONS = {("source_metrics.py", "htcondor"): " --chunk-size 40"}


def examples() -> list[str]:
    """Return the names of all examples."""
    paths = [*EXAMPLES.rglob("*.py"), *EXAMPLES.rglob("Makefile")]
    return sorted({path.relative_to(EXAMPLES).as_posix() for path in paths} - HELPERS)


def line_at_top(name: str) -> str:
    """Return the command that runs an example: the first line of its opening text that is indented as code."""
    for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()[:5]:
        found = re.match(r"(?:# )? {4}(\S.*)", line)
        if found:
            return found[1]
    pytest.fail(f"examples/{name} does not say in its first five lines how to run it")


class Checkout:
    """A copy of the examples as in a clone of the repository, and a shell in it whose PATH has this htrun and python3.

    Parameters
    ----------
    shell : Shell
    """

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.directory = shell.cwd
        self.env = {name: value for name, value in shell.env.items() if not name.startswith("MAKE")}
        made = shutil.ignore_patterns("results", "__pycache__", "lifetimes.csv", *(f"{p}.jsonl" for p in LIFETIMES))
        shutil.copytree(EXAMPLES, self.directory / "examples", ignore=made)

    def run(self, command: str, *, code: int = 0, stdin: str = "") -> str:
        """Run a line of shell, check its exit code, and return what it wrote to stdout."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.directory,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def read_lines(self, name: str) -> list[Any]:
        """Return the values in a JSONL file."""
        with (self.directory / name).open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def completed(self, tag: str) -> list[dict[str, Any]]:
        """Return the outputs of a map, after a look at whether all its components completed."""
        rows = self.read_lines(f"results/{tag}/outputs.jsonl")
        assert [row["component"] for row in rows] == list(range(len(rows)))
        assert {row["status"] for row in rows} == {"COMPLETED"}
        return [row["output"] for row in rows]

    def table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a CSV file."""
        with (self.directory / name).open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))


@pytest.fixture
def checkout(shell: Shell) -> Checkout:
    """Return a copy of the examples, on each engine."""
    return Checkout(shell)


@pytest.fixture
def local_checkout(local: Shell) -> Checkout:
    """Return a copy of the examples, on this machine only."""
    return Checkout(local)


def check_source_metrics(checkout: Checkout) -> None:
    """Compare with the files themselves."""
    inputs = [json.loads(line)["path"] for line in checkout.run("python3 examples/source_metrics.py").splitlines()]
    outputs = checkout.completed("stdlib")
    assert len(inputs) == len(outputs) > 400
    assert [Path(path).name for path in inputs] == [output["file"] for output in outputs]
    for path, output in zip(inputs, outputs, strict=True):
        content = Path(path).read_bytes()
        assert output["lines"] == content.count(b"\n") + (content[-1:] not in (b"", b"\n")), path
        assert max(output["blank"], output["code"], output["comments"]) <= output["lines"]
        assert 0 <= output["documentation"]["share"] <= 1
    top = sysconfig.get_path("stdlib")
    by_name = {os.path.relpath(path, top): output for path, output in zip(inputs, outputs, strict=True)}
    assert by_name["bisect.py"]["functions"] == 4
    assert by_name["bisect.py"]["documentation"]["share"] == 1
    assert by_name["json/__init__.py"]["functions"] == 5
    assert by_name["argparse.py"]["classes"] > 20
    assert by_name["argparse.py"]["complexity"]["max"] > 20
    flat = checkout.run("htrun collect stdlib --format csv --flatten --with-inputs")
    assert [row["input.path"] for row in csv.DictReader(flat.splitlines())] == inputs


def check_ising(checkout: Checkout) -> None:
    """Compare with L. Onsager's solution of the infinite lattice, Phys. Rev. 65 (1944) 117."""
    scan = [
        row | output
        for row, output in zip(
            checkout.table("examples/inputs/ising.csv"), checkout.completed("ising-example"), strict=True
        )
    ]
    periodic = [row for row in scan if row["periodic"] == "true"]
    free = [row for row in scan if row["periodic"] == "false"]
    assert (float(periodic[0]["temperature"]), float(periodic[-1]["temperature"])) == (1.5, 3.5)
    assert periodic[0]["energy"] == pytest.approx(-1.9509, abs=0.01)
    assert periodic[0]["magnetisation"] == pytest.approx(0.9865, abs=0.01)
    assert periodic[-1]["magnetisation"] < 0.3
    for rows in (periodic, free):
        assert [row["energy"] for row in rows] == sorted(row["energy"] for row in rows)
    assert all(edged["energy"] > whole["energy"] for whole, edged in zip(periodic, free, strict=True))
    hottest = max(periodic, key=lambda row: float(row["heat_capacity"]))
    assert 2.0 <= float(hottest["temperature"]) <= 2.5


def check_random_matrices(checkout: Checkout) -> None:
    """Compare with Y. Y. Atas et al., Phys. Rev. Lett. 110 (2013) 084101."""
    expected = {"GOE": 0.5307, "GUE": 0.5996, "diagonal": 0.3863}
    outputs = checkout.completed("matrices-example")
    inputs = checkout.read_lines("examples/inputs/matrices.jsonl")
    assert {case["ensemble"] for case in inputs} == set(expected)
    for case, output in zip(inputs, outputs, strict=True):
        assert abs(output["ratio"] - expected[case["ensemble"]]) < 5 * output["error"] < 0.1
        low, high = output["edges"]
        assert (low, high) == (pytest.approx(-1, abs=0.15), pytest.approx(1, abs=0.15))
        assert sum(output["density"]) * (high - low) / 16 == pytest.approx(1, abs=0.001)


def check_kmers(checkout: Checkout) -> None:
    """Count the words again, in Python."""
    outputs = checkout.completed("kmers-example")
    for case, output in zip(checkout.read_lines("examples/inputs/kmers.jsonl"), outputs, strict=True):
        k = case["k"]
        records = (checkout.directory / case["sequences"]).read_text(encoding="ascii").upper().split(">")[1:]
        sequences = ["".join(record.splitlines()[1:]) for record in records]
        words = Counter(s[i : i + k] for s in sequences for i in range(len(s) - k + 1))
        top = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:5]
        assert output == {"words": words.total(), "distinct": len(words), "top": dict(top)}
        assert list(output["top"]) == [word for word, _ in top]


def check_pipeline(checkout: Checkout) -> None:
    """Compare the fitted lifetimes with those that were put in."""
    fits = checkout.table("examples/pipeline/lifetimes.csv")
    assert Counter(row["particle"] for row in fits) == dict.fromkeys(LIFETIMES, 4)
    for row in fits:
        error = float(row["error"])
        assert abs(float(row["lifetime"]) - LIFETIMES[row["particle"]]) < 4 * error
        assert 0.02 < error / float(row["lifetime"]) < 0.06
    assert len({row["lifetime"] for row in fits}) == len(fits)
    assert "Nothing to be done" in checkout.run("make -C examples/pipeline -j4")


def check_spelling(checkout: Checkout) -> None:
    """The names are those that were meant; one is of an element that is not on the list, and near to none."""
    right = ["nitrogen", "fluorine", "phosphorus", "sulfur", "aluminium", None, "iron"]
    rows = checkout.completed("elements")
    assert [row["element"] if row["distance"] <= 2 else None for row in rows] == right
    assert [row["number"] for row in rows if row["distance"] <= 2] == [7, 9, 15, 16, 13, 26]
    assert [row["distance"] for row in rows][:4] == [1, 1, 1, 2]


def check_diffusion(checkout: Checkout) -> None:
    """The mean squared distance is the number of steps, with an error of it over the root of the number of walkers."""
    outputs = checkout.completed("diffusion-example")
    for number, case in enumerate(checkout.read_lines("examples/inputs/walks.jsonl")):
        rows = checkout.table(f"results/diffusion-example/files/{number}/distances.csv")
        assert [int(row["step"]) for row in rows] == list(range(1, case["steps"] + 1))
        assert float(rows[-1]["distance"]) == pytest.approx(outputs[number]["distance"], rel=1e-5)
        assert float(rows[0]["distance"]) == 1
        for row in rows[:: case["steps"] // 10]:
            step = int(row["step"])
            assert abs(float(row["distance"]) - step) < 5 * step / case["walkers"] ** 0.5
        assert 0.5 < outputs[number]["returned"] < 0.9  # all would in the end, which takes long


def test_an_interrupted_walk_has_the_same_result(checkout: Checkout) -> None:
    """A walk that is vacated goes on from its checkpoint, and comes to the same result as one that is left alone."""
    shell = checkout.shell
    case = {"walkers": 1000, "steps": 3000, "seed": 5}
    words = ["examples/diffusion.py:walk", "--args", shell.jsonl("case.jsonl", [case]), "--overwrite"]
    shell(*words, "--tag", "alone")
    shell(*words, "--tag", "t", "--detach")
    until(lambda: shell.counts() == {"RUNNING": 1}, "it runs")
    time.sleep(1.5)
    shell("vacate", "t")
    shell("wait", "t")
    assert shell.outputs("t") == shell.outputs("alone")
    files = [(shell.path(tag) / "files/0/distances.csv").read_bytes() for tag in ("t", "alone")]
    assert files[0] == files[1]


CHECKS: dict[str, Callable[[Checkout], None]] = {
    "diffusion.py": check_diffusion,
    "ising.py": check_ising,
    "kmers.py": check_kmers,
    "pipeline/Makefile": check_pipeline,
    "random_matrices.py": check_random_matrices,
    "source_metrics.py": check_source_metrics,
    "spelling.py": check_spelling,
}


@pytest.mark.parametrize("name", examples())
def test_the_line_at_the_top_of_an_example_gives_right_results(name: str, engine: str, checkout: Checkout) -> None:
    """The command in the first lines of an example runs it, and what comes out is true."""
    more = MORE_OPTIONS.get((name, engine), "")
    if name == "spelling.py":  # the pool's own python3 may be another one
        more = "".join(f" {shlex.quote(word)}" for word in node_python(checkout.shell))
    checkout.run(line_at_top(name) + more)
    CHECKS[name](checkout)


@pytest.mark.parametrize("name", examples())
def test_the_line_at_the_top_of_an_example_works_again(name: str, local_checkout: Checkout) -> None:
    """Running an example a second time is no error."""
    for _ in range(2):
        local_checkout.run(line_at_top(name))


def test_source_metrics_counts_what_is_in_a_file(local_checkout: Checkout) -> None:
    """The metrics of a small file are those that a person counts in it."""
    (local_checkout.directory / "some module.py").write_text(SOURCE, encoding="latin-1")
    command = "htrun examples/source_metrics.py:measure --args - --stdout -q"
    collected = json.loads(local_checkout.run(command, stdin='["some module.py"]'))
    assert collected["output"] == {
        "file": "some module.py",
        "lines": 21,
        "blank": 5,
        "code": 14,
        "comments": 3,
        "functions": 3,
        "classes": 1,
        "imports": 3,
        "documentation": {"public": 4, "documented": 2, "share": 0.5},
        "complexity": {"max": 6, "mean": 2.67, "most": "visit"},
    }


SOURCE = '''\
# coding: latin-1
"""Caf\xe9."""
import os, sys
import os
from . import cousin

class Visitor:

    def visit(self, nodes):  # a decision each: for, if, and, or; and the comprehension
        """Visit

        nodes."""
        for node in nodes:
            if node and self or nodes:
                return [n for n in nodes]

    def _hidden(self):
        # nothing to see
        return lambda: os

def leave(): return sys
'''


def test_a_failing_component_stops_the_pipeline_until_it_is_mended(local_checkout: Checkout) -> None:
    """A component that fails in step 2 fails make, every time, and leaves no results that would count as made."""
    pipeline = local_checkout.directory / "examples/pipeline"
    samples = pipeline / "muons.csv"
    good = samples.read_text(encoding="utf-8")
    samples.write_text(good + "muons,2.2,20,0,9\n", encoding="utf-8")  # no events, so no mean
    for _ in range(2):
        local_checkout.run("make -C examples/pipeline -j4", code=2)
        assert len(local_checkout.read_lines("examples/pipeline/results/lifetimes-example/errors.jsonl")) == 1
        assert not (pipeline / "results/lifetimes-example/outputs.jsonl").exists()
        assert not (pipeline / "lifetimes.csv").exists()
    samples.write_text(good, encoding="utf-8")
    local_checkout.run("make -C examples/pipeline -j4")
    check_pipeline(local_checkout)
