"""htrun alone: maps of up to a million components, and many maps."""

from __future__ import annotations

import json
import shutil
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import measure
from benchmarks.measure import BenchmarkError, Usage
from benchmarks.session import PROGRAM, check, rows

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.session import Session

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CREATE = "create and submit"
STATUS_RUNNING = "status while it runs"
STATUS_ENDED = "status when it has ended"
COLLECT = "collect"
MAPS, COMPONENTS = 50, 10_000
STATUS, TAGS, COMPLETION = "status", "tags", "completion of a tag"


def run_scale(session: Session) -> None:
    """Follow maps of growing size on this machine from their making to their results; the small ones repeatedly."""
    for size in SIZES[:1] if session.quick else SIZES:
        for number in range(3 if size < SIZES[-1] and not session.quick else 1):
            with session.leaving_out(f"htrun in scale {size:,}"), session.map_place() as cwd:
                follow(session, cwd, size, number)


def follow(session: Session, cwd: Path, size: int, number: int) -> None:
    """Measure what is done with one map."""
    create(session, cwd, "scale", size, number, "local")
    measure.run([PROGRAM, "wait", "bench", "-q"], cwd, session.env)
    usage = session.htrun("status --format json", cwd)
    if counts(cwd)["COMPLETED"] != size:
        raise BenchmarkError(f"status counts {counts(cwd)} of {size} components")
    session.record("scale", size, STATUS_ENDED, number, usage)
    session.record("scale", size, COLLECT, number, session.htrun("collect bench", cwd))
    check(cwd / "stdout", rows(2 * n for n in range(size)))
    session.results.files[str(size)] = sum(path.is_file() for path in (cwd / "results/bench").rglob("*"))


def create(session: Session, cwd: Path, case: str, size: int, number: int, engine: str) -> None:
    """Make and submit a map, and look at it while it runs."""
    inputs = session.inputs(f"double-{size}", range(size))
    arguments = "{work}:double --args {inputs} --engine {engine} --tag bench --detach"
    usage = session.htrun(arguments, cwd, inputs=inputs, engine=engine)
    session.record(case, size, CREATE, number, usage)
    usage = session.htrun("status --format json", cwd)
    found = counts(cwd)
    if sum(found.values()) != size:
        raise BenchmarkError(f"status counts {found} of {size} components")
    if found["COMPLETED"] < size:  # small maps may have ended already
        session.record(case, size, STATUS_RUNNING, number, usage)


def counts(cwd: Path) -> dict[str, int]:
    """Return how many components are in each status, by the status that was just printed."""
    found: dict[str, int] = json.loads((cwd / "stdout").read_bytes())["bench"]["component_status_counts"]
    return found


def run_maps(session: Session) -> None:
    """Look at many maps that have ended."""
    maps, components = (3, 100) if session.quick else (MAPS, COMPONENTS)
    inputs = session.inputs(f"double-{components}", range(components))
    cwd = session.place()
    tags = [f"map-{n:03}" for n in range(maps)]
    for tag in tags:
        session.htrun("{work}:double --args {inputs} --engine local --tag {tag} -q", cwd, inputs=inputs, tag=tag)

    def look(command: list[str], env: dict[str, str]) -> Usage:
        usage = measure.run(command, cwd, {**session.env, **env})
        printed = (cwd / "stdout").read_text(encoding="utf-8")
        lost = [tag for tag in tags if tag not in printed]
        if lost:
            raise BenchmarkError(f"{' '.join(command)} does not show {', '.join(lost)}")
        return usage

    typed = {"_HTRUN_COMPLETE": "bash_complete", "COMP_LINE": "htrun path map-", "COMP_WORD": "map-"}
    typed["COMP_WORDBREAKS"] = " :="
    looks = {STATUS: ([PROGRAM, "status"], {}), TAGS: ([PROGRAM, "tags"], {}), COMPLETION: ([PROGRAM], typed)}
    session.rounds("maps", maps, {name: partial(look, *words) for name, words in looks.items()})
    shutil.rmtree(cwd)
