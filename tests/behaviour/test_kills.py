"""Interrupts, kills and a full disk: nothing is lost but what was running, and nothing is left that nobody finds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import PATIENCE_S, until
from tests.behaviour.steps import STEPS, Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell


@pytest.fixture
def steps(shell: Shell) -> Steps:
    """Return a map whose component 3 waits, on each engine."""
    return Steps(shell)


def interrupt(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> tuple[str, str]:
    """Send a signal as a terminal does, to all of the process's group, and return what it said."""
    os.killpg(process.pid, number)
    return process.communicate(timeout=PATIENCE_S)


def test_an_interrupt_here_stops_the_run_cleanly(local: Shell) -> None:
    """Ctrl-C stops a run on this machine: exit code 2, no process is left, what was finished can be collected."""
    steps = Steps(local)
    process = local.start(*steps.words, start_new_session=True)
    steps.wait_for_3()
    out, err = interrupt(process)
    assert process.returncode == 2
    assert out == ""
    assert "Traceback" not in err
    assert "htrun collect t" in err
    assert local.processes() == {}
    assert local("components", "t").lines == [f"{n} {'COMPLETED' if n < 3 else 'IDLE'}" for n in range(6)]
    collected = local("collect", "t").rows
    assert [row.get("output") for row in collected if row["status"] == "COMPLETED"] == [0, 1, 2]
    time.sleep(0.3)
    assert steps.ran == [0, 1, 2, 3]


def test_an_interrupt_leaves_the_jobs_on_the_pool(condor: Shell) -> None:
    """Ctrl-C leaves the jobs on the pool alone: exit code 2, and the message says how to come back."""
    steps = Steps(condor)
    process = condor.start(*steps.words, start_new_session=True)
    steps.wait_for_3()
    out, err = interrupt(process)
    assert process.returncode == 2
    assert out == ""
    assert "Traceback" not in err
    assert "htrun wait t" in err
    assert "htrun remove t" in err
    assert condor.counts() in ({"RUNNING": 6}, {"IDLE": 6})
    steps.let_go()
    condor("wait", "t")
    steps.check()
    assert steps.ran == list(range(6))


def test_an_interrupted_wait_leaves_the_map_alone(steps: Steps) -> None:
    """Ctrl-C during ``htrun wait`` ends the waiting only."""
    shell = steps.shell
    shell(*steps.words, "--detach")
    steps.wait_for_3()
    waiting = shell.start("wait", "t", start_new_session=True)
    time.sleep(0.5)
    _, err = interrupt(waiting)
    assert waiting.returncode == 2
    assert "Traceback" not in err
    steps.let_go()
    shell("wait", "t")
    steps.check()
    assert steps.ran == list(range(6))


def test_an_interrupt_while_inputs_are_read_leaves_nothing(local: Shell) -> None:
    """Ctrl-C while the inputs come in slowly leaves neither map nor tag."""
    local.write("m.py", STEPS)
    process = local.start("m.py:step", "--args", "-", "--tag", "t", start_new_session=True)
    assert process.stdin is not None
    process.stdin.write('[1, "x"]\n')
    process.stdin.flush()
    time.sleep(0.7)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "Traceback" not in err
    assert not (local.cwd / "results").exists()
    assert local("tags").stdout == ""


def test_closing_the_terminal_does_not_end_a_run(local: Shell) -> None:
    """A hang-up ends the command but not the run: it goes on, and its results are written."""
    steps = Steps(local)
    # Where tests are run by nohup a hang-up is ignored, which the command would inherit.
    heard = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    process = local.start(*steps.words, start_new_session=True)
    signal.signal(signal.SIGHUP, heard)
    steps.wait_for_3()
    interrupt(process, signal.SIGHUP)
    steps.let_go()
    until((local.path() / "run.json").exists, "the results are there")
    steps.check()
    assert steps.ran == list(range(6))


