"""The tutorials of HTMap's manual, executed as notebooks: each cell shows what the manual shows.

The cells are those of the manual, but that they ``import htrun as htmap``.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.behaviour.notebooks import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.behaviour.conftest import Shell
    from tests.behaviour.notebooks import Cell

TUTORIALS = Path(__file__).with_name("tutorials")
DOUBLED = str([2 * x for x in range(10)])
TAG = r"[a-z]+(?:-[a-z]+)+"


class Executed:
    """The cells of a tutorial, numbered as in the manual."""

    def __init__(self, shell: Shell, name: str) -> None:
        self._cells = execute(shell, (TUTORIALS / f"{name}.py").read_text(encoding="utf-8"))

    def __getitem__(self, number: int) -> Cell:
        return self._cells[number - 1]

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    def shows(self, number: int, *lines: str) -> None:
        """Check that a cell has printed lines, which are regular expressions, and nothing else to stdout."""
        printed = self[number].stdout.splitlines()
        assert len(printed) == len(lines), printed
        for line, pattern in zip(printed, lines, strict=True):
            assert re.fullmatch(pattern, line), printed

    def counts_to(self, number: int, total: int, tag: str) -> None:
        """Check that a cell has shown a progress bar that ended with all components, and nothing else on stderr."""
        bars = re.findall(r"[^\r\n]+", self[number].stderr)
        assert bars
        for bar in bars:
            assert re.fullmatch(rf"{tag}: +\d+%\|[#0-9 ]*\| \d+/{total} \[.*component.*\] *", bar), bars
        assert re.match(rf"{tag}: 100%\|#+\| {total}/{total} ", bars[-1]), bars
        assert self[number].stderr.endswith("\n")

    def silent_but_for(self, *numbers: int) -> None:
        """Check that no other cell has shown anything on stderr, be it a warning."""
        assert [n for n, cell in enumerate(self, 1) if cell.stderr and n not in numbers] == []


def created(count: int, tag: str = TAG) -> str:
    """Return the pattern of what a notebook says of a new map."""
    return f"Created map {tag} with {count} components"


def test_first_steps(shell: Shell) -> None:
    """Tutorial 2.1: a map in place of the built-in one."""
    cells = Executed(shell, "first_steps")
    cells.silent_but_for()
    cells.shows(2, re.escape(DOUBLED))
    cells.shows(3, r"<map object at 0x\w+>", re.escape(DOUBLED))
    cells.shows(4, created(10), rf"Map\(tag = {TAG}\)", re.escape(DOUBLED))


def test_basic_mapping(shell: Shell) -> None:
    """Tutorial 2.2: tags, transient maps, status, waiting, iterating, loading, removing, builders."""
    cells = Executed(shell, "basic_mapping")
    cells.silent_but_for(7, 15)
    cells.shows(2, created(10), rf"Map\(tag = {TAG}\)", re.escape(DOUBLED))
    cells.shows(3, "True")
    cells.shows(4, created(10, "dbl"), r"Map\(tag = dbl\)", "False")
    cells.shows(5, r"Map\(tag = a-new-tag\)", "False")
    states = r"HELD = 0 \| ERRORED = 0 \| IDLE = \d+ \| RUNNING = \d+ \| COMPLETED = \d+"
    cells.shows(6, created(10, "str"), rf"Map str \(10 components\): {states}")
    cells.counts_to(7, 10, "str")
    cells.shows(8, re.escape(str([str(n) for n in range(10)])), *"0123456789")
    cells.shows(9, r"Map\(tag = str\)", "True", "True")
    cells.shows(10, r"\('a-new-tag', 'dbl', 'str'\)")
    heading = r"Tag +HELD +ERRORED +IDLE +RUNNING +COMPLETED +Local Data +Max Memory +Max Runtime +Total Runtime"
    said, head, rule, *rows = cells[11].stdout.splitlines()
    assert re.fullmatch(created(5), said)
    assert re.fullmatch(heading, head)
    assert re.fullmatch("[- ]+", rule)
    assert sorted(re.sub(rf"^\* {TAG} ", "* ", row).split()[:3] for row in rows) == [
        [tag, "0", "0"] for tag in ("*", "a-new-tag", "dbl", "str")
    ]
    completed = ", ".join(10 * ["<ComponentStatus.COMPLETED: 'COMPLETED'>"])
    cells.shows(12, re.escape(f"[{completed}]"))
    name, message = cells[13].error
    assert name == "TagAlreadyExists"
    assert 'tag "dbl" already exists' in message
    assert 'htrun.load("dbl")' in message
    assert 'htrun.remove("dbl")' in message
    assert "--overwrite" not in message  # which is for the command
    cells.shows(15, created(10, "dbl"), re.escape(DOUBLED))
    cells.counts_to(15, 10, "dbl")
    cells.shows(16, created(12), re.escape(str([b**e for b in range(1, 5) for e in range(1, 4)])))


def test_working_with_files(shell: Shell) -> None:
    """Tutorial 2.3: files that travel with the arguments."""
    cells = Executed(shell, "working_with_files")
    cells.silent_but_for()
    cells.shows(2, re.escape(str(shell.cwd / "hi.txt")))
    assert cells[2].value == "12"
    cells.shows(3, "Hello world!")
    assert cells[4].value == "16"
    cells.shows(5, created(1), "Have a nice day!")
    cells.shows(8, created(1), "The quick brown fox jumps over the lazy dog!")


def test_map_options(shell: Shell) -> None:
    """Tutorial 2.4: fixed and variadic requests."""
    cells = Executed(shell, "map_options")
    cells.silent_but_for()
    words = "only a few words, but use your imagination"
    assert cells[2].value == "42"
    cells.shows(3, created(1), words)
    cells.shows(4, created(3), re.escape(str(3 * [words])))


def test_advanced_mapping(shell: Shell) -> None:
    """Tutorial 2.5: starmap, mapped functions, and arguments of the user's own class."""
    cells = Executed(shell, "advanced_mapping")
    cells.silent_but_for(9)
    cells.shows(2, created(3), r"\[1, 4, 27\]")
    cells.shows(3, created(3), r"\[1, 4, 27\]")
    cells.shows(4, r"MappedFunction\(func = <function double at 0x\w+>, map_options = \{\}\)")
    cells.shows(5, created(10), re.escape(DOUBLED))
    cells.shows(9, created(3, "penguin-stats"))
    cells.counts_to(9, 3, "penguin-stats")
    cells.shows(
        10,
        "Gwendolin is 73 inches tall and weighs 51 pounds",
        "Gweniffer is 59 inches tall and weighs 43 pounds",
        "Gary is 64 inches tall and weighs 52 pounds",
    )


