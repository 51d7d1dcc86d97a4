"""Why nothing happens, in words: idle, held, running and stopped components."""

from __future__ import annotations

import os
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

SLEEPS = "import time\n\ndef f(x):\n    time.sleep(x)\n    return x\n"


# What this pool's submitters ask for by default is more than it has, so that jobs wait from the start on.
TOO_MUCH = {"_CONDOR_JOB_DEFAULT_REQUESTMEMORY": "100000000"}


def stuck(condor: Shell, tool: Callable[..., str]) -> str:
    """Start a map of two jobs that no slot can run, and return its cluster."""
    condor.write("m.py", SLEEPS)
    calls = condor.jsonl("in.jsonl", [0.01] * 4)
    condor("m.py:f", "--args", calls, "--tag", "t", "--chunk-size", 2, "--detach", env=TOO_MUCH)
    return cluster_of(condor, tool)


def cluster_of(shell: Shell, tool: Callable[..., str]) -> str:
    """Return the cluster of the map ``t``."""
    lines = tool("condor_q", "-allusers", "-af", "ClusterId", "Iwd").splitlines()
    return next(line.split()[0] for line in lines if line.split(maxsplit=1)[1].startswith(str(shell.home)))


def test_ended_maps(shell: Shell) -> None:
    """A map that has ended says so, with the errors that there are and the commands to go on with."""
    shell.write("m.py", "def f(x):\n    return 1 // x\n")
    shell("m.py:f", "--args", shell.jsonl("in.jsonl", [0, 1, 2]), "--tag", "t", code=1)
    assert shell("why", "t").lines == [
        "t: 1 errored, 2 completed",
        "  1 component errored: 'htrun errors t' shows how.",
        "  It has ended; 'htrun collect t' has the results.",
    ]


def test_running_maps(shell: Shell) -> None:
    """Components that run are told with how long they have; a worker that is busy is why others wait."""
    steps = Steps(shell)
    shell(*steps.words, "--detach")
    steps.wait_for_3()
    until(lambda: "RUNNING" in shell.counts(), "the log says that it runs")
    said = shell("why", "t").stdout
    assert re.search(r"running: components? [0-9-]+, for \d+ s", said), said
    if shell.engine == "local":
        assert "The one worker is busy, with component 3 for " in said
    else:
        assert " on slot1_" in said
    steps.let_go()
    shell("wait", "t")


def test_stopped_and_killed_local_runs(local: Shell) -> None:
    """A run that was stopped says so; one whose process was killed says how to carry on."""
    steps = Steps(local)
    process = local.start(*steps.words)
    steps.wait_for_3()
    assert process.stderr is not None
    assert any(line.startswith("collected") for line in process.stderr)  # or else the map may not be there yet
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert "The run was stopped" in local("why", "t").stdout
    local("remove", "t")
    (local.home / "ran").unlink()
    local(*steps.words, "--detach")
    steps.wait_for_3()
    for pid in local.processes():
        os.kill(pid, signal.SIGKILL)
    until(lambda: "'htrun wait t' carries on" in local("why", "t").stdout, "the process is gone")
    assert "was killed" in local("why", "t").stdout


def test_selectors(local: Shell) -> None:
    """Maps are selected as for other commands; without any there is an error, as for a tag that nobody knows."""
    local.write("m.py", "def f(x):\n    return x\n")
    for tag in ("a", "b"):
        local("m.py:f", "--args", local.jsonl("in.jsonl", [1]), "--tag", tag)
    assert [line for line in local("why", "--all").lines if line[0] != " "] == ["a: 1 completed", "b: 1 completed"]
    assert local("why", "-p", "a*").lines[0] == "a: 1 completed"
    local("why", code=4)
    local("why", "nobody", code=4)


