"""How many components make a job, and which go first."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.engines.htcondor import pilot, planning
from htrun.engines.htcondor.chunks import Times, chunk_size
from htrun.submissions import Submission

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600.0


@pytest.mark.parametrize(
    ("count", "seconds", "slots", "jobs"),
    [
        (10_000, 1e-6, 16, 16),  # a slot each, and no more: each job would only be started
        (10_000, 1e-6, 5000, 100),
        (1_000_000, 1e-6, 16, 18),  # 30 s, for what a component costs beside its function
        (100_000, 0.01, 1000, 100),  # 1,000 s of work
        (100_000, 0.1, 1000, 317),  # 10,000 s: jobs of half a minute, as many as start meanwhile
        (100_000, 0.1, 16, 167),  # ... or of a minute
        (1000, 10.0, 16, 167),
        (100, 10.0, 16, 50),  # several for each slot
        (1000, 30.0, 16, 500),
        (1000, 60.0, 16, 1000),
        (10_000, HOUR, 16, 10_000),
        (5, HOUR, 5000, 5),
        (3, 1e-6, 16, 3),
        (1_000_000, HOUR, 5000, 10_000),  # the most that there may be
    ],
)
def test_from_a_microsecond_to_an_hour(count: int, seconds: float, slots: int, jobs: int) -> None:
    """There are about as many jobs as they take a minute each, more where there are slots, and not too many."""
    size = chunk_size(count, Times(seconds, seconds), slots, 10_000)
    assert -(-count // size) == pytest.approx(jobs, rel=0.05)


def test_nothing_is_known() -> None:
    """Without knowledge each component is a job, as far as there may be so many."""
    assert chunk_size(10_000, None, 16, 10_000) == 1
    assert chunk_size(10_001, None, 16, 10_000) == 2
    assert chunk_size(60, None, 16, 4) == 15


def test_a_few_are_slow() -> None:
    """The mean decides, but no job takes hours even if all of its components are slow ones."""
    assert chunk_size(100_000, Times(0.01, 1.0), 16, 10_000) == chunk_size(100_000, Times(0.01, 0.01), 16, 10_000)
    assert chunk_size(1_000_000, Times(0.1, 600.0), 16, 1_000_000) == 6
    assert chunk_size(1_000_000, Times(0.1, 2 * HOUR), 16, 1_000_000) == 1


@given(st.integers(1, 10**7), st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 10**5), st.integers(1, 20_000))
def test_whatever_is_known(count: int, mean: float, longest: float, slots: int, max_jobs: int) -> None:
    """There is always a size, and there are never more jobs than there may be."""
    size = chunk_size(count, Times(mean, longest), slots, max_jobs)
    assert size >= 1
    assert -(-count // size) <= max_jobs


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1e-7, "less than 1 ms"), (0.0123, "12 ms"), (2.5, "2.5 s"), (80, "1.3 min"), (36_000, "10 h"), (3, "3 s")],
)
def test_what_components_take_in_words(seconds: float, text: str) -> None:
    """Times are told in the unit that fits."""
    assert str(Times(seconds, seconds)) == text


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=8, unique=True).map(sorted), st.integers(1, 20))
def test_those_that_go_first(bounds: list[int], most: int) -> None:
    """Some go first of many, and each of them is one that is to be submitted."""
    components = tuple(zip(bounds[::2], bounds[1::2], strict=False))
    first = pilot.chosen(components, most)
    assert bool(first) == (sum(stop - start for start, stop in components) > 40)
    chosen = [component for start, stop in first for component in range(start, stop)]
    assert len(chosen) == len(set(chosen)) <= min(8, most)
    assert all(any(start <= component < stop for start, stop in components) for component in chosen)


def test_they_are_not_at_equal_distances() -> None:
    """Where every 50th component is slow, some of those that go first are not, and perhaps one is."""
    first = [start for start, _ in pilot.chosen(((0, 10_000),))]
    assert sum(component % 50 == 0 for component in first) <= 1
    assert first[-1] - first[0] > 5000


EXECUTE, TERMINATED, HELD, SUBMIT = 1, 5, 12, 0


class Log:
    """An event log in memory."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def add(self, kind: int, proc: int, moment: float) -> None:
        """Add an event of the pilot's cluster."""
        self.events.append(SimpleNamespace(cluster=7, proc=proc, type=kind, timestamp=moment))

    def new(self) -> Iterator[Any]:
        """Yield what is new."""
        while self.events:
            yield self.events.pop(0)


