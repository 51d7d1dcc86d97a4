"""Workers that are killed at each of their steps: each component has one whole record, and all but few their output."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from htrun.runner.attempts import Attempts
from htrun.runner.calls import Calls, index_lines
from htrun.runner.spec import Spec
from htrun.runner.supervisor import Supervisor
from tests.behaviour.killer import Killer

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = 8
SOURCE = """
def f(x):
    print("printed by", x)
    open("left", "w").close()
    return "x" * 1_100_000 if x == 5 else x
"""


def run(place: Path, step: int) -> tuple[bool, list[Any]]:
    """Run a few components with workers that are killed at a step, the first two of them; return the records too."""
    place.mkdir()
    (place / "m.py").write_text(SOURCE)
    calls = place / "calls"
    calls.write_text("".join(f"[{n}]\n" for n in range(NUMBER)))
    forks = 0

    def on_fork() -> None:
        if forks <= 2:
            killer = Killer(step, "/", os.open(os.devnull, os.O_WRONLY))
            sys.addaudithook(killer.audit)
            sys.setprofile(killer.profile)

    def count(kind: str, *_: Any) -> None:
        nonlocal forks
        forks += kind == "EXECUTE"

    reference = {"module": "m", "qualname": "f", "file": "m.py"}
    spec = Spec(reference, str(place), lambda _: "", attempts=Attempts(), checkpoints=str(place))
    supervisor = Supervisor(
        spec,
        Calls(str(calls), index_lines(str(calls)), range(NUMBER)),
        [(0, NUMBER)],
        [(str(place / "job"), str(place / "scratch"))],
        chunk_size=NUMBER,
        on_event=count,
        on_fork=on_fork,
    )
    assert supervisor.run()
    killed = forks > 1
    data = (place / "job/records.jsonl").read_bytes()
    assert data.endswith(b"\n")
    return killed, [json.loads(line) for line in data.splitlines()]


def test_a_worker_killed_at_each_of_its_steps(tmp_path: Path) -> None:
    """Whenever workers are killed, each component has one whole record, and two at the most say that one was killed."""
    step, killed = 0, True
    while killed:
        step += 1
        killed, rows = run(tmp_path / str(step), step)
        assert sorted(row["component"] for row in rows) == list(range(NUMBER)), step
        assert sum(row["status"] == "ERRORED" for row in rows) <= 2, step
        for row in rows:
            if row["status"] == "COMPLETED":
                assert row.get("output", 5) == row["component"]
                start, stop = row["stdout"]
                printed = (tmp_path / str(step) / "job/stdout").read_bytes()[start:stop]
                assert printed == f"printed by {row['component']}\n".encode(), step
            else:
                assert "SIGKILL" in row["error"]["message"]
    assert step > 20
