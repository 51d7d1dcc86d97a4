"""``htrun init``: a function, inputs and a Makefile that work at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.behaviour.test_pipelines import bash

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell


def test_what_it_writes_works(shell: Shell) -> None:
    """What it says is to be typed next makes the results; after that make runs only what is concerned by a change."""
    done = shell("init", "a walk")
    *wrote, last = done.stderr.splitlines()
    assert wrote == ["wrote a walk/model.py, a walk/inputs.jsonl, a walk/Makefile"]
    assert last == "next: cd 'a walk' && make"
    made = bash(shell, last.removeprefix("next: "))
    assert made.code == 0, made.stdout + made.stderr
    results = shell.cwd / "a walk" / "results.csv"
    lines = results.read_text().splitlines()
    assert lines[0] == "component,status,input.seed,input.steps,end,farthest"
    assert len(lines) == 11
    assert "up to date" in bash(shell, "make -C 'a walk'").stdout
    with (shell.cwd / "a walk" / "inputs.jsonl").open("a") as file:
        file.write('{"seed": 11}\n')
    assert bash(shell, "make -C 'a walk'").code == 0
    assert results.read_text().splitlines()[:-1] == lines
    assert shell.counts("a-walk") == {"COMPLETED": 11}
    assert bash(shell, "make -C 'a walk' status clean && make -C 'a walk' clean").code == 0
    assert not results.exists()


def test_what_failed_is_run_again(local: Shell) -> None:
    """After a failure nothing is taken for a result, and make runs what has failed once that is mended."""
    local("init", "walk")
    model = local.cwd / "walk" / "model.py"
    text = model.read_text()
    model.write_text(text.replace("    rng =", "    if seed == 3: raise ValueError(seed)\n    rng ="))
    assert bash(local, "make -C walk").code == 2
    assert not (local.cwd / "walk" / "results.csv").exists()
    assert bash(local, "make -C walk").code == 2
    model.write_text(text)
    assert bash(local, "make -C walk").code == 0
    assert len((local.cwd / "walk" / "results.csv").read_text().splitlines()) == 11


def test_the_current_directory_is_the_default(local: Shell) -> None:
    """Without a directory it is this one, other files in it or not, and the tag is one that is free."""
    local("math:sqrt", "--scan", "x=4", "--tag", "work", code=4)
    local("math:sqrt", "--args", "-", "--tag", "work", "-q", input="4\n")
    local.write("other.txt", "")
    assert local("init").stderr == "wrote model.py, inputs.jsonl, Makefile\nnext: make\n"
    assert "TAG := work-2\n" in (local.cwd / "Makefile").read_text()


@pytest.mark.parametrize("name", ["model.py", "inputs.jsonl", "Makefile", "makefile", "GNUmakefile"])
def test_nothing_is_overwritten(local: Shell, name: str) -> None:
    """Where one of the files is there already, none is written."""
    mine = local.write(f"mine/{name}", "mine")
    assert f"mine/{name} would be overwritten" in local("init", "mine", code=4).stderr
    assert [path.name for path in mine.parent.iterdir()] == [name]
    assert mine.read_text() == "mine"
    local("init", f"mine/{name}", code=4)
