"""Counting components in and results out: none may be lost, none there twice, none torn, wherever one looks."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from tests.behaviour.conftest import parse
from tests.behaviour.programs import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tests.behaviour.conftest import Shell

ASK_PYTHON = """
import base64, json, sys, zlib

import htrun
from htrun.exceptions import MapComponentError, OutputNotLoadable

map_ = htrun.load(sys.argv[1])
for component in map_.components:
    try:
        value = map_[component]
    except MapComponentError:
        row = ["error", map_.get_err(component).exception_msg.partition(":")[0]]
    except OutputNotLoadable as error:
        row = ["unloadable", str(error)]
    else:
        value = base64.b64encode(value).decode() if isinstance(value, bytes) else value
        row = ["output", zlib.crc32(value.encode()) if isinstance(value, str) and len(value) > 1000 else value]
    print(json.dumps([*row, str(map_.component_statuses[component])]))
"""


class Errored(str):
    """What is expected of a component that fails: the type of its error, or such as ``MemoryError|ProcessDied``."""

    __slots__ = ()


class Unloadable:
    """What is expected of a component whose output neither unpickles here nor has a JSON form."""


def take_census(shell: Shell, expected: Sequence[Any], tag: str = "t") -> None:
    """Check that a map which has ended has exactly one whole result of each component, and that all say the same.

    Parameters
    ----------
    shell : Shell
    expected : sequence
        For each component its output as JSON has it, or ``Errored`` or ``Unloadable``.
    tag : str
    """
    number = len(expected)
    records = list(_records(shell.path(tag)))
    assert sorted(row["component"] for row in records) == list(range(number)), "lost or there twice"
    _check_spans(shell.path(tag))
    outcomes = [_outcome(row) for row in _lines(shell.path(tag) / "outputs.jsonl")]
    wanted = [_wanted(component, value) for component, value in enumerate(expected)]
    different = [(have, want) for have, want in zip(outcomes, wanted, strict=True) if not _same(have, want)]
    assert not different, different[:5]
    failed = [component for component, value in enumerate(expected) if isinstance(value, Errored)]
    assert [row["component"] for row in _lines(shell.path(tag) / "errors.jsonl")] == failed
    exportable = [
        outcome for outcome, value in zip(outcomes, expected, strict=True) if not isinstance(value, Unloadable)
    ]
    shell("collect", tag, "--default", "skip", "-o", "census.jsonl")
    assert [_outcome(row) for row in _lines(shell.cwd / "census.jsonl")] == exportable
    counts = {"COMPLETED": number - len(failed), "ERRORED": len(failed)}
    counts = {status: n for status, n in counts.items() if n}
    assert shell.counts(tag) == counts
    assert json.loads((shell.path(tag) / "run.json").read_text())["counts"] == counts
    _check_python(shell, expected, tag)
    left = [path.name for path in shell.path(tag).parent.iterdir() if path.name.startswith(".htrun-")]
    assert not left, "half a map is left"


def _lines(path: Path) -> list[Any]:
    """Return the rows of a file of JSON lines, none of which is torn."""
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data, f"{path} is torn"
    return [parse(line) for line in data.splitlines()]


def _records(path: Path) -> Iterator[Any]:
    """Yield the records in all job directories of a map."""
    for file in path.glob(".htrun/jobs/*/records.jsonl"):
        yield from _lines(file)


def _check_spans(path: Path) -> None:
    """Check that what components have printed is there, and nobody's twice."""
    for job in path.glob(".htrun/jobs/*"):
        rows = _lines(job / "records.jsonl") if (job / "records.jsonl").exists() else []
        for stream in ("stdout", "stderr"):
            spans = sorted(tuple(row[stream]) for row in rows)
            size = (job / stream).stat().st_size if (job / stream).exists() else 0
            for (start, stop), (later, _) in zip(spans, [*spans[1:], (size, size)], strict=True):
                assert start <= stop <= later, (job, stream, spans)


def _digest(value: Any) -> Any:
    """Return a value, or the checksum of one that is a long text."""
    return zlib.crc32(value.encode()) if isinstance(value, str) and len(value) > 1000 else value


def _outcome(row: Any) -> list[Any]:
    ended = row["error"]["type"] if row["status"] == "ERRORED" else _digest(row["output"])
    return [row["component"], row["status"], ended]


def _wanted(component: int, value: Any) -> list[Any]:
    if isinstance(value, Errored):
        return [component, "ERRORED", value]
    return [component, "COMPLETED", None if isinstance(value, Unloadable) else _digest(value)]


def _same(have: Iterable[Any], want: Iterable[Any]) -> bool:
    """Tell whether outcomes are the same; an error may be of any of the types that are expected."""
    return all(
        a in b.split("|") if isinstance(b, Errored) else type(a) is type(b) and a == b
        for a, b in zip(have, want, strict=True)
    )


def _check_python(shell: Shell, expected: Sequence[Any], tag: str) -> None:
    """Check that Python's users get the same."""
    rows = [json.loads(line) for line in run(shell, ASK_PYTHON, tag).splitlines()]
    assert len(rows) == len(expected)
    for component, (value, row) in enumerate(zip(expected, rows, strict=True)):
        if isinstance(value, Errored):
            assert row[0] == "error", row
            assert row[1] in value.split("|"), row
            assert row[2] == "ERRORED"
        elif isinstance(value, Unloadable):
            assert row[0] == "unloadable", row
            assert f"component {component} cannot be loaded" in row[1]
            assert row[2] == "COMPLETED"
        else:
            assert row == ["output", _digest(value), "COMPLETED"]
