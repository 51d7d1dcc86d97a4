"""The fold of events to states, whatever order, repetition or cut the events come in."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htrun.engines.htcondor.eventlog import HTCondorEvents
from htrun.engines.local.events import LocalEvents
from htrun.state import ComponentStatus, EventKind, JobEvent, JobState, fold
from htrun.store import MapDirectory

RECORDED = Path(__file__).with_name("data") / "events.log"

ORDINARY = [kind for kind in EventKind if not kind.is_final]


@st.composite
def histories(draw: st.DrawFn) -> list[JobEvent]:
    """Return a log of what happened to a few jobs; nothing happens to one that has come to its end."""
    steps = draw(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(EventKind)), min_size=1, max_size=20))
    events: list[JobEvent] = []
    over = set()
    for job, kind in steps:
        if job not in over:
            position = len(events)
            events.append(
                JobEvent(
                    job,
                    kind,
                    time=1e9 - position,  # clocks are set back
                    position=position,
                    components=((job, job + position + 1),) if kind is EventKind.SUBMIT else None,
                    node=f"node {position}" if kind is EventKind.EXECUTE else None,
                    reason=f"reason {position}" if kind is EventKind.HELD else None,
                    memory_mb=position * 7 % 10 if kind is EventKind.IMAGE_SIZE else None,
                )
            )
        if kind.is_final:
            over.add(job)
    return events


@given(histories(), st.data())
def test_events_may_come_in_any_order(events: list[JobEvent], data: st.DataObject) -> None:
    """The states are the same in whatever order events are read."""
    assert fold({}, data.draw(st.permutations(events))) == fold({}, events)


@given(histories(), st.data())
def test_events_may_be_read_twice(events: list[JobEvent], data: st.DataObject) -> None:
    """Events that were seen already change nothing."""
    again = data.draw(st.lists(st.sampled_from(events)))
    states = fold({}, events)
    assert fold(states, again) == states
    assert fold({}, [*again, *events, *again]) == states


@given(histories(), st.data())
def test_the_fold_can_be_cut_anywhere(events: list[JobEvent], data: st.DataObject) -> None:
    """Folding a log in pieces, as it grows, gives what folding it at once gives; the states given in are not changed."""
    cut = data.draw(st.integers(0, len(events)))
    before = fold({}, events[:cut])
    kept = dict(before)
    assert fold(before, events[cut:]) == fold({}, events)
    assert before == kept


@given(histories())
def test_a_truncated_log_says_what_was_last_known(events: list[JobEvent]) -> None:
    """Each beginning of a log gives the status of the last event in it that says something of the status."""
    for cut in range(len(events) + 1):
        last: dict[int, ComponentStatus] = {}
        for event in events[:cut]:
            last.setdefault(event.job, ComponentStatus.UNKNOWN)
            if event.kind.status is not None:
                last[event.job] = event.kind.status
        assert {job: state.status for job, state in fold({}, events[:cut]).items()} == last


@given(histories(), st.sampled_from(ORDINARY))
def test_nothing_follows_the_end_of_a_job(events: list[JobEvent], kind: EventKind) -> None:
    """A job that has terminated or was removed stays so, whatever a log has behind that."""
    states = fold({}, events)
    late = [JobEvent(job, kind, 0.0, position=len(events) + job) for job in states]
    for job, state in fold(states, late).items():
        if states[job].is_over:
            assert state.status is states[job].status
            assert state.is_over


def test_what_events_say_is_kept() -> None:
    """The components, the node, the reason of a hold and the peak of memory are those that the log says last."""
    events = [
        JobEvent(7, EventKind.SUBMIT, 1.0, 0, components=((0, 2), (4, 5))),
        JobEvent(7, EventKind.EXECUTE, 2.0, 1, node="here"),
        JobEvent(7, EventKind.IMAGE_SIZE, 3.0, 2, memory_mb=20),
        JobEvent(7, EventKind.IMAGE_SIZE, 3.0, 3, memory_mb=10),
        JobEvent(7, EventKind.HELD, 4.0, 4, reason="no space", code=12, subcode=28),
    ]
    held = fold({}, events)[7]
    assert held.status is ComponentStatus.HELD
    assert (held.components, held.node, held.memory_mb) == (((0, 2), (4, 5)), "here", 20)
    assert (held.reason, held.code, held.subcode) == ("no space", 12, 28)
    released = fold({7: held}, [JobEvent(7, EventKind.RELEASED, 5.0, 5)])[7]
    assert released.status is ComponentStatus.IDLE
    assert released.reason is None


def test_statuses_are_strings() -> None:
    """A status is the string of its name, as users of HTMap know it."""
    assert ComponentStatus.IDLE == "IDLE"
    assert f"{ComponentStatus.HELD}" == "HELD"
    assert json.dumps(ComponentStatus.ERRORED) == '"ERRORED"'


# The readers of logs: what a log that is being written, or was cut off, gives.


@pytest.fixture
def directory(tmp_path: Path) -> MapDirectory:
    """Return the directory of a map of five components, with a job each in HTCondor's cluster 237."""
    directory = MapDirectory(tmp_path / "map")
    directory.inner.mkdir(parents=True)
    directory.append_submission({"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[0, 5]]})
    directory.append_submission({"submission": 0, "cluster": 237})
    return directory


def statuses(states: dict[int, JobState]) -> dict[int, str]:
    """Return the statuses alone, as text."""
    return {job: str(state.status) for job, state in states.items()}


@pytest.mark.skipif(sys.platform != "linux", reason="HTCondor's bindings are for Linux only")
def test_a_recorded_log_of_htcondor(directory: MapDirectory) -> None:
    """A log in which jobs were held, released, vacated, suspended and removed gives where they ended."""
    shutil.copy(RECORDED, directory.inner / "events.log")
    states = fold({}, HTCondorEvents(directory).read({}))
    assert statuses(states) == {0: "COMPLETED", 1: "COMPLETED", 2: "COMPLETED", 3: "REMOVED", 4: "COMPLETED"}
    assert [states[job].components for job in range(5)] == [((job, job + 1),) for job in range(5)]
    assert states[0].node == "slot1_1@localhost"
    assert states[3].reason == "via condor_rm (by user alice)"
    assert all(state.memory_mb > 0 for state in states.values())


CUTS = {
    "in the mark between events": b'[ JobBatchName = "rec" ]\n..',
    "before the end of that line": b'[ JobBatchName = "rec" ]\n...',
    "between events": b'[ JobBatchName = "rec" ]\n...\n',
    "in the number of an event": b'[ JobBatchName = "rec" ]\n...\n04',
    "in the first line of an event": b"\n012 (237.001.000) 2026",
    "in the middle of an event": b"Job was held.\n\tvia condor",
}


@pytest.mark.skipif(sys.platform != "linux", reason="HTCondor's bindings are for Linux only")
@pytest.mark.parametrize("before", CUTS.values(), ids=CUTS)
def test_a_log_of_htcondor_can_be_read_while_it_is_written(directory: MapDirectory, before: bytes) -> None:
    """Reading a growing log that was cut anywhere gives what reading it whole gives."""
    data = RECORDED.read_bytes()
    cut = data.rindex(before) + len(before)
    log = directory.inner / "events.log"
    log.write_bytes(data)
    whole = fold({}, HTCondorEvents(directory).read({}))
    log.write_bytes(data[:cut])
    reader = HTCondorEvents(directory)
    states = fold({}, reader.read({}))
    log.write_bytes(data)
    assert fold(states, reader.read(states)) == whole


LOCAL_LOG = b"".join(
    json.dumps(row, separators=(",", ":")).encode() + b"\n"
    for row in [
        {"event": "START", "time": 1.0, "pid": 1, "workers": 2},
        {"event": "EXECUTE", "time": 1.1, "job": 0, "worker": 0, "start": 0, "stop": 2},
        {"event": "EXECUTE", "time": 1.2, "job": 1, "worker": 1, "start": 2, "stop": 5},
        {"event": "TERMINATED", "time": 1.3, "job": 0, "worker": 0, "start": 0, "stop": 2},
        {"event": "TERMINATED", "time": 1.4, "job": 1, "worker": 1, "start": 2, "stop": 5},
        {"event": "END", "time": 1.5},
    ]
)


@settings(max_examples=30)
@given(cut=st.integers(0, len(LOCAL_LOG)))
def test_a_local_log_can_be_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Reading a local log up to any byte and then the rest gives what reading it whole gives, but for who is running.

    Nobody works on this map, so that jobs without an end are given back.
    """
    directory = MapDirectory(tmp_path_factory.mktemp("map"))
    directory.inner.mkdir()
    log = directory.inner / "events.jsonl"
    log.write_bytes(LOCAL_LOG[:cut])
    reader = LocalEvents(directory)
    states = fold({}, reader.read({}))
    assert set(statuses(states).values()) <= {"IDLE", "COMPLETED"}
    log.write_bytes(LOCAL_LOG)
    states = fold(states, reader.read(states))
    assert statuses(states) == {0: "COMPLETED", 1: "COMPLETED"}
    assert [states[0].components, states[1].components] == [((0, 2),), ((2, 5),)]
    assert [states[0].records, states[1].records] == ["0", "1"]
