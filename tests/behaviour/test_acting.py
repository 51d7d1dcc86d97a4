"""The commands that act on maps: what they do, what they say, and their exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from htrun.cli import COMMANDS
from tests.behaviour.conftest import until
from tests.behaviour.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

ACTIONS = {"hold": "held", "release": "released", "pause": "paused", "resume": "resumed", "vacate": "vacated"}


def test_each_action_in_turn(shell: Shell) -> None:
    """Each command says what it did to how many components, and ``status`` shows the effect at once."""
    steps = Steps(shell, number=4)
    shell(*steps.words, "--detach")
    steps.wait_for_3()
    until(lambda: "RUNNING" in shell.counts(), "its log says that it runs")
    assert shell("pause", "t").stderr.startswith("paused t: ")
    until(lambda: "SUSPENDED" in shell.counts(), "it is paused")
    assert shell("resume", "t").stderr.startswith("resumed t: ")
    assert "SUSPENDED" not in shell.counts()
    assert shell("vacate", "t").stderr.startswith("vacated t: ")
    steps.wait_for_3(times=2)
    assert shell("hold", "t").stderr.startswith("held t: ")
    assert "RUNNING" not in shell.counts()
    held = shell.counts()["HELD"]
    assert shell("hold", "t").stderr.startswith("nothing to hold in t: ")
    assert "its user asked for it, with 'htrun hold'" in shell("reasons", "t").stdout
    assert f"{held} held" in shell("wait", "t", code=6).stderr
    done = shell("rerun", "components", "t", 3, code=4)
    assert "htrun release t" in done.stderr
    assert shell("release", "t").stderr == f"released t: {held} component{'s' if held > 1 else ''}\n"
    assert "HELD" not in shell.counts()
    steps.let_go()
    shell("wait", "t")
    steps.check()
    assert steps.ran.count(0) == 1


@pytest.fixture
def finished(shared: Callable[..., tuple[Shell, None]]) -> Shell:
    """Return a place with the finished maps ``t``, ``t2`` and ``other``, which no test changes."""

    def run(shell: Shell) -> None:
        shell.write("m.py", "def f(x):\n    return x\n")
        calls = shell.jsonl("in.jsonl", range(2))
        for tag in ("t", "t2", "other"):
            shell("m.py:f", "--args", calls, "--tag", tag, "--detach", "--chunk-size", 2)
        shell("wait", "--all")

    return shared("finished", run)[0]


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_is_left_to_act_on(finished: Shell, action: str) -> None:
    """On maps that are over nothing is done, which is said and is no error, however they are selected."""
    for words in (["t", "t2"], ["-p", "t", "-p", "t?"], ["--all"]):
        lines = finished(action, *words).stderr.splitlines()
        assert [f"nothing to {action} in t: 2 completed", f"nothing to {action} in t2: 2 completed"] == [
            line for line in lines if " other: " not in line
        ]
        assert len(lines) == (3 if words == ["--all"] else 2)
    assert finished.counts() == {"COMPLETED": 2}
    assert finished(action, "-p", "nobody*").stderr == "htrun: note: no map has a tag that matches 'nobody*'\n"
    assert "'nobody*'" in finished(action, "-p", "t", "-p", "nobody*").stderr


@pytest.mark.parametrize("command", [*ACTIONS, "rerun map"])
def test_what_is_wrong_with_a_selection(finished: Shell, command: str) -> None:
    """A tag that no map has, or no selection at all, is an error of use, and nothing is done to the others."""
    words = command.split()
    done = finished(*words, "t", "nowhere", code=4)
    assert "nowhere" in done.stderr
    assert " t: " not in done.stderr
    done = finished(*words, code=4)
    assert "which maps?" in done.stderr


def test_editing_what_is_over(finished: Shell) -> None:
    """Requests of a finished map are not changed, and the command says so; sizes that are none are errors of use."""
    for what in ("memory", "disk"):
        stderr = finished("edit", what, "t", 5).stderr
        assert ("nothing to edit in t: 2 completed" in stderr) or finished.engine == "local"
        for wrong in (0, -1, "much"):
            finished("edit", what, "t", "--", wrong, code=4)
        finished("edit", what, "t", 5, "--unit", "TB", code=4)
        finished("edit", what, "nowhere", 5, code=4)


def test_edits_in_units(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """Memory and disk are edited in the units that are named; the jobs have them in HTCondor's own."""
    condor.write("m.py", "def f(x):\n    return x\n")
    words = ["--args", condor.jsonl("in.jsonl", [1]), "--tag", "t", "--detach", "--request-gpus", 99]
    condor("m.py:f", *words)
    assert "t: 1 component requests 2 GB of memory now" in condor("edit", "memory", "t", 2, "--unit", "gb").stderr
    assert "requests 3 GB of disk now" in condor("edit", "disk", "t", 3).stderr

    def requests() -> list[str]:
        rows = condor_tool("condor_q", "-af", "Iwd", "RequestMemory", "RequestDisk").splitlines()
        return [row.partition(" ")[2] for row in rows if row.startswith(str(condor.home))]

    assert requests() == [f"2048 {3 * 1024**2}"]
    condor("edit", "memory", "t", 100)
    condor("edit", "disk", "t", 5, "--unit", "MB")
    assert requests() == ["100 5120"]
    assert "requests 1.5 GB of memory now" in condor("edit", "memory", "t", "1.5GB").stderr
    condor("edit", "disk", "t", "2 gib", "--unit", "KB")
    assert requests() == [f"1536 {2 * 1024**2}"]


