"""`--resume` and `--lf`: what is done is never done again, and what is there in the end is what a fresh run would give."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from htrun.tags import TagRegistry
from tests.behaviour.conftest import PATIENCE_S, until

if TYPE_CHECKING:
    from tests.behaviour.conftest import Done, Shell

# Each call notes that it was made, in a directory that all see.
FUNCTION = """
import os, time
from pathlib import Path
from helper import double

def f(x, place, wait=False):
    with open(f"{place}/ran", "a") as log:
        log.write(f"{x}\\n")
    print("printed by", x)
    if x == "bad" and not Path(place, "mended").exists():
        raise ValueError(x)
    while wait and not Path(place, "gate").exists():
        time.sleep(0.02)
    return double(x)
"""


class Project:
    """A function that notes what it was called with, and its inputs."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        shell.write("m.py", FUNCTION)
        shell.write("helper.py", "def double(x):\n    return x * 2\n")

    def inputs(self, *values: Any, **more: Any) -> None:
        """Write the inputs; those that are named wait."""
        rows = [{"x": x, "place": str(self.shell.home)} for x in values]
        rows += [{"x": x, "place": str(self.shell.home), "wait": True} for x in more.get("waiting", ())]
        self.shell.jsonl("in.jsonl", rows)

    @property
    def words(self) -> list[object]:
        """The command line, but for what is to be done with an earlier map."""
        words: list[object] = ["m.py:f", "--args", "in.jsonl", "--tag", "t", "--no-transfer"]
        return words + (["--workers", 1] if self.shell.engine == "local" else ["--chunk-size", 3])

    def __call__(self, *words: object, code: int = 0) -> Done:
        """Resume the map."""
        return self.shell(*self.words, *(words or ("--resume",)), code=code)

    def ran(self) -> list[str]:
        """Return what was run since this was asked last."""
        log = self.shell.home / "ran"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def wait_for(self, value: str) -> None:
        """Wait until what is called with a value runs."""
        log = self.shell.home / "ran"
        until(lambda: log.exists() and value in log.read_text().splitlines(), f"{value} runs")

    def check(self, *values: Any) -> None:
        """Check that the results are those of these values, with what each has printed."""
        assert [row.get("output") for row in self.shell.outputs()] == [2 * x for x in values]
        assert [row["component"] for row in self.shell.outputs()] == list(range(len(values)))
        for component in {0, len(values) - 1}:
            assert self.shell("stdout", "t", component).stdout == f"printed by {values[component]}\n"
        assert [path.name for path in (self.shell.cwd / "results").iterdir()] == ["t"]


@pytest.fixture
def project(shell: Shell) -> Project:
    """Return a project, on each engine."""
    return Project(shell)


def test_inputs_that_change(project: Project) -> None:
    """Lines that are appended, removed, moved, changed or repeated: only those that are new run."""
    steps: list[tuple[list[Any], list[str]]] = [
        ([1, 2, 3, 4], ["1", "2", "3", "4"]),
        ([1, 2, 3, 4], []),
        ([1, 2, 3, 4, 5], ["5"]),
        ([5, 4, 2, 1], []),
        ([0, 5, 4, 20, 1], ["0", "20"]),
        ([0, 5, 4, 20, 1, 1, 1], ["1", "1"]),
        ([1, 0], []),
    ]
    for number, (values, ran) in enumerate(steps):
        project.inputs(*values)
        done = project()
        assert sorted(project.ran()) == sorted(ran)
        project.check(*values)
        there = len(values) - len(ran)
        if not ran:
            assert f"all {there} results are there already, nothing to run" in done.stderr
        elif number:
            assert f"{there} of {len(values)} results are there already, {len(ran)} to run" in done.stderr
    project.shell("rerun", "components", "t", 1)
    project.shell("wait", "t")
    assert project.ran() == ["0"]
    project.check(1, 0)


def test_the_way_a_line_is_written_does_not_count(project: Project) -> None:
    """Spaces and the order of keys make no other call; nor do options that say how it runs."""
    project.inputs(1, 2)
    project()
    project.ran()
    place = json.dumps(str(project.shell.home))
    project.shell.write("in.jsonl", f'\n{{"place":{place},   "x": 1}}\n{{"x":2,"place":{place}}}\n')
    project("--resume", "--request-memory", "1GB", "--maxfail", 3)
    assert project.ran() == []
    project.check(1, 2)


