"""Event logs that are damaged in their middle, on each engine: what is not damaged counts."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from htrun.engines.htcondor import HTCondorEngine
from htrun.engines.htcondor.eventlog import HTCondorEvents
from htrun.engines.htcondor.rawlog import RawLog
from htrun.engines.local.events import EventLog, LocalEvents, carried_out
from htrun.exceptions import CorruptEventLog
from htrun.state import ComponentStatus, fold
from htrun.store import MapDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from htrun.state import JobState

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="HTCondor's bindings are for Linux only")


@pytest.fixture
def directory(tmp_path: Path) -> MapDirectory:
    """Return the directory of a map of three components, with a job each in HTCondor's cluster 7."""
    directory = MapDirectory(tmp_path / "map")
    directory.inner.mkdir(parents=True)
    directory.append_submission({"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[0, 3]]})
    directory.append_submission({"submission": 0, "cluster": 7})
    return directory


def event(number: int, job: int, text: str) -> bytes:
    """Return an event as HTCondor writes it."""
    return f"{number:03} (007.{job:03}.000) 2026-11-25 22:00:0{number % 10} {text}\n...\n".encode()


SUBMITTED = b"".join(event(0, job, "Job submitted from host: <127.0.0.1:9618>") for job in range(3))
RUNNING = b"".join(event(1, job, "Job executing on host: <127.0.0.1:9618>") for job in range(3))
HELD = event(12, 1, "Job was held.\n\tvia condor_hold (by user alice)\n\tCode 1 Subcode 0")
ABORTED = event(9, 2, "Job was aborted.\n\tvia condor_rm (by user alice)")

DAMAGES = {
    "a line of garbage": b"\xff\xfe garbage \x80\n",
    "garbage without a line's end": b"\xffgarbage",
    "an event of garbage": b"garbage\n...\n",
    "zeros": bytes(64),
    "zeros as an event": bytes(64) + b"\n...\n",
    "an end too many": b"...\n",
    "the beginning of an event": RUNNING[:40],
    "the beginning of an event on a line": RUNNING[:40] + b"\n",
    "an event without a date": b"001 (007.000.000) so what\n...\n",
    "an event of no known kind": b"099 (007.000.000) 2026-11-25 22:00:02 What\n...\n",
    "a long line": b"x" * 100_000 + b"\n",
}


def statuses(states: dict[int, JobState]) -> list[str]:
    """Return the statuses of jobs 0 to 2, as text."""
    return [str(states[job].status) for job in range(3)]


@linux_only
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_in_a_log_of_htcondor_hides_no_event(directory: MapDirectory, damage: bytes) -> None:
    """Whatever stands between two events, all of them are read, at once or as the log grows."""
    log = directory.inner / "events.log"
    log.write_bytes(SUBMITTED + damage + RUNNING + HELD + ABORTED)
    assert statuses(fold({}, HTCondorEvents(directory).read({}))) == ["RUNNING", "HELD", "REMOVED"]
    log.write_bytes(SUBMITTED)
    reader = HTCondorEvents(directory)
    states = fold({}, reader.read({}))
    assert statuses(states) == ["IDLE"] * 3
    for more, expected in ((damage, "IDLE"), (RUNNING, "RUNNING"), (HELD, "HELD")):
        with log.open("ab") as file:
            file.write(more)
        states = fold(states, reader.read(states))
        assert str(states[1].status) == expected


@linux_only
@pytest.mark.parametrize("zeros", [40, 80, 200])
def test_an_event_of_htcondor_that_was_overwritten(directory: MapDirectory, zeros: int) -> None:
    """Events that have become zeros are lost alone."""
    log = directory.inner / "events.log"
    log.write_bytes(SUBMITTED + bytes(zeros) + RUNNING[zeros:] + HELD + ABORTED)
    states = fold({}, HTCondorEvents(directory).read({}))
    assert statuses(states)[1:] == ["HELD", "REMOVED"]


@linux_only
def test_a_cluster_is_found_in_a_damaged_log(directory: MapDirectory) -> None:
    """A killed submission is known by the log's events even if there is damage before them."""
    directory.append_submission({"submission": 1, "first_job": 3, "chunk_size": 1, "components": [[0, 3]]})
    log = directory.inner / "events.log"
    log.write_bytes(SUBMITTED + b"\xff\n" + SUBMITTED.replace(b"(007", b"(008"))
    assert HTCondorEngine().is_working(directory)
    log.write_bytes(SUBMITTED + b"\xff\n")
    assert not HTCondorEngine().is_working(directory)


def test_a_log_that_is_none(directory: MapDirectory) -> None:
    """A log that cannot be read at all is an error that names it."""
    (directory.inner / "events.log").mkdir()
    with pytest.raises(CorruptEventLog, match=r"events\.log"):
        list(HTCondorEvents(directory).read({}))


def line(kind: str, **fields: object) -> bytes:
    """Return a line of a local log."""
    return json.dumps({"event": kind, "time": 1.0, **fields}, separators=(",", ":")).encode() + b"\n"


def job_line(kind: str, job: int) -> bytes:
    """Return a line of a local log about a job with the component of its number."""
    return line(kind, job=job, worker=0, start=job, stop=job + 1)


LOCAL = [
    line("START", pid=1, workers=1),
    job_line("EXECUTE", 0),
    job_line("TERMINATED", 0),
    line("ORDER", number=1),
    job_line("EXECUTE", 1),
    line("ORDER", number=2),
]


@pytest.mark.parametrize(
    "damage",
    [b"\xff\xfe\x80\n", bytes(64) + b"\n", b"[1]\n", b'{"job":\n', b"\n"],
    ids=["bytes", "zeros", "list", "cut", "empty"],
)
@pytest.mark.parametrize("place", range(len(LOCAL)))
def test_a_damaged_line_of_a_local_log_is_lost_alone(directory: MapDirectory, damage: bytes, place: int) -> None:
    """A line that was overwritten neither hides others, nor lets numbers of jobs or orders be given again."""
    path = directory.inner / "events.jsonl"
    path.write_bytes(b"".join(damage if number == place else line for number, line in enumerate(LOCAL)))
    assert carried_out(directory) == (1 if place == 5 else 2)
    before = fold({}, LocalEvents(directory).read({}))
    log = EventLog(path)
    log.range_event("HELD", 0, 0, (2, 3))
    log.order_done()
    log.close()
    assert carried_out(directory) == (2 if place == 5 else 3)
    held = [job for job, state in fold({}, LocalEvents(directory).read({})).items() if state.components == ((2, 3),)]
    assert held
    assert held[0] not in before
    assert fold({}, LocalEvents(directory).read({}))[held[0]].status is ComponentStatus.HELD


def test_what_ran_when_a_process_was_killed_does_not_run_in_the_next(directory: MapDirectory) -> None:
    """Jobs of a process that was killed are given back when the next one starts, whether or not it lives."""
    path = directory.inner / "events.jsonl"
    path.write_bytes(LOCAL[0] + job_line("EXECUTE", 0) + job_line("EXECUTE", 1) + job_line("SUSPENDED", 1) + LOCAL[0])
    directory.info_file.write_text("{}")
    with directory.lock("supervisor"):
        assert [str(state.status) for state in fold({}, LocalEvents(directory).read({})).values()] == ["IDLE", "IDLE"]


@linux_only
def test_interrupts_while_events_are_looked_at(directory: MapDirectory) -> None:
    """Whoever takes events from a log can be interrupted, whatever becomes of the one who reads it."""
    (directory.inner / "events.log").write_bytes(SUBMITTED)
    handler = signal.getsignal(signal.SIGINT)
    log = RawLog(directory.inner / "events.log")
    events = log.new()
    assert next(events).proc == 0
    assert signal.getsignal(signal.SIGINT) is handler
    assert log.position == 1
    assert len(list(events)) == 2


@linux_only
def test_a_log_that_cannot_be_read_to_its_end(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reading fails half-way, as for a full /tmp, the next look has the events that came before as well."""
    monkeypatch.setattr("htrun.engines.htcondor.rawlog._READ_BYTES", len(SUBMITTED))
    (directory.inner / "events.log").write_bytes(SUBMITTED + RUNNING + HELD + ABORTED)
    make = tempfile.NamedTemporaryFile
    full = iter([False, True])

    def make_some(**options: Any) -> Any:
        if next(full, False):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return make(**options)

    monkeypatch.setattr("tempfile.NamedTemporaryFile", make_some)
    reader = HTCondorEvents(directory)
    with pytest.raises(CorruptEventLog, match="No space left"):
        list(reader.read({}))
    states = fold({}, reader.read({}))
    assert statuses(states) == ["RUNNING", "HELD", "REMOVED"]
    assert [states[job].components for job in range(3)] == [((0, 1),), ((1, 2),), ((2, 3),)]


@linux_only
def test_many_events(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """All events are read, however many there are, and damaged ones among them left out."""
    monkeypatch.setattr("htrun.engines.htcondor.rawlog._AT_ONCE", 2)
    (directory.inner / "events.log").write_bytes(SUBMITTED + RUNNING + HELD + ABORTED)
    log = RawLog(directory.inner / "events.log")
    assert len(list(log.new())) == log.position == 8