def test_rerunning_by_commands(shell: Shell) -> None:
    """Components are chosen by numbers, ranges and statuses; only these run again, and the results are the new ones."""
    shell.write(
        "m.py",
        """
        import os

        def f(x, home):
            print("now", os.path.exists(home))
            return 1 // (x + os.path.exists(home))
        """,
    )
    mark = shell.home / "mark"
    calls = shell.jsonl("in.jsonl", [[x, str(mark)] for x in range(4)])
    shell("m.py:f", "--args", calls, "--tag", "t", "--workers", 1, "--chunk-size", 4, "--no-transfer", code=1)
    assert [row.get("output") for row in shell.outputs()] == [None, 1, 0, 0]
    mark.touch()
    assert shell("rerun", "components", "t", "--status", "errored").stderr == "rerunning 1 component of t\n"
    shell("wait", "t")
    assert [row.get("output") for row in shell.outputs()] == [1, 1, 0, 0]
    assert shell.errors() == []
    assert shell("stdout", "t", 0).stdout == "now True\n"
    assert shell("stdout", "t", 1).stdout == "now False\n"
    assert shell("rerun", "components", "t", 1, "2-3", 3).stderr == "rerunning 3 components of t\n"
    shell("wait", "t")
    assert [row.get("output") for row in shell.outputs()] == [1, 0, 0, 0]
    assert shell("stdout", "t", 1).stdout == "now True\n"
    for wrong in (["4"], ["0-4"], ["x"], ["3-1"], [], ["--status", "no"], ["-1"]):
        shell("rerun", "components", "t", *wrong, code=4)
    assert shell("rerun", "components", "t", "--status", "held").stderr == "nothing to rerun in t: 4 completed\n"
    mark.unlink()
    assert shell("rerun", "map", "-p", "t*").stderr == "rerunning 4 components of t\n"
    shell("wait", "t", code=1)
    assert [row.get("output") for row in shell.outputs()] == [None, 1, 0, 0]
    assert len(shell.errors()) == 1


def test_renaming_by_command(shell: Shell) -> None:
    """A map gets another tag and the directory of its name, when it has ended; commands find it there alone."""
    steps = Steps(shell, number=4)
    shell(*steps.words, "--detach")
    steps.wait_for_3()
    done = shell("retag", "t", "new", code=4)
    assert "wait until it has ended" in done.stderr
    steps.let_go()
    shell("wait", "t")
    for wrong in ("a/b", "", "a b"):
        shell("retag", "t", "--", wrong, code=4)
    shell("retag", "nowhere", "new", code=4)
    (shell.cwd / "results" / "way").mkdir()
    assert "in the way" in shell("retag", "t", "way", code=4).stderr
    assert shell("tags").lines == ["t"]
    assert "new" in shell("retag", "t", "new").stderr
    assert shell("tags").lines == ["new"]
    assert not shell.path().exists()
    assert [row["output"] for row in shell.outputs("new")] == list(range(4))
    assert shell("stdout", "new", 0).stdout == "printed by 0\n"
    shell("stdout", "t", 0, code=4)
    shell("rerun", "components", "new", 0)
    shell("wait", "new")
    assert steps.ran.count(0) == 2
    shell(*steps.words, "--detach")  # the tag is free
    shell("wait", "t")
    taken = shell("retag", "t", "new", code=4).stderr
    assert "is taken by" in taken
    assert "'htrun remove new'" in taken
    assert "--overwrite" not in taken  # which is no option of this command


