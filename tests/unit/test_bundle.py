"""The one file that runs on an execute node, run by whatever Pythons this machine has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from htrun.engines.htcondor.bundle import write_bundle
from htrun.store import DirectoryBuilder

SOURCE = """
import datetime
import os
import sys
from pathlib import Path

def f(number, path: Path):
    import htrun
    print("out", number)
    if number == 1:
        raise ValueError("one")
    if number == 2:
        os._exit(3)
    if number == 3:
        return {datetime.date(2020, 1, 1): (1, 2)}
    if number == 4:
        return lambda: 1
    return [list(sys.version_info[:2]), path.read_text(), sorted(os.listdir())]
"""


def pythons() -> dict[str, str]:
    """Return this Python, and the others from 3.8 on that are on the PATH or were installed by pyenv, by version."""
    installed = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    installed += sorted((Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")).glob("versions/*/bin"))
    found = {"{}.{}".format(*sys.version_info): sys.executable}
    for minor in range(8, 20):
        for path in (folder / f"python3.{minor}" for folder in installed):
            if f"3.{minor}" not in found and os.access(path, os.X_OK) and runs(path):
                found[f"3.{minor}"] = str(path)
    return found


def runs(python: Path) -> bool:
    """Tell whether a Python runs: pyenv has programs of such names that do not."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


PYTHONS = pythons()


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_the_bundle_needs_nothing_but_python(tmp_path: Path, python: str) -> None:
    """Any Python from 3.8 on runs a job from its files alone, and records values, errors and deaths."""
    (tmp_path / "m.py").write_text(SOURCE)
    builder = DirectoryBuilder(tmp_path)
    builder.write_sources([(tmp_path / "m.py", "m.py")], {})
    reference = {"module": "m", "qualname": "f", "file": None}
    builder.write_info({"format": 1, "components": 6, "target": {"reference": reference}})
    job = tmp_path / "job"
    job.mkdir()
    write_bundle(builder.directory, job / "htrun.pyz")
    (job / "f0").write_text("data")
    calls = [json.dumps([n, {"$path": "a b.txt"}]) + '\t[["f0","a b.txt"]]' for n in range(6)]
    (job / "calls.jsonl").write_text("\n".join([json.dumps({"components": [[0, 6]]}), *calls, ""]))
    done = subprocess.run([python, "htrun.pyz"], cwd=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    records = [json.loads(line) for line in (job / "records.jsonl").read_text().splitlines()]
    assert [record["status"] for record in records] == ["COMPLETED", "ERRORED", "ERRORED"] + ["COMPLETED"] * 3
    version, data, names = records[5]["output"]
    assert (data, names) == ("data", ["a b.txt"])
    assert version >= [3, 8]
    assert [frame["function"] for frame in records[1]["error"]["frames"]] == ["f"]  # the user's alone
    assert records[1]["error"]["frames"][0]["file"] == "m.py"
    assert "os._exit" in records[2]["error"]["message"]
    assert records[3]["output"] == {"2020-01-01": [1, 2]}
    assert "pickle" in records[4]
    assert (job / "stdout").read_text() == "".join(f"out {n}\n" for n in range(6))
