"""What a local map is told to do in any order, at any moment."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

SCRIPT = """
import random, sys, time
import htrun

def slow(x):
    time.sleep(0.02)
    print(x)
    return x

chance = random.Random(int(sys.argv[1]))
map = htrun.map(slow, range(30), tag="t")
for _ in range(25):
    getattr(map, chance.choice(["hold", "release", "pause", "resume", "vacate"]))()
    time.sleep(chance.random() / 20)
map.release()
map.resume()
map.wait(timeout=60)
assert list(map) == list(range(30))
assert list(map.stdout) == [f"{x}\\n" for x in range(30)]
"""


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_orders(local: Shell, seed: int) -> None:
    """Whatever a map is told, in whatever order, it ends with all its outputs once it is let go."""
    local.write("orders.py", SCRIPT)
    words = [sys.executable, "orders.py", str(seed)]
    done = subprocess.run(words, cwd=local.cwd, env=local.env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