def test_errors_and_a_changed_function(project: Project) -> None:
    """What has errored runs again each time; when the function has changed everything does, and the file is named."""
    project.inputs(1, "bad", 2)
    project(code=1)
    project(code=1)
    assert project.ran() == ["1", "bad", "2", "bad"]
    (project.shell.home / "mended").touch()
    project()
    assert project.ran() == ["bad"]
    project.check(1, "bad", 2)
    project.shell.write("helper.py", "def double(x):\n    return x + x\n")
    done = project()
    assert "helper.py has changed" in done.stderr
    assert sorted(project.ran()) == ["1", "2", "bad"]
    project.check(1, "bad", 2)


def test_what_has_failed_runs_with_the_function_as_it_is(project: Project) -> None:
    """`--lf` keeps the good results of an earlier function; if nothing has failed it says so."""
    project.inputs(1, "bad", 2)
    assert "no map has the tag" in project("--lf", code=4).stderr
    project(code=1)
    assert "2 of 3 results are there already, 1 to run" in project("--lf", code=1).stderr
    assert project.ran() == ["1", "bad", "2", "bad"]
    project.shell.write("helper.py", "def double(x):\n    return x + x\n")
    (project.shell.home / "mended").touch()
    assert "good results stay, though the function is another one now" in project("--lf").stderr
    assert project.ran() == ["bad"]
    project.check(1, "bad", 2)
    done = project("--last-failed")
    assert "nothing has failed" in done.stderr
    project("--resume")
    assert project.ran() == []
    project.inputs(1, 2)
    assert "the inputs are others now" in project("--lf", code=4).stderr


def test_what_still_runs_is_waited_for(project: Project) -> None:
    """Components that run are waited for, with the same inputs or others, and not repeated."""
    project.inputs(1, waiting=[2])
    project("--resume", "--detach")
    project.wait_for("2")
    same = project.shell.start(*project.words, "--resume")
    (project.shell.home / "gate").touch()
    same.communicate(timeout=PATIENCE_S)
    assert same.returncode == 0
    (project.shell.home / "gate").unlink()
    assert project.ran() == ["1", "2"]
    project.inputs(1, 4, waiting=[2, 3])
    project("--resume", "--detach")
    project.wait_for("3")
    project.inputs(5, 1, 4, waiting=[3, 2])
    other = project.shell.start(*project.words, "--resume")
    assert other.stderr is not None
    until(lambda: "waiting for" in other.stderr.readline(), "it waits")  # type: ignore[union-attr]
    (project.shell.home / "gate").touch()
    other.communicate(timeout=PATIENCE_S)
    assert other.returncode == 0
    assert sorted(project.ran()) == ["3", "4", "5"]
    project.check(5, 1, 4, 3, 2)


# What two commands find that resume at once.
AT_ONCE = ("no map", "the map", "other inputs", "another function", "other options", "a failure")


@pytest.mark.parametrize("case", AT_ONCE)
def test_two_at_once(project: Project, case: str) -> None:
    """Both end well, with all results, and no component is run by each of them."""
    values: list[Any] = [1, "bad", 2]
    project.inputs(*values)
    if case != "no map":
        project(code=1)
        assert sorted(project.ran()) == ["1", "2", "bad"]
    if case != "a failure":
        (project.shell.home / "mended").touch()
    more: list[object] = ["--request-memory", "1GB"] if case == "other options" else []
    if case == "other inputs":
        values = [3, 2, "bad", 1]
        project.inputs(*values)
    elif case == "another function":
        project.shell.write("helper.py", "def double(x):\n    return x + x\n")
    parent = project.shell.cwd / "results"
    with TagRegistry(project.shell.home / "registry/tags").lock_tag("t"):
        both = [project.shell.start(*project.words, "--resume", *more) for _ in range(2)]
        until(lambda: len(list(parent.glob(".htrun-new-*/.htrun/sources/m.py"))) == 2, "both have built a map")
        time.sleep(1)  # both wait for the tag by now, mostly; it holds in any case
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in both]
    assert [process.returncode for process in both] == [int(case == "a failure")] * 2, said
    ran = {"no map": ["1", "2", "bad"], "another function": ["1", "2", "bad"], "other inputs": ["3", "bad"]}
    assert sorted(project.ran()) == ran.get(case, ["bad"])
    if case != "a failure":
        project.check(*values)


