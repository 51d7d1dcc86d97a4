"""Maps on the pool of which nobody says how many components make a job: what goes first, and what follows."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.conftest import PATIENCE_S, Shell, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

COUNT = 60
QUICK = "def f(x): return 2 * x"
GATED = """
    import time
    from pathlib import Path

    HERE = Path({here!r})

    def f(x):
        (HERE / f"ran-{{x}}").open("a").write(".")
        while not (HERE / "gate").exists():
            time.sleep(0.05)
        return 2 * x
"""


def words(shell: Shell, *more: object) -> list[object]:
    """Return the words of a command that maps ``f.py:f`` over the calls, with the tag ``t``."""
    return ["f.py:f", "--args", shell.jsonl("calls.jsonl", ([n] for n in range(COUNT))), "--tag", "t", *more]


def submissions(shell: Shell) -> list[dict[str, Any]]:
    """Return what has been submitted so far, with the clusters."""
    try:
        rows = [json.loads(line) for line in (shell.path() / ".htrun" / "submissions.jsonl").read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    clusters = {row["submission"]: row["cluster"] for row in rows if "cluster" in row}
    return [{**row, "cluster": clusters.get(row["submission"])} for row in rows if "cluster" not in row]


def check(shell: Shell) -> None:
    """Check that each component has its output."""
    assert [row["output"] for row in shell.outputs()] == [2 * n for n in range(COUNT)]


class Gated:
    """A run whose components wait for a gate to open, seen while its first jobs run."""

    def __init__(self, shell: Shell, *more: object) -> None:
        self.shell = shell
        shell.write("f.py", GATED.format(here=str(shell.home)))
        self.process: subprocess.Popen[str] = shell.start(*words(shell, *more), start_new_session=True)
        until(lambda: [row["cluster"] for row in submissions(shell)], "the first jobs are submitted")
        until(lambda: any(shell.home.glob("ran-*")), "one of the first jobs runs")

    def ran(self) -> int:
        """Return how many components were started."""
        return len(list(self.shell.home.glob("ran-*")))

    def end(self, number: signal.Signals) -> str:
        """Send a signal to the command, and return what it said."""
        os.killpg(self.process.pid, number)
        return self.process.communicate(timeout=PATIENCE_S)[1]

    def let_go(self) -> None:
        """Open the gate."""
        (self.shell.home / "gate").touch()


@pytest.fixture
def gated(condor: Shell) -> Gated:
    """Return a run whose components wait."""
    return Gated(condor)


def test_quick_components_share_jobs(condor: Shell) -> None:
    """A few components go first; the others follow in long jobs, and the header says why. The next map knows it."""
    condor.write("f.py", QUICK)
    said = condor(*words(condor)).stderr
    check(condor)
    first, others = submissions(condor)
    assert (first["pilot"], first["chunk_size"], len(first["components"])) == (True, 1, 8)
    assert others["chunk_size"] > 1
    assert f"jobs: the first 8 of one component, in cluster {first['cluster']} (to see what a component takes)" in said
    each = f"of up to {others['chunk_size']} components, in cluster {others['cluster']}"
    assert f"{each} (a component takes less than 1 ms)" in said
    assert json.loads((condor.path() / "run.json").read_bytes())["submissions"] == 2

    said = condor(*words(condor, "--overwrite")).stderr
    check(condor)
    assert "(a component took less than 1 ms before)" in said
    assert [row["chunk_size"] > 1 for row in submissions(condor)] == [True]

    condor.write("f.py", f"{QUICK}  # changed")
    condor(*words(condor, "--overwrite"))
    assert len(submissions(condor)) == 2

    condor("rerun", "components", "t", "3-40")
    condor("wait", "t")
    check(condor)
    assert submissions(condor)[2]["chunk_size"] > 1


@pytest.mark.parametrize("more", [("--chunk-size", "7"), ("--detach",)])
def test_nothing_goes_first(condor: Shell, more: tuple[str, ...]) -> None:
    """Where the chunk size is given, or nobody follows the map, all is submitted at once."""
    condor.write("f.py", QUICK)
    condor(*words(condor, *more))
    (only,) = submissions(condor)
    assert only["chunk_size"] == (7 if "7" in more else 1)
    condor("wait", "t")
    check(condor)


def test_most_jobs(condor: Shell) -> None:
    """With --max-jobs, components share jobs although nothing is known of them."""
    condor.write("f.py", QUICK)
    condor(*words(condor, "--detach", "--max-jobs", "4"))
    (only,) = submissions(condor)
    assert only["chunk_size"] == 15
    assert only["why"] == "what a component takes is not known, and 4 jobs at the most"
    condor("wait", "t")
    check(condor)


def test_slow_components_are_a_job_each(gated: Gated) -> None:
    """Where none of the first components is back within some seconds, each of the others becomes a job."""
    until(lambda: len(submissions(gated.shell)) == 2, "the others are submitted")
    assert submissions(gated.shell)[1]["chunk_size"] == 1
    gated.let_go()
    assert "(none of the first is back)" in gated.process.communicate(timeout=PATIENCE_S)[1]
    check(gated.shell)


def test_a_kill_while_the_first_run(gated: Gated) -> None:
    """A command that is killed then leaves a map that says so, and that ``htrun wait`` carries on with."""
    gated.end(signal.SIGKILL)
    assert "killed before it had submitted more than the first 8 jobs" in gated.shell("why", "t").stdout
    gated.let_go()
    said = gated.shell("wait", "t").stderr
    assert "carrying on with 't'" in said
    assert len(submissions(gated.shell)) == 2
    assert gated.shell.counts() == {"COMPLETED": COUNT}


def test_another_command_that_waits_takes_over(gated: Gated) -> None:
    """``htrun wait`` beside the command leaves the matter to it, and sees to the rest itself when that is killed."""
    other = gated.shell.start("wait", "t")
    gated.end(signal.SIGKILL)
    gated.let_go()
    _, err = other.communicate(timeout=PATIENCE_S)
    assert other.returncode == 0, err
    check(gated.shell)


def test_an_interrupt_while_the_first_run(gated: Gated) -> None:
    """Ctrl-C leaves the map to itself: so all of it is submitted by then."""
    assert "the jobs keep running" in gated.end(signal.SIGINT)
    assert gated.process.returncode == 2
    assert [row["chunk_size"] for row in submissions(gated.shell)] == [1, 1]
    gated.let_go()
    gated.shell("wait", "t")
    check(gated.shell)


def test_holding_while_the_first_run(gated: Gated) -> None:
    """What is done to the map then concerns all of it."""
    gated.shell("hold", "t")
    assert gated.shell.counts() == {"HELD": COUNT}
    _, err = gated.process.communicate(timeout=PATIENCE_S)
    assert gated.process.returncode == 6, err
    gated.let_go()
    gated.shell("release", "t")
    gated.shell("wait", "t")
    check(gated.shell)


def test_removing_while_the_first_run(gated: Gated, condor_tool: Callable[..., str]) -> None:
    """A map that is removed then stays removed."""
    gated.shell("remove", "t")
    _, err = gated.process.communicate(timeout=PATIENCE_S)
    assert gated.process.returncode == 2, err
    assert not gated.shell.path().exists()
    queue = condor_tool("condor_q", "-allusers", "-af", "Iwd")
    assert str(gated.shell.home) not in queue


def test_stopping_at_an_error_of_the_first(condor: Shell) -> None:
    """With -x, an error among the first components is the end: the others are never submitted, but can be rerun."""
    condor.write("f.py", "def f(x): return 2 * x if open('/dev/null').read() else 1 / 0")
    said = condor(*words(condor, "-x"), code=1).stderr
    assert "ZeroDivisionError" in said
    counts = condor.counts()
    assert counts["REMOVED"] + counts["ERRORED"] == COUNT
    assert counts["REMOVED"] >= COUNT - 8
    _, dropped = submissions(condor)
    assert dropped["dropped"] == "its map stopped after 1 error"
    assert len(list((condor.path() / ".htrun" / "jobs").iterdir())) == 8
    assert "its map stopped after 1 error" in condor("why", "t").stdout
    condor("rerun", "components", "t", "--status", "removed")
    condor("wait", "t", code=1)
    assert sum(condor.counts().values()) == COUNT
