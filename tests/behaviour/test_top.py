"""`htrun top`: a view of maps as they get on, on terminals and elsewhere."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import until
from tests.behaviour.terminals import Terminal

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

GATED = """
import os, time

def gated(number):
    while not os.path.exists(f"{GATE}{number}"):
        time.sleep(0.02)
    if number % 2:
        raise ValueError(f"cannot do \\x1b[2J{number}")
    return number
"""


def start(shell: Shell, tag: str, *words: object, numbers: int = 4) -> None:
    """Start a map whose component N ends when there is a file ``gate<N>``; odd ones fail."""
    shell.write("m.py", GATED.replace("{GATE}", f"{shell.cwd}/{tag}-gate"))
    calls = shell.jsonl(f"{tag}.jsonl", range(numbers))
    shell("m.py:gated", "--args", calls, "--tag", tag, "--detach", "--chunk-size", 1, *words)


def open_gates(shell: Shell, tag: str, *numbers: int) -> None:
    """Let components end."""
    for number in numbers:
        shell.write(f"{tag}-gate{number}", "")


def test_maps_and_errors_are_shown_as_they_come(local: Shell) -> None:
    """There is a line a map, with progress; errors appear below; what a map has comes to is said in words."""
    start(local, "scan", "--workers", 1)
    local("math:sqrt", "--args", local.jsonl("in.jsonl", [1, 4]), "--tag", "done")
    with Terminal(local, "top") as terminal:
        terminal.until(lambda text: "0/4" in text and "2/2" in text, "both maps are there")
        assert [line.split()[0] for line in terminal.lines[2:4]] == ["scan", "done"]  # those that get on come first
        assert terminal.lines[3].endswith("done")
        open_gates(local, "scan", 0, 1)
        terminal.until(lambda text: "2/4" in text, "progress is seen")
        assert "50%" in terminal.text
        assert "scan 1: ValueError: cannot do ?[2J1" in terminal.text
        open_gates(local, "scan", 2, 3)
        terminal.until(lambda text: "4/4" in text and "failed" in text, "its end is seen")
        assert "0 of 2 maps active, 2 errored, 6 of 6 finished" in terminal.lines[0]
        terminal.type("q")
        assert terminal.wait() == 0
        assert terminal.is_as_before()


def test_only_what_has_changed_is_drawn(local: Shell) -> None:
    """The screen is never cleared, and a map that rests is not drawn again."""
    start(local, "scan", "--workers", 1)
    with Terminal(local, "top", lines=10) as terminal:
        terminal.until(lambda text: "0/4" in text, "the map is there")
        before = len(terminal.written)
        terminal.read(3)
        later = terminal.written[before:]
        assert later.count(b"\x1b[1;1H")  # the clock
        assert b"scan" not in later
        assert b"\x1b[2J" not in terminal.written
        assert terminal.written.count(b"\x1b[?2026h") == terminal.written.count(b"\x1b[?2026l")


def test_a_map_that_is_selected_shows_more(local: Shell) -> None:
    """The arrow keys select a map: what it is, which components run, its errors; Escape goes back to all."""
    start(local, "a", "--workers", 2)
    start(local, "b", "--workers", 1)
    open_gates(local, "a", 0, 1)
    with Terminal(local, "top") as terminal:
        terminal.until(lambda text: "2/4" in text, "the maps are there")
        terminal.type("\x1b[B")
        terminal.until(lambda text: "-- a --" in text, "the first map is selected")
        assert "m.py:gated on local" in terminal.text
        assert "running: 2" in terminal.text
        assert "component 1: ValueError" in terminal.text
        terminal.type("\x1b[B")
        terminal.until(lambda text: "-- b --" in text, "the second map is selected")
        assert "running: 0" in terminal.text
        terminal.type("\x1b")
        terminal.until(lambda text: "-- errors --" in text, "no map is selected")
        terminal.type("\x1b[B\x1b[B")  # at once, as keys that repeat come
        terminal.until(lambda text: "-- b --" in text, "the second map is selected")


@pytest.mark.parametrize("way", ["Ctrl-C", "SIGTERM", "Ctrl-Z", "removed"])
def test_the_terminal_is_left_as_it_was(local: Shell, way: str) -> None:
    """Whatever ends or stops it, the terminal has its modes, its cursor and its own screen again."""
    start(local, "scan")
    with Terminal(local, "top", "scan") as terminal:
        terminal.until(lambda text: "0/4" in text, "the map is there")
        if way == "Ctrl-Z":
            terminal.type("\x1a")  # there is no shell that could let it go on, so the system does not stop it
            until(lambda: terminal.read() or terminal.written.count(b"\x1b[?1049h") == 2, "it has come back")
            assert terminal.written.count(b"\x1b[?1049l") == 1
            terminal.type("q")
        elif way == "Ctrl-C":
            terminal.type("\x03")
        elif way == "SIGTERM":
            terminal.process.send_signal(signal.SIGTERM)
        else:
            local("remove", "scan")
        assert terminal.wait() == (4 if way == "removed" else 0)
        assert terminal.is_as_before()
        assert (b"no map has the tag" in terminal.written.rpartition(b"\x1b[?1049l")[2]) == (way == "removed")


def test_it_fits_whatever_the_terminal_becomes(local: Shell) -> None:
    """After a change of its size everything is drawn anew, with what matters most where there is little room."""
    start(local, "a-tag-that-is-rather-long")
    with Terminal(local, "top", columns=120) as terminal:
        terminal.until(lambda text: "[....." in text, "there is room for a bar")
        terminal.resize(30, 6)
        terminal.until(lambda text: "[....." not in text and "0%" in text, "there is none")
        assert terminal.lines[1].split() == ["map", "errored", "left"]
        assert terminal.lines[2].startswith("a-tag-that")
        terminal.resize(10, 2)
        terminal.read(1)
        assert terminal.process.poll() is None


def test_maps_come_and_go(local: Shell) -> None:
    """A map that is made meanwhile appears, one that is removed goes, and one that is damaged is told of at the end."""
    start(local, "old")
    start(local, "bad", numbers=1)
    local("hold", "bad")
    with Terminal(local, "top", "-p", "*") as terminal:
        terminal.until(lambda text: "old" in text and "bad" in text, "they are there")
        start(local, "new", numbers=1)
        terminal.until(lambda text: "new" in text, "it has come")
        local("remove", "old")
        terminal.until(lambda text: "old" not in text, "it has gone")
        terminal.type("q")
        assert terminal.wait() == 0
    (local.path("bad") / ".htrun" / "map.json").write_text("{}")
    with Terminal(local, "top") as terminal:
        terminal.until(lambda text: "new" in text, "the others are there")
        assert "bad" not in terminal.text
        terminal.type("q")
        assert terminal.wait() == 0
        assert "note: bad is not shown" in terminal.text


def test_no_terminal_gets_lines(local: Shell) -> None:
    """Elsewhere than on a terminal a line says what has changed, and errors have lines of their own."""
    start(local, "scan", "--workers", 1)
    process = local.start("top", "scan")
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("scan: 0% of 4 components finished: ")
    open_gates(local, "scan", 0, 1, 2, 3)
    lines = []
    while "failed" not in "".join(lines):
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said == ""
    errors = [line for line in lines if "errored: " in line and "component " in line]
    assert [line.split(":")[1] for line in errors] == [" component 1 errored", " component 3 errored"]
    assert lines[-1] == "scan: 100% of 4 components finished: 2 errored, 2 completed; failed\n"
    assert rest == ""


def test_a_dumb_terminal_gets_lines_too(local: Shell) -> None:
    """With TERM=dumb, or without any, nothing is drawn, coloured or redrawn."""
    start(local, "scan", numbers=1)
    for term in ("dumb", ""):
        with Terminal(local, "top", TERM=term) as terminal:
            terminal.until(lambda text: "scan: 0% of 1 component finished" in text, "it is said")
            time.sleep(0.1)
            terminal.type("\x03")
            assert terminal.wait() == 0
            assert b"\x1b" not in terminal.written


def test_what_is_asked_for_must_be_there(local: Shell) -> None:
    """A tag that no map has is an error before anything is drawn."""
    with Terminal(local, "top", "nothing") as terminal:
        assert terminal.wait() == 4
        assert "no map" in terminal.text
        assert b"\x1b[?1049h" not in terminal.written
