"""Random walks on a square lattice: a long simulation that saves checkpoints, and hands over a file.

    htrun examples/diffusion.py:walk --args examples/inputs/walks.jsonl --tag diffusion-example --overwrite

Run from the repository's root, with htrun on the PATH. Wherever a walk is interrupted, it goes on from its last
checkpoint with the same random numbers, so the result is the same. The distances over time come back as files:

    head -n 3 results/diffusion-example/files/*/distances.csv
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import htrun

STATE = Path("state.json")
STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))
SECONDS = 0.5  # between checkpoints; minutes would do where a component takes hours


def walk(walkers: int, steps: int, seed: int = 0) -> dict[str, float]:
    """Let walkers start together, and measure how far they get.

    Parameters
    ----------
    walkers : int
    steps : int
        How many each of them makes.
    seed : int
        Equal seeds give equal results.

    Returns
    -------
    dict
        ``distance``: the mean of the squared distance from the start after the last step, in squared lattice
        constants, which tends to ``steps``; ``returned``: the share of walkers that were at the start again.
        ``distances.csv``, an output file, has ``step`` and ``distance`` of every step.
    """
    rng = random.Random(seed)  # noqa: S311 (physics, not cryptography)
    places = [(0, 0)] * walkers
    returned: set[int] = set()
    distances: list[float] = []
    if STATE.exists():
        state = json.loads(STATE.read_text())
        version, numbers, gauss = state["rng"]
        rng.setstate((version, tuple(numbers), gauss))
        places, returned = [(x, y) for x, y in state["places"]], set(state["returned"])
        distances = state["distances"]
    saved = time.monotonic()
    while len(distances) < steps:
        moves = rng.choices(STEPS, k=walkers)
        places = [(x + dx, y + dy) for (x, y), (dx, dy) in zip(places, moves)]  # noqa: B905 (not in Python 3.9)
        returned.update(walker for walker, place in enumerate(places) if place == (0, 0))
        distances.append(sum(x * x + y * y for x, y in places) / walkers)
        if time.monotonic() - saved > SECONDS:
            state = {"rng": rng.getstate(), "places": places, "returned": sorted(returned), "distances": distances}
            STATE.write_text(json.dumps(state))
            htrun.checkpoint(STATE)
            saved = time.monotonic()
    rows = [f"{step},{distance:.6g}\n" for step, distance in enumerate(distances, 1)]
    Path("distances.csv").write_text("".join(["step,distance\n", *rows]))
    htrun.transfer_output_files("distances.csv")
    return {"distance": distances[-1], "returned": len(returned) / walkers}
