"""The commands for a map afterwards, by tag, from any directory."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from tests.behaviour.conftest import HTRUN, parse, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.behaviour.conftest import Shell

    Shared = Callable[..., tuple[Shell, Any]]

WORK = """
import sys

def work(number, text=""):
    print(f"out {number}")
    print(f"err {number}", file=sys.stderr)
    if number % 3 == 2:
        raise KeyError(f"no {number}")
    return number
"""


def run_work(shell: Shell) -> None:
    """Run two maps: one with failures, one without."""
    shell.write("m.py", WORK)
    shell("m.py:work", "--args", shell.jsonl("in.jsonl", range(7)), "--tag", "t", "--chunk-size", 3, "--detach")
    shell("m.py:work", "--args", shell.jsonl("in.jsonl", [0, 1]), "--tag", "other", "--detach", "--chunk-size", 2)
    shell("wait", "t", "other", code=1)


def elsewhere(shell: Shell) -> dict[str, Any]:
    """Return options to run a command in another directory."""
    place = shell.home / "elsewhere"
    place.mkdir(exist_ok=True)
    return {"cwd": place}


def test_components_lists_statuses(shared: Shared) -> None:
    """``htrun components`` shows a line a component, ``--status`` those in a status."""
    shell, _ = shared("work", run_work)
    there = elsewhere(shell)
    expected = [f"{n} {'ERRORED' if n % 3 == 2 else 'COMPLETED'}" for n in range(7)]
    assert shell("components", "t", **there).lines == expected
    assert shell("components", "t", "--status", "errored", **there).lines == ["2 ERRORED", "5 ERRORED"]
    assert shell("components", "t", "--status", "HELD", **there).lines == []
    assert shell("components", "t", "-v", **there).lines[0].startswith("0 COMPLETED ")
    shell("components", "t", "--status", "nonsense", code=4, **there)


def test_errors_shows_reports(shared: Shared) -> None:
    """``htrun errors`` shows the error reports on stdout, at most ``--limit`` of them."""
    shell, _ = shared("work", run_work)
    done = shell("errors", "t", **elsewhere(shell))
    assert done.stdout.count("E   KeyError: ") == 2
    assert "no 2" in done.stdout
    assert "number = 5" in done.stdout
    assert "out 5" in done.stdout
    assert shell("errors", "t", "--limit", 1).stdout.count("E   KeyError: ") == 1
    assert shell("errors", "other").stdout == ""
    assert shell("errors", "--all").stdout.count("E   KeyError: ") == 2


def test_stdout_and_stderr_show_what_one_component_printed(shared: Shared) -> None:
    """``htrun stdout TAG N`` and ``stderr TAG N`` show what that component printed and nothing else."""
    shell, _ = shared("work", run_work)
    there = elsewhere(shell)
    for number in (0, 2, 6):
        assert shell("stdout", "t", number, **there).stdout == f"out {number}\n"
        assert shell("stderr", "t", number, **there).stdout == f"err {number}\n"
    assert "no component 7" in shell("stdout", "t", 7, code=4, **there).stderr
    shell("stderr", "t", "-1", code=4, **there)
    shell("stdout", "t", "x", code=4, **there)
    shell("stdout", "t", 0, "--timeout", -1, code=4, **there)


def test_status_as_a_table(shared: Shared) -> None:
    """``htrun status`` is a table of all maps with a column a status, sizes and times; parts can be left out."""
    shell, _ = shared("work", run_work)
    there = elsewhere(shell)
    lines = shell("status", **there).lines
    header = lines[0].split()
    for word in ("Tag", "HELD", "ERRORED", "IDLE", "RUNNING", "COMPLETED", "Data", "Memory", "Runtime"):
        assert word in header
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert set(rows) == {"t", "other"}
    assert rows["t"][1:6] == ["0", "2", "0", "0", "5"]
    assert "COMPLETED" not in shell("status", "--no-state", **there).lines[0]
    assert "Runtime" not in shell("status", "--no-meta", **there).lines[0]
    assert len(shell("status", "other", **there).lines) == 3
    assert len(shell("status", "-p", "o*", **there).lines) == 3


def test_status_as_data(shared: Shared) -> None:
    """``--format json``, ``json_compact`` and ``csv`` give the same numbers to programs."""
    shell, _ = shared("work", run_work)
    text = shell("status", "--format", "json").stdout
    compact = shell("status", "--format", "json_compact").stdout
    assert compact.count("\n") == 1
    assert len(text.splitlines()) > 5
    for data in (parse(text), parse(compact)):
        counts = data["t"]["component_status_counts"]
        assert {status: n for status, n in counts.items() if n} == {"ERRORED": 2, "COMPLETED": 5}
        assert data["t"]["components"] == 7
        assert data["t"]["local_data"] > 1000
        assert 1e6 < data["t"]["max_memory"] < 1e9
        assert 0 < data["t"]["max_runtime"] <= data["t"]["total_runtime"] < 10
    rows = {row["tag"]: row for row in csv.DictReader(io.StringIO(shell("status", "--format", "csv").stdout))}
    assert (rows["t"]["ERRORED"], rows["t"]["COMPLETED"], rows["other"]["COMPLETED"]) == ("2", "5", "2")
    assert parse(shell("status", "--format", "JSON").stdout) == parse(text)
    bare = parse(shell("status", "--format", "json", "--no-state", "--no-meta").stdout)["t"]
    assert set(bare) == {"tag", "transient", "components"}


def test_an_empty_table_has_its_columns(local: Shell) -> None:
    """Without maps the table is its header, with the columns that were asked for."""
    assert local("status").lines[0].split()[:3] == ["Tag", "HELD", "ERRORED"]
    assert local("status", "--no-state", "--no-meta").lines[0].split() == ["Tag"]


def test_tags_lists_tags(shared: Shared) -> None:
    """``htrun tags`` lists the tags, one a line, ``-p`` those that match a pattern."""
    shell, _ = shared("work", run_work)
    assert shell("tags", **elsewhere(shell)).lines == ["other", "t"]
    assert shell("tags", "-p", "?").lines == ["t"]
    assert shell("tags", "-p", "?", "-p", "o*r").lines == ["other", "t"]
    assert shell("tags", "-p", "nothing*").lines == []


def test_path_shows_where_parts_of_a_map_are(shared: Shared) -> None:
    """``htrun path TAG[:PART]`` prints an absolute path that is there."""
    shell, _ = shared("work", run_work)
    there = elsewhere(shell)
    assert shell("path", "t", **there).stdout == f"{shell.path()}\n"
    for part in ("map", "tag", "events", "logs", "inputs", "outputs", "errors", "run"):
        place = shell("path", f"t:{part}", **there).stdout.removesuffix("\n")
        assert os.path.isabs(place)
        assert os.path.exists(place), part
    assert shell("path", "t:outputs").stdout == f"{shell.path()}/outputs.jsonl\n"
    assert "outputs" in shell("path", "t:nonsense", code=4).stderr


def test_wait_returns_at_once_for_a_map_that_has_ended(shared: Shared) -> None:
    """``htrun wait`` for maps that have ended shows their counts, with the exit code of the worst."""
    shell, _ = shared("work", run_work)
    assert "2 completed" in shell("wait", "other").stderr
    assert "2 errored, 5 completed" in shell("wait", "t", code=1).stderr
    shell("wait", "t", "other", code=1)


def test_reasons_is_empty_where_nothing_is_held(shared: Shared) -> None:
    """``htrun reasons`` shows nothing for a map without held components."""
    shell, _ = shared("work", run_work)
    assert shell("reasons", "t").stdout == ""


def test_an_unknown_tag_is_an_error_in_words(shared: Shared) -> None:
    """Every command refuses a tag that no map has with exit code 4, and suggests one like it."""
    shell, _ = shared("work", run_work)
    for command in ("status", "wait", "components", "errors", "reasons", "path", "remove", "collect"):
        assert "did you mean other?" in shell(command, "othr", code=4).stderr
    for command in ("stdout", "stderr"):
        assert "no map has the tag" in shell(command, "nothing", 0, code=4).stderr
    assert shell("tags").lines == ["other", "t"]


def test_a_selection_of_nothing_is_said(local: Shell) -> None:
    """Where a pattern matches no tag, or there are no maps at all, commands say so; it is no error, and data is clean."""
    for words in (["status"], ["why", "--all"], ["wait", "--all"], ["errors", "--all"], ["remove", "--all"]):
        assert local(*words).stderr == "htrun: note: there are no maps\n"
    for command in ("status", "why", "wait", "errors", "reasons", "remove"):
        assert "no map has a tag that matches 'x*'" in local(command, "-p", "x*").stderr
    assert local("tags", "-p", "x*").stderr == ""
    assert local("status", "--format", "json").stderr == ""


def test_remove_deletes_a_map_and_frees_its_tag(shell: Shell) -> None:
    """``htrun remove`` deletes maps with their results, by tag, pattern or ``--all``, and frees their tags."""
    shell.write("m.py", WORK)
    for tag in ("a1", "a2", "b", "c"):
        shell("m.py:work", "--args", "-", "--tag", tag, "--detach", input="1\n")
    shell("remove", "b")
    assert not shell.path("b").exists()
    assert shell("tags").lines == ["a1", "a2", "c"]
    shell("remove", "-p", "a*")
    assert shell("tags").lines == ["c"]
    shell("remove", code=4)
    shell("m.py:work", "--args", "-", "--tag", "b", "--detach", input="0\n")
    shell("wait", "b")
    shell("remove", "--all")
    assert shell("tags").lines == []
    assert list((shell.cwd / "results").iterdir()) == []
    assert shell("remove", "--all").stdout == ""


def test_remove_stops_a_running_map(shell: Shell) -> None:
    """Removing a running map stops its components first: nothing of it runs or comes back afterwards."""
    shell.write(
        "m.py", "import time\nfrom pathlib import Path\n\ndef f(x):\n    Path(x).touch()\n    time.sleep(600)\n"
    )
    mark = shell.home / "running"
    shell("m.py:f", "--args", shell.jsonl("in.jsonl", [str(mark)]), "--tag", "t", "--detach", "--no-transfer")
    until(mark.exists, "the component runs")
    shell("remove", "t")
    assert not shell.path().exists()
    assert shell("tags").stdout == ""
    if shell.engine == "local":
        assert shell.processes() == {}


def test_overwrite_replaces_a_map_even_while_it_runs(shell: Shell) -> None:
    """``--overwrite`` stops and removes the map that has the tag, and starts anew under it."""
    shell.write("m.py", "import time\n\ndef f(x):\n    time.sleep(x)\n    return x\n")
    shell("m.py:f", "--args", "-", "--tag", "t", "--detach", input="600\n")
    shell("m.py:f", "--args", "-", "--tag", "t", code=4, input="0\n")
    shell("m.py:f", "--args", "-", "--tag", "t", "--overwrite", input="0\n")
    assert [row["output"] for row in shell.outputs()] == [0]
    assert shell("tags").lines == ["t"]
    shell("m.py:f", "--args", "-", "--tag", "new", "--overwrite", input="0\n")
    assert shell("tags").lines == ["new", "t"]


def test_overwrite_never_removes_what_is_no_map(local: Shell) -> None:
    """A directory or file of the user's own in the place of the results is never touched, ``--overwrite`` or not."""
    local.write("m.py", WORK)
    local.write("results/t/precious.txt", "precious")
    local.write("results/file", "precious")
    for tag in ("t", "file"):
        for words in ([], ["--overwrite"]):
            done = local("m.py:work", "--args", "-", "--tag", tag, *words, input="1\n", code=4)
            assert f"results/{tag}" in done.stderr
    assert (local.cwd / "results/t/precious.txt").read_text() == "precious"
    assert (local.cwd / "results/file").read_text() == "precious"
    assert local("tags").stdout == ""


