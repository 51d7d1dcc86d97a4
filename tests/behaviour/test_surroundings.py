"""Narrow terminals, terminals that are read out, and places without any terminal."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import HTRUN
from tests.behaviour.terminals import Terminal

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

MODULE = """
import time

def check(number):
    if number == 3:
        raise ValueError("a long message " * 10)
    return number

def sleep(number):
    time.sleep(1000)
"""


def make_maps(shell: Shell) -> None:
    """Make a map with an error, and one that is held."""
    shell.write("m.py", MODULE)
    shell("m.py:check", "--args", shell.jsonl("in.jsonl", range(5)), "--tag", "scan-of-all", code=1)
    shell("m.py:sleep", "--args", shell.jsonl("two.jsonl", range(2)), "--tag", "held", "--detach")
    shell("hold", "held")


def shown(shell: Shell, *words: object, code: int = 0, columns: int = 80, **env: str) -> list[str]:
    """Return the lines that a command writes to a terminal, without colours."""
    with Terminal(shell, *words, columns=columns, **env) as terminal:
        assert terminal.wait() == code, terminal.text
        text = terminal.written.decode().replace("\r\n", "\n")
    if env.get("TERM") == "dumb":
        assert "\x1b" not in text
        assert "\r" not in text
    for end in ("\x1b[0m", *(f"\x1b[{number}m" for number in range(1, 50))):
        text = text.replace(end, "")
    return text.splitlines()


@pytest.mark.parametrize("columns", [80, 40])
def test_the_table_of_maps_fits_the_terminal(local: Shell, columns: int) -> None:
    """On a terminal that is narrower than the table all of it is there nevertheless."""
    make_maps(local)
    lines = shown(local, "status", columns=columns)
    assert max(map(len, lines)) <= columns
    text = " ".join(lines)
    for part in ("scan-of-all", "held", "HELD", "ERRORED", "COMPLETED", "Max", "Total", "Runtime"):
        assert part in text
    if columns == 40:
        assert "ERRORED 1, COMPLETED 4" in text
    assert len(local("status", env={"COLUMNS": "40"}).stdout.splitlines()) == 4  # programs get the table


def test_what_is_known_of_components_fits_the_terminal(local: Shell) -> None:
    """``components -v`` breaks long lines on terminals only, and says why components errored or are held."""
    make_maps(local)
    lines = shown(local, "components", "-v", "scan-of-all")
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("    error      ValueError: a long message") for line in lines)
    plain = local("components", "-v", "scan-of-all").lines
    assert any(line.startswith("    packages   ") and len(line) > 200 for line in plain)
    held = local("components", "-v", "held").lines
    assert held[:2] == ["0 HELD", "    reason     its user asked for it, with 'htrun hold'"]


def test_a_terminal_that_is_read_out_gets_lines(local: Shell) -> None:
    """With TERM=dumb there are no tables, no long rules, and nothing is redrawn."""
    make_maps(local)
    assert "  ERRORED 1, COMPLETED 4" in shown(local, "status", "--no-meta", TERM="dumb")
    lines = shown(local, "wait", "scan-of-all", code=1, TERM="dumb")
    assert lines[-1] == "=== 1 errored, 4 completed ==="
    lines = shown(local, "m.py:check", "--args", "in.jsonl", "--tag", "t", code=1, TERM="dumb")
    assert lines[0] == "=== htrun session starts ==="
    assert any(line.startswith("t: 5/5 [100%]") for line in lines)


def test_cron_needs_no_more_than_a_path(local: Shell) -> None:
    """Without HOME, TERM, a locale and standard input a run works as it does elsewhere."""
    local.write("m.py", MODULE)
    calls = local.jsonl("in.jsonl", [1, 2])
    env = {"PATH": "/usr/bin:/bin", "LANG": "C", "HTRUN_DIR": str(local.home / "registry"), "HTRUN_ENGINE": "local"}
    words = [HTRUN, "m.py:check", "--args", calls, "--tag", "täglich"]
    done = subprocess.run(words, cwd=local.cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert b"\x1b" not in done.stderr
    assert b"2 completed" in done.stderr.splitlines()[-1]
    for command in ("status", "components", "why", "usage", "errors"):
        words = [HTRUN, command, "täglich"]
        done = subprocess.run(
            words, cwd=local.home, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
