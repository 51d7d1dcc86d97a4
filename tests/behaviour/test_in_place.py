"""Jobs without transfer: they run where the map is, on a file system that the machines share."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import Shell, until
from tests.behaviour.steps import Steps
from tests.behaviour.test_checkpoints import Counting, starter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IN_PLACE = ("-o", "should_transfer_files=NO")

ALL = """\
    import os
    from pathlib import Path

    import htrun
    import helper

    def f(n, file: Path, directory: Path):
        print("printed by", n)
        Path("made").write_text(file.read_text() * n)
        htrun.transfer_output_files("made")
        if n == 2:
            raise ValueError("two")
        if n == 3:
            os._exit(1)
        if n == 4:
            Path("left").mkdir()
            return "x" * 2_000_000
        return helper.twice(n), sorted(os.listdir()), sorted(os.listdir(directory))
    """


def left(shell: Shell) -> set[str]:
    """Return the names in the job directories of the map ``t``."""
    return {path.name for path in shell.path().glob(".htrun/jobs/*/*")}


@pytest.mark.parametrize("delivery", ["shared", "assume"])
def test_nothing_is_missing(condor: Shell, tmp_path: Path, delivery: str) -> None:
    """Values, errors, deaths, printed text and files are as with transfer, wherever the map is."""
    home = tmp_path / "a $(x) 'b\" &c"
    home.mkdir()
    shell = Shell(home, "htcondor", condor.environ)
    shell.write("m.py", ALL)
    shell.write("helper.py", "def twice(n):\n    return 2 * n\n")
    shell.write("d.txt", "data")
    shell.write("many/one", "1")
    calls = [[n, "d.txt", "many"] for n in range(6)]
    rows = shell.run("m.py:f", calls, *IN_PLACE, "--chunk-size", 3, "--delivery", delivery, code=1)
    value = [["d.txt", "many"], ["one"]]
    assert [row.get("output") for row in rows] == [[0, *value], [2, *value], None, None, "x" * 2_000_000, [10, *value]]
    assert [row["error"]["type"] for row in shell.errors()] == ["ValueError", "ProcessDied"]
    for n in range(6):
        assert shell("stdout", "t", n).stdout == f"printed by {n}\n"
        assert (shell.path() / f"files/{n}/made").read_text() == "data" * n
    names = {"calls.jsonl", "records.jsonl", "stdout", "environment.json", "runner.log", "output.4.json"}
    assert left(shell) == names
    shell("retag", "t", "u")  # which renames the directory
    shell("rerun", "components", "u", 1)
    shell("wait", "u", code=1)
    assert shell.outputs("u")[1]["output"] == [2, *value]


def test_nothing_is_transferred(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """HTCondor transfers nothing, and chooses machines of this file system domain."""
    steps = Steps(condor)
    condor(*steps.words, *IN_PLACE, "--detach")
    steps.wait_for_3()
    uid = json.loads((condor.path() / ".htrun/map.json").read_text())["uid"]
    asked = ("-constraint", f'HtrunMap == "{uid}"', "-af:r", "ShouldTransferFiles", "TransferInput", "Requirements")
    should, brought, requirements = condor_tool("condor_q", "-allusers", *asked).split(maxsplit=2)
    assert (should, brought) == ('"NO"', "undefined")
    assert "TARGET.FileSystemDomain == MY.FileSystemDomain" in requirements
    steps.let_go()
    condor("wait", "t")
    steps.check()


@pytest.mark.parametrize("action", ["vacate", "hold"])
def test_what_is_finished_is_kept(condor: Shell, action: str) -> None:
    """A job that is taken off its machine repeats no component that was finished, and leaves nothing lying about."""
    steps = Steps(condor)
    condor(*steps.words, *IN_PLACE, "--detach")
    steps.wait_for_3()
    condor(action, "t")
    if action == "hold":
        until(lambda: "scratch" not in left(condor), "the scratch directory is gone")
        condor("release", "t")
    steps.wait_for_3(times=2)
    steps.let_go()
    condor("wait", "t")
    steps.check()
    assert steps.ran == [0, 1, 2, 3, 3, 4, 5]
    assert "scratch" not in left(condor)


def test_a_checkpoint_is_found(condor: Shell) -> None:
    """A component whose starter is killed goes on from its last checkpoint, beside nobody of its earlier start."""
    counting = Counting(condor, 3, *IN_PLACE)
    os.kill(starter(int(counting.read("pid-1"))), signal.SIGKILL)
    until(lambda: len(counting.starts(1)) == 2, "the component has started again", 120)
    counting.let_go_and_check()


def test_a_file_that_is_gone(condor: Shell) -> None:
    """A file that is not there any more is the error of the component, which names it."""
    condor.write("m.py", "from pathlib import Path\n\ndef f(path: Path):\n    return path.read_text()\n")
    condor.write("a.txt", "a")
    path = condor.write("b.txt", "b")
    calls = condor.jsonl("in.jsonl", [["a.txt"], ["b.txt"]])
    condor("set", "MAP_OPTIONS.SHOULD_TRANSFER_FILES", "NO")
    condor("m.py:f", "--args", calls, "--tag", "t", "--chunk-size", 2)
    path.unlink()
    condor("rerun", "map", "t")
    condor("wait", "t", code=1)
    assert [row.get("output") for row in condor.outputs()] == ["a", None]
    [error] = condor.errors()
    assert error["error"]["type"] == "FileNotFoundError"
    assert str(path) in error["error"]["message"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--delivery", "docker:python:3"), "goes with the delivery methods shared and assume only"),
        (("-o", "container_image=docker://python:3"), "does not go with container_image"),
        (("--input-file", "https://h/x"), "does not go with URLs"),
        (("--output-remap", "x=https://h/x"), "does not go with URLs"),
    ],
)
def test_what_has_to_be_transferred(condor: Shell, words: tuple[str, ...], said: str) -> None:
    """What only a transfer can bring or take away is refused before anything is made."""
    condor.write("m.py", "def f():\n    pass\n")
    done = condor("m.py:f", "--tag", "t", *IN_PLACE, *words, code=4)
    assert said in done.stderr
    assert not (condor.home / "results").exists()
