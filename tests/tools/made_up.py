"""Maps as from a large pool, of any size, without one: an ended map's records with other nodes, times and memory."""

from __future__ import annotations

import heapq
import json
import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MEASURES = re.compile(
    r'"node":"[^"]*",("python":"[^"]*",)?"started":([0-9.]+),"wall_s":[0-9.]+(,"cpu_s":[0-9.]+)?,"memory_mb":[0-9.]+'
)


def spread(map_: Path, slots: int, median_s: float, seed: int = 0) -> None:
    """Let the components of a local map that has ended look as if a pool had run them.

    Their times are spread widely, as are those of simulations; nodes have eight slots each, and are not all as fast or
    there from the beginning.

    Parameters
    ----------
    map_ : pathlib.Path
        The map's directory.
    slots : int
        How many components run at once.
    median_s : float
        Their median run time in seconds.
    seed : int
        Equal seeds give equal maps.
    """
    rng = random.Random(seed)
    pace = [rng.uniform(0.7, 1.4) for _ in range(-(-slots // 8))]
    files = sorted(map_.glob(".htrun/jobs/*/records.jsonl"))
    lines = [(path, number, line) for path in files for number, line in enumerate(path.read_text().splitlines())]
    begun = min(float(found[2]) for _, _, line in lines if (found := _MEASURES.search(line)))
    free = [(begun + rng.expovariate(1 / (4 * median_s)), slot) for slot in range(slots)]
    heapq.heapify(free)
    new: dict[Path, list[str]] = {path: [""] * sum(other == path for other, _, _ in lines) for path in files}
    for path, number, line in sorted(lines, key=lambda item: int(item[2].split(":", 2)[1].partition(",")[0])):
        start, slot = heapq.heappop(free)
        wall = median_s * pace[slot // 8] * rng.lognormvariate(0, 0.45)
        memory = 60 + 240 * rng.lognormvariate(0, 0.35)
        heapq.heappush(free, (start + wall + rng.uniform(0.02, 0.1) * median_s, slot))
        text = (
            f'"node":"node{slot // 8 + 1:02}.example.org","python":"3.11.2",'
            f'"started":{start:.6f},"wall_s":{wall:.6f},"cpu_s":{wall * rng.uniform(0.85, 0.99):.6f},'
            f'"memory_mb":{memory:.1f}'
        )
        new[path][number] = _MEASURES.sub(lambda _, text=text: text, line, count=1)  # type: ignore[misc]
    for path, changed in new.items():
        path.write_text("".join(f"{line}\n" for line in changed))
    for path in map_.glob(".htrun/jobs/*/environment.json"):
        path.write_text(json.dumps({"python": "3.11.2", "executable": "/usr/bin/python3"}))
    (map_ / ".htrun/snapshot").unlink(missing_ok=True)
