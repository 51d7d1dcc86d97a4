"""What the pool does to jobs, and what only happens there: jobs that are vacated, held, removed, lost or refused."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import PATIENCE_S, until
from tests.behaviour.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell


def test_a_vacated_job_keeps_what_is_finished(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """A job that is vacated brings its records back: components that were finished are not run again."""
    steps = Steps(condor)
    condor(*steps.words, "--detach")
    steps.wait_for_3()
    cluster = cluster_of(condor, condor_tool)
    condor_tool("condor_vacate_job", cluster)
    steps.wait_for_3(times=2)
    steps.let_go()
    condor("wait", "t")
    steps.check()
    assert steps.ran == [0, 1, 2, 3, 3, 4, 5]
    assert condor("stdout", "t", 5).stdout == "printed by 5\n"
    told = [line for line in condor("components", "t", "-v").lines if not line.startswith(" ")]
    assert "attempt 2" in told[5]


def cluster_of(shell: Shell, tool: Callable[..., str]) -> str:
    """Return the cluster of the map ``t``, waiting for it to be in the queue."""

    def find() -> str:
        ads = [line.split(maxsplit=1) for line in tool("condor_q", "-allusers", "-af", "ClusterId", "Iwd").splitlines()]
        return next((ad[0] for ad in ads if ad[1].startswith(str(shell.home))), "")

    return str(until(find, "the job is in the queue"))


def test_held_components_are_told_and_released(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """A held component is shown with HTCondor's reason as soon as it is held; then htrun exits with 6."""
    steps = Steps(condor)
    process = condor.start(*steps.words)
    steps.wait_for_3()
    cluster = cluster_of(condor, condor_tool)
    condor_tool("condor_hold", cluster, "-reason", "because of a test")
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 6, err
    assert "HELD component" in err
    assert "because of a test" in err
    assert "6 held" in err.splitlines()[-1]
    assert condor.counts() == {"HELD": 6}
    assert re.fullmatch(r"t components 0-5: because of a test.*\n", condor("reasons", "t").stdout)
    assert "because of a test" in condor("wait", "t", code=6).stderr
    held = condor("collect", "t", "--status", "held").rows
    assert held[-1]["component"] == 5
    assert "because of a test" in held[-1]["reason"]
    condor_tool("condor_release", cluster)
    until(lambda: "HELD" not in condor.counts(), "the log says that it was released")
    steps.let_go()
    condor("wait", "t")
    steps.check()
    assert "HELD" not in condor.counts()
    assert condor("reasons", "t").stdout == ""


