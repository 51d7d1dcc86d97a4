"""Faults of a pool: its daemons are killed while jobs run, in a pool that no other test uses."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.census import take_census
from tests.behaviour.conftest import HTRUN, Shell, until
from tests.pool import pool as pools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pool.pool import Pool

pytestmark = pytest.mark.xdist_group("a pool to break")

JOBS, SIZE = 3, 4
WAITING = """
import os, time
from pathlib import Path

def f(place, number):
    Path(place, f"began-{number}-{os.getpid()}").touch()
    print("printed by", number)
    while number % 4 == 2 and not Path(place, "gate").exists():
        time.sleep(0.05)
    return number
"""


@pytest.fixture(scope="module")
def breakable(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the directory of a pool that may be broken."""
    if pool.programs is None:
        pytest.skip("the pool's programs are not ours to start")
    home = tmp_path_factory.mktemp("pool") / "pool"
    pools.start(home)
    yield home
    pools.end_daemons(home)


def kill(pool: Path, name: str, number: signal.Signals) -> None:
    """Send a signal to the daemons of a name."""
    pids = [pid for pid, comm in pools.daemons(pool).items() if comm == name]
    assert pids, f"there is no {name}"
    pools.signal_all(pids, number)


class Running:
    """A map of three jobs of four components, of which each waits in its third."""

    def __init__(self, shell: Shell, pool: Path, transfer: str) -> None:
        self.shell = shell
        self.pool = pool
        self.ran = shell.home / "ran"
        self.ran.mkdir()
        shell.write("m.py", WAITING)
        calls = shell.jsonl("in.jsonl", [[str(self.ran), number] for number in range(JOBS * SIZE)])
        # Else HTCondor waits 40 minutes for a machine that is lost to come back.
        options = ["--no-transfer", "--chunk-size", SIZE, "-o", "job_lease_duration=20"]
        options += ["-o", f"should_transfer_files={transfer}"]
        shell("m.py:f", "--args", calls, "--tag", "t", *options, "--detach")
        until(lambda: all(self.began(n) for n in range(2, JOBS * SIZE, SIZE)), "each job is in its third component")

    def began(self, number: int) -> int:
        """Return how often a component was started."""
        return len(list(self.ran.glob(f"began-{number}-*")))

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill the daemons of a name."""
        kill(self.pool, name, number)

    def finish(self) -> None:
        """Let all go on, and take the census."""
        (self.ran / "gate").touch()
        self.shell("wait", "t")
        take_census(self.shell, list(range(JOBS * SIZE)))
        for number in (0, 2, 3):
            assert self.shell("stdout", "t", number).stdout == f"printed by {number}\n"


@pytest.fixture
def place(breakable: Path, tmp_path: Path) -> Iterator[Shell]:
    """Return a place to run commands in, on the pool that may be broken."""
    programs = pools.prefix.find()
    environ = pools.Pool(breakable / "condor_config", programs).env
    shell = Shell(tmp_path, "htcondor", {**environ, "PATH": os.pathsep.join([str(HTRUN.parent), environ["PATH"]])})
    yield shell
    shell.close()


@pytest.fixture
def running(breakable: Path, place: Shell, request: pytest.FixtureRequest) -> Running:
    """Return a map that runs in the pool that may be broken, with transfer or without."""
    return Running(place, breakable, getattr(request, "param", "YES"))


@pytest.mark.parametrize("running", ["YES", "NO"], indirect=True)
def test_killed_starters(running: Running) -> None:
    """Jobs whose starters are killed run again, and repeat no component that was secured."""
    running.kill("condor_starter")
    until(lambda: all(running.began(n) > 1 for n in (2, 6, 10)), "they run again")
    running.finish()


def test_killed_shadows(running: Running) -> None:
    """Jobs whose shadows are killed run again or go on."""
    running.kill("condor_shadow")
    running.finish()


@pytest.mark.parametrize("running", ["YES", "NO"], indirect=True)
def test_a_killed_schedd(running: Running) -> None:
    """A schedd that is killed is started again by its master; jobs that go on, and end meanwhile, are not lost."""
    running.kill("condor_schedd")
    running.shell("status", "t")
    running.finish()


def test_a_killed_startd(running: Running) -> None:
    """Jobs of a machine whose startd is killed run again."""
    running.kill("condor_startd")
    running.finish()


def test_all_daemons_killed_at_once(running: Running) -> None:
    """A machine that loses everything but its disk, and is started again, finishes its maps."""
    for pid in pools.daemons(running.pool):
        os.kill(pid, signal.SIGKILL)
    pools.wait_gone(running.pool, pools.STOP_S)
    pools.launch(running.pool, pools.prefix.find(), pools.Pool(running.pool / "condor_config", pools.prefix.find()).env)
    running.finish()


def test_a_schedd_that_does_not_answer_when_the_rest_is_due(breakable: Path, place: Shell) -> None:
    """A command that follows a map goes on, and submits what was put off as soon as the schedd answers again."""
    place.write("m.py", WAITING)
    (ran := place.home / "ran").mkdir()
    calls = place.jsonl("in.jsonl", [[str(ran), 4 * number + 2] for number in range(60)])
    command = place.start("m.py:f", "--args", calls, "--tag", "t")
    until(lambda: any(ran.iterdir()), "one of the first components runs")
    kill(breakable, "condor_schedd", signal.SIGSTOP)
    try:
        log = place.home / "registry" / "logs" / "htrun.log"
        until(lambda: log.exists() and "cannot submit the rest" in log.read_text(), "the schedd does not answer")
    finally:
        kill(breakable, "condor_schedd", signal.SIGCONT)
    (ran / "gate").touch()
    said = command.communicate()[1]
    assert command.returncode == 0, said
    assert [row["output"] for row in place.outputs()] == [4 * number + 2 for number in range(60)]
