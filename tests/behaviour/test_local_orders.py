"""Acting on maps of this machine where something else happens at the same time: kills, interrupts, other orders."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import PATIENCE_S, until
from tests.behaviour.steps import Steps

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell


@pytest.fixture
def steps(local: Shell) -> Steps:
    """Return a map that was started in the background, and whose component 3 runs and waits."""
    steps = Steps(local)
    local(*steps.words, "--detach")
    steps.wait_for_3()
    return steps


def kill(shell: Shell) -> None:
    """Kill the process that works on the map, and wait until its workers are gone too."""
    (supervisor,) = [pid for pid in shell.processes() if pid == os.getsid(pid)]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not shell.processes(), "its workers are gone too", 10)


@pytest.mark.parametrize("words", [["wait", "t"], ["resume", "t"]], ids=" ".join)
def test_a_kill_while_it_is_paused(steps: Steps, words: list[str]) -> None:
    """A paused map whose process is killed leaves no stopped process, and goes on when it is waited for or resumed."""
    shell = steps.shell
    shell("pause", "t")
    assert shell.counts() == {"COMPLETED": 3, "SUSPENDED": 1, "IDLE": 2}
    kill(shell)
    assert shell.counts() == {"COMPLETED": 3, "IDLE": 3}
    steps.let_go()
    shell(*words)
    shell("wait", "t")
    steps.check()
    assert steps.ran == [0, 1, 2, 3, 3, 4, 5]


def test_a_kill_right_after_a_hold(steps: Steps) -> None:
    """What was held stays so though the process is killed; then there is nothing to carry on."""
    shell = steps.shell
    shell("hold", "t")
    for pid in shell.processes():
        if pid == os.getsid(pid):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not shell.processes(), "nothing is left", 10)
    shell("wait", "t", code=6)
    assert shell.counts() == {"COMPLETED": 3, "HELD": 3}
    steps.let_go()
    shell("release", "t")
    shell("wait", "t")
    steps.check()


def test_orders_to_a_map_without_a_process(steps: Steps) -> None:
    """After Ctrl-C or a kill, components can be held and released; pausing and vacating find nothing that runs."""
    shell = steps.shell
    kill(shell)
    assert shell.counts() == {"COMPLETED": 3, "IDLE": 3}
    assert "nothing to vacate" in shell("vacate", "t").stderr
    shell("hold", "t")
    assert shell.counts() == {"COMPLETED": 3, "HELD": 3}
    assert "held" in shell("wait", "t", code=6).stderr
    assert not shell.processes()
    shell("release", "t")
    steps.wait_for_3(times=2)
    steps.let_go()
    shell("wait", "t")
    steps.check()


def test_an_interrupted_run_is_resumed(local: Shell) -> None:
    """A run that was ended with Ctrl-C goes on with ``htrun resume``, and runs nothing twice that was finished."""
    steps = Steps(local)
    process = local.start(*steps.words, start_new_session=True)
    steps.wait_for_3()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert local("pause", "t").stderr.startswith("nothing to pause in t: ")
    assert local.counts() == {"COMPLETED": 3, "IDLE": 3}
    assert not local.processes()
    assert local("resume", "t").stderr == "resumed t: 3 components\n"
    steps.wait_for_3(times=2)
    steps.let_go()
    local("wait", "t")
    steps.check()
    assert steps.ran == [0, 1, 2, 3, 3, 4, 5]


def test_orders_of_several_processes(steps: Steps) -> None:
    """Orders given at the same time are carried out one after the other, and none is lost."""
    shell = steps.shell
    actions = ["pause", "resume", "vacate", "hold", "release", "pause", "resume", "release"]
    commands = [shell.start(action, "t") for action in actions]
    for command in commands:
        _, err = command.communicate(timeout=PATIENCE_S)
        assert command.returncode == 0, err
        assert "Traceback" not in err
    shell("resume", "t")
    shell("release", "t")
    steps.let_go()
    shell("wait", "t")
    steps.check()
    assert [steps.ran.count(n) for n in (0, 1, 2)] == [1, 1, 1]


def test_a_hold_while_it_is_being_vacated(steps: Steps) -> None:
    """Of two orders that the process finds at once the last one counts: vacated components are held, and do not run."""
    shell = steps.shell
    (supervisor,) = [pid for pid in shell.processes() if pid == os.getsid(pid)]
    orders = shell.path() / ".htrun" / "orders.jsonl"
    orders.write_text("".join(json.dumps({"order": order, "reason": "a test"}) + "\n" for order in ("vacate", "hold")))
    os.kill(supervisor, signal.SIGUSR2)
    until(lambda: shell.counts() == {"COMPLETED": 3, "HELD": 3}, "all that was left is held", 20)
    assert steps.ran.count(3) == 1
    until(lambda: not shell.processes(), "the process has ended", 10)


def test_a_removed_map_leaves_no_stopped_process(steps: Steps) -> None:
    """Removing a paused map ends its processes."""
    shell = steps.shell
    shell("pause", "t")
    shell("remove", "t")
    assert not shell.processes()
    time.sleep(0.2)
    assert steps.ran == [0, 1, 2, 3]


def test_rerunning_with_one_worker_that_is_busy(steps: Steps) -> None:
    """Components that are run again wait for the only worker, and have results of their own."""
    shell = steps.shell
    assert shell("rerun", "components", "t", 0, "2").stderr == "rerunning 2 components of t\n"
    assert "wait t" in shell("rerun", "components", "t", 0, code=4).stderr
    assert shell.counts() == {"COMPLETED": 1, "IDLE": 4, "RUNNING": 1}
    steps.let_go()
    shell("wait", "t")
    steps.check()
    assert sorted(steps.ran) == [0, 0, 1, 2, 2, 3, 4, 5]
    assert shell("rerun", "components", "t", 5).code == 0
    shell("wait", "t")
    steps.check()


def test_damage_in_the_log(steps: Steps) -> None:
    """A log with garbage in its middle hides nothing that was finished, and the map goes on to its end."""
    shell = steps.shell
    log = shell.path() / ".htrun" / "events.jsonl"
    shell("pause", "t")
    data = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(
        b"".join(data[:2]) + b"\xff\x00 garbage" + b"".join(data[2:4]) + bytes(50) + b"\n" + b"".join(data[4:])
    )
    assert shell.counts() == {"COMPLETED": 3, "SUSPENDED": 1, "IDLE": 2}
    assert [row["output"] for row in shell("collect", "t", "--status", "completed").rows] == [0, 1, 2]
    shell("resume", "t")
    with (shell.path() / ".htrun" / "orders.jsonl").open("ab") as orders:
        orders.write(b"\xff garbage\n")
    shell("hold", "t")
    assert shell.counts() == {"COMPLETED": 3, "HELD": 3}
    shell("release", "t")
    steps.let_go()
    shell("wait", "t")
    steps.check()
