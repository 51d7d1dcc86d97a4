"""What is known of a local map, folded from generated histories of runs, holds, pauses and reruns."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htrun.engines.local.events import EventLog, LocalEvents, event_log
from htrun.engines.local.pending import unfinished
from htrun.engines.local.process import supervising
from htrun.runner import wire
from htrun.runner.records import record_prefix
from htrun.state import ComponentStatus, fold
from htrun.store import DirectoryBuilder
from htrun.submissions import join
from htrun.view import MapView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from htrun.store import MapDirectory

SIZE = 8
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["run", "begin", "pause", "resume", "vacate", "hold", "release", "rerun", "look"]),
        st.integers(0, SIZE - 1),
        st.integers(1, SIZE),
        st.integers(0, SIZE),
    ),
    max_size=25,
)


class History:
    """A map that only has a log and records, and what its components' statuses are, kept the plain way."""

    def __init__(self, directory: MapDirectory) -> None:
        self.directory = directory
        self.log = EventLog(event_log(directory))
        self.expected = ["IDLE"] * SIZE
        self.submission = 0
        self.slots: dict[int, tuple[int, int]] = {}
        directory.append_submission({"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[0, SIZE]]})

    @property
    def worker(self) -> int:
        """The job directory of the one worker."""
        return self.submission * 10_000

    def begin(self, start: int, length: int) -> None:
        """Give the worker a range of idle components, if there is one from ``start`` on and it has none."""
        stop = start
        while stop < min(start + length, SIZE) and self.expected[stop] == "IDLE":
            stop += 1
        if stop > start and not self.slots:
            self.slots[0] = (start, stop)
            self.log.range_event("EXECUTE", 0, self.worker, (start, stop))
            self.expected[start] = "RUNNING"  # the others are to come

    def end(self, done: int) -> tuple[int, int]:
        """Let the worker record some of its components and lose the range; return what is left of it."""
        start, stop = self.slots.pop(0)
        done = min(start + done, stop)
        job = self.directory.job(self.worker)
        job.mkdir(exist_ok=True)
        with (job / wire.RECORDS).open("a") as records:
            for component in range(start, done):
                status = "COMPLETED" if component % 3 else "ERRORED"
                records.write(record_prefix(component, status) + ',"wall_s":0.1,"output":1}\n')
                self.expected[component] = status
        self.log.range_event("TERMINATED", 0, self.worker, (start, done))
        self.expected[done:stop] = ["IDLE"] * (stop - done)
        return done, stop

    def mark(self, kind: str, status: str) -> None:
        """Note an event of the range that the worker has."""
        for start, stop in self.slots.values():
            self.log.range_event(kind, 0, self.worker, (start, stop))
            self.expected[start] = status

    def hold(self) -> None:
        """Hold all that is not finished."""
        if self.slots:
            self.end(0)
        for todo in join(c for c in range(SIZE) if self.expected[c] == "IDLE"):
            self.log.range_event("HELD", 0, self.worker, todo, {"reason": "a test", "code": 1, "subcode": 0})
            self.expected[todo[0] : todo[1]] = ["HELD"] * (todo[1] - todo[0])

    def release(self) -> None:
        """Release what is held."""
        for start, stop in self.log.release(fold({}, LocalEvents(self.directory).read({}))):
            self.expected[start:stop] = ["IDLE"] * (stop - start)

    def rerun(self, start: int, length: int) -> None:
        """Submit finished components again, with no worker at work on others, as in a new process."""
        chosen = [c for c in range(start, min(start + length, SIZE)) if self.expected[c] in ("COMPLETED", "ERRORED")]
        if chosen and not self.slots:
            self.submission += 1
            row = {"submission": self.submission, "first_job": self.worker, "chunk_size": 1, "components": join(chosen)}
            self.directory.append_submission(row)
            for component in chosen:
                self.expected[component] = "IDLE"


@contextlib.contextmanager
def history() -> Iterator[History]:
    """Give a history that begins, of a map that a process works on: this one."""
    home = Path(tempfile.mkdtemp())
    try:
        builder = DirectoryBuilder(home)
        builder.write_calls([b"[]"] * SIZE)
        builder.write_info({"format": wire.FORMAT, "uid": "u", "tag": "t", "components": SIZE, "engine": "local"})
        directory = builder.move_to(home / "t")
        with supervising(directory):
            made = History(directory)
            yield made
            made.log.close()
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="module", autouse=True)
def keeps_everything() -> Iterator[None]:
    """Let every look leave a snapshot, however small the map is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("htrun.view._WORTH_KEEPING", 0)
        patch.setattr("htrun.view._MUCH", 0)
        patch.setattr("htrun.view._KEEP_SECONDS", 0.0)
        yield


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_any_history_is_told_right(steps: list[tuple[str, int, int, int]]) -> None:
    """Whether the log is read at once, bit by bit or from a snapshot on, statuses and what is left to do are right."""
    with history() as made:
        watching = MapView("t", made.directory)
        for step, start, length, done in steps:
            if step == "begin":
                made.begin(start, length)
            elif step == "run" and made.slots:
                made.end(done)
            elif step == "pause":
                made.mark("SUSPENDED", "SUSPENDED")
            elif step == "resume":
                made.mark("UNSUSPENDED", "RUNNING")
            elif step == "vacate" and made.slots:
                made.end(0)
            elif step == "hold":
                made.hold()
            elif step == "release":
                made.release()
            elif step == "rerun":
                made.rerun(start, length)
            elif step == "look":
                for view in (watching, MapView("t", made.directory)):  # the other begins with the snapshot
                    view.refresh()
                    assert view.component_statuses == made.expected
                    assert view.total_usage().total_wall_s == pytest.approx(0.1 * view.records.finished)
        for view in (watching, MapView("t", made.directory)):
            view.refresh()
            assert view.component_statuses == made.expected
            assert view.finished == sum(status in ("COMPLETED", "ERRORED") for status in made.expected)
            assert sorted(view.holds) == [c for c in range(SIZE) if made.expected[c] == "HELD"]
            assert view.errored == made.expected.count("ERRORED")
        left = [c for c in range(SIZE) if ComponentStatus(made.expected[c]) in ("IDLE", "RUNNING", "SUSPENDED")]
        assert unfinished(made.directory, made.directory.read_submissions()) == list(join(left))
