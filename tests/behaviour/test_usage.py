"""What components use of memory, disk and processors: measured of each, compared with requests, asked for next time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

SOURCE = """\
    import os
    import signal
    import subprocess
    import sys

    import htrun

    def fill(mb):
        return len(bytearray(b"x") * (mb << 20))

    def use(mb, how="itself"):
        if how == "a child":
            return subprocess.run([sys.executable, "-c", f"len(bytearray(b'x') * ({mb} << 20))"]).returncode
        if how == "disk":
            with open("left", "wb") as left, open("handed over", "wb") as over:
                left.write(bytes(mb << 20))
                over.write(bytes(mb << 20))
            htrun.transfer_output_files("handed over")
        fill(mb)
        if how == "and dies":
            memory = bytearray(b"x") * (mb << 20)
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()
    """


def records(shell: Shell) -> list[dict[str, Any]]:
    """Return the records of the map ``t``, in the order of its components."""
    lines = [
        line for file in shell.path().glob(".htrun/jobs/*/records.jsonl") for line in file.read_text().splitlines()
    ]
    return sorted(map(json.loads, lines), key=lambda record: int(record["component"]))


def test_the_memory_of_a_component_is_its_own(shell: Shell) -> None:
    """What a component before it had in memory does not count, be they of one process, and a child's does."""
    shell.write("m.py", SOURCE)
    calls: list[Any] = [10, 200, 10, [10, "a child"], [150, "a child"], 10, [100, "and dies"], 10]
    shell.run("m.py:use", calls, "--chunk-size", "10", "--workers", "1", code=1)
    found = records(shell)
    pids = {record.get("output") for record in found if record["component"] in (0, 1, 2, 5)}
    assert len(pids) == 1, "they were to share a process"
    memory = [record["memory_mb"] for record in found]
    assert all(mb <= seen < mb + 90 for mb, seen in zip((10, 200, 10, 10, 150, 10, 100, 10), memory, strict=True)), (
        memory
    )
    assert not any("disk_kb" in record for record in found)


def test_the_disk_space_of_a_component(shell: Shell) -> None:
    """What is in the scratch directory at the end counts, with what was handed over; so it does in a report of errors."""
    shell.write("m.py", SOURCE + "\n    def fail(mb):\n        use(mb, 'disk')\n        raise ValueError\n")
    shell.run("m.py:fail", [3, 1], code=1)
    found = [error["disk_kb"] for error in shell.errors()]
    assert all(2 * mb * 1024 <= seen < 2 * mb * 1024 + 100 for mb, seen in zip((3, 1), found, strict=True)), found
