"""htrun among other programs: pipes, Makefiles, scripts."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import PATIENCE_S, Done, parse

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

G = """
def g(x, fail_on=()):
    print("noise")
    if x in fail_on:
        raise ValueError(f"no {x}")
    return {"x": x, "square": x * x}

def f(x):
    return x + 1
"""


def bash(shell: Shell, script: str, **env: str) -> Done:
    """Run a shell script that has htrun on its PATH."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        cwd=shell.cwd,
        env={**shell.env, **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE_S,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "BrokenPipeError" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


# jq where there is one, and the same in Python elsewhere.
JQ = (
    "jq -c .output.square"
    if shutil.which("jq")
    else """python3 -c 'import json, sys; [print(json.loads(line)["output"]["square"]) for line in sys.stdin]'"""
)


def test_htrun_stands_between_cat_and_jq(shell: Shell) -> None:
    """``cat in.jsonl | htrun f.py:g --args - --stdout | jq`` gives jq the results and nothing else."""
    shell.write("f.py", G)
    shell.jsonl("in.jsonl", range(5))
    done = bash(shell, f"cat in.jsonl | htrun f.py:g --args - --stdout | {JQ}")
    assert done.code == 0
    assert done.stdout == "0\n1\n4\n9\n16\n"
    assert "5 completed" in done.stderr


def test_a_failure_in_a_pipeline_is_seen(local: Shell) -> None:
    """In a pipeline with pipefail a failed component fails the whole, and the results of the others pass through."""
    local.write("f.py", G)
    local.write("in.jsonl", '{"x": 1}\n{"x": 2, "fail_on": [2]}\n')
    done = bash(local, "htrun f.py:g --args in.jsonl --stdout | cat")
    assert done.code == 1
    assert [row["status"] for row in done.rows] == ["COMPLETED", "ERRORED"]
    done = bash(local, "echo oops | htrun f.py:g --args - --stdout | cat")
    assert (done.code, done.stdout) == (4, "")
    done = bash(local, ": | htrun f.py:g --args - --stdout | cat")
    assert (done.code, done.stdout) == (5, "")


def test_maps_can_be_chained(local: Shell) -> None:
    """The values of one map are the inputs of the next."""
    local.write("f.py", G)
    script = (
        "seq 3 | htrun f.py:f --args - --tag a -q && htrun collect a --values | htrun f.py:f --args - --format csv -q"
    )
    assert bash(local, script).lines == ["component,status,output", "0,COMPLETED,3", "1,COMPLETED,4", "2,COMPLETED,5"]


@pytest.mark.parametrize(
    "command", ["collect t", "collect t --format csv", "components t", "errors t", "status", "tags"]
)
def test_a_reader_that_has_enough_is_no_error(local: Shell, command: str) -> None:
    """When the reader of a pipe goes away, htrun ends quietly, as other programs do."""
    local.write("f.py", "def f(x):\n    if x % 2: raise ValueError('x' * 1000)\n    return 'x' * 1000\n")
    local("f.py:f", "--args", local.jsonl("in.jsonl", range(600)), "--tag", "t", "-q", "--tb=no", code=1)
    done = bash(local, f"htrun {command} | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.strip() in ("0", str(128 + signal.SIGPIPE))
    assert done.stderr == ""
    full = bash(local, f"htrun {command} > /dev/full")
    assert full.code == 3
    assert bash(local, "htrun --help > /dev/full").code == 3
    assert "cannot write the output: No space left on device" in full.stderr


@pytest.mark.parametrize("closed", ["<&-", "2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_trouble(local: Shell, closed: str) -> None:
    """Where a standard stream is closed, as some daemons do for their children, maps run all the same."""
    local.write("f.py", G)
    local.jsonl("in.jsonl", [1])
    assert bash(local, f"htrun f.py:f --args in.jsonl --tag t {closed}").code == 0
    assert [row["output"] for row in local.outputs()] == [2]
    for command in ("collect t", "status", "wait t"):
        assert bash(local, f"htrun {command} {closed}").code == 0


def test_a_directory_that_was_removed_is_told(local: Shell) -> None:
    """Where the current directory is not there any more, the message says that it is this one."""
    local.write("m.py", G)
    done = bash(local, "mkdir gone && cd gone && rmdir ../gone && htrun ../m.py:g --tag t")
    assert done.code == 4
    assert "the current directory" in done.stderr


def test_the_tag_of_a_detached_map_can_be_kept(local: Shell) -> None:
    """``tag=$(htrun ... --detach)`` keeps the tag for later commands."""
    local.write("f.py", G)
    done = bash(
        local, "tag=$(echo 1 | htrun f.py:f --args - --detach) && htrun wait -q $tag && htrun collect $tag --values"
    )
    assert done.stdout == "2\n"


MAKEFILE = """
all: results/a/outputs.jsonl results/b/outputs.jsonl results/c/outputs.jsonl sum

results/%/outputs.jsonl: %.jsonl f.py
\thtrun f.py:g --args $< --tag $* --overwrite -q

sum: results/a/outputs.jsonl results/b/outputs.jsonl
\tcat $^ | wc -l > $@

.DELETE_ON_ERROR:
"""


def test_make_builds_results(shell: Shell) -> None:
    """A rule for ``results/<tag>/outputs.jsonl`` works under ``make -j4``, and makes nothing twice."""
    shell.write("f.py", G)
    shell.write("Makefile", MAKEFILE)
    for name in "abc":
        shell.jsonl(f"{name}.jsonl", range(3))
    done = bash(shell, "make -j4")
    assert done.code == 0, done.stdout + done.stderr
    assert (shell.cwd / "sum").read_text().strip() == "6"
    for name in "abc":
        assert [row["output"]["x"] for row in shell.outputs(name)] == [0, 1, 2]
    again = bash(shell, "make -j4")
    assert "htrun" not in again.stdout
    assert "Nothing to be done" in again.stdout
    if shell.engine == "local":
        shell.jsonl("b.jsonl", [7])
        assert bash(shell, "make -j4").stdout.count("htrun f.py:g") == 1
        assert [row["output"]["x"] for row in shell.outputs("b")] == [7]


def test_make_fails_where_a_component_fails(local: Shell) -> None:
    """The rule fails when a component fails, what depends on it is not made, and mending the input mends all."""
    local.write("f.py", G)
    local.write("Makefile", MAKEFILE)
    for name in "abc":
        local.jsonl(f"{name}.jsonl", range(3))
    local.write("b.jsonl", '{"x": 1, "fail_on": [1]}\n2\n')
    done = bash(local, "make -k -j4")
    assert done.code == 2
    assert "ValueError: no 1" in done.stderr
    assert not (local.cwd / "sum").exists()
    assert (local.cwd / "results/c/outputs.jsonl").exists()
    local.jsonl("b.jsonl", range(3))
    assert bash(local, "make -j4").code == 0
    assert (local.cwd / "sum").read_text().strip() == "6"


def test_outputs_jsonl_appears_whole(local: Shell) -> None:
    """``outputs.jsonl`` is not there before the map has ended, and then is complete, however often one looks."""
    local.write("f.py", "import time\n\ndef f(x):\n    time.sleep(0.01)\n    return 'x' * 100_000\n")
    process = local.start("f.py:f", "--args", local.jsonl("in.jsonl", range(60)), "--tag", "t")
    sizes = set()
    while process.poll() is None:
        try:
            sizes.add((local.path() / "outputs.jsonl").read_bytes().count(b"\n"))
        except OSError:
            continue
    process.communicate()
    assert process.returncode == 0
    assert sizes <= {60}
    for line in (local.path() / "outputs.jsonl").read_text().splitlines():
        assert len(parse(line)["output"]) == 100_000
