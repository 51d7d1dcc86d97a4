"""What all cases share: places to run commands in, inputs, rounds, and the check of results."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import measure, work
from benchmarks.measure import BenchmarkError, TooLongError, Usage
from benchmarks.results import Results, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
PROGRAM = str(PROGRAMS / "htrun")
ROUNDS = 5
# A subject that has used so many seconds in the rounds of a case sits out the others, or a run would take an hour.
ENOUGH_S = 15.0
# Settings of whoever runs the benchmarks must not count.
NOT_PASSED = ("HTRUN_", "CONDOR_", "_CONDOR_", "PYTHON", "PARALLEL", "DASK_", "JOBLIB_", "LOKY_")


class Session:
    """A directory for everything that is run, and the results so far.

    Parameters
    ----------
    directory : Path
    results : Results
    quick : bool
        One round of small sizes.
    """

    def __init__(self, directory: Path, results: Results, *, quick: bool) -> None:
        self.directory = directory
        self.results = results
        self.quick = quick
        self.work = Path(shutil.copy(work.__file__, directory))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED)}
        ours = {
            "HOME": str(directory),
            "HTRUN_DIR": str(directory / "registry"),
            "PATH": os.pathsep.join([kept.get("PATH", os.defpath), str(PROGRAMS)]),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(directory),
        }
        self.env = {**kept, **ours}

    def place(self) -> Path:
        """Return a new, empty directory to run commands in."""
        return Path(tempfile.mkdtemp(dir=self.directory))

    @contextmanager
    def map_place(self) -> Iterator[Path]:
        """Give a new, empty directory for one map with the tag ``bench``, and remove both afterwards.

        What is left of a map that failed would go on beside whatever is measured next.
        """
        cwd = self.place()
        try:
            yield cwd
        finally:
            with suppress(BenchmarkError):  # there may be no map
                self.htrun("remove bench --force", cwd)
            shutil.rmtree(cwd)

    @contextmanager
    def leaving_out(self, what: str) -> Iterator[None]:
        """Go on after a command that takes too long, and say so of what it belongs to."""
        try:
            yield
        except TooLongError as error:
            self.results.left_out[what] = str(error)
            sys.stderr.write(f"left out: {what}: {error}\n")

    def inputs(self, name: str, values: Iterable[int]) -> Path:
        """Return a file of inputs, one a line, written when it is asked for first."""
        path = self.directory / f"{name}.jsonl"
        if not path.exists():
            with path.open("w", encoding="utf-8") as file:
                file.writelines(f"{value}\n" for value in values)
        return path

    def htrun(self, arguments: str, cwd: Path, **fields: object) -> Usage:
        """Run htrun with arguments that are words with fields in them, and leave what it has detached alone."""
        words = [word.format(work=self.work, **fields) for word in arguments.split()]
        return measure.run([PROGRAM, *words], cwd, self.env, detached=True)

    def record(self, case: str, size: int, subject: str, number: int, usage: Usage) -> None:
        """Keep what a command has used, and say it."""
        used = {name: round(value, 4) for name, value in asdict(usage).items()}
        self.results.timings.append(Timing(case, size, subject, number, **used))
        sys.stderr.write(f"{case} {size:,}, round {number + 1}: {subject}: {usage.wall_s:.3f} s\n")

    def rounds(
        self, case: str, size: int, subjects: Mapping[str, Callable[[], Usage]], enough_s: float = ENOUGH_S
    ) -> None:
        """Measure subjects one after the other, in several rounds."""
        spent = dict.fromkeys(subjects, 0.0)
        for number in range(1 if self.quick else ROUNDS):
            for subject, run in subjects.items():
                if spent[subject] >= enough_s:
                    continue
                before, spent[subject] = spent[subject], enough_s
                with self.leaving_out(f"{subject} in {case} {size:,}"):
                    usage = run()
                    spent[subject] = before + usage.wall_s
                    self.record(case, size, subject, number, usage)


def check(path: Path, expected: Iterable[object]) -> None:
    """Raise an error unless a file has these values, one a line of JSON and in this order."""
    with path.open(encoding="utf-8") as lines:
        for number, (line, value) in enumerate(zip_longest(lines, expected), 1):
            if line is None or json.loads(line) != value:
                raise BenchmarkError(f"wrong results: {path}:{number}: {line!r} in the place of {value!r}")


def rows(outputs: Iterable[int]) -> Iterable[dict[str, object]]:
    """Return the rows that htrun writes of outputs."""
    return ({"component": n, "status": "COMPLETED", "output": output} for n, output in enumerate(outputs))
