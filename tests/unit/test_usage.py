"""The meter of a worker, the histogram of what it measured, and the space that files take."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from htrun import usage
from htrun.runner.usage import Meter, disk_kb

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "values", [[5.0], [0.0, 0.0], [18.6, 19.0], [1.0, 1e6], [20.0] * 1000 + [200.0], list(map(float, range(1, 1001)))]
)
@pytest.mark.parametrize(("encoding", "columns"), [("utf-8", 80), ("ascii", 40), ("latin-1", 30), ("no such", 80)])
def test_histograms(values: list[float], encoding: str, columns: int) -> None:
    """All values are counted, there are few lines, the longest fills the terminal, and all can be shown."""
    lines = list(usage.histogram(values, encoding, columns))
    counts = [int(line.split()[3].replace(",", "")) for line in lines]
    assert sum(counts) == len(values)
    assert len(lines) <= 12
    assert columns - 3 <= max(map(len, lines)) <= columns
    assert counts[0]
    assert counts[-1]
    assert ("#" in lines[0]) is (encoding != "utf-8")
    for line in lines:
        low, high = (float(text.replace(",", "")) for text in re.findall(r"[\d,.]+", line)[:2])
        assert low < high


def test_a_peak_is_forgotten() -> None:
    """What was allocated before the last look does not count; a child counts for the time in which it ended."""
    meter = Meter()
    _, before = meter.read(1.0)
    assert len(bytearray(b"x") * (200 << 20))
    assert meter.read(1.0)[1] > before + 100
    assert meter.read(1.0)[1] < before + 100
    size = int(before) + 200
    subprocess.run([sys.executable, "-c", f"bytearray(b'x') * ({size} << 20)"], check=True)
    cpu, memory = meter.read(1.0)
    assert memory > size
    assert cpu > 0
    assert meter.read(1.0)[1] < before + 100


def test_a_quick_component_has_no_other_ones_peak() -> None:
    """Also of a component that is over in no time, memory is not what a slow one before it has had."""
    meter = Meter()
    _, before = meter.read(1.0)
    assert len(bytearray(b"x") * (200 << 20))
    assert meter.read(1.0)[1] > before + 100
    assert meter.read(1e-6)[1] < before + 100


def test_many_quick_components_after_one_that_gave_memory_back() -> None:
    """They have no peak but their own before long, however quick they are."""
    meter = Meter()
    _, before = meter.read(1.0)
    kept = bytearray(b"x") * (200 << 20)
    assert meter.read(1e-3)[1] > before + 100
    del kept
    until = time.process_time() + 1.0
    while meter.read(1e-6)[1] > before + 100:
        assert time.process_time() < until


def test_disk_space(tmp_path: Path) -> None:
    """Files count with what they hold or what is allocated, whichever is more; links are not followed."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/small").write_text("x")
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 20)
    os.symlink(tmp_path, tmp_path / "a/around")
    assert 2049 <= disk_kb(str(tmp_path), str(tmp_path / "not there")) < 2100
    assert disk_kb(str(tmp_path / "not there")) == 0
