"""htrun beside its peers on this machine."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import measure
from benchmarks.cases import HTRUN, PEERS, Case
from benchmarks.results import workers
from benchmarks.session import PROGRAM, check, rows

if TYPE_CHECKING:
    from benchmarks.measure import Usage
    from benchmarks.session import Session


def run(session: Session, case: Case) -> None:
    """Measure a case with all peers that there are."""
    missing = {name: peer.needs for name, peer in PEERS.items() if not there(peer.needs, session.env["PATH"])}
    session.results.left_out.update({name: f"{needs} is not installed" for name, needs in missing.items()})
    for size in case.quick if session.quick else case.sizes:
        slow = 50 if session.quick else 1
        names = [name for name, peer in PEERS.items() if name not in missing and size * slow <= peer.most]
        session.rounds(case.name, size, {name: partial(once, session, case, size, name) for name in names})


def there(needs: str, path: str) -> bool:
    """Return whether a module or program that a peer needs is there."""
    return not needs or importlib.util.find_spec(needs) is not None or shutil.which(needs, path=path) is not None


def once(session: Session, case: Case, size: int, name: str) -> Usage:
    """Run a peer and check its results."""
    inputs = session.inputs(f"{case.name}-{size}", map(case.inputs, range(size)))
    chunks = min(size, workers() * case.chunks)
    fields = {
        "htrun": PROGRAM,
        "python": sys.executable,
        "work": session.work,
        "function": case.function,
        "inputs": inputs,
        "workers": workers(),
        "chunk": -(-size // chunks),
        "block": -(-inputs.stat().st_size // chunks),
    }
    cwd = session.place()
    command = [word.format(**fields) for word in PEERS[name].command.split()]
    usage = measure.run(command, cwd, session.env, inputs)
    expected = map(case.output, range(size))
    if name == HTRUN:
        check(cwd / "results/bench/outputs.jsonl", rows(expected))
    else:
        check(cwd / "stdout", expected)
    shutil.rmtree(cwd)
    return usage
