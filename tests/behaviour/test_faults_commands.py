"""Faults that befall commands: killed at each of their steps, a full or read-only disk, a hundred of them at once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.behaviour import killer
from tests.behaviour.census import take_census
from tests.behaviour.conftest import PATIENCE_S, until
from tests.behaviour.test_concurrency import at_once

if TYPE_CHECKING:
    import pytest

    from tests.behaviour.conftest import Shell

NUMBER = 3
NOTES = """
import os

def f(place, number):
    open(f"{place}-{number}-{os.getpid()}", "x")
    return number
"""


def kill_at_each_step(shell: Shell, first: str, *words: object) -> list[str]:
    """Run a command until it is not killed any more, once for each step; return the steps. See ``killer``."""
    command = [sys.executable, killer.__file__, first, *map(str, words)]
    done = subprocess.run(
        command, cwd=shell.cwd, env=shell.env, capture_output=True, text=True, check=False, timeout=3 * PATIENCE_S
    )
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr
    *killed, last = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert {code for _, code, _ in killed} == {"-9"}
    assert last[1] == "0", done
    return [step for _, _, step in killed]


def notes_of(shell: Shell) -> tuple[Path, Path]:
    """Return the inputs of a map whose components note that they ran, and the directory with the notes."""
    shell.write("m.py", NOTES)
    ran = shell.home / "ran"
    ran.mkdir()
    return shell.jsonl("in.jsonl", [[str(ran / "x"), number] for number in range(NUMBER)]), ran


def test_a_command_killed_at_each_of_its_steps(shell: Shell) -> None:
    """After ``kill -9`` at any step of making and submitting a map there is none, or ``htrun wait`` completes it."""
    calls, ran = notes_of(shell)
    # The steps until the engine submits are the same on each.
    first = "." if shell.engine == "local" else "maps-N/t-N/.htrun/submissions.jsonl"
    options = ["--args", calls, "--no-transfer", "--chunk-size", NUMBER, "--detach", "-q"]
    steps = kill_at_each_step(shell, first, "m.py:f", *options, "--tag", "t-N", "--results", "maps-N")
    assert {"fsync", "_schedd_submit" if shell.engine == "htcondor" else "os.fork"} <= {
        step.split(" ")[0] for step in steps
    }
    tags = set(shell("tags").lines)
    for number in range(1, len(steps) + 1):
        tag, place = f"t-{number}", shell.cwd / f"maps-{number}"
        assert (place / tag).exists() == (tag in tags), steps[number - 1]
    assert len(tags) < len(steps) or shell.engine == "htcondor"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda tag: shell("wait", tag), sorted(tags)))
    assert len(list(ran.iterdir())) == NUMBER * len(tags), "a component was lost, or ran twice"
    for tag in tags:
        lines = (shell.cwd / f"maps-{tag[2:]}" / tag / "outputs.jsonl").read_bytes().splitlines()
        assert [json.loads(line)["output"] for line in lines] == list(range(NUMBER))


def test_a_wait_killed_at_each_of_its_steps(shell: Shell) -> None:
    """Whenever ``htrun wait`` is killed, as it carries on what was left or writes the results, the next one does."""
    calls, ran = notes_of(shell)
    shell("m.py:f", "--args", calls, "--tag", "t", "--no-transfer", "--chunk-size", NUMBER, "--detach")
    if shell.engine == "local":
        for pid in shell.processes():
            os.kill(pid, signal.SIGKILL)
    kill_at_each_step(shell, ".", "wait", "t", "-q")
    shell("wait", "t")
    take_census(shell, list(range(NUMBER)))
    assert len({path.name.split("-")[1] for path in ran.iterdir()}) == NUMBER


def test_the_process_of_a_local_map_killed_at_each_of_its_steps(local: Shell) -> None:
    """Whenever the process of a local map is killed, what it had recorded stays, and the rest is carried on once."""
    local.write("m.py", "def f(x):\n    print(x)\n    return x\n")
    number = 40
    local("m.py:f", "--args", local.jsonl("in.jsonl", range(number)), "--tag", "t", "--detach", "--chunk-size", 1)
    for pid in local.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not local.processes(), "it is gone")
    for path in local.path().glob(".htrun/jobs/*"):
        shutil.rmtree(path)  # it may have been quick
    for path in (local.path() / "run.json", local.path() / "outputs.jsonl", local.path() / "errors.jsonl"):
        path.unlink(missing_ok=True)
    kill_at_each_step(local, ".", "supervise", local.path())
    local("wait", "t")
    take_census(local, list(range(number)))
    assert all(local("stdout", "t", n).stdout == f"{n}\n" for n in (0, number - 1))


def test_results_that_are_deleted_while_jobs_run(shell: Shell) -> None:
    """A map whose directory is deleted under its jobs is gone; a new one in its place gets no result of theirs."""
    calls, ran = notes_of(shell)
    shell.write("slow.py", NOTES + "\nimport time\n\ndef g(place, number):\n    f(place, -1)\n    time.sleep(600)\n")
    options = ["--tag", "t", "--no-transfer", "--chunk-size", 1]
    shell("slow.py:g", "--args", calls, *options, "--detach")
    until(lambda: list(ran.iterdir()), "one runs")
    shutil.rmtree(shell.path())
    done = shell("wait", "t", code=4)
    assert "no map has the tag 't'" in done.stderr
    shell("m.py:f", "--args", calls, *options)
    until(lambda: not shell.processes(), "the process of the deleted map has ended")
    take_census(shell, list(range(NUMBER)))


FULL_DISK = """
mount -t tmpfs -o size=1m tmpfs results || exit 77
head -c 1020k /dev/zero > results/filler
htrun m.py:f --args in.jsonl --tag t --no-transfer; echo "code $?"
ls -A results; rm results/filler; mount -o remount,ro,size=1m tmpfs results
htrun m.py:f --args in.jsonl --tag t --no-transfer; echo "code $?"
ls -A results; htrun tags; mount -o remount,rw,size=1m tmpfs results
mount -t tmpfs -o size=1m,mode=700 tmpfs registry
head -c 1024k /dev/zero > registry/filler
HTRUN_DIR=$PWD/registry htrun m.py:f --args in.jsonl --tag t --no-transfer; echo "code $?"
ls -A results; mount -o remount,ro,size=1m tmpfs registry
HTRUN_DIR=$PWD/registry htrun m.py:f --args in.jsonl --tag t --no-transfer; echo "code $?"
ls -A results
"""


def test_a_full_and_a_read_only_disk_where_maps_are_made(local: Shell) -> None:
    """No map is made where there is no room for it or its tag, nor where nothing may be written, and it is said."""
    notes_of(local)
    for name in ("results", "registry"):
        (local.cwd / name).mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK]
    done = subprocess.run(command, cwd=local.cwd, env=local.env, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["code 3", "filler", "code 4", "code 3", "code 4"], done
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr
    assert "Read-only file system" in done.stderr


def test_a_directory_that_must_not_be_written(condor: Shell) -> None:
    """No map is made, and no job submitted, where the results must not be written."""
    calls, _ = notes_of(condor)
    (condor.cwd / "results").mkdir(mode=0o500)
    done = condor("m.py:f", "--args", calls, "--tag", "t", "--no-transfer", code=4)
    assert "Permission denied" in done.stderr
    assert condor("tags").stdout == ""


def test_a_hundred_commands_at_once(local: Shell) -> None:
    """Of a hundred commands that make, follow, read and list maps at once none fails without a reason, or is torn."""
    calls, ran = notes_of(local)
    make = ["m.py:f", "--args", calls, "--no-transfer", "--chunk-size", NUMBER, "--workers", 1, "--tag"]
    local(*make, "t")
    commands: list[list[object]] = [[*make, f"t{number % 10}"] for number in range(30)]
    commands += [["wait", "t"], ["collect", "t"], ["status", "--format", "json"], ["wait", "t1"], ["tags"]] * 14
    results = at_once(local, commands)
    assert sum(done.code == 0 for done in results[:30]) == 10, "each tag is given once"
    for words, done in zip(commands, results, strict=True):
        if words[:2] == ["collect", "t"]:
            assert [row["output"] for row in done.rows] == list(range(NUMBER))
    for number in range(10):
        assert [row["output"] for row in local.outputs(f"t{number}")] == list(range(NUMBER))
    assert len(list(ran.iterdir())) == 11 * NUMBER
    take_census(local, list(range(NUMBER)))


# Calls of the clock give a time that may be a day early or late.
CLOCK = """
import random, time