def check_report(report: str, component: int) -> None:
    """Check that a report has all the parts that the manual's has."""
    head, *_ = report.splitlines()
    assert re.fullmatch(rf"=+ Start error report for component {component} of map {TAG} =+", head)
    for pattern in (
        rf"^Landed on execute node {re.escape(os.uname().nodename)}.* at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d",
        rf"^Python executable is \S+ \(version {sys.version_info[0]}\.{sys.version_info[1]}\.\d+\)$",
        r"^with installed packages$",
        r"^ *cloudpickle==\d",
        r"^Scratch directory contents are$",
        r"^Exception and traceback \(most recent call last\):$",
        r'^  File ".+", line 3, in inverse\n    return 1 / x\n\n +Local variables:\n +x = 0\n',
        r"^ZeroDivisionError: division by zero$",
        rf"^=+ End error report for component {component} of map {TAG} =+",
    ):
        assert re.search(pattern, report, re.MULTILINE), (pattern, report)


def test_error_handling(shell: Shell) -> None:
    """Tutorial 2.6: holds, errors and their reports, standard output and error."""
    cells = Executed(shell, "error_handling")
    cells.silent_but_for(13)
    cells.shows(2, created(1))
    name, message = cells[3].error
    assert name == "MapComponentHeld"
    assert re.match(rf"Component 0 of map {TAG} is held: \[\d+\] ", message)
    assert str(shell.cwd / "this-file-does-not-exist.txt") in message
    assert "No such file or directory" in message
    cells.shows(5, "I didn't get held!")
    assert cells[7].error == ("ZeroDivisionError", "division by zero")
    assert "return 1 / x" in cells[7].traceback
    name, message = cells[8].error
    assert name == "MapComponentError"
    first, _, report = message.partition("\n")
    assert re.fullmatch(rf"Component 0 of map {TAG} encountered error while executing\. Error report:", first)
    check_report(report, 0)
    assert "division by zero" in cells[8].traceback
    said, *reports = re.split(r"^(?==+ Start)", cells[9].stdout, flags=re.MULTILINE)
    assert re.fullmatch(created(3), said.strip())
    assert len(reports) == 3
    for component, report in enumerate(reports):
        check_report(report, component)
    cells.shows(10, created(1))
    assert cells[11].value == "Hi from stdout!"  # not as a string with its quotes and escapes
    assert cells[12].value == "Hi from stderr!"
    lines = [line for n in range(5) for line in (f"Hi from stderr! {n}", "")]
    cells.shows(13, created(5), *lines)
    cells.counts_to(13, 5, TAG)