def test_a_map_whose_directory_was_deleted_is_gone(local: Shell) -> None:
    """After ``rm -r results/t`` the tag is free, and no command trips over it."""
    local.write("m.py", WORK)
    local.run("m.py:work", [1])
    local("m.py:work", "--args", "-", "--tag", "u", input="1\n")
    shutil.rmtree(local.path())
    assert local("tags").lines == ["u"]
    assert "u" in local("status").stdout
    local("collect", "t", code=4)
    local("remove", "--all")
    assert local.run("m.py:work", [1])[0]["output"] == 1


def test_a_map_whose_directory_was_moved_is_told_apart(local: Shell) -> None:
    """A map's directory that was copied elsewhere is no second map of the tag."""
    local.write("m.py", WORK)
    local.run("m.py:work", [1])
    shutil.copytree(local.path(), local.cwd / "results" / "copy")
    assert local("tags").lines == ["t"]
    local("remove", "t")
    assert (local.cwd / "results" / "copy" / "outputs.jsonl").exists()


def test_a_damaged_map_is_an_error_in_words(local: Shell) -> None:
    """A map whose description cannot be read is told, and hinders no other map's commands."""
    local.write("m.py", WORK)
    local.run("m.py:work", [1])
    local("m.py:work", "--args", "-", "--tag", "u", input="1\n")
    for damage in ("", "{", '{"format": 999}', "[]", "null"):
        (local.path() / ".htrun/map.json").write_text(damage)
        for words in (["collect", "t"], ["status", "t"], ["path", "t"]):
            process = local.start(*words)
            _, err = process.communicate()
            assert process.returncode == 4, (damage, words, err)
            assert "Traceback" not in err, (damage, words)
        assert "u" in local("tags").lines
        assert json.loads(local("collect", "u").stdout)["output"] == 1


