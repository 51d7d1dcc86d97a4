"""Retries on another machine: a pool of two, of which the one that comes first makes components fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import HTRUN, Shell
from tests.parts import equipment
from tests.pool.machines import MACHINES, two_machines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pool.pool import Pool

SICK = """\
    import os, re
    from pathlib import Path

    import htrun

    home = Path({home!r})

    def machine():
        ad = Path(os.environ["_CONDOR_MACHINE_AD"]).read_text()
        return re.search('^Machine = "(.*)"', ad, re.M)[1]

    def f(n, fails):
        here = machine()
        with open(home / f"tries-{{n}}", "a") as log:
            log.write(here + "\\n")
        print("on", here)
        try:
            with open(home / "sick", "x") as file:
                file.write(here)
        except FileExistsError:
            pass
        Path("made").write_text(here); Path("empty").touch()
        htrun.transfer_output_files("made", "empty")
        if fails == "always" or fails == "there" and (home / "sick").read_text() == here:
            raise OSError(f"the disk of {{here}} is sick")
        return here
    """


@pytest.fixture(scope="module")
def two(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Return a pool of two machines."""
    with two_machines(tmp_path_factory.mktemp("two"), equipment.find()) as started:
        yield started


@pytest.fixture
def place(two: Pool, tmp_path: Path) -> Iterator[Shell]:
    """Return a place to run commands in, on that pool."""
    shell = Shell(tmp_path, "htcondor", {**two.env, "PATH": f"{HTRUN.parent}:{two.env['PATH']}"})
    shell.write("m.py", SICK.format(home=str(tmp_path)))
    yield shell
    shell.close()


def tries(shell: Shell, component: int) -> list[str]:
    """Return the machines where a component was tried."""
    return (shell.home / f"tries-{component}").read_text().split()


def test_another_machine_is_tried(place: Shell) -> None:
    """A component that fails is tried on another machine, its neighbours are not, and what it left counts no more."""
    calls = [[0, "never"], [1, "there"], [2, "never"]]
    rows = place.run("m.py:f", calls, "--chunk-size", 3, "--retries", 2)
    sick = (place.home / "sick").read_text()
    [other] = set(MACHINES) - {sick}
    assert [row["output"] for row in rows] == [sick, other, sick]
    assert [tries(place, n) for n in range(3)] == [[sick], [sick, other], [sick]]
    assert (place.path() / "files/1/made").read_text() == other
    assert place("stdout", "t", 1).stdout == f"on {sick}\non {other}\n"
    told = place("components", "t", "-v").stdout
    assert f"attempt 1 on {sick}: OSError: the disk of {sick} is sick" in told
    assert told.count("attempt 2 ") == 1


def test_a_sick_machine_is_left_out(place: Shell) -> None:
    """A machine where a component has failed that another one has completed gets no more of the map; that is said."""
    calls = place.jsonl("c.jsonl", [[0, "there"]])
    done = place("m.py:f", "--args", calls, "--tag", "t", "--retries", 1)
    sick = (place.home / "sick").read_text()
    [other] = set(MACHINES) - {sick}
    said = f"component 0 has failed on {sick} and completed on {other}: what has not started does not go to {sick}"
    assert (done.stdout + done.stderr).count(said) == 1
    for _ in range(3):
        place("rerun", "map", "t")
        assert "does not go" not in place("wait", "t").stderr
    assert tries(place, 0) == [sick, other, other, other, other]


def test_what_fails_everywhere(place: Shell) -> None:
    """A component that fails on each machine is in error with its last attempt, and no machine is to blame."""
    calls = place.jsonl("c.jsonl", [[0, "always"], [1, "never"]])
    done = place("m.py:f", "--args", calls, "--tag", "t", "--retries", 1, "--chunk-size", 2, code=1)
    assert sorted(tries(place, 0)) == sorted(MACHINES)
    assert len(tries(place, 1)) == 1
    assert "does not go" not in done.stderr
    [error] = place.errors()
    assert error["attempt"] == 2
    assert [row["attempt"] for row in error["failures"]] == [1]
