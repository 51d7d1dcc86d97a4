"""Progress bars on terminals, and Python's interactive interpreter."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.behaviour.programs import on_terminal

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

BARS = """
import htrun, time

def f(x):
    time.sleep(x)
    return 6 // (1 + x)

m = htrun.map(f, [0.1] * 5 + [0.5], tag="good")
m.wait(show_progress_bar=True)
print("one")
m.wait(show_progress_bar=True)
print("two")
b = htrun.map(lambda x: 1 // x, [1, 0, 2], tag="bad")
b.wait(show_progress_bar=True, errors_ok=True)
print("three")
try:
    b.wait(show_progress_bar=True)
except htrun.exceptions.MapComponentError:
    print("four")
try:
    htrun.map(time.sleep, [60], tag="slow").wait(show_progress_bar=True, timeout=0.5)
except htrun.exceptions.TimeoutError:
    print("five")
htrun.remove("slow")
"""


def test_a_progress_bar_on_a_terminal(local: Shell) -> None:
    """A bar is one line, no wider than the terminal, drawn anew in place, that ends with a newline."""
    local.write("script.py", BARS)
    code, shown = on_terminal(local, sys.executable, "script.py", columns=60)
    assert code == 0, shown
    lines = shown.split("\r\n")
    assert [line for line in lines if "\r" not in line] == ["one", "two", "three", "four", "five", ""], shown
    bars = [line.split("\r")[1:] for line in lines if "\r" in line]
    assert all(len(bar) < 60 for line in bars for bar in line), shown
    first = [int(re.match(r"good: +(\d+)%\|", bar)[1]) for bar in bars[0]]  # type: ignore[index]
    assert first == sorted(first)
    assert (first[0], first[-1]) == (0, 100)
    assert all(re.match(r"good: 100%\|#+\| 6/6 \[", bar) for bar in bars[1]), shown  # it had ended before
    assert re.match(r"bad: 100%\|#+\| 3/3 \[", bars[2][-1]), shown
    assert re.match(r"bad: 100%\|#+\| 3/3 \[", bars[3][-1]), shown
    assert re.match(r"slow:   0%\| +\| 0/1 \[", bars[4][-1]), shown


def test_a_progress_bar_elsewhere(local: Shell) -> None:
    """Where it is no terminal that shows the bar, it draws only what has changed."""
    script = "import htrun, time\nhtrun.map(time.sleep, [1], tag='t').wait(show_progress_bar=True)\n"
    local.write("script.py", script)
    code, shown = on_terminal(local, "sh", "-c", f"{sys.executable} script.py 2>log")
    assert (code, shown) == (0, "")
    log = (local.cwd / "log").read_bytes().decode()
    assert log.endswith("\n")
    assert re.match(r"t: 100%\|#+\| 1/1 \[", log.rsplit("\r", 1)[1])
    assert log.count("\r") <= 4


def test_the_interactive_interpreter(local: Shell) -> None:
    """What is typed into Python itself can be mapped too; it says that a map was made, and shows what was printed."""
    typed = """\
import htrun
class Box:
    def __init__(self, x):
        self.x = x

def more(box):
    print("got", box.x)
    return Box(box.x + 1)

m = htrun.map(more, [Box(1)], tag="m")
[type(box) is Box for box in m]
m.stdout.get(0)
htrun.map(lambda x: 1 / x, [0], tag="bad").get_err(0).exception_msg
"""
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        cwd=local.cwd,
        env=local.env,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = ["Created map m with 1 components", "[True]", "got 1", ""]
    assert "Error" not in done.stderr
    assert done.stdout.splitlines() == [
        *said,
        "Created map bad with 1 components",
        "'ZeroDivisionError: division by zero'",
    ]