class Clock:
    """What the time is, by the clock of the machine, which can be set, and by one that only goes on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.set_by = 0.0

    def time(self) -> float:
        """Return the time of the machine's clock."""
        return self.now + self.set_by

    def monotonic(self) -> float:
        """Return the time of the other one."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that a pilot is watched by."""
    clock = Clock()
    monkeypatch.setattr(pilot, "time", clock)
    return clock


@pytest.fixture
def watched(tmp_path: Path) -> tuple[pilot.Pilot, Log]:
    """Return a pilot of three jobs with its log."""
    directory: Any = SimpleNamespace(inner=tmp_path, job=lambda job: tmp_path / str(job))
    made = pilot.Pilot(directory, Submission(0, 0, 1, ((0, 1), (5, 7)), cluster=7, pilot=True))
    log = Log()
    made._log = log  # type: ignore[assignment]
    return made, log


def record(tmp_path: Path, job: int, seconds: float, status: str = "COMPLETED") -> None:
    """Let a job have recorded a component."""
    (tmp_path / str(job)).mkdir()
    row = {"component": job, "status": status, "wall_s": seconds}
    (tmp_path / str(job) / "records.jsonl").write_text(json.dumps(row) + "\n")


def test_waiting_for_a_pilot(watched: tuple[pilot.Pilot, Log], clock: Clock) -> None:
    """It is over when all are back, some seconds after the first is, or when none comes back for longer."""
    made, log = watched

    def over(moment: float) -> bool:
        clock.now = moment
        made.look()
        return made.is_over()

    assert not over(1000.0)  # nothing is in the log yet
    log.add(SUBMIT, 0, 100.0)
    assert (over(159.0), over(160.0)) == (False, True)
    log.add(EXECUTE, 0, 150.0)
    assert (over(159.0), over(160.0)) == (False, True)
    log.add(EXECUTE, 1, 158.0)
    log.add(TERMINATED, 1, 159.0)
    assert (over(161.9), over(162.0)) == (False, True)
    log.add(HELD, 0, 160.0)
    log.add(TERMINATED, 2, 160.0)
    assert over(160.0)


@pytest.mark.parametrize("set_first", [False, True])
def test_a_clock_that_is_set_back(watched: tuple[pilot.Pilot, Log], clock: Clock, set_first: bool) -> None:
    """A pilot is waited for as long as ever, be the machine's clock set back before or after its jobs are seen."""
    made, log = watched
    log.add(EXECUTE, 0, 100.0)
    clock.now = 100.0
    clock.set_by = -3600.0 if set_first else 0.0
    made.look()
    clock.set_by = -3600.0
    clock.now = 109.0
    assert not made.is_over()
    clock.now = 110.0
    assert made.is_over()


def test_what_a_pilot_tells(watched: tuple[pilot.Pilot, Log], clock: Clock, tmp_path: Path) -> None:
    """What has completed counts, with what runs; failures and a pilot of which nothing is back tell nothing."""
    made, log = watched
    clock.now = 105.0
    log.add(EXECUTE, 0, 100.0)
    made.look()
    assert made.times() is None
    record(tmp_path, 1, 0.1, "ERRORED")
    log.add(TERMINATED, 1, 101.0)
    made.look()
    assert made.times() is None
    record(tmp_path, 2, 1.0)
    log.add(TERMINATED, 2, 101.0)
    made.look()
    assert made.times() == Times(3.0, 5.0)


def test_files_behind_urls_share_no_jobs() -> None:
    """Some URLs cannot be in the same job, so nothing is tried out with them: each component is a job."""
    directory: Any = SimpleNamespace(
        info={"options": {}}, files={"f0": {"path": "s3://bucket/a"}}, variadic_options={}, submit_options={}
    )
    plan = planning.plan(directory, [], ((0, 100),), 20_000, followed=True)
    assert plan == {"components": ((0, 100),), "chunk_size": 1, "why": "with files behind URLs"}
