"""`htrun stdout TAG N --follow`: what a component prints, while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.conftest import PATIENCE_S, until

if TYPE_CHECKING:
    import subprocess

    from tests.behaviour.conftest import Shell

CHATTY = """
import os, sys, time

def gate(name):
    while not os.path.exists(f"{GATES}/{name}"):
        time.sleep(0.02)

def chatty(number):
    for line in range(2):
        print(f"{number} line {line}")
        print(f"{number} complains {line}", file=sys.stderr)
        gate(f"{number}.{line}")
    print("the end", end="")

def failing(number):
    attempts = f"{GATES}/attempts"
    with open(attempts, "a") as file:
        file.write("x")
    attempt = os.path.getsize(attempts)
    print("attempt", attempt)
    gate(f"attempt{attempt}")
    print("attempt", attempt, "ends")
    if attempt < 3:
        raise ValueError(attempt)

def torrent(number):
    for line in range(30):
        print(f"{line:02d}" * (1 << 19))
        if line == 12:
            gate("on")

def emptying(number):
    print("what was printed before that")
    gate("empty")
    with open("/dev/stdout", "w") as file:
        file.write("anew\\n")
    gate("on")
    print("more")
"""


def start(shell: Shell, function: str, *words: object, numbers: int = 1) -> None:
    """Start a map of components that wait for files."""
    shell.write("m.py", CHATTY.replace("{GATES}", str(shell.cwd)))
    calls = shell.jsonl("in.jsonl", range(numbers))
    shell(f"m.py:{function}", "--args", calls, "--tag", "t", "--detach", *words)


def follow(shell: Shell, stream: str, component: int, *words: object) -> subprocess.Popen[str]:
    """Follow a component."""
    return shell.start(stream, "t", component, "-f", "--timeout", PATIENCE_S, *words)


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that is shown."""
    assert process.stdout is not None
    return process.stdout.readline()


def end_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what else is shown and said until the end, which is a good one."""
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdin is not None
    with process.stdin, process.stdout, process.stderr:
        shown, said = process.stdout.read(), process.stderr.read()  # what has been read ahead included
    assert process.wait(60) == 0, said
    return shown, said


def test_lines_are_shown_as_they_come(local: Shell) -> None:
    """Each line is shown while the component runs, none of its neighbours', and what comes after it ends the command."""
    start(local, "chatty", "--workers", 1, "--chunk-size", 3, numbers=3)
    out, err = follow(local, "stdout", 1), follow(local, "stderr", 1)
    assert out.stderr is not None
    assert "component 1 is to be seen yet: its job runs others before it" in out.stderr.readline()
    local.write("0.0", "")
    local.write("0.1", "")
    assert line_of(out) == "1 line 0\n"
    assert line_of(err) == "1 complains 0\n"
    local.write("1.0", "")
    assert line_of(out) == "1 line 1\n"
    local.write("1.1", "")
    assert end_of(out)[0] == "the end"
    assert end_of(err)[0] == "1 complains 1\n"
    assert local("stdout", "t", 1, "--follow").stdout == "1 line 0\n1 line 1\nthe end"  # of one that has ended


def test_attempts_follow_each_other(local: Shell) -> None:
    """What all attempts at a component print is shown, once each."""
    start(local, "failing", "--retries", 2)
    process = follow(local, "stdout", 0)
    for attempt in (1, 2, 3):
        assert line_of(process) == f"attempt {attempt}\n"
        local.write(f"attempt{attempt}", "")
        assert line_of(process) == f"attempt {attempt} ends\n"
    assert end_of(process)[0] == ""


def test_of_too_much_the_middle_is_left_out(local: Shell) -> None:
    """Of a component that prints more than is kept the beginning and the end are shown, whenever they were printed."""
    start(local, "torrent")
    process = follow(local, "stdout", 0)
    assert line_of(process).startswith("00")
    until(lambda: (local.cwd / "results/t/.htrun/scratch/0/stdout").stat().st_size > 12 << 20, "it has printed much")
    local.write("on", "")
    lines = end_of(process)[0].splitlines()
    assert "\0" not in "".join(lines)
    shown = [int(line[:2]) for line in lines if len(line) == 1 << 20]
    assert shown == sorted(set(shown))
    assert {*range(1, 4), *range(26, 30)} <= set(shown)
    assert any("htrun left out" in line for line in lines) == (len(shown) < 29)


def test_a_component_may_empty_what_it_has_printed(local: Shell) -> None:
    """A program that opens /dev/stdout anew empties it: what it prints from then on is shown."""
    start(local, "emptying")
    process = follow(local, "stdout", 0)
    assert line_of(process) == "what was printed before that\n"
    local.write("empty", "")
    assert line_of(process) == "anew\n"
    local.write("on", "")
    assert end_of(process)[0] == "more\n"
    assert local("stdout", "t", 0).stdout == "anew\nmore\n"


def test_a_component_that_starts_anew_is_followed_from_its_beginning(local: Shell) -> None:
    """One that is vacated, or killed with its run and carried on with, is shown from the beginning again."""
    start(local, "chatty")
    process = follow(local, "stdout", 0)
    assert line_of(process) == "0 line 0\n"
    local("vacate", "t")
    assert line_of(process) == "0 line 0\n"
    local.write("0.0", "")
    local.write("0.1", "")
    assert end_of(process)[0] == "0 line 1\nthe end"


def test_one_that_can_print_nothing_more_is_an_error(local: Shell) -> None:
    """A component that is held, or was stopped, is not waited for; with --timeout one that runs neither."""
    start(local, "chatty", "--workers", 1, numbers=2)
    assert "still RUNNING" in local("stdout", "t", 0, "-f", "--timeout", 1, code=1).stderr
    local("hold", "t")
    said = local("stdout", "t", 1, "-f", code=4).stderr
    assert "component 1 of 't' is HELD: it has left no stdout" in said


def run_and_follow(shell: Shell, *words: object) -> dict[str, Any]:
    """Follow a component on the pool, and return what is said before it may end, and shown at its end."""
    start(shell, "chatty", "--chunk-size", 2, *words, numbers=2)
    process = follow(shell, "stdout", 0)
    said = ""
    assert process.stderr is not None
    while "runs on" not in said:
        said = process.stderr.readline()
        assert said, "it has ended"
    for name in ("0.0", "0.1", "1.0", "1.1"):
        shell.write(name, "")
    return {"said": said, "shown": end_of(process)[0]}


def test_on_a_pool_it_says_when_there_is_something_to_see(condor: Shell) -> None:
    """A job's files come back when it ends: it says so, and shows them then."""
    result = run_and_follow(condor)
    assert "what it prints comes back when its job ends, which has 1 component besides it" in result["said"]
    assert result["shown"] == "0 line 0\n0 line 1\nthe end"


@pytest.mark.parametrize("component", [0, 1])
def test_without_transfer_lines_are_shown_as_they_come(condor: Shell, component: int) -> None:
    """A job that runs in its own directory, on a file system that is shared, can be followed as on this machine."""
    start(condor, "chatty", "--chunk-size", 2, "-o", "should_transfer_files=NO", numbers=2)
    process = follow(condor, "stdout", component)
    if component:
        condor.write("0.0", "")
        condor.write("0.1", "")
    assert line_of(process) == f"{component} line 0\n"
    condor.write(f"{component}.0", "")
    assert line_of(process) == f"{component} line 1\n"
    condor.write(f"{component}.1", "")
    assert end_of(process)[0] == "the end"  # its job may go on
    for name in ("0.0", "0.1", "1.0", "1.1"):
        condor.write(name, "")
