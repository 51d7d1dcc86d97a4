"""Machines that make components fail: what is done about them at last, although it could not be at first."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from htrun import view
from htrun.control import MapControl
from htrun.engines.htcondor import HTCondorEngine, elsewhere
from htrun.exceptions import EngineError
from htrun.runner.records import record_prefix
from htrun.store import DirectoryBuilder, MapDirectory
from htrun.tags import TagRegistry

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


class Schedd:
    """A schedd that does not answer for some time."""

    def __init__(self) -> None:
        self.answers = False
        self.edits: list[str] = []

    def query(self, *_: Any, **__: Any) -> list[int]:
        """Return that there are jobs."""
        if not self.answers:
            raise EngineError("the schedd does not answer")
        return [1]

    def edit(self, _: str, attribute: str, value: str) -> None:
        """Note what is changed."""
        self.edits.append(f"{attribute} = {value}")


def test_a_machine_counts_as_excluded_when_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the schedd does not answer, the machine is excluded when it is asked again."""
    schedd = Schedd()
    monkeypatch.setattr(elsewhere, "_machines", lambda: 4)
    monkeypatch.setattr(elsewhere, "locate_schedd", lambda: schedd)
    directory: Any = SimpleNamespace(inner=tmp_path, info={"uid": "u"})
    with pytest.raises(EngineError, match="does not answer"):
        elsewhere.exclude(directory, ["bad"])
    assert elsewhere.read_excluded(directory) == []
    schedd.answers = True
    assert elsewhere.exclude(directory, ["bad"]) == ["bad"]
    assert elsewhere.exclude(directory, ["bad"]) == []
    assert elsewhere.read_excluded(directory) == ["bad"]
    assert len(schedd.edits) == 1


@pytest.fixture
def directory(tmp_path: Path) -> MapDirectory:
    """Return the directory of a map on HTCondor, of which one of two jobs has ended, at its second attempt."""
    builder = DirectoryBuilder(tmp_path)
    builder.write_calls([b"[]", b"[]"])
    options = {"retries": 1}
    info = {"format": 1, "components": 2, "uid": "u", "tag": "t", "engine": "htcondor", "options": options}
    builder.write_info(info)
    directory = builder.move_to(tmp_path / "t")
    directory.append_submission({"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[0, 2]]})
    directory.append_submission({"submission": 0, "cluster": 7})
    directory.job(0).mkdir()
    (directory.job(0) / "attempts.jsonl").touch()
    note = f',"failures":{json.dumps([{"node": "bad"}])},"machine":"good"'
    (directory.job(0) / "records.jsonl").write_text(f'{record_prefix(0, "COMPLETED")}{note},"output":1}}\n')
    (directory.inner / "events.log").write_text(
        "000 (007.000.000) 2026-11-25 22:00:00 Job submitted from host: <127.0.0.1:9618>\n...\n"
        "000 (007.001.000) 2026-11-25 22:00:00 Job submitted from host: <127.0.0.1:9618>\n...\n"
        "005 (007.000.000) 2026-11-25 22:00:01 Job terminated.\n\t(1) Normal termination (return value 0)\n"
        "\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Run Remote Usage\n"
        "\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Run Local Usage\n"
        "\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Total Remote Usage\n"
        "\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Total Local Usage\n...\n"
    )
    return directory


def test_another_command_has_looked_first(
    directory: MapDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine is excluded, and once, by who follows the map, be the records of it read before and the schedd silent."""
    monkeypatch.setattr(view, "_WORTH_KEEPING", 0)
    monkeypatch.setattr(view, "_MUCH", 0)
    monkeypatch.setattr("htrun.control._AGAIN_SECONDS", 0.0)
    asked: list[Collection[str]] = []

    def exclude(_: HTCondorEngine, __: MapDirectory, machines: Collection[str]) -> list[str]:
        asked.append(machines)
        if len(asked) < 3:
            raise EngineError("the schedd does not answer")
        return list(machines)

    monkeypatch.setattr(HTCondorEngine, "exclude", exclude)
    view.MapView("t", directory).refresh()  # as ``htrun status`` does
    assert (directory.inner / "snapshot").exists()
    for looks in (1, 3):  # of a command that ends before the schedd answers, and of another one
        control = MapControl("t", directory, TagRegistry(tmp_path / "tags"))
        for _ in range(looks):
            control._look()
    assert asked == [["bad"]] * 3
    assert control.notes == [
        "component 0 has failed on bad and completed on good: what has not started does not go to bad any more"
    ]
