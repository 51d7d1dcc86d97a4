"""What a look at a map leaves for the next one: used where it is right, passed over where it is not."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from htrun import snapshot
from htrun.engines.htcondor.eventlog import HTCondorEvents
from htrun.index import Records
from htrun.runner.records import record_prefix
from htrun.state import ComponentStatus, fold
from htrun.store import DirectoryBuilder, MapDirectory
from htrun.view import MapView

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NUMBER = 3000


@pytest.fixture(autouse=True)
def keeps_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look leave a snapshot."""
    monkeypatch.setattr("htrun.view._MUCH", 0)
    monkeypatch.setattr("htrun.view._KEEP_SECONDS", 0.0)


@pytest.fixture
def directory(tmp_path: Path) -> MapDirectory:
    """Return the directory of a local map with records of two workers, of all components but the last 1000."""
    builder = DirectoryBuilder(tmp_path)
    builder.write_calls(b"[]" for _ in range(NUMBER))
    builder.write_info({"format": 1, "components": NUMBER, "uid": "u", "tag": "t", "engine": "local", "options": {}})
    directory = builder.move_to(tmp_path / "t")
    submit(directory, 0, 0, NUMBER)
    for number in range(20):
        work(directory, number % 2, number * 100, number * 100 + 100)
    return directory


def submit(directory: MapDirectory, number: int, start: int, stop: int) -> None:
    """Note a submission of a range of components."""
    row = {"submission": number, "first_job": number * 10_000, "chunk_size": 1, "components": [[start, stop]]}
    directory.append_submission(row)


def work(directory: MapDirectory, worker: int, start: int, stop: int, wall_s: float = 0.5) -> None:
    """Let a worker run a range of components, which errs in those that 100 divides."""
    directory.job(worker).mkdir(exist_ok=True)
    with (directory.job(worker) / "records.jsonl").open("a") as file:
        for component in range(start, stop):
            head = record_prefix(component, "COMPLETED" if component % 100 else "ERRORED")
            file.write(f'{head},"wall_s":{wall_s},"cpu_s":0.1,"memory_mb":{component},"output":{component}}}\n')
    with (directory.inner / "events.jsonl").open("a") as log:
        for kind in ("EXECUTE", "TERMINATED"):
            row = {"event": kind, "time": 1.0, "job": start, "worker": worker, "start": start, "stop": stop}
            log.write(json.dumps(row, separators=(",", ":")) + "\n")


def finish(directory: MapDirectory) -> None:
    """Let the components run that are left."""
    work(directory, 0, 2000, NUMBER)


def look(directory: MapDirectory) -> MapView:
    """Return what somebody knows of a map who looks at it now."""
    view = MapView("t", directory)
    view.refresh()
    return view


def assert_right(directory: MapDirectory, completed: int, errored: int) -> None:
    """Check what is known of a map, by its snapshot if that is of use, and without."""
    for _ in range(2):
        view = look(directory)
        counts = {ComponentStatus.COMPLETED: completed, ComponentStatus.ERRORED: errored}
        idle = NUMBER - completed - errored
        assert view.counts() == counts | ({ComponentStatus.IDLE: idle} if idle else {})
        assert list(view.components_with(ComponentStatus.ERRORED)) == list(range(0, 100 * errored, 100))
        assert view.total_usage() == (0.5, 0.5 * (completed + errored), completed + errored - 1)
        records = list(view.records.walk(range(NUMBER)))
        assert [r and r.data["component"] for r in records] == [*range(completed + errored), *[None] * idle]
        (directory.inner / "snapshot").unlink(missing_ok=True)