def test_cleaning_by_command(shell: Shell) -> None:
    """``clean`` removes transient maps and says which; with ``--all`` the others too."""
    shell.write("m.py", "def f():\n    return 1\n")
    transient = shell("m.py:f", "--detach").stdout.strip()
    shell("m.py:f", "--detach", "--tag", "named")
    assert shell("clean").stderr == f"removed {transient}\n"
    assert shell("tags").lines == ["named"]
    assert shell("clean").stderr == "nothing to clean: there are no transient maps\n"
    assert shell("clean", "--all").stderr == "removed named\n"
    assert shell("tags").lines == []
    assert shell("clean", "--all").stderr == "nothing to clean: there are no maps\n"
    assert list((shell.cwd / "results").iterdir()) == []


DEAD = {"HTRUN_CONDOR_COLLECTOR": "127.0.0.1:1", "HTRUN_CONDOR_SCHEDULER": "nobody@127.0.0.1"}


def test_a_schedd_that_does_not_answer(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """Where the schedd is out of reach commands say so, with exit code 4, and lose nothing."""
    condor.write("m.py", "def f(x):\n    print('out')\n    return 1 // x\n")
    condor("m.py:f", "--args", condor.jsonl("in.jsonl", range(2)), "--tag", "t", "--chunk-size", 2, code=1)
    before = condor.path().joinpath("outputs.jsonl").read_bytes()
    words = ["--args", condor.jsonl("one.jsonl", [1]), "--tag", "idle", "--detach", "--request-gpus", 99]
    condor("m.py:f", *words)
    for command in (
        ["hold", "idle"],
        ["remove", "idle"],
        ["edit", "memory", "idle", 5],
        ["edit", "disk", "idle", 5],
        ["rerun", "components", "t", 0],
        ["rerun", "map", "t"],
    ):
        assert "error:" in condor(*command, env=DEAD, code=4).stderr
    assert condor("status", env=DEAD).code == 0
    assert condor.counts("idle") == {"IDLE": 1}
    assert condor.counts() == {"COMPLETED": 1, "ERRORED": 1}
    assert condor.path().joinpath("outputs.jsonl").read_bytes() == before
    assert condor("collect", "t", "--values", "--status", "completed", env=DEAD).rows == [1]
    assert condor("stdout", "t", 1, env=DEAD).stdout == "out\n"
    condor("rerun", "components", "t", 0)
    condor("wait", "t", code=1)
    uid = json.loads((condor.path("idle") / ".htrun/map.json").read_text())["uid"]
    condor("remove", "idle", "--force", env=DEAD)
    condor_tool("condor_rm", "-constraint", f'HtrunMap == "{uid}"')


def test_a_rerun_that_is_refused_loses_nothing(condor: Shell) -> None:
    """If HTCondor does not take the jobs of a rerun, what the components had left before still counts."""
    condor.write("m.py", "def f(x):\n    return x\n")
    condor("m.py:f", "--args", condor.jsonl("in.jsonl", range(2)), "--tag", "t", "--chunk-size", 2)
    before = condor.path().joinpath("outputs.jsonl").read_bytes()
    file = condor.path() / ".htrun" / "map.json"
    info = file.read_text()
    wrong = json.loads(info)
    wrong["options"].setdefault("submit", {})["request_memory"] = "this is no (memory"
    file.write_text(json.dumps(wrong))
    assert "refused" in condor("rerun", "map", "t", code=4).stderr
    assert condor.counts() == {"COMPLETED": 2}
    assert condor.path().joinpath("outputs.jsonl").read_bytes() == before
    assert condor("collect", "t", "--values").rows == [0, 1]
    condor("wait", "t")
    file.write_text(info)
    condor("rerun", "components", "t", 0)
    condor("wait", "t")
    assert condor.outputs()[0]["output"] == 0


GROUPS = {"edit": ("memory", "disk"), "rerun": ("components", "map")}


@pytest.mark.parametrize("command", [*COMMANDS, *(f"{group} {sub}" for group, subs in GROUPS.items() for sub in subs)])
def test_each_command_has_help_with_an_example(local: Shell, command: str) -> None:
    """``--help`` of each command and subcommand says what it does, with an example that calls it."""
    done = local(*command.split(), "--help")
    assert done.stderr == ""
    usage, _, rest = done.stdout.partition("\n")
    assert usage.startswith(f"Usage: htrun {command} ")
    assert "Example:" in rest
    assert "htrun " in rest.partition("Example:")[2]
    assert all(len(line) <= 100 for line in done.lines)
