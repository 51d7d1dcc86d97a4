"""What is known of a map, for those who ask from several threads, and after many submissions."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from htrun.control import MapControl
from htrun.engines.local import LocalEngine
from htrun.state import ComponentStatus
from htrun.store import DirectoryBuilder, MapDirectory
from htrun.tags import TagRegistry
from htrun.view import MapView

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = 1000


@pytest.fixture
def directory(tmp_path: Path) -> MapDirectory:
    """Return the directory of a local map that was submitted."""
    builder = DirectoryBuilder(tmp_path)
    builder.write_calls(b"[%d]" % number for number in range(NUMBER))
    builder.write_info({"format": 1, "components": NUMBER, "uid": "u", "tag": "t", "engine": "local", "options": {}})
    directory = builder.move_to(tmp_path / "t")
    submit(directory, 0, 0, NUMBER)
    return directory


def submit(directory: MapDirectory, number: int, start: int, stop: int) -> None:
    """Note a submission of a range of components."""
    row = {"submission": number, "first_job": number * 10_000, "chunk_size": 1, "components": [[start, stop]]}
    directory.append_submission(row)


def record(directory: MapDirectory, job: int, start: int, stop: int) -> None:
    """Let components complete in a job directory."""
    directory.job(job).mkdir(exist_ok=True)
    with (directory.job(job) / "records.jsonl").open("a") as file:
        file.writelines(f'{{"component":{n},"status":"COMPLETED","output":{n}}}\n' for n in range(start, stop))


def event(directory: MapDirectory, kind: str, job: int, start: int, stop: int, records: int = 0) -> None:
    """Append an event to the log."""
    row = {"event": kind, "time": 1.0, "job": job, "worker": records, "start": start, "stop": stop, "reason": "why"}
    with (directory.inner / "events.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")


def test_looking_from_several_threads(directory: MapDirectory) -> None:
    """Threads that look at a map at the same time take in each record and each event once."""
    view = MapView("t", directory)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for start in range(0, NUMBER - 100, 100):
                record(directory, 0, start, start + 50)
                for number in range(start + 50, start + 100):
                    event(directory, "HELD", number, number, number + 1)
                for _ in pool.map(lambda _: view.refresh(), range(4)):
                    pass
                held = start // 2 + 50
                assert view.records.finished == held
                assert view.counts()[ComponentStatus.HELD] == held
    finally:
        sys.setswitchinterval(interval)


def test_what_counts_after_many_submissions(directory: MapDirectory) -> None:
    """Of a component that was submitted several times only the jobs of the last time count."""
    event(directory, "HELD", 0, 0, NUMBER)
    view = MapView("t", directory)
    view.refresh()
    assert view.counts() == {ComponentStatus.HELD: NUMBER}
    for number in range(1, 4):
        submit(directory, number, number * 10, number * 10 + 20)
    event(directory, "HELD", 1, 0, 5, records=10_000)
    event(directory, "ABORTED", 2, 20, 30, records=20_000)
    event(directory, "ABORTED", 3, 40, 50, records=30_000)
    record(directory, 20_000, 30, 31)
    record(directory, 30_000, 31, 32)
    for look in (view, MapView("t", directory)):
        look.refresh()
        assert look.counts() == {
            ComponentStatus.HELD: NUMBER - 40,
            ComponentStatus.IDLE: 19,
            ComponentStatus.REMOVED: 20,
            ComponentStatus.COMPLETED: 1,
        }
        assert look.status_of(31) is ComponentStatus.COMPLETED


def test_a_submission_that_was_taken_back_and_another_one(directory: MapDirectory) -> None:
    """Where a submission was taken back and another one made between two looks, what the first one had stands again."""
    record(directory, 0, 0, NUMBER)
    view = MapView("t", directory)
    size = directory.submissions_size()
    submit(directory, 1, 0, 100)
    view.refresh()
    assert view.counts() == {ComponentStatus.COMPLETED: NUMBER - 100, ComponentStatus.IDLE: 100}
    directory.cut_submissions(size)
    submit(directory, 1, 900, 910)
    view.refresh()
    assert view.counts() == {ComponentStatus.COMPLETED: NUMBER - 10, ComponentStatus.IDLE: 10}


def test_a_process_that_starts_during_a_look(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in a process that was not there yet when a look began, but is by its end, is running."""
    answers = iter([False, True])
    monkeypatch.setattr("htrun.engines.local.events.is_alive", lambda _: next(answers))
    event(directory, "EXECUTE", 0, 0, 1)
    view = MapView("t", directory)
    view.refresh()
    assert view.status_of(0) is ComponentStatus.RUNNING


def test_following_a_large_map_leaves_the_processor_to_others(
    directory: MapDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a look at a map takes long, there is the longer a pause before the next one."""
    control = MapControl("t", directory, TagRegistry(tmp_path / "tags"))

    def look(_: MapControl) -> bool:
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            pass
        return True

    pauses: list[float] = []
    monkeypatch.setattr(MapControl, "_look", look)
    monkeypatch.setattr(LocalEngine, "rest", lambda _, directory, seconds: pauses.append(seconds))
    watch = control.watch()
    for _ in range(3):
        next(watch)
    assert min(pauses) >= 0.2
