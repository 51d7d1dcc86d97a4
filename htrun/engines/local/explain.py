"""Why components of a map wait on this machine, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from htrun.words import count, elapsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LISTED = 8


def explain(tag: str, log: Path, *, alive: bool) -> list[str]:
    """Return what the process of a map is at.

    Parameters
    ----------
    tag : str
    log : Path
        The map's event log.
    alive : bool
        Whether its process lives.
    """
    rows = list(_rows(log))
    if not alive:
        hint = f"'htrun resume {tag}' lets it go on, and 'htrun collect {tag}' has what it had finished"
        return [f"The run was stopped, by Ctrl-C or after errors: {hint}."]
    workers, running, paused = _state(rows)
    if not workers:
        return ["Its process is just starting."]
    if paused:
        return [f"It is paused: 'htrun resume {tag}' lets it go on."]
    if len(running) < workers:
        free = workers - len(running)
        return [f"{free} of {count(workers, 'worker')} {'are' if free > 1 else 'is'} free or about to start."]
    busy = [
        f"{f'component {start}' if stop - start == 1 else f'components {start}-{stop - 1}'} for {elapsed(since)}"
        for start, stop, since in sorted(running.values(), key=lambda entry: entry[2])
    ]
    more = f", and {len(busy) - _LISTED} more" if len(busy) > _LISTED else ""
    all_ = {1: "The one worker is", 2: "Both workers are"}.get(workers, f"All {workers} workers are")
    return [f"{all_} busy, with {', '.join(busy[:_LISTED])}{more}; the next ones start as these end."]


def _state(rows: Iterable[Any]) -> tuple[int, dict[int, tuple[int, int, float]], bool]:
    """Return how many workers there are, what runs: (start, stop, since when) by job, and whether it is paused."""
    workers = 0
    paused = False
    running: dict[int, tuple[int, int, float]] = {}
    for row in rows:
        try:
            if row["event"] == "START":
                workers, running, paused = int(row["workers"]), {}, False
            elif row["event"] in ("SUSPENDED", "UNSUSPENDED"):
                paused = row["event"] == "SUSPENDED"
            elif row["event"] == "EXECUTE":
                running[int(row["job"])] = (int(row["start"]), int(row["stop"]), float(row["time"]))
            elif row["event"] in ("TERMINATED", "EVICTED"):
                running.pop(int(row["job"]), None)
        except (KeyError, TypeError, ValueError):
            continue  # damaged
    return workers, running, paused


def _rows(log: Path) -> Iterator[Any]:
    try:
        data = log.read_bytes()
    except FileNotFoundError:
        return
    for line in data.splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # a torn line
            continue
