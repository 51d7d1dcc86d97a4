"""How many jobs run, and wait, at once: `--max-running` and `--max-idle`."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import PATIENCE_S, Shell, until

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 6
COUNTED = """
    import time
    from pathlib import Path

    HERE = Path({here!r})

    def f(x):
        (HERE / f"runs-{{x}}").touch()
        (HERE / f"ran-{{x}}").touch()
        others = [len(list(HERE.glob("runs-*")))]
        while not (HERE / f"gate-{{x}}").exists() and not (HERE / "gate").exists():
            time.sleep(0.05)
            others.append(len(list(HERE.glob("runs-*"))))
        time.sleep(0.2)
        others.append(len(list(HERE.glob("runs-*"))))
        (HERE / f"runs-{{x}}").unlink()
        return max(others)
"""


def start(shell: Shell, *more: object) -> None:
    """Start a map whose components tell how many of them they have seen running."""
    shell.write("f.py", COUNTED.format(here=str(shell.home)))
    calls = shell.jsonl("calls.jsonl", ([n] for n in range(COUNT)))
    shell("f.py:f", "--args", calls, "--tag", "t", "--detach", *more)


def ran(shell: Shell) -> int:
    """Return how many components were started."""
    return len(list(shell.home.glob("ran-*")))


def let_go(shell: Shell, *components: int) -> None:
    """Let components end, all of them by default."""
    for name in [f"gate-{component}" for component in components] or ["gate"]:
        (shell.home / name).touch()


def test_no_more_run_at_once(shell: Shell) -> None:
    """With --max-running there are never more at once, and those that wait for that are no jobs yet."""
    start(shell, "--max-running", "2")
    until(lambda: ran(shell) == 2, "two run")
    late = "UNMATERIALIZED" if shell.engine == "htcondor" else "IDLE"
    until(lambda: shell.counts() == {"RUNNING": 2, late: COUNT - 2}, "the status says so")
    let_go(shell, 0)
    until(lambda: ran(shell) == 3, "another one has started")
    let_go(shell)
    shell("wait", "t")
    assert shell.counts() == {"COMPLETED": COUNT}
    assert max(row["output"] for row in shell.outputs()) == 2


def test_why_they_wait(condor: Shell) -> None:
    """``htrun why`` names the limit that keeps jobs from being made."""
    start(condor, "--max-running", "1", "--max-idle", "1")
    until(lambda: condor.counts().get("RUNNING"), "one runs")
    until(lambda: condor.counts().get("UNMATERIALIZED") == COUNT - 1, "the others are no jobs yet")
    said = condor("why", "t").stdout
    assert "5 jobs more will be made as others start or end: --max-running 1 and --max-idle 1." in said
    let_go(condor)
    condor("wait", "t")
    assert condor.counts() == {"COMPLETED": COUNT}


def test_no_more_wait_at_once(condor: Shell) -> None:
    """With --max-idle, no more jobs wait, though as many run as there is room for."""
    start(condor, "--max-idle", "2", "--request-memory", "1000GB")
    until(lambda: condor.counts() == {"IDLE": 2, "UNMATERIALIZED": COUNT - 2}, "two wait")
    said = condor("edit", "memory", "t", "1", "--unit", "MB", code=4).stderr
    assert "4 jobs that HTCondor has not made yet will ask for what was asked at first" in said
    let_go(condor)
    until(lambda: condor.counts() == {"COMPLETED": 2, "IDLE": 2, "UNMATERIALIZED": COUNT - 4}, "two others wait")


def test_acting_on_what_waits(condor: Shell) -> None:
    """Held, released, vacated and removed are all components, those that are no jobs yet too."""
    start(condor, "--max-running", "2")
    until(lambda: condor.counts() == {"RUNNING": 2, "UNMATERIALIZED": COUNT - 2}, "two run")
    assert "6 components" in condor("hold", "t").stderr
    assert condor.counts() == {"HELD": COUNT}
    assert "with 'htrun hold'" in condor("reasons", "t").stdout
    condor("wait", "t", code=6)
    condor("release", "t")
    until(lambda: condor.counts() == {"RUNNING": 2, "UNMATERIALIZED": COUNT - 2}, "two run again")
    assert "2 components" in condor("vacate", "t").stderr
    let_go(condor, 0, 1)
    until(lambda: condor.counts().get("COMPLETED") == 2, "two have ended")
    condor("remove", "t")
    assert not condor.path().exists()


def test_stopping_what_waits(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """Components whose jobs were never made are removed with the others, by their cluster."""
    condor.write("f.py", "def f(x): return 1 / x")
    calls = condor.jsonl("calls.jsonl", ([n] for n in range(COUNT)))
    said = condor("f.py:f", "--args", calls, "--tag", "t", "--max-running", "1", "-x", code=1).stderr
    assert "ZeroDivisionError" in said
    counts = condor.counts()
    assert set(counts) <= {"ERRORED", "REMOVED", "COMPLETED"}
    assert counts["REMOVED"] > 0
    assert str(condor.home) not in condor_tool("condor_q", "-allusers", "-af", "Iwd")


def test_a_quiet_log_loses_no_job_that_is_not_made(condor: Shell) -> None:
    """Where the log says nothing for long, jobs that are not in the queue yet are not taken for lost."""
    start(condor, "--max-running", "1")
    process = condor.start("wait", "t", start_new_session=True)
    with pytest.raises(Exception, match="timed out"):  # after what the log is asked for lost jobs
        process.communicate(timeout=25)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert condor.counts() == {"RUNNING": 1, "UNMATERIALIZED": COUNT - 1}
    let_go(condor)
    condor("wait", "t")
    assert condor.counts() == {"COMPLETED": COUNT}


def test_the_first_jobs_count_too(condor: Shell) -> None:
    """With many components, the few that go first leave room for the rest, which never exceeds what is left."""
    condor.write("f.py", COUNTED.format(here=str(condor.home)))
    calls = condor.jsonl("calls.jsonl", ([n] for n in range(60)))
    process = condor.start("f.py:f", "--args", calls, "--tag", "t", "--max-running", "4", "--max-jobs", "10")
    until(lambda: ran(condor) == 4, "one that went first and three others run")
    let_go(condor)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "jobs: the first 1 of one component" in err
    assert max(row["output"] for row in condor.outputs()) <= 4


def test_options_that_say_nothing_here(local: Shell) -> None:
    """On this machine --max-running limits the workers; the other limits are for HTCondor, which is said."""
    local.write("f.py", "def f(x): return x")
    said = local(
        "f.py:f", "--args", local.jsonl("c.jsonl", [[1]]), "--max-idle", "3", "--max-jobs", "2", "--max-running", "1"
    ).stderr
    (note,) = re.findall("note: (.*)", said)
    assert note == "--max-jobs, --max-idle say nothing to the engine local"
