"""``--args @TAG``: the outputs of a map are the calls of the next one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

FIRST = """
import os
import time
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from pathlib import Path

import htrun

Pair = namedtuple("Pair", "a b")

@dataclass
class Point:
    x: int

OUTPUTS = [
    {"x": 1}, [1, 2], 3, "text", None,  # as JSON
    (1, 2), {"x": (1,)}, {"x": float("nan")}, [b"b", {1}], Point(1), Pair(1, 2), {1: 2}, OrderedDict(x=1), b"b",
    [Point(2), (Path("a"),)], {"x": b"." * 1_500_000},
]

def outputs(n):
    return OUTPUTS[n]

def double(x):
    return {"x": 2 * x}

def odd(x):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x

def slow(x):
    time.sleep(60)

def write(n):
    Path("out").mkdir()
    Path("out", "a.txt").write_text(f"a of {n}")
    Path("b.txt").write_text(f"b of {n}")
    os.symlink("a.txt", "out/link")
    htrun.transfer_output_files("out", "b.txt")
    return [{"path": "b.txt"}, {"path": Path("out/a.txt")}, ["out"], [["out/a.txt", "b.txt"], 5]][n]

def leak(name):
    return {"path": name}

def leak_object(name):
    return {"x": {"$path": name}}
"""
SECOND = """
from pathlib import Path
from typing import Union, List

import first

def echo(*args, **kwargs):
    return repr((list(args), kwargs))

def double(x):
    return {"x": 2 * x}

def read(path: Union[Path, List[Path]], n=0):
    paths = path if isinstance(path, list) else [path]
    return [p.read_text() if p.is_file() else sorted(q.name for q in p.iterdir()) for p in paths] + [n]
"""


@pytest.fixture
def maps(local: Shell) -> Shell:
    """Return a place with two modules to chain."""
    local.write("first.py", FIRST)
    local.write("second.py", SECOND)
    return local


def test_maps_chain(shell: Shell) -> None:
    """An object that a component returns is the keyword arguments of the next one's."""
    shell.write("first.py", FIRST)
    shell("first.py:double", "--scan", "x=1:3", "--tag", "a", "-q")
    shell("first.py:double", "--args", "@a", "--tag", "b", "-q")
    assert [row["output"] for row in shell.outputs("b")] == [{"x": 4}, {"x": 8}, {"x": 12}]


def test_values_travel_as_they_are(maps: Shell) -> None:
    """Outputs that JSON cannot hold get to the function as they were returned, of whatever classes they are."""
    maps("first:outputs", "--scan", "n=0:15", "--tag", "a", "-q")
    rows = maps.run("second:echo", None, "--args", "@a", "-q")
    assert [row["output"] for row in rows][:-1] == [
        "([], {'x': 1})",
        "([1, 2], {})",
        "([3], {})",
        "(['text'], {})",
        "([None], {})",
        "([1, 2], {})",
        "([], {'x': (1,)})",
        "([], {'x': nan})",
        "([b'b', {1}], {})",
        "([Point(x=1)], {})",
        "([Pair(a=1, b=2)], {})",
        "([{1: 2}], {})",
        f"([{maps_repr()}], {{}})",
        "([b'b'], {})",
        "([Point(x=2), (PosixPath('a'),)], {})",
    ]
    assert len(rows[-1]["output"]) > 1_500_000
    done = maps("second:echo", "--args", "@a", "--tag", "t", "--resume")
    assert "all 16 results are there already" in done.stdout + done.stderr


def maps_repr() -> str:
    """Return how this Python writes an ordered dict."""
    from collections import OrderedDict

    return repr(OrderedDict(x=1))


def test_components_without_an_output(maps: Shell) -> None:
    """Where one has failed the map is refused, unless it is asked for those that have completed."""
    maps("first.py:odd", "--scan", "x=1:4", "--tag", "a", "-q", "--tb=no", code=1)
    done = maps("second.py:echo", "--args", "@a", "--tag", "b", code=4)
    assert "the map 'a' has 2 components without an output (2 ERRORED)" in done.stderr
    assert "--args @a:completed" in done.stderr
    rows = maps.run("second.py:echo", None, "--args", "@a:completed", "-q")
    assert [row["output"] for row in rows] == ["([1], {})", "([3], {})"]
    maps("first.py:odd", "--scan", "x=2", "--tag", "none", "-q", "--tb=no", code=1)
    assert "@none has no inputs" in maps("second.py:echo", "--args", "@none:completed", code=5).stderr


