"""Results that a map takes over from the one that it replaces, and what it has left to submit."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from htrun.records import HEAD_BYTES, is_side_file
from htrun.runner import wire
from htrun.runner.records import component_of
from htrun.submissions import marked

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable
    from pathlib import Path

    from htrun.index import Records, Run
    from htrun.store import MapDirectory
    from htrun.submissions import Ranges

_BESIDE = (wire.STDOUT, wire.STDERR, wire.ENVIRONMENT)
"""What records refer to by position, or as a whole."""
_SIDE_FILES = ("output_file", "pickle_file")


def adopt(records: Records, old: MapDirectory, new: MapDirectory, taken: array[int]) -> None:
    """Take results over, as the first of what was submitted; the earlier map keeps them.

    Of each job directory with such results there is one in the new map, with the same files; only the components have
    other numbers in the records. No file is copied where it can be linked.

    Parameters
    ----------
    records : Records
        Those of the earlier map.
    old, new : MapDirectory
        The new one has nothing submitted yet.
    taken : array of int
        By component of the new map: the component of the earlier one whose result it takes, or -1. That has completed,
        and nobody else takes it.
    """
    target = taken[:0]
    target.frombytes(b"\xff" * (taken.itemsize * len(records.outcomes)))  # -1
    for component, source in enumerate(taken):
        if source >= 0:
            target[source] = component
    part = new.inner / "adopted.part"
    adopted = 0
    with_files: list[int] = []
    for directory, runs in records.by_directory():
        if _adopt_job(runs, target, directory, new.job(adopted), part, with_files):
            adopted += 1
    part.unlink(missing_ok=True)
    for source in with_files:
        component = target[source]
        files = old.output_files / str(source)
        if files.is_dir():
            new.output_files.mkdir(exist_ok=True)
            shutil.copytree(files, new.output_files / str(component), symlinks=True, copy_function=_link)
    if adopted:
        new.append_submission({"submission": 0, "first_job": 0, "chunk_size": 1, "components": [], "adopted": adopted})


def _adopt_job(
    runs: Iterable[Run], target: array[int], old: Path, new: Path, part: Path, with_files: list[int]
) -> bool:
    """Take over what there is in one job directory; tell whether there was anything, and add what has output files."""
    beside: list[str] = []
    with part.open("wb") as file:
        for run in runs:
            for component, line in enumerate(run.data.splitlines(keepends=True), run.start):
                if target[component] < 0:
                    continue
                file.write(b'{"component":%d' % target[component])
                file.write(line[line.index(b",") :])
                if b'_file":"' in line:
                    data = json.loads(line)
                    beside += [data[key] for key in _SIDE_FILES if is_side_file(data.get(key))]
                if line.find(b',"files":[', 0, HEAD_BYTES) >= 0:
                    with_files.append(component)
        if not file.tell():
            return False
    new.mkdir()
    part.replace(new / wire.RECORDS)
    for file_name in (*_BESIDE, *beside):
        with suppress(FileNotFoundError):
            _link(str(old / file_name), str(new / file_name))
    return True


def _link(source: str, target: str) -> None:
    """Let a file be at another place as well."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # it is on another file system, or there are no such links
        shutil.copy2(source, target, follow_symlinks=False)


def never_submitted(directory: MapDirectory) -> Ranges:
    """Return the components that no engine was given yet, and that have no result which was taken over."""
    todo = bytearray(b"\1") * directory.components
    for submission in directory.read_submissions():
        for start, stop in submission.components:
            todo[start:stop] = bytes(stop - start)
        for job in range(submission.adopted):
            with (directory.job(job) / wire.RECORDS).open("rb") as records:
                for line in records:
                    todo[component_of(line)] = 0
    return marked(todo)
