"""The engine of this machine: a detached process with warm workers.

The process holds a lock for as long as it lives, appends to an event log what it does, and writes nothing that a kill
could tear beyond a last line; so any later command sees what there is, and whether anybody still works on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from htrun.exceptions import EngineError
from htrun.logs import get_logger
from htrun.runner import wire
from htrun.runner.calls import Calls
from htrun.runner.files import remove_tree
from htrun.runner.records import drop_torn_line, recorded_components
from htrun.runner.supervisor import Spec, Supervisor
from htrun.settings import load
from htrun.state import ComponentStatus, EventKind, JobEvent
from htrun.store import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from htrun.engines.base import Action, Attribute
    from htrun.state import JobState
    from htrun.store import MapDirectory, Ranges

_logger = get_logger(__name__)
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_LITTLE_SPACE = 1 << 16  # bytes, in which no more than a few records find room
_LOCK = "supervisor"
_STOP = signal.SIGUSR1  # for good; what else ends the process, such as a shutdown, leaves the map to be carried on

# The current directory must not be importable in the supervisor: a user's json.py would break it. What it runs, the
# loop below and then the writing of the results, is put together in a layer above this one.
_SUPERVISE = """
import sys
sys.path = [entry for entry in sys.path if entry]
from htrun.supervise import main
main(*sys.argv[1:])
"""


class LocalEngine:
    """Runs components in worker processes on this machine; see ``Engine``."""

    name = "local"
    records_are_live = True
    outlives_interrupt = False

    def why_not(self) -> str | None:
        """Return None: this machine is always there."""
        return None

    def describe(self) -> str:
        """Return how many processors there are."""
        return f"this machine, {usable_cpus()} CPUs"

    def submit(self, directory: MapDirectory, components: Ranges) -> None:
        """Start the detached process that runs components, and wait until it works; see ``Engine``."""
        if is_alive(directory):
            raise EngineError(f"{directory.path} is running already")
        submissions = directory.read_submissions()
        row = {"submission": len(submissions), "first_job": 0, "chunk_size": 1, "components": components}
        directory.append_submission(row)
        self._start(directory)

    def carry_on(self, directory: MapDirectory) -> None:
        """Start the map's process again; see ``Engine``."""
        if not directory.read_submissions():
            self.submit(directory, ((0, directory.components),))
        elif not is_alive(directory):
            self._start(directory)

    @staticmethod
    def _start(directory: MapDirectory) -> None:
        """Start the detached process, and wait until it works."""
        with _log_file(directory).open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", _SUPERVISE, str(directory.path), str(load().tags)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while _recorded_process(directory).get("pid") != process.pid:  # it may have ended by the time of this look
            if process.poll() is not None or time.monotonic() > deadline:
                said = _last_words(directory) or "no reason given"
                raise EngineError(f"the local run did not start: {said} (see {_log_file(directory)})")
            time.sleep(0.002)
        _logger.info("started process %d for %s", process.pid, directory.path)
        process.returncode = 0  # it goes on without us; nobody waits for it here

    def events(self, directory: MapDirectory) -> LocalEvents:
        """Return a reader of the map's events; see ``Engine``."""
        return LocalEvents(directory)

    def event_log(self, directory: MapDirectory) -> Path:
        """Return the path of the map's event log; see ``Engine``."""
        return event_log(directory)

    def is_working(self, directory: MapDirectory) -> bool:
        """Tell whether the map's process lives; see ``Engine``."""
        return is_alive(directory)

    def left_behind(self, directory: MapDirectory) -> str | None:
        """Tell how the map's process ended if it was not by itself, or that it never started; see ``Engine``."""
        if is_alive(directory) or _has_ended(directory):
            return None
        said = _last_words(directory)
        if said:
            return said
        if shutil.disk_usage(directory.path).free < _LITTLE_SPACE:
            return f"there is no space left on the disk of {directory.path}"
        return "the process that ran it on this machine was killed, perhaps for lack of memory"

    def act(self, directory: MapDirectory, action: Action, reason: str) -> None:  # noqa: ARG002 (nobody asks here)
        """Stop the map's process; see ``Engine``."""
        assert action == "remove"
        deadline = time.monotonic() + _STOP_SECONDS
        pause = 0.01
        while is_alive(directory):
            host = _recorded_process(directory).get("host", platform.node())
            if host != platform.node():
                raise EngineError(f"the map runs on {host}: stop it there")
            process = _process_of(directory)
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, _STOP if time.monotonic() < deadline else signal.SIGKILL)
            pause = min(2 * pause, 0.5)
            _wait_until(lambda: not is_alive(directory), pause)
        # It has let go of the map, and is about to end.
        _wait_until(lambda: _process_of(directory) is None, _STOP_SECONDS)

    def edit(self, directory: MapDirectory, attribute: Attribute, value: int) -> None:
        """Do nothing; see ``Engine``."""

    def explain(self, directory: MapDirectory) -> list[str]:
        """Tell what the map's process is at; see ``Engine``."""
        return []


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds, or some seconds have passed."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


class LocalEvents:
    """Reads a local map's event log as it grows."""

    def __init__(self, directory: MapDirectory) -> None:
        self._directory = directory
        self._position = 0

    def read(self, jobs: Mapping[int, JobState]) -> Iterator[JobEvent]:
        """Yield what is new; jobs that still run when nobody works on them any more are given back."""
        alive = is_alive(self._directory)  # before reading: what happens later is for the next time
        over = set()
        for row in self._rows():
            try:
                event = JobEvent(
                    job=int(row["job"]),
                    kind=EventKind[row["event"]],
                    time=float(row["time"]),
                    position=self._position,
                    components=((int(row["start"]), int(row["stop"])),),
                    records=str(row["worker"]),
                )
            except (KeyError, TypeError, ValueError):
                continue  # not of a job, or damaged
            if event.kind.is_final:
                over.add(event.job)
            elif not alive:
                yield from (event, _given_back(event.job, self._position))
                continue
            yield event
        if not alive:
            for job, state in jobs.items():
                if state.status is ComponentStatus.RUNNING and job not in over:
                    yield _given_back(job, self._position)

    def _rows(self) -> Iterator[Any]:
        try:
            with event_log(self._directory).open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            self._position += len(line)
            with contextlib.suppress(ValueError):  # a torn line that a later one was appended to
                yield json.loads(line)