def test_a_registry_that_cannot_be_written_is_told(local: Shell, tmp_path: Path) -> None:
    """A registry or results directory without permission is told by name, with exit code 4."""
    local.write("m.py", WORK)
    if os.geteuid() == 0:  # who may write everywhere: a file in the way will do
        (tmp_path / "locked").write_text("")
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
    for options, env in (
        (["--results", str(tmp_path / "locked" / "r")], {}),
        ([], {"HTRUN_DIR": str(tmp_path / "locked" / "r")}),
    ):
        done = local("m.py:work", "--args", "-", "--tag", "t", *options, env=env, input="1\n", code=4)
        assert "locked" in done.stderr
    assert not (local.cwd / "results").exists()


def test_one_bad_map_hinders_no_command_for_the_others(local: Shell) -> None:
    """A map of an engine that is not installed is told and can be removed, and the others are shown and waited for."""
    local.write("m.py", "def f(x):\n    return x\n")
    calls = local.jsonl("in.jsonl", [1])
    for tag in ("bad", "good"):
        local("m.py:f", "--args", calls, "--tag", tag)
    info = local.path("bad") / ".htrun" / "map.json"
    info.write_text(info.read_text().replace('"engine": "local"', '"engine": "gone"'))
    done = local("status")
    assert "good" in done.stdout
    assert "'gone'" in done.stderr
    done = local("wait", "bad", "good", code=4)
    assert "'gone'" in done.stderr
    assert "1 completed" in done.stderr
    local("remove", "bad", code=4)
    local("remove", "bad", "--force")
    assert local("tags").lines == ["good"]


