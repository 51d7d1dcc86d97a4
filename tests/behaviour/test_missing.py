"""Files that are not there yet when a map is made from Python."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

SCRIPT = """
import htrun

def names(where):
    return sorted(path.name for path in where.iterdir())

missing = htrun.TransferPath("late").absolute()
map = htrun.map(names, [missing], tag="t")
try:
    map.get(0)
except htrun.exceptions.MapComponentHeld as error:
    print(error)
print(sorted(map.holds), map.holds[0].code in (12, 13), "late" in map.hold_report())
missing.mkdir()
(missing / "a, b").write_text("a")
map.release()
print(map.get(0), map.holds)
"""


def test_a_directory_that_is_made_later(shell: Shell) -> None:
    """A component that is held for lack of a directory runs once it is there and the map is released."""
    shell.write("make.py", SCRIPT)
    done = subprocess.run([sys.executable, "make.py"], cwd=shell.cwd, env=shell.env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    reason, holds, last = done.stdout.splitlines()
    assert reason.startswith("Component 0 of map t is held: [1")
    assert "late" in reason
    assert "No such file or directory" in reason
    assert holds == "[0] True True"
    assert last == "['a, b'] {}"
    shell("wait", "t")
