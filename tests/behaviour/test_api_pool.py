"""What only the pool does to a map, as Python users see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import htrun
from htrun.exceptions import EngineError, MapComponentError
from tests.behaviour.gates import Gates

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

pytestmark = pytest.mark.parametrize("engine", ["htcondor"], indirect=True)


def kill_the_job(x: int) -> int:
    """End the whole job, not only the process of the component."""
    import os
    import time

    if x == 0:
        os.kill(os.getppid(), 9)
        time.sleep(60)
    return x


def test_a_job_that_dies_has_an_error_report(api: Shell) -> None:
    """A component whose job left nothing has an error report that says how the job ended."""
    m = htrun.map(kill_the_job, range(2))
    m.wait(timeout=120, errors_ok=True)
    assert list(m.errors) == [0]
    (report,) = m.error_reports()
    assert "signal 9" in report
    assert "signal 9" in m.get_err(0).exception_msg
    assert m.stdout[0] == ""
    assert m[1] == 1
    with pytest.raises(MapComponentError, match="signal 9"):
        m.get(0)


def test_jobs_that_somebody_removed(api: Shell, condor_tool: Callable[..., str]) -> None:
    """Waiting for jobs that were removed by other means ends with an error; they can be run again."""
    gates = Gates(api, number=2)
    gates.wait_for(0, 1)
    m = gates.map
    rows = condor_tool("condor_q", "-af", "ClusterId", "Iwd").splitlines()
    (cluster,) = {row.split()[0] for row in rows if str(api.home) in row}
    condor_tool("condor_rm", cluster, "-reason", "because of a test")
    with pytest.raises(MapComponentError, match="because of a test"):
        m.wait(timeout=60)
    m.wait(timeout=60, errors_ok=True)
    assert gates.statuses == ["REMOVED"] * 2
    assert m.errors == {}
    for ask in (lambda: m.get(0, timeout=60), lambda: m[0], lambda: m.get_err(0)):
        with pytest.raises(MapComponentError, match="because of a test"):
            ask()
    m.rerun()
    gates.check()


def test_a_schedd_that_does_not_answer(api: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Acting on a map is an error where the schedd is out of reach, and what is there of the map can be had."""
    gates = Gates(api, number=2, requirements=["True", "False"])
    gates.let_go(0)
    m = gates.map
    assert m.get(0, timeout=60) == 0
    with monkeypatch.context() as dead:
        dead.setenv("HTRUN_CONDOR_COLLECTOR", "127.0.0.1:1")
        dead.setenv("HTRUN_CONDOR_SCHEDULER", "nobody@127.0.0.1")
        for act in (m.hold, m.remove, lambda: m.set_memory(5), lambda: m.set_disk(5), lambda: m.rerun([0])):
            with pytest.raises(EngineError):
                act()
        with pytest.raises(EngineError):
            htrun.map(kill_the_job, [1], tag="other")
        assert gates.statuses == ["COMPLETED", "IDLE"]
        assert m[0] == 0
    assert htrun.get_tags() == ("t",)
    m.hold()
    assert gates.statuses == ["COMPLETED", "HELD"]
