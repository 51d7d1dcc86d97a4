"""A job's directory belongs to one start of the job at a time."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

START = """
import os, sys
from htrun.runner import claim
claim.wait_and_take({place!r})
if os.fork() == 0:
    os.closerange(3, 1000)
    claim.take({place!r})
    print("taken", flush=True)
    sys.stdin.read()
else:
    os.wait()
"""


def test_a_start_waits_for_all_processes_of_an_earlier_one(tmp_path: Path) -> None:
    """A start begins when no process of an earlier one is left, be it one whose parent was killed."""
    (tmp_path / "calls.jsonl").touch()
    command = [sys.executable, "-c", START.format(place=str(tmp_path))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "taken\n"
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as second:
            first.kill()
            first.wait()
            assert second.stdin is not None
            assert second.stdout is not None
            first.stdin.close()  # the end of its child
            assert second.stdout.readline() == "taken\n"
            second.stdin.close()
