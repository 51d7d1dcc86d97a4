"""What to ask for, by what was used: amounts, and options in which they are to be found out."""

from __future__ import annotations

import pytest

from htrun import sizing
from htrun.history import Knowledge, Spread
from htrun.options import MapOptions


def known(p95: float, most: float, disk_kb: float | None = None, *, is_current: bool = True) -> Knowledge:
    """Return the knowledge of a target whose components used so much memory, in MiB."""
    memory = Spread(p95 / 2, p95 / 2, p95, most)
    one = Spread(1.0, 1.0, 1.0, 1.0)
    disk = None if disk_kb is None else Spread(disk_kb, disk_kb, disk_kb, disk_kb)
    return Knowledge(1000, 0.0, "", one, one, memory, disk, is_current)


@pytest.mark.parametrize(
    ("used", "asked"),
    [(0, 128), (20, 128), (100, 128), (106, 130), (980, 1200), (1000, 1200), (1001, 1300), (65536, 79000)],
)
def test_memory_to_ask_for(used: float, asked: int) -> None:
    """It is a fifth more, in two digits, and not less than jobs get anyway."""
    assert sizing.memory_mb(used) == asked


def test_amounts_in_the_place_of_auto() -> None:
    """Memory is what 95 % have used; the outliers get enough with their first retry."""
    options = MapOptions(request_memory="AUTO", request_disk="auto", request_cpus=2)
    notes = sizing.settle(options, known(980, 9000, 10 * 1024**2), "m.py:f")
    assert dict(options) == {
        "request_cpus": "2",
        "request_memory": "1200MB",
        "retry_request_memory": "MAX({RequestMemory * 2, 11000})",
        "request_disk": f"TransferInputSizeMB * 1024 + {13000 * 1024}",
    }
    memory, disk = notes
    assert memory == (
        "request_memory = 1200MB (auto: 95 % of 1,000 components of m.py:f used at most 980 MB); "
        "retry_request_memory = MAX({RequestMemory * 2, 11000})"
    )
    assert disk == (
        "request_disk = 13000MB and the size of the input files "
        "(auto: 1,000 components of m.py:f used at most 10,240 MB)"
    )


def test_knowledge_of_another_source() -> None:
    """It is used, and that is said."""
    notes = sizing.settle(MapOptions(request_memory="auto"), known(980, 980, is_current=False), "m.py:f")
    assert notes[0].startswith("request_memory = 1200MB (auto: 1,000 components of m.py:f, before its source changed,")


def test_without_knowledge_nothing_is_asked_for() -> None:
    """The pool's defaults hold, and jobs that run out of memory get twice as much."""
    options = MapOptions(request_memory="auto", request_disk="auto")
    assert len(sizing.settle(options, None, "m.py:f")) == 2
    assert dict(options) == {"retry_request_memory": "RequestMemory * 2"}


@pytest.mark.parametrize("key", ["retry_request_memory", "retry_request_memory_increase"])
def test_what_users_say_of_retries_counts(key: str) -> None:
    """Only where they say nothing it is added."""
    options = MapOptions(request_memory="auto", **{key: "8GB"})
    sizing.settle(options, None, "m.py:f")
    assert dict(options) == {key: "8GB"}


def test_nothing_is_found_out_unless_asked() -> None:
    """Amounts stay as they are, and so do those that each component has its own of."""
    assert not sizing.is_auto(MapOptions(request_memory="2GB", request_disk=["1GB", "2GB"]))
    assert sizing.is_auto(MapOptions(requestDisk="auto"))
