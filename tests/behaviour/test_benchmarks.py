"""The benchmark program, in a run that is quick and says nothing about speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CASES = {"double", "burn", "uneven", "scale", "maps"}


def bench(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program and return what it has left."""
    command = [sys.executable, "-m", "benchmarks", "run", *words]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """Return a directory for temporary files, in which nothing may be left."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_quick_run_measures_all_cases_but_those_on_a_pool(empty: Path) -> None:
    """Every case has timings of htrun, and what is printed is JSON with the machine and the versions."""
    done = bench("--quick", TMPDIR=str(empty))
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert {timing["case"] for timing in results["timings"]} == CASES
    compared = [t["subject"] for t in results["timings"] if t["case"] == "burn"]
    assert compared[:3] == ["htrun", "the ideal: bare loops", "ProcessPoolExecutor, tuned"]
    assert all(timing["wall_s"] > 0 and timing["cpu_s"] > 0 for timing in results["timings"])
    assert results["machine"]["cpus"] == len(os.sched_getaffinity(0))
    assert {"Python", "htrun"} <= results["versions"].keys()
    for name in results["left_out"]:
        assert f"Left out: {name} (" in done.stderr
    assert "| 10,000 x double: time over that of GNU parallel --pipe" in done.stderr


def test_wrong_results_fail_a_run(empty: Path) -> None:
    """A command that prints something else than the right outputs ends the run, which says what was wrong."""
    program = empty / "bin/parallel"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 7\n")
    program.chmod(0o755)
    done = bench("--quick", "burn", PATH=f"{program.parent}:{os.environ['PATH']}")
    program.unlink()
    program.parent.rmdir()
    assert done.returncode == 1
    assert done.stdout == ""
    assert "error: wrong results: " in done.stderr
    assert "stdout:1: '7\\n' in the place of 10" in done.stderr


def test_an_unknown_case_is_refused() -> None:
    """The error names the cases that there are."""
    done = bench("fast")
    assert done.returncode == 2
    assert "no case fast: there are double, burn, uneven, scale, maps, pool-jobs" in done.stderr
