"""htrun beside plain jobs on an HTCondor pool: that of the tests, started for the time if it does not run."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import measure, scale
from benchmarks.cases import HTRUN
from benchmarks.session import check, rows
from tests.pool import pool as pools
from tests.pool.errors import PoolError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.measure import Usage
    from benchmarks.session import Session

JOBS, CHUNKS = 200, 10_000
MILLION = 1_000_000
IN_PLACE = "htrun, without transfer"
TRANSFER, NO_TRANSFER, ONE_JOB = "plain jobs, with transfer", "plain jobs, without transfer", "one plain job"
ENOUGH_S = 45.0

SUBMIT = """\
executable = {python}
transfer_executable = false
arguments = {work} double
input = in.$(Process)
output = out.$(Process)
error = err.$(Process)
log = log
should_transfer_files = {transfer}
queue {jobs}
"""


def run(session: Session, names: Iterable[str]) -> None:
    """Measure the cases of these names; say why if there is no pool."""
    up = pools.running() is not None
    try:
        pool = pools.start()
    except PoolError as error:
        session.results.left_out["HTCondor"] = str(error)
        return
    own = session.env
    session.env = {**own, **pool.env}
    try:
        for name in names:
            with session.leaving_out(name):
                CASES[name](session)
    finally:
        session.env = own
        if not up:
            pools.stop()


def compare_jobs(session: Session) -> None:
    """Run a component a job, and plain jobs, with transfer and without."""
    subjects = {
        HTRUN: partial(maps, session, JOBS, "--chunk-size 1"),
        TRANSFER: partial(plain, session, JOBS, "YES"),
        IN_PLACE: partial(maps, session, JOBS, "--chunk-size 1 -o should_transfer_files=NO"),
        NO_TRANSFER: partial(plain, session, JOBS, "NO"),
    }
    session.rounds("pool-jobs", JOBS, subjects, ENOUGH_S)


def compare_chunks(session: Session) -> None:
    """Run many quick components with default options, and one plain job."""
    subjects = {HTRUN: partial(maps, session, CHUNKS, ""), ONE_JOB: partial(plain, session, 1, "YES")}
    session.rounds("pool-double", CHUNKS, subjects, ENOUGH_S)


def submit_million(session: Session) -> None:
    """Make and submit a map of a million components, which would take too long to run."""
    with session.map_place() as cwd:
        scale.create(session, cwd, "pool-scale", MILLION, 0, "htcondor")


CASES = {"pool-jobs": compare_jobs, "pool-double": compare_chunks, "pool-scale": submit_million}


def maps(session: Session, size: int, options: str) -> Usage:
    """Run `double` with htrun."""
    inputs = session.inputs(f"double-{size}", range(size))
    arguments = "{work}:double --args {inputs} --engine htcondor --tag bench -q " + options
    with session.map_place() as cwd:
        usage = session.htrun(arguments, cwd, inputs=inputs)
        check(cwd / "results/bench/outputs.jsonl", rows(2 * n for n in range(size)))
    return usage


def plain(session: Session, jobs: int, transfer: str) -> Usage:
    """Run `double` in jobs with a small file in and out, by HTCondor's own commands."""
    cwd = session.place()
    for n in range(jobs):
        (cwd / f"in.{n}").write_text(f"{n}\n", encoding="ascii")
    text = SUBMIT.format(python=sys.executable, work=session.work, transfer=transfer, jobs=jobs)
    (cwd / "jobs.sub").write_text(text, encoding="utf-8")
    usage = measure.run(["sh", "-c", "condor_submit jobs.sub && exec condor_wait log"], cwd, session.env, detached=True)
    for n in range(jobs):
        check(cwd / f"out.{n}", [2 * n])
    shutil.rmtree(cwd)
    return usage