@pytest.mark.parametrize("changed", [False, True], ids=["as it was", "with other inputs"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_carried_on(local: Shell, how: signal.Signals, *, changed: bool) -> None:
    """After Ctrl-C, or a kill of what works on the map, what has finished is kept and the rest runs."""
    project = Project(local)
    project.inputs(1, 2, waiting=[3, 4])
    process = local.start(*project.words, start_new_session=True)
    project.wait_for("3")
    if how is signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        (supervisor,) = [pid for pid in local.processes() if pid == os.getsid(pid) and pid != process.pid]
        os.kill(supervisor, how)
    process.communicate(timeout=PATIENCE_S)
    (local.home / "gate").touch()
    assert project.ran() == ["1", "2", "3"]
    if changed:
        project.inputs(2, 1, waiting=[4, 3])
    project()
    assert sorted(project.ran()) == ["3", "4"]
    project.check(*([2, 1, 4, 3] if changed else [1, 2, 3, 4]))


# What a resume leaves on the disk on its way: it is killed as soon as one of these is there.
MOMENTS = {
    "while it builds the map": "work/results/.htrun-new-*",
    "when it has written the calls": "work/results/.htrun-new-*/.htrun/calls.idx",
    "while it takes results over": "work/results/.htrun-new-*/.htrun/jobs/*",
    "when it has taken them over": "work/results/.htrun-new-*/.htrun/submissions.jsonl",
    "when it has described the map": "work/results/.htrun-new-*/.htrun/map.json",
    "when the old map is aside": "work/results/.htrun-old-*",
    "when the rest runs": "ran",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_resume_killed_at_any_moment_loses_nothing(shell: Shell, moment: str) -> None:
    """After ``kill -9`` the tag has the old map or the new one, with all that had finished, and resuming goes on."""
    project = Project(shell)
    project.inputs(1, 2, 3)
    project()
    project.ran()
    project.inputs(4, 3, 2, 1)
    process = shell.start(*project.words, "--resume")
    while process.poll() is None and not next(shell.home.glob(MOMENTS[moment]), None):
        pass
    process.kill()
    process.communicate()
    kept = {row["output"] for row in shell("collect", "t", "--status", "completed").rows}
    assert {2, 4, 6} <= kept
    project()
    assert set(project.ran()) == {"4"}
    project.check(4, 3, 2, 1)
    project()
    assert project.ran() == []


def test_a_resume_that_cannot_submit_leaves_the_map_as_it_was(condor: Shell) -> None:
    """Where HTCondor refuses the jobs the earlier map is still there, with its results."""
    project = Project(condor)
    project.inputs(1, 2)
    project()
    project.inputs(1, 2, 3)
    project("--resume", "-o", "requirements=this is no expression (", code=4)
    project.check(1, 2)
    project()
    assert project.ran() == ["1", "2", "3"]


def test_options_files_and_tables(shell: Shell) -> None:
    """Options from the inputs, files that they name and CSV: a file that has changed makes its components run again."""
    shell.write(
        "m.py",
        """
        from pathlib import Path

        def f(path: Path, place: str) -> str:
            with open(f"{place}/ran", "a") as log:
                log.write(f"{path.name}\\n")
            return path.read_text()
        """,
    )
    project = Project.__new__(Project)
    project.shell = shell

    def run(*names: str) -> list[str]:
        rows = [f"{name},{shell.home},{number + 1}GB" for number, name in enumerate(names)]
        shell.write("in.csv", "\n".join(["path,place,memory", *rows]) + "\n")
        shell("m.py:f", "--args", "in.csv", "--tag", "t", "--request-memory", "@memory", "--resume")
        assert [row["output"] for row in shell.outputs()] == [(shell.cwd / name).read_text() for name in names]
        return sorted(project.ran())

    for name in "abc":
        shell.write(name, name)
    assert run("a", "b") == ["a", "b"]
    assert run("b", "a") == []
    assert run("c", "b", "a") == ["c"]
    shell.write("b", "changed")
    assert run("c", "b", "a") == ["b"]
    assert run("a") == []


def test_output_files_come_along(shell: Shell) -> None:
    """Output files of results that are there are with their components."""
    shell.write(
        "m.py",
        """
        import htrun

        def f(x):
            open("out.txt", "w").write(str(x))
            htrun.transfer_output_files("out.txt")
            return "large" * 300_000 if x == 1 else x
        """,
    )
    for values in ([1, 2], [2, 3, 1], [1]):
        shell("m.py:f", "--args", shell.jsonl("in.jsonl", values), "--tag", "t", "--resume")
        found = [(shell.path() / f"files/{n}/out.txt").read_text() for n in range(len(values))]
        assert found == [str(x) for x in values]
        assert [row["output"] for row in shell.outputs()] == ["large" * 300_000 if x == 1 else x for x in values]


REFUSED: dict[str, tuple[list[str], str]] = {
    "no tag": (["--resume"], "--resume needs --tag"),
    "no tag for --lf": (["--lf"], "--lf needs --tag"),
    "anew": (["--tag", "t", "--resume", "--overwrite"], "exclude each other"),
    "failed": (["--tag", "t", "--resume", "--lf"], "exclude each other"),
    "nothing is run": (["--tag", "t", "--resume", "--collect-only"], "--collect-only"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(local: Shell, case: str) -> None:
    """Options that exclude each other, or lack a tag, are a usage error that says why."""
    words, said = REFUSED[case]
    local.write("m.py", "def f(x):\n    return x\n")
    local.jsonl("in.jsonl", [1])
    assert said in local("m.py:f", "--args", "in.jsonl", *words, code=4).stderr
    assert not (local.cwd / "results").exists()


def test_a_map_of_another_registry_is_not_touched(local: Shell) -> None:
    """A map in the place that is none of this registry's is in the way, as without `--resume`."""
    local.write("m.py", "def f(x):\n    return x\n")
    words = ["m.py:f", "--args", local.jsonl("in.jsonl", [1]), "--tag", "t", "--resume"]
    local(*words)
    assert "registered in another HTRUN_DIR" in local(*words, code=4, env={"HTRUN_DIR": str(local.home / "2")}).stderr
    assert local.outputs()[0]["output"] == 1


def test_a_project_that_was_moved(project: Project) -> None:
    """A map that is where the tag's is to be now, and was somewhere else, is resumed."""
    project.inputs(1, 2)
    project()
    project.ran()
    shell = project.shell
    (shell.cwd / "results").rename(shell.cwd / "moved")
    assert "no map has the tag" in shell("status", "t", code=4).stderr
    project.inputs(1, 2, 3)
    assert "2 of 3 results are there already" in project("--resume", "--results", "moved").stderr
    assert project.ran() == ["3"]
    assert shell("path", "t").stdout.strip() == str(shell.cwd / "moved" / "t")


MAKEFILE = """
results/t/outputs.jsonl: always
\thtrun m.py:f --args in.jsonl --tag t --resume -q
.PHONY: always
"""


def test_a_makefile_can_call_it_always(local: Shell) -> None:
    """With nothing to run it succeeds, and writes results that somebody has deleted; without results it writes them."""
    local.write("m.py", "def f(x):\n    return x\n")
    local.write("Makefile", MAKEFILE)
    local.jsonl("in.jsonl", [1, 2])
    for _ in range(3):
        subprocess.run(["make", "results/t/outputs.jsonl"], cwd=local.cwd, env=local.env, check=True)
        assert [row["output"] for row in local.outputs()] == [1, 2]
        (local.path() / "outputs.jsonl").unlink()


def test_byte_code_is_no_part_of_the_function(local: Shell) -> None:
    """The byte code that Python leaves beside the sources of a map does not make another function of it."""
    project = Project(local)
    project.inputs("a")
    environ = {"PYTHONDONTWRITEBYTECODE": ""}
    local(*project.words, "--resume", env=environ)
    assert list(local.path().glob(".htrun/sources/__pycache__/*.pyc"))
    assert project.ran() == ["a"]
    local(*project.words, "--resume", env=environ)
    assert project.ran() == []