_time = time.time
time.time = lambda: _time() + random.choice((-86400, 0, 86400))
"""


def test_a_clock_that_jumps(local: Shell) -> None:
    """A clock that goes back and forth by a day, here and in workers, loses no result."""
    local.write("clock/sitecustomize.py", CLOCK)
    environ = {"PYTHONPATH": str(local.cwd / "clock")}
    local.write("m.py", "def f(x):\n    return x\n")
    calls = local.jsonl("in.jsonl", range(40))
    local("m.py:f", "--args", calls, "--tag", "t", "--chunk-size", 20, env=environ)
    local("status", env=environ)
    take_census(local, list(range(40)))


def test_the_maps_of_two_users(local: Shell, request: pytest.FixtureRequest) -> None:
    """Two users' maps in one directory of results, made at once, do not get in each other's way.

    Only root can be two users; for anybody else these are two with the same id and directories of their own.
    """
    place = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(place))
    theirs: dict[str, Any] = {"cwd": place / "home", "env": {"HOME": place / "home", "HTRUN_DIR": place / "home/htrun"}}
    for path in (place, place / "results", place / "home"):
        path.mkdir(exist_ok=True)
        path.chmod(0o1777)
    if os.geteuid() == 0:
        theirs |= {"user": 65534, "group": 65534, "extra_groups": []}
    local.write("m.py", "import os\n\ndef f(x):\n    return [x, os.getuid()]\n")
    shutil.copy(local.cwd / "m.py", place / "home/m.py")
    calls = place / "home/in.jsonl"
    calls.write_text("".join(f"{x}\n" for x in range(20)))
    words = ["m.py:f", "--args", calls, "--results", place / "results", "--tag"]
    ours, others = local.start(*words, "ours"), local.start(*words, "theirs", **theirs)
    assert (ours.communicate()[1], ours.returncode)[1] == 0
    assert (others.communicate()[1], others.returncode)[1] == 0
    refused = local(*words, "ours", code=4, **theirs)
    assert str(place / "results/ours") in refused.stderr
    if "user" in theirs:
        refused = local(*words, "ours", "--overwrite", code=4, **theirs)
        assert str(place / "results/ours") in refused.stderr
    (local.cwd / "results").symlink_to(place / "results")
    take_census(local, [[x, os.getuid()] for x in range(20)], "ours")
    rows = [row["output"] for row in local.outputs("theirs")]
    assert rows == [[x, theirs.get("user", os.getuid())] for x in range(20)]