def _given_back(job: int, position: int) -> JobEvent:
    return JobEvent(job, EventKind.EVICTED, time.time(), position, reason="the local run was stopped")


def event_log(directory: MapDirectory) -> Path:
    """Return the path of a local map's event log."""
    return directory.inner / "events.jsonl"


def _log_file(directory: MapDirectory) -> Path:
    """Return the path of what the map's process last said."""
    return directory.inner / "supervisor.log"


def _last_words(directory: MapDirectory) -> str:
    try:
        said = _log_file(directory).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return said.rpartition("\n")[2]


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_alive(directory: MapDirectory) -> bool:
    """Tell whether a process works on the map right now.

    This asks for a shared lock, so that those who ask at the same time do not take each other for that process.
    """
    try:
        fd = os.open(directory.lock_file(_LOCK), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _identity(pid: int) -> dict[str, Any]:
    """Return what tells a process from all others: its host, its id, and when it started where the system says so."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()  # from field 3 of proc(5) on
        started = fields[19] if fields[0] != "Z" else "and ended"
    except (OSError, IndexError):
        started = ""
    return {"host": platform.node(), "pid": pid, "started": started}


def _recorded_process(directory: MapDirectory) -> dict[str, Any]:
    """Return what the process that works on a map, or did so last, has said of itself; nothing if it has not."""
    try:
        process = read_json(_process_file(directory))
    except (OSError, ValueError):
        return {}
    return process if isinstance(process, dict) else {}


def _process_of(directory: MapDirectory) -> int | None:
    """Return the id of the process of a map if it is one of this machine, and still runs."""
    process = _recorded_process(directory)
    pid = process.get("pid")
    return pid if isinstance(pid, int) and process == _identity(pid) else None


def _process_file(directory: MapDirectory) -> Path:
    return directory.inner / "supervisor.json"


def _has_ended(directory: MapDirectory) -> bool:
    try:
        lines = event_log(directory).read_bytes().splitlines()
    except FileNotFoundError:
        return False
    return bool(lines) and lines[-1].startswith(b'{"event":"END"')


class _EventLog:
    """Appends events, a line each, every one visible at once."""

    def __init__(self, path: Path) -> None:
        drop_torn_line(str(path))
        lines = path.read_bytes().splitlines() if path.exists() else []
        self._next_job = sum(line.startswith(b'{"event":"EXECUTE"') for line in lines)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._running: dict[int, int] = {}

    def write(self, event: str, **fields: Any) -> None:
        row = {"event": event, "time": time.time(), **fields}
        os.write(self._fd, json.dumps(row, separators=(",", ":")).encode() + b"\n")

    def range_event(self, kind: str, worker: int, components: tuple[int, int]) -> None:
        if kind == "EXECUTE":
            self._running[worker] = self._next_job
            self._next_job += 1
        self.write(kind, job=self._running[worker], worker=worker, start=components[0], stop=components[1])


@contextlib.contextmanager
def supervising(directory: MapDirectory) -> Iterator[None]:
    """Be the process that works on a map; raises EngineError if another one does already."""
    try:
        with directory.lock(_LOCK, timeout=1):
            yield
    except Timeout:
        raise EngineError("another process works on this map") from None


def work(directory: MapDirectory) -> bool:
    """Run what is left of a map; return False if a signal stopped it."""
    info = directory.info
    options = info["options"]
    submission = directory.read_submissions()[-1]
    done: set[int] = set()
    for job in directory.jobs.iterdir():
        done |= recorded_components(str(job / wire.RECORDS))
    left = list(_without(submission.components, done))
    workers = min(options.get("workers") or usable_cpus(), sum(stop - start for start, stop in left))

    def file(identifier: str) -> str:
        return str(directory.files[identifier]["path"])

    log = _EventLog(event_log(directory))
    supervisor = Supervisor(
        Spec(info["target"]["reference"], str(directory.sources), file),
        Calls(str(directory.calls), directory.offsets(), range(directory.components)),
        left,
        [(str(directory.job(n)), str(directory.inner / wire.SCRATCH / str(n))) for n in range(workers)],
        chunk_size=options.get("chunk_size"),
        max_failures=options.get("max_failures", 0),
        on_event=log.range_event,
        on_fork=_die_with_parent(),
    )
    interrupted = []

    def interrupt(number: int, _: Any) -> None:
        interrupted.append(number)
        supervisor.stop()

    for number in (_STOP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
    log.write("START", pid=os.getpid(), workers=workers)
    write_json(_process_file(directory), _identity(os.getpid()))
    supervisor.run()
    remove_tree(str(directory.inner / wire.SCRATCH))
    if interrupted and _STOP not in interrupted:
        raise EngineError(f"its process was ended by {signal.Signals(interrupted[0]).name}")
    log.write("END")
    return not interrupted


def _without(ranges: Ranges, done: set[int]) -> Iterator[tuple[int, int]]:
    for start, stop in ranges:
        begin = start
        for component in sorted(c for c in done if start <= c < stop):
            yield begin, component
            begin = component + 1
        yield begin, stop


def _die_with_parent() -> Any:
    """Return what a worker calls first, so that a kill of its parent ends it too (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def request() -> None:
        prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return request
