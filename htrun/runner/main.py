"""What runs on an execute node: one job, in the directory that the batch system gave it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import zipimport

from . import claim, failures, wire
from .access_point import AccessPoint
from .attempts import Attempts
from .calls import Calls, index_lines
from .elsewhere import Elsewhere, job_number
from .files import remove_tree
from .outputs import refuse_directory
from .records import recorded_components
from .spec import Spec
from .supervisor import Supervisor

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN_NAMES = (wire.RECORDS, wire.ATTEMPTS, wire.STDOUT, wire.STDERR, wire.ENVIRONMENT)
_OWN_PREFIXES = (wire.SIDE_FILE, wire.OUTPUT_FILE, wire.CHECKPOINT, wire.REMAP)


def main() -> int:
    """Run the calls of this job that have no record yet; return the exit status."""
    top = os.getcwd()
    inner = os.path.dirname(sys.path[0])
    archive = zipimport.zipimporter(sys.path[0])
    job = json.loads(archive.get_data(wire.JOB).decode("utf-8"))
    in_place = job["in_place"]
    scratch = os.path.join(top, wire.SCRATCH)
    access_point = AccessPoint(top, in_place=in_place)
    start = max(1, job_number("NumShadowStarts"))
    _set_path()
    if in_place:
        claim.wait_and_take(top)
        remove_tree(scratch)  # of a start that was killed
        files, sources = os.path.join(inner, wire.STAGE), os.path.join(inner, wire.SOURCES)
    else:
        files, sources = top, os.path.join(top, wire.SOURCES)
        _extract(archive, job["sources"], sources)
        if start > 1:
            access_point.fetch()
        _send_back_again(top)
    elsewhere = Elsewhere(access_point)
    attempts = Attempts(job["retries"], start, elsewhere.here, elsewhere=elsewhere.is_possible)
    attempts.read(top)
    packages = None
    if "packages" in job:
        from .packages import unpack

        packages = os.path.join(top, wire.PACKAGES)
        with _telling_of_full_disks(top):
            unpack(os.path.join(top, job["packages"]), packages, job["python"])

    calls_path = os.path.join(top, wire.CALLS)
    with open(calls_path, "rb") as file:
        header = json.loads(file.readline().decode("utf-8"))
    components = [c for start, stop in header["components"] for c in range(start, stop)]
    remaps = header.get("remaps", {})
    done = recorded_components(os.path.join(top, wire.RECORDS))
    supervisor = Supervisor(
        Spec(
            job["reference"],
            sources,
            lambda name: os.path.realpath(os.path.join(files, name)),  # not the link: it may be named in an error
            attempts=attempts,
            timeout=job["timeout"],
            python=job["python"],
            packages=packages,
            checkpoints=top,
            remaps=lambda component: remaps.get(str(component), {}),
            send=lambda path, name: _send(path, os.path.join(top, name)),
            after_component=access_point.after_component,
            after_checkpoint=access_point.after_checkpoint,
        ),
        Calls(calls_path, index_lines(calls_path, skip=1), components),
        _ranges([position for position, component in enumerate(components) if component not in done]),
        [(top, scratch)],
        chunk_size=len(components),
        max_failures=job["max_failures"],
        on_fork=(lambda: claim.take(top)) if in_place else None,
    )
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
    with _telling_of_full_disks(top):
        is_done = supervisor.run()
    if in_place:
        remove_tree(scratch)
    if is_done:
        return elsewhere.ask() if supervisor.put_off else 0
    if job["max_failures"] and supervisor.failures >= job["max_failures"]:
        return wire.STOPPED
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    return 1


def _extract(archive: zipimport.zipimporter, names: list[str], directory: str) -> None:
    """Write the user's modules from the zip file to a directory."""
    os.makedirs(directory, exist_ok=True)
    for name in names:
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(archive.get_data(wire.SOURCES + "/" + name))


@contextlib.contextmanager
def _telling_of_full_disks(top: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if failures.is_no_space(error):
            sys.exit("there is no space left on the disk of %s on %s" % (top, os.uname().nodename))
        raise


def _send_back_again(top: str) -> None:
    """Let HTCondor transfer what an earlier attempt has left, which came back into this one.

    It transfers files that are new or changed, and takes a file as changed if its time is another than on arrival.
    """
    for entry in os.scandir(top):
        if entry.name in _OWN_NAMES or entry.name.startswith(_OWN_PREFIXES):
            later = entry.stat().st_mtime + 2
            os.utime(entry.path, (later, later))


def _send(path: str, target: str) -> None:
    """Leave an output file to HTCondor, which sends what is called so to a URL."""
    refuse_directory(path)
    os.replace(path, target)


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