def test_a_killed_supervisor_loses_nothing_that_was_recorded(local: Shell) -> None:
    """After ``kill -9`` of the process that works on a map, ``htrun wait`` carries on, and runs nothing twice."""
    steps = Steps(local)
    local(*steps.words, "--detach")
    steps.wait_for_3()
    (supervisor,) = [pid for pid, words in local.processes().items() if pid == os.getsid(pid)]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not local.processes(), "its workers are gone too", 10)
    assert local.counts() == {"COMPLETED": 3, "IDLE": 3}
    assert [row["output"] for row in local("collect", "t", "--status", "completed").rows] == [0, 1, 2]
    assert not (local.path() / "outputs.jsonl").exists()
    steps.let_go()
    done = local("wait", "t")
    assert "killed" in done.stderr
    steps.check()
    assert steps.ran == [0, 1, 2, 3, 3, 4, 5]


def test_a_supervisor_killed_while_somebody_waits(local: Shell) -> None:
    """If the process that works on a map is killed, the command that waits says so, fails, and says what to do."""
    steps = Steps(local)
    process = local.start(*steps.words)
    steps.wait_for_3()
    (supervisor,) = [pid for pid in local.processes() if pid == os.getsid(pid) and pid != process.pid]
    os.kill(supervisor, signal.SIGKILL)
    steps.let_go()
    _, err = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err
    assert process.returncode == 3
    assert "htrun wait t" in err
    local("wait", "t")
    steps.check()
    assert sorted(set(steps.ran)) == list(range(6))
    assert [steps.ran.count(n) for n in (0, 1, 2)] == [1, 1, 1]


FULL = """
mount -t tmpfs -o size=8m tmpfs full || exit 77
head -c 7900k /dev/zero > full/filler
htrun m.py:f --args in.jsonl --results full --tag t; echo "code $?"
htrun errors t
htrun wait t -q; echo "code $?"
rm full/filler
htrun wait t -q; echo "code $?"
htrun collect t --values | wc -l
"""


def test_a_full_disk_loses_nothing(local: Shell) -> None:
    """When the disk is full the map stops and says so, no component takes the blame, and more space mends it."""
    local.write("m.py", "def f(x):\n    return 'x' * 50_000\n")
    local.jsonl("in.jsonl", range(20))
    (local.cwd / "full").mkdir()
    # A file system of that size can be mounted in a namespace of one's own, where the system lets users have one.
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL]
    done = subprocess.run(command, cwd=local.cwd, env=local.env, capture_output=True, text=True, check=False)
    if done.returncode in (1, 77, 127) and "code" not in done.stdout:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.stdout.split("\n") == ["code 3", "code 3", "code 0", "20", ""], done
    assert "no space left on the disk" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_killed_from_outside_is_one_components_error(local: Shell) -> None:
    """If a worker is killed, as by the kernel when memory runs out, its component has that as its error."""
    steps = Steps(local)
    local(*steps.words, "--detach")
    steps.wait_for_3()
    workers = [pid for pid in local.processes() if pid != os.getsid(pid)]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    local("wait", "t", code=1)
    rows = local.outputs()
    assert [row["status"] for row in rows] == ["COMPLETED"] * 3 + ["ERRORED"] + ["COMPLETED"] * 2
    assert "SIGKILL" in rows[3]["error"]["message"]


