"""The page that shows a map: what is in it, where it is written, and what its links lead to."""

from __future__ import annotations

import itertools
import json
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest

import htrun
from htrun.settings import load
from tests.behaviour.conftest import PATIENCE_S, Shell, until
from tests.behaviour.pages import Page
from tests.behaviour.steps import Steps

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Once

HOSTILE = "</script></title><img src=x onerror=alert(1)><!--"
SOURCE = f"""
import sys
from pathlib import Path
import htrun

def check(x, name):
    if x % 5 == 3:
        raise ValueError(f"no convergence after {{x}} steps")
    if x == 7:
        raise KeyError({HOSTILE!r})
    if x % 2 == 0:
        print("printed by", x)
    if x == 1:
        print("a warning", file=sys.stderr)
    if x == 2:
        Path("out file.txt").write_text("out")
        htrun.transfer_output_files("out file.txt")
    return {{"twice": 2 * x}}
"""
"""Of twenty components 3, 8, 13 and 18 fail alike, and 7 otherwise."""


def make(shell: Shell) -> None:
    """Map it over twenty inputs."""
    shell.write("m.py", SOURCE)
    calls = [{"x": x, "name": HOSTILE if x == 4 else f"sample {x}"} for x in range(20)]
    chunk = 10 if shell.engine == "htcondor" else 1
    shell.run("m.py:check", calls, "--chunk-size", chunk, "--request-memory", "100MB", code=1)


def test_the_page_of_a_map(shell: Shell) -> None:
    """It tells how the map stands, what went wrong by cause, what to ask for, and of each component."""
    make(shell)
    assert shell("report", "t").lines == [str(shell.path() / "report.html")]
    page = Page.read(shell.path() / "report.html")
    assert page.statuses == [row["status"] for row in shell.outputs()]
    assert "ended, 5 with an error" in page.text
    assert re.search(r"4 ✕errored ValueError: no convergence after 3 steps in m.py:8, in check", page.text)
    assert "components 3, 8, 13, 18" in page.text
    assert "x = 3" in page.text, "the local variables of the full report"
    assert "Ask for this next time: --request-memory " in page.text
    assert re.search(r"requested 100 MB", page.text)
    node = shell.errors()[0]["node"]
    assert page.lines("nodes") == [node]
    assert f"{node} 20 ✕5 " in page.text
    assert page.lines("input")[5] == 'x=5, name="sample 5"'
    assert page.outcomes[5] == '{"twice":10}'
    assert page.outcomes[8] == "ValueError: no convergence after 8 steps"
    assert list(page.column("cause")) == [2 if x == 7 else 1 if x % 5 == 3 else 0 for x in range(20)]
    if shell.engine == "htcondor":
        assert "2 of up to 10 components, in cluster" in page.text
    _check_links(shell, page, shell.path())


def _check_links(shell: Shell, page: Page, place: Path, tag: str = "t") -> None:
    """Check that all that a page links to is there, and is what it says."""
    links = page.data["links"]
    for link in [link for link in page.links if not link.startswith(("#", "data:"))]:
        assert (place / unquote(link)).is_file(), link
    for component, (job, marks) in enumerate(zip(page.jobs(), page.column("marks"), strict=True)):
        for mark, stream in ((1, "stdout"), (2, "stderr")):
            printed = shell(stream, tag, component).stdout
            assert bool(marks & mark) == bool(printed), (component, stream)
            if printed:
                assert printed in (place / unquote(links["jobs"]) / str(job) / stream).read_text()
        assert bool(marks & 4) == (component == 2)
    assert (place / unquote(links["files"]) / "2" / "out file.txt").read_text() == "out"


def test_where_it_is_written(local: Shell) -> None:
    """Links are relative to where the page is, whatever characters are on the way; ``-`` stands for where one is."""
    make(local)
    (local.cwd / "über uns#1?").mkdir()
    local("report", "t", "-o", "über uns#1?/p.html")
    _check_links(local, Page.read(local.cwd / "über uns#1?/p.html"), local.cwd / "über uns#1?")
    deep = os.fsdecode(b"no \xff text")
    (local.cwd / deep).mkdir()
    local("m.py:check", "--args", "calls.jsonl", "--tag", "deep", "--results", deep, code=1, errors="surrogateescape")
    local("report", "deep", "-o", "deep.html")
    assert f"{quote(os.fsencode(deep))}/deep/outputs.jsonl" in Page.read(local.cwd / "deep.html").links
    done = local("report", "t", "--output", "-")
    _check_links(local, Page(done.stdout), local.cwd)
    assert not (local.path() / "report.html").exists()
    missing = local("report", "t", "-o", "no/such/p.html", code=4)
    assert re.search(r"no/such/p.html: No such file or directory", missing.stderr)
    assert "no-such" in local("report", "no-such", code=4).stderr
    local("retag", "t", "u&$v")
    local("report", "u&$v")
    page = Page.read(local.path("u&$v") / "report.html")
    assert "htrun components 'u&$v' shows it in a terminal" in page.text
    _check_links(local, page, local.path("u&$v"), "u&$v")


def test_what_users_wrote_is_text(local: Shell) -> None:
    """Markup in inputs and errors becomes neither an element nor the end of one, and nothing may run or load."""
    make(local)
    local("report", "t")
    page = Page.read(local.path() / "report.html")
    assert HOSTILE in page.text
    assert HOSTILE in page.lines("input")[4].replace('\\"', '"')
    assert "img" not in page.names
    assert not re.search(r'(src|href)="?(https?:)?//', page.source)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page.source)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]