def test_a_progress_bar_in_a_notebook(local: Shell) -> None:
    """A bar is text, though ipywidgets are there, and ends as it should: finished maps, failures, held components."""
    cells = execute(
        local,
        """\
# %%
import htrun
made = htrun.map(lambda x: 6 // x, [1, 2, 3], tag="made")
made.wait()
# %%
made.wait(show_progress_bar=True)
# %%
htrun.map(lambda x: 6 // x, [1, 0, 3], tag="bad").wait(show_progress_bar=True, errors_ok=True)
# %% raises-exception
htrun.load("bad").wait(show_progress_bar=True)
# %% raises-exception
held = htrun.map(lambda path: None, [htrun.TransferPath("none")], tag="held")
held.wait(show_progress_bar=True)
""",
    )
    ends = [re.findall(r"[^\r\n]+", cell.stderr)[-1] for cell in cells[1:]]
    for end, pattern in zip(
        ends, (r"made: 100%.* 3/3 ", r"bad: 100%.* 3/3 ", r"bad: 100%.* 3/3 ", r"held:   0%.* 0/1 "), strict=True
    ):
        assert re.match(pattern, end), ends
    assert all("arning" not in cell.stderr and cell.stderr.endswith("\n") for cell in cells[1:])
    assert not any("Traceback" in cell.stderr for cell in cells)
    assert (cells[3].error[0], cells[4].error[0]) == ("MapComponentError", "MapComponentHeld")


def test_what_else_notebooks_do(local: Shell) -> None:
    """Modules beside the notebook, top-level await, magics, and interrupting a wait, which leaves the map alone."""
    local.write(
        "helper.py",
        "class Box:\n    def __init__(self, x):\n        self.x = x\n\ndef more(box):\n    return Box(box.x + 1)\n",
    )
    cells = execute(
        local,
        """\
# %%
import htrun, helper
from helper import Box
made = list(htrun.map(helper.more, [Box(1)]))
print(type(made[0]) is Box, made[0].x)
# %%
async def wait():
    return list(htrun.map(lambda box: box.x, made))
await wait()
# %%
%time list(htrun.map(str, [1], quiet=True))
# %%
import os, signal, threading
def slow(x):
    import time
    time.sleep(2)
    return x
interrupted = htrun.map(slow, [1], tag="slow")
threading.Timer(0.5, os.killpg, (0, signal.SIGINT)).start()  # as Jupyter does it
try:
    interrupted.wait(show_progress_bar=True)
except KeyboardInterrupt:
    print("interrupted")
# %%
list(interrupted)
""",
    )
    assert cells[0].stdout.splitlines()[1] == "True 2"
    assert cells[1].value == "[2]"
    assert "Created" not in cells[2].stdout
    assert cells[2].value == "['1']"
    assert cells[3].stdout.splitlines()[1] == "interrupted"
    assert cells[3].stderr.endswith("\n")
    assert cells[4].value == "[1]"
