"""The rest of a map whose first components went ahead: submitted at last, or dropped, whatever fails on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from htrun.control import MapControl
from htrun.engines.htcondor import HTCondorEngine, engine, pilot
from htrun.exceptions import EngineError
from htrun.state import ComponentStatus
from htrun.store import DirectoryBuilder, MapDirectory
from htrun.tags import TagRegistry
from htrun.view import MapView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from htrun.submissions import Submission

NUMBER = 100


@pytest.fixture
def directory(tmp_path: Path) -> MapDirectory:
    """Return the directory of a map on HTCondor, of which two components were to go first."""
    builder = DirectoryBuilder(tmp_path)
    builder.write_calls(b"[]" for _ in range(NUMBER))
    info = {"format": 1, "components": NUMBER, "uid": "u", "tag": "t", "engine": "htcondor", "options": {}}
    builder.write_info(info)
    directory = builder.move_to(tmp_path / "t")
    row = {"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[3, 4], [50, 51]], "pilot": True}
    directory.append_submission(row)
    return directory


class Schedd:
    """What a schedd that fails for some time makes of the engine's requests."""

    def __init__(self, answers: Iterator[bool]) -> None:
        self.answers = answers
        self.clusters: dict[int, int] = {0: 7}

    def find(self, _: MapDirectory, submission: Submission) -> int | None:
        """Return the cluster of a submission."""
        if not next(self.answers, True):
            raise EngineError("the schedd does not answer")
        return self.clusters.get(submission.submission)

    def submit(self, _: MapDirectory, submission: Submission) -> int:
        """Take jobs."""
        if not next(self.answers, True):
            raise EngineError("HTCondor refused the jobs")
        self.clusters[submission.submission] = 8
        return 8


@pytest.fixture
def schedd(monkeypatch: pytest.MonkeyPatch) -> Schedd:
    """Return a schedd that fails at first, in one way and in the other, once the pilot is over."""
    schedd = Schedd(iter([False, True, False]))
    monkeypatch.setattr(HTCondorEngine, "_check", lambda _: None)
    monkeypatch.setattr(HTCondorEngine, "_find_cluster", lambda _, *given: schedd.find(*given))
    monkeypatch.setattr(HTCondorEngine, "_submit", lambda _, *given: schedd.submit(*given))
    monkeypatch.setattr(engine, "_job_limit", lambda: 20_000)
    monkeypatch.setattr(engine, "schedd_name", lambda: "here")
    monkeypatch.setattr(pilot.Pilot, "is_over", lambda *_: True)
    monkeypatch.setattr(pilot, "_AGAIN_SECONDS", 0.0)
    return schedd


def note_cluster(directory: MapDirectory) -> None:
    """Note that the first components were submitted."""
    directory.append_submission({"submission": 0, "cluster": 7})


def test_a_schedd_that_does_not_answer_as_the_pilot_ends(directory: MapDirectory, schedd: Schedd) -> None:
    """It is asked again until the rest is submitted, once, and nobody takes the map for left behind meanwhile."""
    note_cluster(directory)
    follower, other = HTCondorEngine(), HTCondorEngine()
    for _ in range(2):
        follower.advance(directory)
        assert other.is_working(directory)
        assert 1 not in schedd.clusters
    for _ in range(2):
        follower.advance(directory)
    assert schedd.clusters == {0: 7, 1: 8}
    first, rest = directory.read_submissions()
    assert (rest.cluster, first.size + rest.size) == (8, NUMBER)


def test_a_schedd_that_never_answers(
    directory: MapDirectory, schedd: Schedd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After some minutes it is an error that says what to do; leaving the map is none, but says the same."""
    note_cluster(directory)
    schedd.answers = iter(lambda: False, None)
    control = MapControl("t", directory, TagRegistry(tmp_path / "tags"))
    looks = control.watch()
    next(looks)
    looks.close()
    assert control.notes == [
        "the rest of the jobs could not be submitted: the schedd does not answer; 'htrun wait t' does it"
    ]
    assert not control.engine.is_working(directory)
    directory.cut_submissions(0)
    monkeypatch.setattr(pilot, "_PATIENCE_SECONDS", 0.0)
    row = {"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[3, 4]], "pilot": True}
    directory.append_submission(row)
    note_cluster(directory)
    with pytest.raises(EngineError, match=r"could not be submitted for .* does not answer; 'htrun wait t'"):
        HTCondorEngine().advance(directory)


@pytest.mark.parametrize("cluster", [None, 7])
def test_a_map_that_is_removed_after_a_kill(
    directory: MapDirectory, schedd: Schedd, monkeypatch: pytest.MonkeyPatch, cluster: int | None
) -> None:
    """Where the command was killed while it submitted the first, all is removed that has no jobs."""
    schedd.answers = iter([])
    schedd.clusters = {} if cluster is None else {0: cluster}
    monkeypatch.setattr(engine, "locate_schedd", lambda: None)
    monkeypatch.setattr(HTCondorEngine, "_remove", lambda *_: None)
    HTCondorEngine().act(directory, "remove", "its user removed it")
    view = MapView("t", directory)
    view.refresh()
    first, rest = directory.read_submissions()
    assert first.cluster == cluster
    assert view.counts()[ComponentStatus.REMOVED] == rest.size == NUMBER - (2 if cluster else 0)
    assert view.engine.left_behind(directory) is None


def test_what_has_ended_is_seen_before_the_rest_follows(
    directory: MapDirectory, schedd: Schedd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that end just as the engine looks may be errors that stop the map: it is looked at once more before."""
    schedd.answers = iter([])
    note_cluster(directory)
    ended: list[bool] = []
    monkeypatch.setattr(pilot.Pilot, "look", lambda _: ended.append(True))
    monkeypatch.setattr(pilot.Pilot, "is_over", lambda _: bool(ended))
    follower = HTCondorEngine()
    follower.advance(directory)
    assert ended
    assert 1 not in schedd.clusters
    follower.advance(directory)
    assert 1 in schedd.clusters
