"""Saying where output files go: what is taken, and what is refused before anything is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import htrun
from htrun.store import MapDirectory

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

FUNCTION = "def f(n):\n    return n\n"


def test_remaps_are_kept_with_the_map(local: Shell) -> None:
    """What is the same for all components is kept once; fields of the inputs say it for each."""
    local.write("m.py", FUNCTION)
    calls = [{"n": 1, "to": "x/"}, {"n": 2, "to": "https://h/@at"}]
    local.run("m.py:f", [1, 2, 3], "--output-remap", "a=d/$(component)", "--output-remap", "b=@@$(component)=/")
    directory = MapDirectory(local.path())
    here = str(local.cwd)
    assert directory.remaps(2) == {"a": f"{here}/d/2", "b": f"{here}/@2=/b"}
    assert (local.path() / ".htrun/remaps.json").stat().st_size < 300
    local.run("m.py:f", calls, "--output-remap", "a=d/$(component)", "--output-remap", "b=@to", "--overwrite")
    directory = MapDirectory(local.path())
    assert directory.remaps(0) == {"a": f"{here}/d/0", "b": f"{here}/x/b"}
    assert directory.remaps(1) == {"a": f"{here}/d/1", "b": "https://h/@at"}
    assert [row["output"] for row in local.outputs()] == [1, 2], "the field is not passed on"
    local.run("m.py:f", [1], "--overwrite")
    assert not (local.path() / ".htrun/remaps.json").exists()


@pytest.mark.parametrize(
    ("remaps", "said"),
    [
        (["a"], "--output-remap 'a': say NAME=DESTINATION"),
        (["a=@"], "--output-remap 'a=@': say NAME=DESTINATION"),
        (["a=x", "a=@to"], "--output-remap: 'a' is there twice"),
        (["d/a=x"], "'d/a' is no name of an output file"),
        (["a=out"], "the output files of 2 components cannot all go to out: put $(component) in it"),
        (["a=$(component)", "b=./$(component)"], "two output files of component 0 would go to"),
        (["a=@to"], "two output files of components 0, 1 would go to"),
        (["a=@none"], "in.jsonl:1: no field 'none', which is to say where the output file 'a' goes"),
        (["a=@n"], "in.jsonl:1: field 'n': a destination is a text, not 1"),
        (["a=https://h"], "nothing can be sent to a URL that names no file: https://h"),
        (["a=m.py/$(component)"], "m.py is no directory"),
        (["a=nosuch://h/$(component)"], "nothing on this machine speaks nosuch"),
        (["a=gs://h/$(component)"], "pip install 'gcsfs'"),
    ],
)
def test_remaps_that_make_no_sense(local: Shell, remaps: list[str], said: str) -> None:
    """They are told before anything is made."""
    local.write("m.py", FUNCTION)
    local.jsonl("in.jsonl", [{"n": 1, "to": "same"}, {"n": 2, "to": "same"}])
    options = [f"--output-remap={remap}" for remap in remaps]
    if "@to" not in str(remaps):
        local.jsonl("in.jsonl", [{"n": 1}, {"n": 2}])
    done = local("m.py:f", "--args", "in.jsonl", *options, code=4)
    assert said in done.stderr, done.stderr
    assert not (local.cwd / "results").exists()


def test_remaps_from_python(api: Shell) -> None:
    """Destinations are texts, paths and TransferPaths, one mapping for all components or one for each."""
    bucket = htrun.TransferPath("bucket", protocol="http", location="127.0.0.1:9")
    options = htrun.MapOptions(output_remaps=[{Path("in/a.txt"): bucket / "b.txt"}, {"a": Path("here")}])
    map_ = htrun.map(lambda n: n, [1, 2], map_options=options)
    assert list(map_) == [1, 2]
    directory = MapDirectory(Path(map_.path))
    assert directory.remaps(0) == {"a.txt": "http://127.0.0.1:9/bucket/b.txt"}
    assert directory.remaps(1) == {"a": str(api.cwd / "here")}
    with pytest.raises(htrun.exceptions.UsageError, match=r"2 components cannot all go to .*\$\(component\)"):
        htrun.map(lambda n: n, [1, 2], map_options=htrun.MapOptions(output_remaps={"a": bucket / "a"}))
    if api.engine == "htcondor":
        header = (directory.job(0) / "calls.jsonl").read_text().splitlines()[0]
        assert json.loads(header)["remaps"] == {"0": {"a.txt": "remap.0.0"}}
        assert "transfer_output_remaps" in (directory.inner / "submit.0.sub").read_text()
