"""Running components again: only those that were chosen, from scratch, and what they had left before is gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from htrun.control import MapControl
from htrun.engines.local.process import usable_cpus
from htrun.exceptions import CannotRerunComponents, MapComponentError
from htrun.export import write_results
from htrun.settings import load
from tests.behaviour.conftest import until
from tests.behaviour.gates import Gates

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell


def test_only_chosen_components_run_again(api: Shell) -> None:
    """Chosen components have new values, errors and output; the others keep theirs, and do not run."""
    gates = Gates(api, number=4)
    m = gates.map
    gates.fail(1)
    gates.let_go()
    m.wait(timeout=60, errors_ok=True)
    api("wait", "t", code=1)
    assert len((m.path / "errors.jsonl").read_text().splitlines()) == 1
    gates.shut()
    m.rerun([1, 2, 2])
    assert gates.statuses[0] == gates.statuses[3] == "COMPLETED"
    assert not {"COMPLETED", "ERRORED"} & {gates.statuses[1], gates.statuses[2]}
    assert m.errors == {}
    assert not (m.path / "outputs.jsonl").exists()
    with pytest.raises(CannotRerunComponents):
        m.rerun([0, 1])
    with pytest.raises(CannotRerunComponents):
        m.rerun()
    for wrong in ([4], [-1]):
        with pytest.raises(IndexError):
            m.rerun(wrong)
    m.rerun([])
    gates.fail(2)
    gates.let_go()
    m.wait(timeout=60, errors_ok=True)
    assert gates.statuses == ["COMPLETED", "COMPLETED", "ERRORED", "COMPLETED"]
    assert m[1] == 10
    assert list(m.errors) == [2]
    with pytest.raises(MapComponentError):
        m.get(2)
    assert m.stdout[:] == [f"printed by {n}\n" for n in range(4)]
    assert [gates.began(component) for component in range(4)] == [1, 2, 2, 1]
    api("wait", "t", code=1)
    rows = [json.loads(line) for line in (m.path / "outputs.jsonl").read_text().splitlines()]
    assert [row.get("output") for row in rows] == [0, 10, None, 30]
    assert [row["status"] for row in rows] == gates.statuses
    (row,) = [json.loads(line) for line in (m.path / "errors.jsonl").read_text().splitlines()]
    assert row["component"] == 2


def test_components_can_be_rerun_while_others_run(api: Shell) -> None:
    """What has ended can be run again, and more than once, while other components still run for the first time."""
    if usable_cpus() < 2:
        pytest.skip("on this machine one component runs after the other")
    gates = Gates(api, number=2)
    m = gates.map
    gates.fail(1)
    gates.let_go(1)
    with pytest.raises(MapComponentError):
        m.get(1, timeout=60)
    gates.wait_for(0)
    (api.home / "fail-1").unlink()
    m.rerun([1])
    assert m.get(1, timeout=60) == 10
    m.rerun([1])
    assert m.get(1, timeout=60) == 10
    gates.check()
    assert [gates.began(component) for component in range(2)] == [1, 3]


def test_a_whole_map_is_rerun(api: Shell) -> None:
    """Without a choice all components run again; the map can be acted on as before."""
    gates = Gates(api, number=2)
    gates.check()
    gates.shut()
    gates.map.rerun()
    gates.wait_for(0, times=2)
    gates.map.hold()
    assert gates.statuses == ["HELD"] * 2
    with pytest.raises(CannotRerunComponents, match="release"):
        gates.map.rerun([0])
    gates.map.release()
    until(lambda: gates.began(0) == 3, "it runs again")
    gates.check()


@pytest.mark.parametrize("engine", ["local"])
@pytest.mark.parametrize("step", ["engine._give", "orders.is_alive", "orders.start"])
def test_a_kill_in_the_midst_of_a_rerun(api: Shell, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Wherever the command that runs components again is killed, waiting carries on, and runs each of them once."""
    gates = Gates(api, number=2)
    gates.check()
    api("wait", "t")
    gates.shut()
    gates.let_go(1)
    with monkeypatch.context() as patch:
        patch.setattr(f"htrun.engines.local.{step}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gates.map.rerun([1])
    gates.check()
    assert [gates.began(component) for component in range(2)] == [1, 2]
    api("wait", "t")
    assert (gates.map.path / "outputs.jsonl").exists()


@pytest.mark.parametrize("engine", ["local"])
def test_a_kill_in_the_midst_of_releasing(api: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command that releases a map is killed before its process has started, waiting starts it."""
    gates = Gates(api, number=2)
    gates.wait_for(0)
    gates.map.hold()
    until(lambda: not api.processes(), "its process has ended", 20)
    with monkeypatch.context() as patch:
        patch.setattr("htrun.engines.local.orders.start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gates.map.release()
    gates.check()


@pytest.mark.parametrize("engine", ["local"])
def test_results_that_are_written_late(api: Shell) -> None:
    """Whoever still writes the results of before a rerun neither does so any more, nor keeps the new ones from it."""
    gates = Gates(api, number=2)
    gates.check()
    api("wait", "t")
    late = MapControl.load("t", load())
    late.refresh()
    early = (gates.map.path / "run.json").read_bytes()
    gates.shut()
    gates.map.rerun([1])
    write_results(late)
    assert not (gates.map.path / "run.json").exists()
    (gates.map.path / "run.json").write_bytes(early)  # as if it had been a little quicker
    (gates.map.path / "outputs.jsonl").write_text("old\n")
    gates.check()
    api("wait", "t")
    assert len((gates.map.path / "outputs.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("engine", ["local"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_rerun_that_comes_to_nothing(api: Shell, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Where components cannot be run again, for whatever reason, the results are where they were."""
    gates = Gates(api, number=2)
    gates.check()
    api("wait", "t")

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("htrun.store.MapDirectory.append_submission", fails)
        with pytest.raises(type(error)):
            gates.map.rerun()
    assert gates.statuses == ["COMPLETED"] * 2
    assert {"outputs.jsonl", "errors.jsonl", "run.json"} <= {path.name for path in gates.map.path.iterdir()}


@pytest.mark.parametrize("engine", ["htcondor"])
def test_a_rerun_without_room_for_its_jobs(api: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full when the jobs of a rerun are written, what components have left before still counts."""
    gates = Gates(api, number=2)
    gates.check()

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("htrun.engines.htcondor.engine.write_jobs", fails)
        with pytest.raises(OSError, match="No space"):
            gates.map.rerun()
    assert gates.statuses == ["COMPLETED"] * 2
    gates.map.rerun([1])
    gates.check()
    assert [gates.began(component) for component in range(2)] == [1, 2]


@pytest.mark.parametrize("engine", ["htcondor"])
def test_a_rerun_after_a_kill_while_it_was_submitted(api: Shell) -> None:
    """Where the command that made a map was killed before it noted its jobs, what is run again are jobs of their own."""
    gates = Gates(api, number=2)
    gates.check()
    submissions = gates.map.path / ".htrun" / "submissions.jsonl"
    submissions.write_text(submissions.read_text().splitlines(keepends=True)[0])
    assert gates.statuses == ["COMPLETED"] * 2
    gates.map.rerun([1])
    gates.check()
    assert [gates.began(component) for component in range(2)] == [1, 2]


def interrupted(*_: object) -> None:
    """Do as a kill does."""
    raise KeyboardInterrupt
