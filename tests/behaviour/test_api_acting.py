"""Acting on maps from Python: holding, releasing, pausing, resuming, vacating, editing."""

from __future__ import annotations

import inspect
import math
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import htrun
from htrun.exceptions import UsageError
from tests.behaviour.conftest import until
from tests.behaviour.gates import Gates, gated

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

NEVER = "TARGET.IsNowhere =?= True"
"""Requirements that no slot meets: on the pool, a component stays idle."""


def one_at_a_time(api: Shell) -> dict[str, object]:
    """Return options by which component 0 runs and the others stay idle."""
    return {"requirements": ["True", NEVER, NEVER]} if api.engine == "htcondor" else {"request_cpus": "1000"}


def test_hold_and_release(api: Shell) -> None:
    """Held components, those that ran and those that were idle, do not run before they are released."""
    gates = Gates(api, **one_at_a_time(api))
    gates.wait_for(0)
    assert gates.statuses == ["RUNNING", "IDLE", "IDLE"]
    gates.map.hold()
    assert gates.statuses == ["HELD"] * 3
    until_still(gates)
    assert gates.statuses == ["HELD"] * 3
    gates.map.hold()
    gates.map.resume()
    gates.map.pause()
    gates.map.vacate()
    assert gates.statuses == ["HELD"] * 3
    gates.map.release()
    assert "HELD" not in gates.statuses
    gates.wait_for(0, times=2)
    if api.engine == "local":
        gates.check()
        assert [gates.began(component) for component in range(3)] == [2, 1, 1]


def until_still(gates: Gates, seconds: float = 0.3) -> None:
    """Wait until component 0 counts no more."""

    def still() -> bool:
        before = gates.counted()
        time.sleep(seconds)
        return gates.counted() == before

    until(still, "component 0 does nothing", 20)


def test_pause_stops_processes_and_resume_lets_them_go_on(api: Shell) -> None:
    """A paused component does nothing, keeps what it has, and goes on from there."""
    gates = Gates(api, number=1)
    gates.wait_for(0)
    until(gates.counted, "it counts")
    gates.map.pause()
    gates.wait_status("SUSPENDED", 0)
    until_still(gates)
    assert gates.map.is_active
    gates.let_go()
    before = gates.counted()
    time.sleep(0.5)
    assert gates.counted() == before
    assert gates.statuses == ["SUSPENDED"]
    gates.map.pause()
    gates.map.resume()
    gates.check()
    assert gates.began(0) == 1


def test_vacated_components_start_anew(api: Shell) -> None:
    """A vacated component is idle or running at once, and begins again; what has completed stays so."""
    gates = Gates(api, number=2)
    gates.let_go(0)
    assert gates.map.get(0, timeout=60) == 0
    gates.wait_for(1)
    gates.map.vacate()
    assert gates.statuses[0] == "COMPLETED"
    assert gates.statuses[1] in ("IDLE", "RUNNING")
    gates.wait_for(1, times=2)
    gates.check()
    assert [gates.began(0), gates.began(1)] == [1, 2]


def test_a_chunk_that_is_vacated_runs_only_what_was_left(api: Shell) -> None:
    """Of components that share a job, those that had completed are not run again."""
    path = api.write("m.py", "from pathlib import Path\n\n\n" + inspect.getsource(gated))
    calls = api.jsonl("in.jsonl", [[str(api.home), n] for n in range(3)])
    api(f"{path}:gated", "--args", calls, "--tag", "t", "--chunk-size", 3, "--workers", 1, "--detach", "--no-transfer")
    gates = Gates.__new__(Gates)
    gates.home, gates.number, gates.map = api.home, 3, htrun.load("t")
    gates.let_go(0)
    until(lambda: gates.began(1), "component 1 runs")
    gates.map.vacate()
    assert "ERRORED" not in gates.statuses
    until(lambda: gates.began(1) == 2, "component 1 runs again")
    gates.check()
    assert [gates.began(component) for component in range(3)] == [1, 2, 1]


def test_a_map_that_is_vacated_while_it_is_paused(api: Shell) -> None:
    """A paused component that is vacated ends its process, and completes when the map is resumed."""
    gates = Gates(api, number=1)
    gates.wait_for(0)
    gates.map.pause()
    gates.wait_status("SUSPENDED", 0)
    gates.map.vacate()
    until(lambda: "SUSPENDED" not in gates.statuses, "it is given up")
    gates.map.resume()
    until(lambda: gates.began(0) == 2, "it runs again")
    gates.check()


def test_a_map_that_is_held_while_it_is_paused(api: Shell) -> None:
    """A paused component that is held and released begins again, and is not paused."""
    gates = Gates(api, number=1)
    gates.wait_for(0)
    gates.map.pause()
    gates.wait_status("SUSPENDED", 0)
    gates.map.hold()
    gates.wait_status("HELD", 0)
    gates.map.release()
    gates.wait_for(0, times=2)
    gates.check()


def test_a_hold_right_after_vacating(api: Shell) -> None:
    """Of two orders the last one counts, though the first is still being carried out."""
    gates = Gates(api, number=2)
    gates.wait_for(0)
    gates.map.vacate()
    gates.map.hold()
    gates.wait_status("HELD", 0, 1)
    until_still(gates)
    assert gates.statuses == ["HELD"] * 2
    gates.map.release()
    gates.check()


def test_a_map_that_is_over_is_left_alone(api: Shell) -> None:
    """Acting on a map in which nothing is left to run changes nothing, in its data or in its state."""
    gates = Gates(api, number=2)
    gates.fail(1)
    gates.let_go()
    gates.map.wait(timeout=60, errors_ok=True)
    m = gates.map
    for act in (m.hold, m.release, m.pause, m.resume, m.vacate, lambda: m.set_memory(7), lambda: m.set_disk(7)):
        act()
        assert gates.statuses == ["COMPLETED", "ERRORED"]
    m.wait(timeout=60, errors_ok=True)
    assert m[0] == 0
    assert [gates.began(0), gates.began(1)] == [1, 1]


def test_edits_are_in_the_jobs(api: Shell, request: pytest.FixtureRequest) -> None:
    """On the pool, new requests of memory and disk are those of all jobs; here they say nothing."""
    options = {"requirements": NEVER} if api.engine == "htcondor" else {}
    gates = Gates(api, number=2, **options)
    gates.map.set_memory(123)
    gates.map.set_disk(45677.5)
    for wrong in ("2GB", 0, -1, math.nan, math.inf):
        for edit in (gates.map.set_memory, gates.map.set_disk):
            with pytest.raises(UsageError):
                edit(wrong)  # type: ignore[arg-type]
    if api.engine == "htcondor":
        tool: Callable[..., str] = request.getfixturevalue("condor_tool")
        rows = tool("condor_q", "-af", "Iwd", "RequestMemory", "RequestDisk").splitlines()
        ours = Counter(row.partition(" ")[2] for row in rows if row.startswith(str(api.home)))
        assert ours == {"123 45678": 2}
    else:
        gates.check()
