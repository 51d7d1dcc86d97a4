"""What the process of a local map is at, from its event log."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from htrun.engines.local.explain import explain

if TYPE_CHECKING:
    from pathlib import Path


def told(tmp_path: Path, *rows: object, alive: bool = True) -> list[str]:
    """Return what is said of an event log."""
    log = tmp_path / "events.jsonl"
    log.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return explain("t", log, alive=alive)


def event(kind: str, job: int, start: int, stop: int, ago: float = 150) -> dict[str, object]:
    """Return a row of a job's event."""
    return {"event": kind, "time": time.time() - ago, "job": job, "worker": job, "start": start, "stop": stop}


def test_busy_workers(tmp_path: Path) -> None:
    """What keeps the workers busy is told, the longest first; what has ended, or was damaged, is not."""
    rows = [
        {"event": "START", "time": 1, "pid": 1, "workers": 2},
        event("EXECUTE", 0, 0, 1, ago=700),
        event("EXECUTE", 1, 1, 3),
        event("TERMINATED", 1, 1, 3),
        event("EXECUTE", 2, 3, 6),
        '{"event": "EXEC',
    ]
    assert told(tmp_path, *rows) == [
        "Both workers are busy, with component 0 for 11 minutes, components 3-5 for 2 minutes; the next ones start as these end."
    ]


def test_a_new_process_knows_nothing_of_the_last_one(tmp_path: Path) -> None:
    """Of a run that was carried on, only what its last process has started counts."""
    start = {"event": "START", "time": 1, "pid": 1, "workers": 1}
    assert told(tmp_path, start, event("EXECUTE", 0, 0, 1), start, event("EXECUTE", 1, 0, 1)) == [
        "The one worker is busy, with component 0 for 2 minutes; the next ones start as these end."
    ]
    assert told(tmp_path, start, event("EXECUTE", 0, 0, 1), start) == ["1 of 1 worker is free or about to start."]


def test_a_stopped_run(tmp_path: Path) -> None:
    """A run that was stopped says so, with the command for its results; one that just starts says that."""
    assert "was stopped" in told(tmp_path, alive=False)[0]
    assert "'htrun collect t'" in told(tmp_path, alive=False)[0]
    assert told(tmp_path) == ["Its process is just starting."]
    assert explain("t", tmp_path / "none", alive=True) == ["Its process is just starting."]
