"""Event logs that are cut off, doubled, shuffled or misdated when a map has ended: the records have its results."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from tests.behaviour.census import Errored, take_census

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell


def cut_off(log: bytes) -> bytes:
    """Return the first third of a log, which ends within an event."""
    return log[: len(log) // 3]


def doubled(log: bytes) -> bytes:
    """Return a log twice."""
    return log + log


def in_reverse(log: bytes) -> bytes:
    """Return the events of a log in reverse order."""
    end = b"...\n" if b"\n...\n" in log else b"\n"
    return b"".join(reversed([event + end for event in log.split(end) if event]))


def misdated(log: bytes) -> bytes:
    """Return a log with each second event a year earlier, and a century later."""
    count = 0

    def shift(found: re.Match[bytes]) -> bytes:
        nonlocal count
        count += 1
        return found[1] + (b"19" if count % 2 else b"21") + found[2]

    return re.sub(rb'(\) |"time":)\d\d(\d\d)', shift, log)


def gone(_: bytes) -> bytes:
    """Return an empty log."""
    return b""


DAMAGES: list[Callable[[bytes], bytes]] = [cut_off, doubled, in_reverse, misdated, gone]


def test_damage_to_the_log_of_a_map_loses_no_result(shell: Shell) -> None:
    """Whatever becomes of the event log of a map that has ended, every component has its result once."""
    number = 8
    shell.write("m.py", "def f(x):\n    print(x)\n    return 1 // (x - 5) * 0 + x\n")
    expected = [Errored("ZeroDivisionError") if n == 5 else n for n in range(number)]
    shell.run("m.py:f", range(number), "--chunk-size", 4, code=1)
    log = next(shell.path().glob(".htrun/events.*"))
    whole = log.read_bytes()
    for damage in DAMAGES:
        damaged = damage(whole)
        assert damaged != whole
        log.write_bytes(damaged)
        os.utime(log, (0, 0))  # else HTCondor's schedd is asked only when the log has been silent for some time
        shell("wait", "t", code=1)
        rows = shell("collect", "t").rows
        assert [row.get("output", "error") for row in rows] == ["error" if n == 5 else n for n in range(number)]
    take_census(shell, expected)
