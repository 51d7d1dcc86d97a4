"""All cases by their names."""

from __future__ import annotations

import compileall
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import local, measure, pool, scale
from benchmarks.cases import CASES
from benchmarks.results import Results, machine, versions
from benchmarks.session import ROOT, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = (*(case.name for case in CASES), "scale", "maps", *pool.CASES)


def run(names: Sequence[str], *, quick: bool) -> Results:
    """Measure the cases of these names.

    Raises
    ------
    BenchmarkError
        If a command fails, or its results are wrong.
    """
    compileall.compile_dir(ROOT / "htrun", quiet=1)  # as an installation does, which a work tree lacks
    with tempfile.TemporaryDirectory(prefix="htrun-bench-") as directory:
        session = Session(Path(directory), Results(machine()), quick=quick)
        session.results.versions.update(versions(session.env["PATH"]))
        on_pool = [name for name in pool.CASES if name in names]
        if on_pool and not quick:
            pool.run(session, on_pool)
        measure.adopt_orphans()  # but not the pool's daemons
        for case in CASES:
            if case.name in names:
                local.run(session, case)
        if "scale" in names:
            scale.run_scale(session)
        if "maps" in names:
            with session.leaving_out("maps"):
                scale.run_maps(session)
    return session.results
