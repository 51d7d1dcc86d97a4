"""Retries and time-outs, on each engine."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

FLAKY = """\
    import itertools, os, signal, subprocess, sys, time
    from pathlib import Path

    import htrun

    home = Path({home!r})

    def f(n, what, until=99):
        tries = home / f"tries-{{n}}"
        with open(tries, "a") as log:
            log.write(".")
        attempt = len(tries.read_text())
        print("attempt", attempt, flush=True)
        left = sorted(os.listdir())
        Path("left").touch()
        if attempt < until:
            getattr(sys.modules[__name__], what)(n)
        return [attempt, left]

    def well(n):
        return None

    def error(n):
        raise ValueError(f"no {{n}}")

    def crash(n):
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(n):
        os._exit(3)

    def sleep(n):
        time.sleep(600)

    def child(n):
        process = subprocess.Popen(["sleep", "600"])
        (home / "child").write_text(str(process.pid))
        process.wait()

    def stubborn(n):
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass

    def deaf(n):
        try:
            time.sleep(600)
        except BaseException:
            pass

    def compiled(n):
        sum(itertools.repeat(0))

    def hand_over(n):
        Path(f"file-{{len((home / f'tries-{{n}}').read_text())}}").touch()
        htrun.transfer_output_files(*Path(".").glob("file-*"))
        raise ValueError("after the files")

    def save(n):
        if not Path("step").exists():
            Path("step").touch()
            htrun.checkpoint("step")
        raise ValueError("after the checkpoint")

    def gate(n):
        while not (home / "gate").exists():
            time.sleep(0.02)
    """


SLOW_VALUE = """\
    import time

    class Slow:
        def __reduce__(self):
            time.sleep(8)  # longer than the time and the grace
            return Slow, ()

    def f():
        return Slow()
    """


@pytest.fixture
def flaky(shell: Shell) -> Shell:
    """Return a place with the functions of this module, on each engine."""
    shell.write("m.py", FLAKY.format(home=str(shell.home)))
    return shell


def tries(shell: Shell, *components: int) -> list[int]:
    """Return how often each component has been tried."""
    return [len((shell.home / f"tries-{component}").read_text()) for component in components]


def outputs(rows: list[Any]) -> list[Any]:
    """Return the outputs of rows, None where there is none."""
    return [row.get("output") for row in rows]


def test_what_has_failed_is_tried_again(flaky: Shell) -> None:
    """Exceptions, signals and exits are tried again, each in a fresh directory; neighbours are not repeated."""
    whats = ["well", "error", "well", "crash", "well", "leave", "well"]
    calls = [[n, what, 3] for n, what in enumerate(whats)]
    rows = flaky.run("m.py:f", calls, "--retries", 2, "--chunk-size", 7, "--workers", 1)
    assert outputs(rows) == [[1 if what == "well" else 3, []] for what in whats]
    assert tries(flaky, *range(7)) == [1 if what == "well" else 3 for what in whats]
    for n, what in enumerate(whats):
        printed = flaky("stdout", "t", n).stdout
        assert printed == ("attempt 1\n" if what == "well" else "attempt 1\nattempt 2\nattempt 3\n")
    told = flaky("components", "t", "-v").stdout
    assert told.count(": ValueError: no 1") == 2
    assert told.count("(SIGSEGV)") == 2
    assert told.count("exit code 3") == 2


def test_all_attempts_fail(flaky: Shell) -> None:
    """A component that fails each time is in error once, with its last attempt, and the report tells of the others."""
    calls = flaky.jsonl("c.jsonl", [[0, "error"], [1, "leave"], [2, "well"]])
    done = flaky("m.py:f", "--args", calls, "--tag", "t", "--retries", 2, "--maxfail", 3, "--chunk-size", 3, code=1)
    assert "2 errored, 1 completed" in done.stderr
    assert tries(flaky, 0, 1, 2) == [3, 3, 1]
    first, second = flaky.errors()
    assert [first["attempt"], second["attempt"]] == [3, 3]
    assert [row["attempt"] for row in first["failures"]] == [1, 2]
    assert {row["message"] for row in first["failures"]} == {"no 0"}
    assert "exit code 3" in second["failures"][1]["message"]
    report = flaky("errors", "t").stdout
    assert "attempt 1 on " in report
    assert "attempt 2 on " in report


def test_a_rerun_counts_anew(flaky: Shell) -> None:
    """A rerun has all its attempts again, and forgets those of before."""
    flaky.run("m.py:f", [[0, "error", 4]], "--retries", 1, code=1)
    assert tries(flaky, 0) == [2]
    flaky("rerun", "components", "t", 0)
    flaky("wait", "t")
    assert tries(flaky, 0) == [4]
    assert flaky("components", "t", "-v").stdout.count("attempt 1 on") == 1


def test_maxfail_counts_outcomes(flaky: Shell) -> None:
    """What completes at a later attempt is no failure that a map would stop for."""
    rows = flaky.run("m.py:f", [[n, "error", 2] for n in range(3)], "--retries", 1, "-x", "--chunk-size", 3)
    assert [row["status"] for row in rows] == ["COMPLETED"] * 3


def test_files_of_failed_attempts_are_dropped(flaky: Shell) -> None:
    """Only what the last attempt has handed over is kept; a checkpoint is there in the next attempt."""
    flaky.run("m.py:f", [[0, "hand_over"], [1, "save", 3]], "--retries", 2, "--chunk-size", 2, code=1)
    assert [path.name for path in (flaky.path() / "files/0").iterdir()] == ["file-3"]
    assert flaky.outputs()[1]["output"] == [3, ["step"]]
    assert not list(flaky.path().glob(".htrun/**/checkpoint.*"))
    assert not list(flaky.path().glob(".htrun/jobs/*/file.*"))


def test_what_takes_too_long(flaky: Shell) -> None:
    """A function that takes too long is interrupted where it is, with its children; neighbours are not affected."""
    calls = [[0, "well"], [1, "sleep"], [2, "well"], [3, "child"], [4, "well"]]
    rows = flaky.run("m.py:f", calls, "--timeout", "1s", "--chunk-size", 5, "--workers", 1, code=1)
    assert [row["status"][0] for row in rows] == list("CECEC")
    assert tries(flaky, *range(5)) == [1] * 5
    for error in flaky.errors():
        assert error["error"]["type"] == "ComponentTimeout"
        assert error["error"]["message"] == "it took longer than 1 s"
    assert flaky.errors()[0]["error"]["frames"][-1]["source"][-1].strip() == "time.sleep(600)"
    until(lambda: not is_running((flaky.home / "child").read_text()), "the child is dead")


def is_running(pid: str) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


def test_what_does_not_listen(flaky: Shell) -> None:
    """A function that catches everything, and compiled code that does not return, are killed; neighbours go on."""
    calls = [[0, "well"], [1, "stubborn"], [2, "well"], [3, "compiled"], [4, "well"]]
    rows = flaky.run("m.py:f", calls, "--timeout", 1, "--chunk-size", 5, "--workers", 1, code=1)
    assert [row["status"][0] for row in rows] == list("CECEC")
    assert tries(flaky, *range(5)) == [1] * 5
    for error in flaky.errors():
        assert error["error"]["type"] == "ComponentTimeout"
        assert "it took longer than 1 s, and did not end" in error["error"]["message"]


def test_what_listens_and_goes_on(flaky: Shell) -> None:
    """A function that catches the interruption, and returns, has taken too long nevertheless."""
    rows = flaky.run("m.py:f", [[0, "deaf"], [1, "well"]], "--timeout", 1, "--chunk-size", 2, code=1)
    assert [row["status"][0] for row in rows] == list("EC")
    assert flaky.errors()[0]["error"]["message"] == "it took longer than 1 s"


def test_only_the_function_has_a_time_out(flaky: Shell) -> None:
    """What comes after the function, such as the pickling of its value, takes as long as it takes."""
    flaky.write("slow.py", SLOW_VALUE)
    rows = flaky.run("slow.py:f", None, "--timeout", 1)
    assert [row["status"] for row in rows] == ["COMPLETED"]


def test_a_timeout_is_tried_again(flaky: Shell) -> None:
    """What takes too long is tried again as what fails otherwise, also where it had to be killed."""
    calls = [[0, "sleep", 2], [1, "stubborn", 2], [2, "well"]]
    rows = flaky.run("m.py:f", calls, "--timeout", 1, "--retries", 1, "--chunk-size", 3)
    assert [row["output"][0] for row in rows] == [2, 2, 1]
    assert flaky("components", "t", "-v").stdout.count("ComponentTimeout: it took longer than 1 s") == 2


def test_quick_components_have_time(flaky: Shell) -> None:
    """The time is that of a component, not of its job; imports and neighbours do not count."""
    rows = flaky.run("m.py:f", [[n, "well"] for n in range(300)], "--timeout", 60, "--chunk-size", 300)
    assert {row["status"] for row in rows} == {"COMPLETED"}


def test_the_header_says_it(local: Shell) -> None:
    """The header shows retries and the time-out as they can be given."""
    local.write("m.py", "def f(): pass")
    done = local("m.py:f", "--retries", 2, "--timeout", "300")
    assert "options: retries = 2, timeout = 5m" in done.stderr


def test_attempts_outlive_a_kill(local: Shell) -> None:
    """After a kill of everything between two attempts, the one that has failed still counts, and is told of."""
    local.write("m.py", FLAKY.format(home=str(local.home)).replace("getattr(", "attempt < 3 or gate(n); getattr("))
    calls = local.jsonl("c.jsonl", [[0, "crash"], [1, "error"]])
    local("m.py:f", "--args", calls, "--tag", "t", "--retries", 3, "--workers", 2, "--detach")
    until(
        lambda: all((local.home / f"tries-{n}").exists() for n in (0, 1)) and tries(local, 0, 1) == [3, 3], "it waits"
    )
    for pid in local.processes():
        os.kill(pid, signal.SIGKILL)
    (local.home / "gate").touch()
    local("wait", "t", code=1)
    assert tries(local, 0, 1) == [5, 5], "two have failed, one was killed with everything, and two are left"
    assert [[row["attempt"] for row in error["failures"]] for error in local.errors()] == [[1, 2, 3]] * 2


def test_pauses_do_not_count(local: Shell, wait_longer: Callable[[], None]) -> None:
    """While a map is paused, its components do not use up their time."""
    local.write("m.py", FLAKY.format(home=str(local.home)))
    calls = local.jsonl("c.jsonl", [[0, "gate"]])
    local("m.py:f", "--args", calls, "--tag", "t", "--timeout", "2", "--detach")
    until(lambda: (local.home / "tries-0").exists(), "it runs")
    local("pause", "t")
    wait_longer()
    (local.home / "gate").touch()
    local("resume", "t")
    local("wait", "t")
    assert local.outputs()[0]["status"] == "COMPLETED"


@pytest.fixture
def wait_longer() -> Callable[[], None]:
    """Return a function that lets more time pass than a component of these tests may take, and the grace with it."""
    import time

    return lambda: time.sleep(11)