def test_a_map_out_of_reach_keeps_its_tag(local: Shell) -> None:
    """While the directory of a map cannot be read, its tag is not given to another."""
    local.write("m.py", "def f(x):\n    return x\n")
    calls = local.jsonl("in.jsonl", [1])
    local("m.py:f", "--args", calls, "--tag", "t", "--results", "disk")
    (local.cwd / "disk").chmod(0)
    try:
        assert "taken" in local("m.py:f", "--args", calls, "--tag", "t", code=4).stderr
    finally:
        (local.cwd / "disk").chmod(0o700)
    assert local("collect", "t", "--values").rows == [1]


def test_what_was_printed_is_given_byte_by_byte(local: Shell) -> None:
    """``htrun stdout`` gives the bytes that a component has written, whatever they are."""
    local.write("m.py", "import os\n\ndef f(x):\n    os.write(1, bytes(range(256)))\n")
    local.run("m.py:f", [0])
    done = subprocess.run([HTRUN, "stdout", "t", "0"], cwd=local.cwd, env=local.env, capture_output=True, check=True)
    assert done.stdout == bytes(range(256))


def test_inputs_that_are_no_numbers_are_shown_as_they_are(local: Shell) -> None:
    """NaN and infinities in inputs are shown as such to people; in files of results they are null."""
    local.write("m.py", "def f(x: float):\n    raise ValueError(x)\n")
    (local.cwd / "in.csv").write_text("x\nnan\n-inf\n")
    shown = local("m.py:f", "--args", "in.csv", "--collect-only").stdout
    assert '0: f {"x":NaN}\n1: f {"x":-Infinity}' in shown
    done = local("m.py:f", "--args", "in.csv", "--tag", "t", code=1)
    assert "f(x=nan)" in done.stderr
    assert "f(x=-inf)" in done.stderr
    assert [row["input"] for row in local("collect", "t", "--with-inputs").rows] == [{"x": None}] * 2


def test_a_taken_tag_can_be_gone_on_with(local: Shell) -> None:
    """Who asks for a tag that there is learns of the way that loses nothing."""
    calls = local.jsonl("in.jsonl", [4])
    local("math:sqrt", "--args", calls, "--tag", "t")
    assert "go on with that with --resume" in local("math:sqrt", "--args", calls, "--tag", "t", code=4).stderr