def test_a_map_that_runs_is_to_be_waited_for(maps: Shell) -> None:
    """What it will return is not known, so it is refused, with what to do."""
    maps("first.py:slow", "--scan", "x=1", "--tag", "a", "--detach")
    for source in ("@a", "@a:completed"):
        assert "'htrun wait a'" in maps("second.py:echo", "--args", source, code=4).stderr
    maps("remove", "a")


def test_what_is_wrong_is_told(maps: Shell) -> None:
    """Unknown tags and parts, a map of its own, and outputs that do not fit, by component."""
    maps("first.py:outputs", "--scan", "n=0:6", "--tag", "outs", "-q")
    assert "did you mean outs?" in maps("second.py:echo", "--args", "@out", code=4).stderr
    assert "say @TAG for all" in maps("second.py:echo", "--args", "@outs:errored", code=4).stderr
    assert "its own outputs" in maps("second.py:echo", "--args", "@outs", "--tag", "outs", code=4).stderr
    assert "is for the file" in maps("second.py:echo", "--args", "@outs", "--input-format", "csv", code=4).stderr
    done = maps("second.py:double", "--args", "@outs", "--tag", "b", code=4)
    assert done.stderr.splitlines() == [
        "@outs: component 1: 2 positional arguments are too many; double takes x; to pass the array itself, write [[...]]",
        "@outs: component 5: 2 positional arguments are too many; double takes x",
    ]
    assert not maps.path("b").exists()


def test_a_file_may_be_called_so(maps: Shell) -> None:
    """A path is one with a slash; what to type is said where there is no such map."""
    maps.write("@odd", "1\n")
    assert "for the file of this name, say ./@odd" in maps("second.py:echo", "--args", "@odd", code=4).stderr
    assert maps.run("second.py:echo", None, "--args", "./@odd")[0]["output"] == "([1], {})"


def test_output_files_are_handed_on(shell: Shell) -> None:
    """A parameter for files gets what the component has handed over under the name that it returns, text or path."""
    shell.write("first.py", FIRST)
    shell.write("second.py", SECOND)
    shell("first.py:write", "--scan", "n=0:3", "--tag", "a", "-q")
    rows = shell.run("second.py:read", None, "--args", "@a", "-q")
    assert [row["output"] for row in rows] == [
        ["b of 0", 0], ["a of 1", 0], [["a.txt", "link"], 0], ["a of 3", "b of 3", 5],
    ]  # fmt: skip
    assert json.loads(shell("collect", "t", "--with-inputs", "--status", "completed").lines[0])["input"] == {
        "path": "b.txt"
    }


@pytest.mark.parametrize("name", ["/etc/hosts", "../../../mine.txt", "mine.txt", "link", "links", "\0", ""])
def test_no_other_files_are_sent(maps: Shell, name: str) -> None:
    """What a component returns can name no file that it has not handed over, be it here or behind a link."""
    maps.write("mine.txt", "mine")
    for leak, read in (("leak", "read"), ("leak_object", "echo")):
        maps(f"first.py:{leak}", "--args", maps.jsonl("in.jsonl", [name]), "--tag", leak, "-q")
        if "link" in name:
            links = maps.path(leak) / "files" / "0" / "links"
            links.mkdir(parents=True)
            for link in (links / "link", links.parent / "link"):
                link.symlink_to("/etc/hosts")
        done = maps(f"second.py:{read}", "--args", f"@{leak}", "--tag", "b", code=4)
        assert "@" + leak + ": component 0: " in done.stderr


def test_nothing_is_loaded_here(maps: Shell) -> None:
    """A pickle that would execute something is carried to where the function runs, unloaded."""
    maps.write(
        "evil.py",
        "import os\n\nclass Evil:\n    def __reduce__(self):\n        return os.system, ('touch %s' % __file__.replace('evil.py', 'executed'),)\n\ndef make():\n    return Evil()\n",
    )
    maps("evil.py:make", "--tag", "a", "-q")
    executed = next(iter(maps.cwd.rglob("executed")), None)
    assert executed is None
    maps("second.py:echo", "--args", "@a", "--collect-only")
    assert next(iter(maps.cwd.rglob("executed")), None) is None