def test_requests_and_requirements_that_no_slot_satisfies(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """What is impossible is told as condor_q -better-analyze finds it, with what would be possible."""
    cluster = stuck(condor, condor_tool)
    usual = condor_tool("condor_q", cluster, "-af:r", "Requirements").splitlines()[0]
    slot = condor_tool("condor_status", "-af", "SlotType", "TotalSlotMemory", "TotalSlotCpus")
    _, memory, cpus = next(line.split() for line in slot.splitlines() if line.startswith("Partitionable"))
    cases = [
        ({"RequestMemory": "100000000"}, "TARGET.Memory >= RequestMemory", f"'htrun edit memory t {memory} --unit MB'"),
        ({"RequestCpus": "999"}, "", f"999 CPUs asked for, but the largest slot has {cpus} CPUs"),
        ({"RequestGPUs": "1"}, "", "1 GPU asked for, but no slot has any"),
        ({"Requirements": f'(TARGET.Arch == "VAX") && {usual}'}, 'TARGET.Arch == "VAX"', '(slots have Arch "X86_64")'),
        ({"Requirements": f"TARGET.HasFoo && {usual}"}, "TARGET.HasFoo", "TARGET.HasFoo (no slot defines HasFoo)"),
    ]
    before = {"RequestMemory": "1", "RequestCpus": "1", "RequestGPUs": "0", "Requirements": usual}
    for edits, clause, text in cases:
        # All at once: a job that asked for nothing impossible in between would be started.
        pairs = [word for pair in {**before, **edits}.items() for word in pair]
        condor_tool("condor_qedit", cluster, *pairs)
        said = condor("why", "t")
        assert said.lines[0] == "t: 4 idle"
        assert re.search(r"4 components wait, and no slot of the pool \(\d+ slots?\) can ever run them\.", said.stdout)
        assert text in said.stdout, said.stdout
        analysis = condor_tool("condor_q", "-better-analyze", f"{cluster}.0")
        assert re.search(rf"^\[\d+\] +0 +(?:\d+ +)?{re.escape(clause)}$", analysis, re.MULTILINE) or not clause, (
            analysis
        )
        assert "0 slots match and are willing to run your job" in analysis
        # And nothing else is blamed.
        assert said.stdout.count("No slot satisfies") + said.stdout.count("asked for") == 1, said.stdout


def test_components_that_wait_for_different_things(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """Jobs with different requests are explained apart, with how many components wait for each."""
    cluster = stuck(condor, condor_tool)
    condor_tool("condor_qedit", f"{cluster}.1", "RequestCpus", "999", "RequestMemory", "1")
    lines = condor("why", "t").lines
    assert len(lines) == 3
    assert all(line.startswith("  2 components wait, and no slot") for line in lines[1:])
    assert sorted("999 CPUs asked for" in line for line in lines[1:]) == [False, True]


def test_held_components(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """A hold is told with its reason and what mends it."""
    cluster = stuck(condor, condor_tool)
    condor_tool("condor_hold", cluster)
    until(lambda: condor.counts() == {"HELD": 4}, "the log says that it is held")
    lines = condor("why", "t").lines
    assert lines[0] == "t: 4 held"
    assert re.match(r"  Held: components 0-3: .*\[code 1\.0\]$", lines[1])
    assert lines[2] == "  It was held on request; 'htrun release t' lets it go on."
    condor_tool("condor_rm", cluster)
    until(lambda: condor.counts() == {"REMOVED": 4}, "the log says that it was removed")
    assert "Removed: components 0-3: " in condor("why", "t").stdout


def test_holds_that_are_mended_alike(local: Shell) -> None:
    """Each reason is told, and what mends them all once."""
    local.write("m.py", "from pathlib import Path\n\ndef f(path: Path):\n    return path.name\n")
    urls = [f"file:///nowhere/{n}" for n in range(3)]
    local("m.py:f", "--args", local.jsonl("in.jsonl", urls), "--tag", "t", code=6)
    lines = local("why", "t").lines
    assert [line[:20] for line in lines[1:-1]] == [f"  Held: component {n}:" for n in range(3)]
    assert lines[-1] == "  Put back the file that is not there; then 'htrun release t' tries again."


def test_slots_that_are_busy(condor: Shell) -> None:
    """If every slot that would do is taken, who has them and the user's priority are told."""
    condor.write("m.py", SLEEPS)
    calls = condor.jsonl("in.jsonl", [600] * 40)
    condor("m.py:f", "--args", calls, "--tag", "t", "--chunk-size", 1, "--detach")
    text = ""

    def full() -> bool:
        nonlocal text
        text = condor("why", "t").stdout
        return "has no room now" in text or "none of them has room" in text

    until(full, "the pool is full")
    assert re.search(r"\d+ components have waited for \d+ s: .* can run them, but ", text)
    assert re.search(r"What runs there: \d+ jobs? of yours\.", text)
    assert re.search(r"Your user priority is [\d,.]+ \(less is better\)", text)


NO_SCHEDD = {"_CONDOR_SCHEDD_ADDRESS_FILE": "/none", "_CONDOR_SCHEDD_DAEMON_AD_FILE": "/none"}


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ({"_CONDOR_COLLECTOR_HOST": "127.0.0.1:1"}, "collector does not answer"),
        ({**NO_SCHEDD, "_CONDOR_COLLECTOR_HOST": "127.0.0.1:1"}, "Why components are idle cannot be told: "),
    ],
    ids=["collector", "schedd"],
)
def test_daemons_that_do_not_answer(
    condor: Shell, condor_tool: Callable[..., str], broken: dict[str, str], text: str
) -> None:
    """If the pool cannot be asked, that is what is said, and the rest is told all the same."""
    stuck(condor, condor_tool)
    said = condor("why", "t", env=broken)
    assert said.lines[0] == "t: 4 idle"
    assert text in said.stdout


def test_the_run_says_it_by_itself(condor: Shell) -> None:
    """If nothing has started for a minute, the run says why, once; so does who waits for it; with -q nobody does."""
    condor.write("m.py", SLEEPS)
    calls = condor.jsonl("in.jsonl", [0.01] * 4)
    run = condor.start("m.py:f", "--args", calls, "--tag", "t", "--chunk-size", 2, env=TOO_MUCH)
    until(lambda: condor.counts() == {"IDLE": 4} if condor("tags").lines else False, "the map is there")
    wait = condor.start("wait", "t")
    quiet = condor.start("wait", "t", "-q")
    time.sleep(66)
    condor("remove", "t")
    for process, times in ((run, 1), (wait, 1), (quiet, 0)):
        _, err = process.communicate(timeout=PATIENCE_S)
        assert err.count("nothing has started yet ('htrun why t' looks again):") == times, err
        told = re.findall(r"^  4 components wait, and no slot of the pool .* can ever run", err, re.MULTILINE)
        assert len(told) == times, err
