"""What runs on an execute node: one job, in the directory that the batch system gave it."""

from __future__ import annotations

import json
import os
import signal
import sys
import zipimport
from typing import TYPE_CHECKING

from . import failures, wire
from .calls import Calls, index_lines
from .records import recorded_components
from .supervisor import Spec, Supervisor

if TYPE_CHECKING:
    from typing import Any


def main() -> int:
    """Run the calls of this job that have no record yet; return the exit status."""
    top = os.getcwd()
    bundle = os.path.join(top, wire.BUNDLE)
    archive = zipimport.zipimporter(bundle)
    job = json.loads(archive.get_data(wire.JOB).decode("utf-8"))
    sources = os.path.join(top, wire.SOURCES)
    os.makedirs(sources, exist_ok=True)
    for name in job["sources"]:
        path = os.path.join(sources, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(archive.get_data(wire.SOURCES + "/" + name))
    _set_path()
    _send_back_again(top)
    try:
        return _run(top, job, sources)
    except OSError as error:
        if failures.is_no_space(error):
            sys.exit("there is no space left on the disk of %s on %s" % (top, os.uname().nodename))
        raise


def _run(top: str, job: dict[str, Any], sources: str) -> int:
    packages = None
    if "packages" in job:
        from .packages import unpack

        packages = os.path.join(top, wire.PACKAGES)
        unpack(os.path.join(top, job["packages"]), packages, job["python"])

    calls_path = os.path.join(top, wire.CALLS)
    with open(calls_path, "rb") as file:
        header = json.loads(file.readline().decode("utf-8"))
    components = [c for start, stop in header["components"] for c in range(start, stop)]
    done = recorded_components(os.path.join(top, wire.RECORDS))
    supervisor = Supervisor(
        Spec(
            job["reference"],
            sources,
            lambda name: os.path.join(top, name),
            _attempt(),
            python=job.get("python"),
            packages=packages,
        ),
        Calls(calls_path, index_lines(calls_path, skip=1), components),
        _ranges([position for position, component in enumerate(components) if component not in done]),
        [(top, os.path.join(top, wire.SCRATCH))],
        chunk_size=len(components),
        max_failures=job["max_failures"],
    )
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
    if supervisor.run():
        return 0
    if job["max_failures"] and supervisor.failures >= job["max_failures"]:
        return wire.STOPPED
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    return 1


def _send_back_again(top: str) -> None:
    """Let HTCondor transfer what an earlier attempt has left, which came back into this one.

    It transfers files that are new or changed, and takes a file as changed if its time is another than on arrival.
    """
    for entry in os.scandir(top):
        name = entry.name
        if name in (wire.RECORDS, wire.STDOUT, wire.STDERR, wire.ENVIRONMENT) or name.startswith(wire.SIDE_FILE):
            later = entry.stat().st_mtime + 2
            os.utime(entry.path, (later, later))


def _ranges(positions: list[int]) -> list[list[int]]:
    """Join ascending numbers to half-open ranges."""
    result: list[list[int]] = []
    for position in positions:
        if result and result[-1][1] == position:
            result[-1][1] += 1
        else:
            result.append([position, position + 1])
    return result


def _set_path() -> None:
    """Give the job a PATH where the batch system gave none, with this interpreter's own programs first."""
    own = os.path.dirname(sys.executable)
    path = os.environ.get("PATH") or "/usr/local/bin:/usr/bin:/bin"
    if own not in path.split(os.pathsep):
        path = own + os.pathsep + path
    os.environ["PATH"] = path


def _attempt() -> int:
    """Return which start of this job this is, from the job's ClassAd (attribute NumShadowStarts), counted from 1."""
    try:
        with open(os.environ["_CONDOR_JOB_AD"], encoding="utf-8", errors="replace") as ad:
            for line in ad:
                name, _, value = line.partition(" = ")
                if name == "NumShadowStarts":
                    return max(1, int(value))
    except (KeyError, OSError, ValueError):
        pass
    return 1