def test_a_job_that_is_removed_behind_our_back(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """Components of a job that somebody removed are REMOVED; who waits for them gets an end, with exit code 1."""
    steps = Steps(condor)
    condor(*steps.words, "--detach")
    steps.wait_for_3()
    condor_tool("condor_rm", cluster_of(condor, condor_tool))
    done = condor("wait", "t", code=1)
    assert "6 removed" in done.stderr.splitlines()[-1]
    assert condor.counts() == {"REMOVED": 6}
    assert "Traceback" not in condor("errors", "t").stderr
    condor("stdout", "t", 5, code=4)
    condor("remove", "t")
    assert condor("tags").stdout == ""


def test_why_components_were_removed_is_told(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """The reason why a component was removed stands in the summary and in its row."""
    steps = Steps(condor)
    condor(*steps.words, "--detach")
    steps.wait_for_3()
    condor_tool("condor_rm", cluster_of(condor, condor_tool), "-reason", "because of a test")
    assert "REMOVED components 0-5: because of a test" in condor("wait", "t", code=1).stderr
    assert "because of a test" in condor("collect", "t").rows[0]["reason"]


def test_jobs_whose_end_the_log_has_lost(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """Where the log says nothing more of jobs that HTCondor no longer has, waiting ends; what has a record counts."""
    steps = Steps(condor)
    condor(*steps.words[:-2], 1, "--no-transfer", "--detach")
    until(lambda: condor.counts() == {"COMPLETED": 5, "RUNNING": 1}, "all but component 3 have completed")
    log = condor.path() / ".htrun" / "events.log"
    log.unlink()
    log.symlink_to("/dev/null")  # HTCondor makes it anew
    condor_tool("condor_rm", cluster_of(condor, condor_tool))
    done = condor("wait", "t", code=1)
    assert "REMOVED component 3: HTCondor no longer has the job" in done.stderr
    assert condor.counts() == {"COMPLETED": 5, "REMOVED": 1}
    assert [row.get("output") for row in condor.outputs()] == [0, 1, 2, None, 4, 5]


def test_damage_in_the_log(condor: Shell) -> None:
    """A log with garbage and a torn event in its middle hides nothing, and what comes after that is read as before."""
    steps = Steps(condor)
    condor(*steps.words[:-2], 1, "--no-transfer", "--detach")
    until(lambda: condor.counts() == {"COMPLETED": 5, "RUNNING": 1}, "all but component 3 have completed")
    log = condor.path() / ".htrun" / "events.log"
    events = log.read_bytes().split(b"\n...\n")
    middle = len(events) // 2
    damage = [b"\xff\xfe garbage", bytes(60), events[middle][:30]]
    log.write_bytes(b"\n...\n".join(events[:middle] + damage) + b"\n" + b"\n...\n".join(events[middle:]))
    assert condor.counts() == {"COMPLETED": 5, "RUNNING": 1}
    done = condor("collect", "t", "--status", "completed").rows
    assert [row["output"] for row in done] == [0, 1, 2, 4, 5]
    assert condor("errors", "t").code == 0
    condor("vacate", "t")
    steps.wait_for_3(times=2)
    steps.let_go()
    condor("wait", "t")
    steps.check()


def test_a_hold_for_an_input_names_the_users_file(condor: Shell) -> None:
    """If an input file is gone when the job starts, the hold's reason says what the user called it."""
    condor.write("m.py", "from pathlib import Path\n\ndef f(path: Path):\n    return 1\n")
    condor.write("my data.txt", "data")
    process = condor.start("m.py:f", "--args", condor.jsonl("in.jsonl", ["my data.txt"]), "--tag", "t")
    stage = condor.path() / ".htrun" / "stage"
    until(lambda: stage.is_dir() and list(stage.iterdir()), "the file is staged")
    (condor.cwd / "my data.txt").unlink()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 6
    assert "my data.txt" in condor("reasons", "t").stdout


def test_exitfirst_stops_the_jobs(condor: Shell) -> None:
    """With ``-x`` a failure stops the rest of its own job too, and a job that dies without a record counts as one."""
    condor.write(
        "m.py",
        """
        import os, time

        def f(x):
            if x == 1:
                raise ValueError("one")
            time.sleep(0 if x == 0 else 60)

        def kill(x):
            if x == 0:
                os.kill(os.getppid(), 9)
            time.sleep(60)
        """,
    )
    started = time.monotonic()
    calls = condor.jsonl("in.jsonl", range(6))
    done = condor("m.py:f", "--args", calls, "--tag", "t", "-x", "--chunk-size", 6, code=1)
    assert condor.counts() == {"COMPLETED": 1, "ERRORED": 1, "REMOVED": 4}
    assert "stopped after errors" in done.stderr
    done = condor("m.py:kill", "--args", calls, "--tag", "k", "-x", code=1)
    assert condor.counts("k") == {"ERRORED": 1, "REMOVED": 5}
    assert "JobDied" in done.stderr
    assert time.monotonic() - started < 50


@pytest.mark.parametrize("after", [0.8, 1.2, 1.6])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_an_interrupt_during_submission(condor: Shell, after: float, number: signal.Signals) -> None:
    """An interrupt at any moment, in the middle of a submission too, ends the command with exit code 2."""
    condor.write("m.py", "import time\n\ndef f(x):\n    time.sleep(60)\n")
    calls = condor.jsonl("in.jsonl", range(3000))
    process = condor.start("m.py:f", "--args", calls, "--tag", "t", "--chunk-size", 1)
    time.sleep(after)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, err
    assert "Traceback" not in err
    assert condor("tags").lines in ([], ["t"])


def test_a_map_is_replaced_only_by_one_that_was_submitted(condor: Shell) -> None:
    """If the new map cannot be submitted, ``--overwrite`` leaves the old one with its results and its tag."""
    condor.write("m.py", "def f(x):\n    return x\n")
    condor("m.py:f", "--args", condor.jsonl("one.jsonl", [7]), "--tag", "t", "--engine", "local")
    many = condor.jsonl("many.jsonl", range(20_001))
    done = condor("m.py:f", "--args", many, "--tag", "t", "--overwrite", "--chunk-size", 1, code=4)
    assert "--chunk-size" in done.stderr
    assert condor("collect", "t", "--values").rows == [7]
    assert [path.name for path in (condor.cwd / "results").iterdir()] == ["t"]


def test_wait_keeps_to_exitfirst(condor: Shell) -> None:
    """A map that was started with ``-x`` and left to itself is stopped at the first failure by who waits for it."""
    condor.write("m.py", "import time\n\ndef f(x):\n    if x == 0: raise ValueError\n    time.sleep(60)\n")
    condor("m.py:f", "--args", condor.jsonl("in.jsonl", range(4)), "--tag", "t", "-x", "--detach")
    started = time.monotonic()
    condor("wait", "t", code=1)
    assert condor.counts() == {"ERRORED": 1, "REMOVED": 3}
    assert time.monotonic() - started < 50


def test_many_jobs_that_die_are_told_soon(condor: Shell) -> None:
    """Jobs that die without a record have errors that say how, however many there are."""
    condor.write("m.py", "import os, time\n\ndef f(x):\n    os.kill(os.getppid(), 9)\n    time.sleep(60)\n")
    done = condor("m.py:f", "--args", condor.jsonl("in.jsonl", range(20)), "--tag", "t", "--tb", "line", code=1)
    assert done.stderr.count("JobDied: the job left no record of this component: it was killed by signal 9") == 40