# What a command leaves on the disk on its way: it is killed as soon as one of these is there.
MOMENTS = {
    "while it starts": "registry",
    "while it builds the map": "work/results/.htrun-new-*",
    "when it has written the calls": "work/results/.htrun-new-*/.htrun/calls.idx",
    "when it has described the map": "work/results/.htrun-new-*/.htrun/map.json",
    "when it has claimed the tag": "registry/tags/t",
    "when the map is in its place": "work/results/t/.htrun/map.json",
    "when it has noted what it submits": "work/results/t/.htrun/submissions.jsonl",
    "when the jobs are written": "work/results/t/.htrun/jobs/0",
    "when something has happened": "work/results/t/.htrun/events*",
    "when a component runs": "ran/*",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_command_killed_at_any_moment_leaves_no_map_or_a_whole_one(
    shell: Shell, moment: str, condor_queue: Callable[[], int]
) -> None:
    """After ``kill -9`` of the command there is no map, and no job of one, or one that ``htrun wait`` completes."""
    shell.write("m.py", "import os\n\ndef f(x, place):\n    open(f'{place}/{x}-{os.getpid()}', 'x')\n    return x\n")
    ran = shell.home / "ran"
    ran.mkdir()
    calls = shell.jsonl("in.jsonl", [[x, str(ran)] for x in range(5)])
    words = ["m.py:f", "--args", calls, "--tag", "t", "--chunk-size", 5]
    process = shell.start(*words)
    while process.poll() is None and not next(shell.home.glob(MOMENTS[moment]), None):
        pass
    process.kill()
    process.communicate()
    tags = shell("tags").lines
    assert tags in ([], ["t"])
    if tags:
        shell("status")
        shell("collect", "t")
        shell("wait", "t")
    else:
        assert condor_queue() == 0
        assert not shell.path().exists()
        shell(*words)  # the tag is free
    assert [row["output"] for row in shell.outputs()] == list(range(5))
    assert sorted(p.name.split("-")[0] for p in ran.iterdir()) == list("01234"), "a component ran twice"
    assert [p.name for p in (shell.cwd / "results").iterdir()] == ["t"] or tags
    assert condor_queue() == 0


@pytest.fixture
def condor_queue(shell: Shell, request: pytest.FixtureRequest) -> Callable[[], int]:
    """Return a function that counts the jobs in the pool's queue that belong to the place."""
    if shell.engine == "local":
        return lambda: 0
    tool = request.getfixturevalue("condor_tool")
    return lambda: sum(ad.startswith(f"{shell.home}/") for ad in tool("condor_q", "-af", "Iwd").splitlines())


def test_a_shutdown_leaves_the_map_to_be_carried_on(local: Shell) -> None:
    """SIGTERM, as a shutdown sends it, ends the process of a map, and ``htrun wait`` carries on; Ctrl-C is for good."""
    steps = Steps(local)
    local(*steps.words, "--detach")
    steps.wait_for_3()
    (supervisor,) = [pid for pid in local.processes() if pid == os.getsid(pid)]
    os.kill(supervisor, signal.SIGTERM)
    until(lambda: not local.processes(), "nothing is left of it", 10)
    assert local.counts() == {"COMPLETED": 3, "IDLE": 3}
    steps.let_go()
    assert "SIGTERM" in local("wait", "t").stderr
    steps.check()


def test_only_the_process_of_the_map_is_signalled(local: Shell) -> None:
    """A process that has got the number of one that worked on a map is left alone."""
    steps = Steps(local)
    local(*steps.words, "--detach")
    steps.wait_for_3()
    with subprocess.Popen(["sleep", "60"]) as other:
        file = local.path() / ".htrun" / "supervisor.json"
        process = json.loads(file.read_text())
        file.write_text(json.dumps({**process, "pid": other.pid}))
        removing = local.start("remove", "t")
        time.sleep(1)
        assert other.poll() is None
        file.write_text(json.dumps(process))
        removing.communicate(timeout=PATIENCE_S)
        assert removing.returncode == 0
        assert other.poll() is None
        other.kill()


def test_a_component_that_locks_its_scratch_spoils_no_other(local: Shell) -> None:
    """Directories without permissions that a component leaves are removed, and the next one has an empty scratch."""
    local.write(
        "m.py",
        """
        import os

        def f(x):
            found = os.listdir()
            for i in range(5):
                os.makedirs(f"{i}/deep")
                os.chmod(f"{i}", 0)
            return found
        """,
    )
    assert [row["output"] for row in local.run("m.py:f", range(4), "--workers", 1)] == [[]] * 4