def test_a_map_that_runs_and_one_that_is_held(shell: Shell) -> None:
    """What is there so far is shown, with what to do."""
    steps = Steps(shell)
    shell(*steps.words, "--detach")
    steps.wait_for_3()
    page = _report(shell)
    assert "still running" in page.text
    assert "RUNNING" in page.statuses
    if shell.engine == "local":
        assert page.statuses == ["COMPLETED"] * 3 + ["RUNNING"] + ["IDLE"] * 2
    shell("hold", "t")
    until(lambda: "HELD" in _report(shell).statuses, "it is held")
    page = _report(shell)
    assert "with components held" in page.text
    assert "htrun release t" in page.text
    assert re.search(r"‖held .*'htrun release t' lets it go on", page.text)
    shell("release", "t")
    steps.let_go()
    shell("wait", "t")
    page = _report(shell)
    assert "all completed" in page.text
    assert re.search(r"After Completed Held ", page.text), "it was, for a while"


def _report(shell: Shell) -> Page:
    shell("report", "t")
    return Page.read(shell.path() / "report.html")


def test_a_map_of_which_nothing_has_finished(shell: Shell) -> None:
    """There is no time and no memory to show, which is no error; nor is it for one that was stopped."""
    shell.write("m.py", "import time\n\ndef f(x):\n    time.sleep(1000)\n")
    shell("m.py:f", "--args", shell.jsonl("c.jsonl", [1, 2, 3]), "--tag", "t", "--detach")
    page = _report(shell)
    assert "Median run time" not in page.text
    assert set(page.statuses) <= {"IDLE", "RUNNING"}
    process = shell.start("wait", "t")
    if shell.engine == "local":
        until(lambda: "RUNNING" in _report(shell).statuses, "it runs")
        shell("hold", "t")
    process.kill()
    process.communicate()


def test_of_a_map_made_from_python(api: Shell) -> None:
    """``Map.report`` writes it into the map's directory, or where one likes."""
    map_ = htrun.map(lambda x: 10 // x, [2, 1, 0], tag="t")
    map_.wait(timeout=PATIENCE_S, errors_ok=True)
    path = map_.report()
    assert path == map_.path / "report.html"
    assert "ZeroDivisionError" in Page.read(path).text
    other = map_.report(os.fspath(api.cwd / "p.html"))
    page = Page.read(other)
    assert page.statuses == ["COMPLETED", "COMPLETED", "ERRORED"]
    assert (other.parent / unquote(page.data["links"]["outputs"])).samefile(map_.path / "outputs.jsonl")


def test_a_large_map(once: Once) -> None:
    """The page of a hundred thousand components has less than a megabyte, and each of them is there."""
    home, _ = once("report-large", large)
    page = Page.read(home / "work/results/t/report.html")
    assert len(page.source.encode()) < 1_000_000
    assert page.table["size"] == page.table["rows"] == 100_000
    assert page.lines("input")[99_999].startswith("x=99999")
    assert page.statuses.count("ERRORED") == 101
    assert page.lines("failure")[3] == "AssertionError", "whatever else there is room for"


def large(home: Path) -> None:
    """Make a map of a hundred thousand components, as if on two hundred slots, and its page."""
    from tests.tools.made_up import spread

    shell = Shell(home, "local", {})
    shell.write("m.py", "def f(x):\n    assert x % 997 != 3\n    return x / 7\n")
    shell.run("m.py:f", [{"x": x} for x in range(100_000)], "-q", code=1)
    spread(shell.path(), 200, 40.0)
    shell("report", "t")


def test_what_does_not_fit(local: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little room, all statuses are there, and of some components more: what failed, what took longest, others."""
    from htrun.control import MapControl
    from htrun.page.causes import causes_of
    from htrun.page.measures import Measures
    from htrun.page.table import Table
    from htrun.page.timeline import timeline_of

    local.write("m.py", "import time\n\ndef f(x):\n    time.sleep(0.2 * (x == 5))\n    assert x % 50 != 3\n")
    local.run("m.py:f", range(1000), code=1)
    monkeypatch.setenv("HTRUN_DIR", str(local.home / "registry"))
    map_ = MapControl.load("t", load())
    map_.refresh()
    measures = Measures.of(map_)
    table = Table(map_, measures, timeline_of(map_, measures), causes_of(map_))
    failed = set(range(3, 1000, 50))
    for room, rows in ((20_000, range(1000, 1001)), (2_000, range(50, 999)), (-1, range(1))):
        packed = table.pack(room)
        page = Page(f'<script type="application/json" id="data">{json.dumps({"table": packed})}</script>')
        assert room < 0 or sum(map(len, packed["columns"].values())) <= room
        assert packed["rows"] in rows
        assert [c for c, status in enumerate(page.statuses) if status == "ERRORED"] == sorted(failed)
        if 0 < packed["rows"] < 1000:
            kept = list(itertools.accumulate(page.numbers("component", 4)))
            assert len(kept) == packed["rows"]
            assert kept == sorted(kept)
            assert failed | {5} <= set(kept)


@pytest.mark.parametrize("number", [1, 2])
def test_few_components(local: Shell, number: int) -> None:
    """One component is enough for all charts, and what takes no time is no error."""
    local.write("m.py", "def f(x):\n    pass\n")
    local.run("m.py:f", range(number))
    assert f"over {number} component" in _report(local).text