def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody read records any more."""
    monkeypatch.setattr(Records, "read", lambda *_: pytest.fail("records were read"))
    monkeypatch.setattr(Records, "runs", lambda *_: pytest.fail("records were read"))


def test_of_a_map_that_has_ended_nothing_is_read_again(
    directory: MapDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks at a map that has ended reads what it came to, and its records are there for who asks for them."""
    finish(directory)
    before = look(directory).total_usage()
    no_reading(monkeypatch)
    view = look(directory)
    assert view.has_ended
    assert (view.finished, view.errored, view.submissions) == (NUMBER, 30, 1)
    assert view.total_usage() == before == (0.5, 0.5 * NUMBER, NUMBER - 1)
    view.refresh()
    record = view.records.get(2345)
    assert record is not None
    assert record.output_json() == b"2345"


def test_a_look_goes_on_from_the_one_before(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a map that goes on, what is new alone is read."""
    look(directory)
    finish(directory)
    taken: list[int] = []
    take = Records._take
    monkeypatch.setattr(Records, "_take", lambda *args: (taken.append(len(args[2])), take(*args)))
    assert look(directory).finished == NUMBER
    assert sum(taken) < sum((directory.job(n) / "records.jsonl").stat().st_size for n in (0, 1)) / 2
    assert_right(directory, 2970, 30)


def test_a_rerun_after_a_snapshot(directory: MapDirectory) -> None:
    """Components that were submitted again are not taken for what they were."""
    finish(directory)
    view = look(directory)
    submit(directory, 1, 0, 150)
    for seen in (view, look(directory)):
        seen.refresh()
        assert seen.counts() == {
            ComponentStatus.COMPLETED: 2822,
            ComponentStatus.ERRORED: 28,
            ComponentStatus.IDLE: 150,
        }
    work(directory, 10_000, 0, 150, wall_s=2.0)
    for seen in (view, look(directory), look(directory)):
        seen.refresh()
        assert seen.has_ended
        assert seen.submissions == 2
        assert seen.total_usage() == (2.0, 2.0 * 150 + 0.5 * 2850, NUMBER - 1)
        record = seen.records.get(149)
        assert record is not None
        assert record.directory.name == "10000"


def test_a_rerun_of_somebody_else_from_end_to_end(directory: MapDirectory) -> None:
    """Who has seen the end of a map, and its records, sees those that somebody else's rerun has left since."""
    finish(directory)
    look(directory)
    view = look(directory)
    assert view.status_of(0) is ComponentStatus.ERRORED
    assert view.job_number(149) == -1
    submit(directory, 1, 0, 150)
    work(directory, 10_000, 1, 150)
    with (directory.job(10_000) / "records.jsonl").open("a") as file:
        file.write(f'{record_prefix(0, "COMPLETED")},"output":"mended"}}\n')
    assert look(directory).has_ended  # and leaves a snapshot
    view.refresh()
    assert view.counts() == Counter(view.component_statuses)
    assert view.status_of(0) is ComponentStatus.COMPLETED
    record = view.records.get(0)
    assert record is not None
    assert record.output_json() == b'"mended"'


def test_a_submission_that_was_taken_back_after_a_snapshot(directory: MapDirectory) -> None:
    """What was submitted and taken back counts for nothing, be there a snapshot with it."""
    size = directory.submissions_size()
    submit(directory, 1, 0, 150)
    assert look(directory).finished == 1850
    directory.cut_submissions(size)
    assert_right(directory, 1980, 20)


def flip(path: Path) -> None:
    """Change a byte in the midst of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "removed": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut in its header": lambda path: os.truncate(path, 50),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 10),
    "a byte of its header": lambda path: path.write_bytes(path.read_bytes().replace(b"COMPLETED", b"COMPLETEE", 1)),
    "a byte of the rest": flip,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "of another version": lambda path: path.write_bytes(path.read_bytes().replace(b'"version":"', b'"version":"9', 1)),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_snapshot_that_is_damaged(directory: MapDirectory, damage: Callable[[Path], object], ended: bool) -> None:
    """What is not whole, or of another version, is passed over; nothing is lost with it."""
    if ended:
        finish(directory)
    look(directory).total_usage()
    damage(directory.inner / "snapshot")
    view = look(directory)
    assert view.finished == (NUMBER if ended else 2000)
    assert view.records.get(0) is not None
    assert view.total_usage().total_wall_s == 0.5 * view.finished


def test_a_snapshot_that_is_damaged_between_two_questions(directory: MapDirectory) -> None:
    """Records are found even if a snapshot is gone whose header was read."""
    finish(directory)
    look(directory)
    view = look(directory)
    (directory.inner / "snapshot").unlink()
    assert view.finished == NUMBER
    assert view.records.get(NUMBER - 1) is not None


def test_another_version_is_passed_over(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each version of htrun reads what it has written itself."""
    finish(directory)
    look(directory)
    monkeypatch.setattr("htrun.snapshot.__version__", "99")
    log = directory.inner / "events.jsonl"
    assert snapshot.read(directory, log, snapshot.Identity.of(directory, log)) is None
    assert_right(directory, 2970, 30)


def shorten(path: Path, lines: int) -> None:
    """Leave the first lines of a file."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))


def test_a_log_that_was_replaced(directory: MapDirectory) -> None:
    """A snapshot is not used with another log than the one it is of, be that longer, shorter or as long."""
    log = directory.inner / "events.jsonl"
    text = log.read_bytes()
    for other in (text[: len(text) // 2], text.replace(b"1.0", b"2.0"), text.replace(b"1.0", b"2.00")):
        look(directory)
        identity = snapshot.Identity.of(directory, log)
        assert snapshot.read(directory, log, identity) is not None
        log.write_bytes(other)
        assert snapshot.read(directory, log, snapshot.Identity.of(directory, log)) is None
        assert_right(directory, 1980, 20)
        log.write_bytes(text)


def test_records_that_were_edited(directory: MapDirectory) -> None:
    """Where records are not what they were, they are read again."""
    look(directory)
    path = directory.job(1) / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b"COMPLETED", b"ERRORED"))
    view = look(directory)
    assert view.errored == 1010
    shorten(path, 500)
    assert look(directory).records.finished == 1500


def test_a_job_that_was_deleted_after_the_end(directory: MapDirectory) -> None:
    """Deleting a job's directory by hand is seen, though the map had ended."""
    finish(directory)
    assert look(directory).has_ended
    (directory.job(1) / "records.jsonl").unlink()
    directory.job(1).rmdir()
    assert look(directory).records.finished == NUMBER - 1000


def test_a_kill_while_a_snapshot_is_written(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process has left of one is in nobody's way."""
    (directory.inner / "snapshot.part").write_bytes(b"0000 {")
    look(directory)
    assert not (directory.inner / "snapshot.part").exists()
    finish(directory)
    monkeypatch.setattr("htrun.snapshot.zlib.crc32", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        look(directory)
    monkeypatch.undo()
    assert_right(directory, 2970, 30)


def test_many_look_at_the_same_time(directory: MapDirectory) -> None:
    """Those who look and write at the same time all see what is right."""
    seen: list[int] = []

    def watch() -> None:
        seen.extend(look(directory).finished for _ in range(10))

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for thread in threads:
        thread.start()
    finish(directory)
    for thread in threads:
        thread.join()
    assert len(seen) == 40
    assert all(2000 <= number <= NUMBER for number in seen)
    assert_right(directory, 2970, 30)


def test_nobody_needs_to_write(directory: MapDirectory) -> None:
    """Where no snapshot can be written, all is as without."""
    (directory.inner / "snapshot.part").mkdir()
    assert_right(directory, 1980, 20)
    assert not (directory.inner / "snapshot").exists()


def test_output_files_are_seen_to_once(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks after somebody else need not look for the output files of each component that he has seen to."""
    with (directory.job(0) / "records.jsonl").open("a") as file:
        for component in range(2000, 2100):
            (directory.job(0) / f"file.{component}.0").write_text("text")
            file.write(f'{record_prefix(component, "COMPLETED")},"files":[["f","name",0]],"output":1}}\n')
    look(directory)
    assert (directory.output_files / "2099" / "name").read_text() == "text"
    seen: list[int] = []
    monkeypatch.setattr("htrun.view.place_files", lambda _, component, __: seen.append(component) or [])
    look(directory)
    assert not seen
    (directory.inner / "snapshot").unlink()
    look(directory)
    assert seen == list(range(2000, 2100))


def test_ranges_that_are_over_are_not_kept(directory: MapDirectory) -> None:
    """Of a local job whose components all have records, nothing is kept in memory."""
    view = look(directory)
    assert view.job_of(0) is None
    with (directory.inner / "events.jsonl").open("a") as log:
        for kind in ("EXECUTE", "TERMINATED"):
            row = {"event": kind, "time": 1.0, "job": 7000, "worker": 0, "start": 2000, "stop": 2001}
            log.write(json.dumps(row, separators=(",", ":")) + "\n")
    for seen in (view, look(directory), look(directory)):
        seen.refresh()
        assert seen.job_number(2000) == 7000  # it has ended without a record
        assert seen.status_of(2000) is ComponentStatus.ERRORED


def test_a_reader_of_htcondors_log_goes_on(tmp_path: Path) -> None:
    """A reader goes on from another one's cursor, with events numbered on; a torn one is read when it is whole."""
    directory = MapDirectory(tmp_path / "map")
    directory.inner.mkdir(parents=True)
    directory.append_submission({"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[0, 3]]})
    directory.append_submission({"submission": 0, "cluster": 7})
    log = directory.inner / "events.log"
    events = [
        f"{number:03} (007.{job:03}.000) 2026-11-25 22:00:0{job} {text}\n...\n"
        for number, text in (
            (0, "Job submitted from host: <127.0.0.1:9618>"),
            (1, "Job executing on host: <127.0.0.1>"),
        )
        for job in range(3)
    ]
    text = "".join(events).encode()
    for cut in range(0, len(text), 17):
        log.write_bytes(text[:cut])
        reader = HTCondorEvents(directory)
        states = fold({}, reader.read({}))
        log.write_bytes(text)
        whole = text[:cut].count(b"\n...\n")
        assert reader.cursor[:2] == (len("".join(events[:whole])), whole)
        rest = list(HTCondorEvents(directory, json.loads(json.dumps(reader.cursor))).read(states))
        assert [event.position for event in rest] == list(range(whole + 1, 7))
        assert {state.status for state in fold(states, rest).values()} == {ComponentStatus.RUNNING}


@pytest.mark.parametrize("made", [0, 2])
def test_a_reader_goes_on_with_jobs_that_are_made_late(tmp_path: Path, made: int) -> None:
    """Who goes on from a look at a map whose making of jobs was held knows which jobs are still to be made."""
    directory = MapDirectory(tmp_path / "map")
    directory.inner.mkdir(parents=True)
    directory.append_submission({"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[0, 5]]})
    directory.append_submission({"submission": 0, "cluster": 7})
    log = directory.inner / "events.log"

    def say(number: int, job: str, text: str) -> None:
        with log.open("a") as file:
            file.write(f"{number:03} (007.{job}.000) 2026-11-25 22:00:00 {text}\n...\n")

    say(35, "-01", "Cluster submitted from host: <127.0.0.1:9618>")
    for job in range(made):
        say(0, f"{job:03}", "Job submitted from host: <127.0.0.1:9618>")
        say(12, f"{job:03}", "Job was held.\n\tby me\n\tCode 1 Subcode 0")
    say(37, "-01", "Job Materialization Paused\n\tby me\n\tPauseCode 1\n\tHoldCode 1")
    reader = HTCondorEvents(directory)
    states = fold({}, reader.read({}))
    assert [str(states[job].status) for job in range(5)] == ["HELD"] * 5
    cursor = json.loads(json.dumps(reader.cursor))
    say(38, "-01", "Job Materialization Resumed\n\tby me")
    for going_on in (reader, HTCondorEvents(directory, cursor)):
        now = fold(states, going_on.read(states))
        assert [str(now[job].status) for job in range(5)] == ["HELD"] * made + ["UNMATERIALIZED"] * (5 - made)
