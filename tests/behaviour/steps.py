"""A map that tests can stop in the middle."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

# Each component notes that it ran, in a directory that all see; component 3 waits for a gate to open.
STEPS = """
import os, time
from pathlib import Path

def step(number, place, gate_of=3):
    with open(f"{place}/ran", "a") as log:
        log.write(f"{number}\\n")
    print("printed by", number)
    while number == gate_of and not Path(place, "gate").exists():
        time.sleep(0.02)
    return number
"""


class Steps:
    """A map whose component 3 waits until it is let go."""

    def __init__(self, shell: Shell, number: int = 6) -> None:
        self.shell = shell
        self.number = number
        shell.write("m.py", STEPS)
        self.calls = shell.jsonl("in.jsonl", [[n, str(shell.home)] for n in range(number)])
        chunk = number if shell.engine == "htcondor" else 1
        self.words = ["m.py:step", "--args", self.calls, "--tag", "t", "--chunk-size", chunk, "--no-transfer"]
        if shell.engine == "local":
            self.words += ["--workers", 1]

    @property
    def ran(self) -> list[int]:
        """The components that were started so far, in order."""
        with contextlib.suppress(FileNotFoundError):
            return [int(line) for line in (self.shell.home / "ran").read_text().splitlines()]
        return []

    def wait_for_3(self, times: int = 1) -> None:
        """Wait until component 3 runs, for the nth time."""
        until(lambda: self.ran.count(3) == times, f"component 3 runs, for time {times}")

    def let_go(self) -> None:
        """Let component 3 end."""
        (self.shell.home / "gate").touch()

    def check(self) -> None:
        """Check that the map has all its outputs."""
        assert [row.get("output") for row in self.shell.outputs()] == list(range(self.number))
        assert self.shell("stdout", "t", 0).stdout == "printed by 0\n"
