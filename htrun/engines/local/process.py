"""The process that works on a map: starting it, finding it, telling it something, ending it."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import Timeout

from htrun.exceptions import EngineError
from htrun.logs import get_logger, stop_logging
from htrun.store import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from htrun.store import MapDirectory

_logger = get_logger(__name__)
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_END_SECONDS = 0.02  # between looks whether a process has ended, where the system does not tell
_LOCK = "supervisor"

STOP = signal.SIGUSR1
"""Ends the process for good; what else ends it, such as a shutdown, leaves the map to be carried on."""
MAX_WORKERS = 10_000
"""A job directory is a worker's, and of one submission only: so it is known what its records are of."""
WAKE = signal.SIGUSR2
"""Lets the process look for orders."""

# The current directory must not be importable in the supervisor: a user's json.py would break it. What it runs, the
# loop of htrun.engines.local.work and then the writing of the results, is put together in a layer above this one.
_SUPERVISE = (
    "import sys; sys.path = [entry for entry in sys.path if entry]; from htrun.supervise import listen; listen()"
)


class _Process(NamedTuple):
    """A child of this process that works on the map whose path it is told."""

    pid: int
    pipe: int

    def tell(self, path: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has died, which is seen later
            os.write(self.pipe, os.fsencode(path) + b"\0")
        os.close(self.pipe)


_started: set[int] = set()
"""The processes that this one has started, and not buried."""
_prepared: list[_Process] = []
"""One that is not told yet which map to work on; it ends if this process does."""


def prepare() -> None:
    """Have a process ready for the next map; not for a process that has threads, or the user's modules.

    It is a fork, which has imported already most of what it needs: starting Python anew takes a tenth of a second.
    """
    if not _prepared:
        _prepared.append(_fork())
        atexit.register(_discard)


def _discard() -> None:
    for process in _prepared:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # the target may ignore SIGCHLD
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)


def _fork() -> _Process:
    reader, writer = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or else what they hold would be written twice
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is not for what is to be detached
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(reader)
        return _Process(pid, writer)
    code = 1
    try:
        os.setsid()
        _detach(reader)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        import_module("htrun.supervise").listen()
        code = 0
    except SystemExit as error:
        sys.stderr.write(f"{error}\n")
    except BaseException:  # noqa: BLE001 (for supervisor.log)
        traceback.print_exc()
    finally:
        os._exit(code)


def _detach(pipe: int) -> None:
    """Let this process have no more of its parent's than one that is started anew would, and read from a pipe."""
    from htrun.runner.slots import close_all_but  # only now: it is this process that needs it

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    stop_logging()
    null = os.open(os.devnull, os.O_WRONLY)
    for fd, number in ((pipe, 0), (null, 1), (null, 2)):
        os.dup2(fd, number)
    close_all_but()
    with contextlib.suppress(OSError):  # where there is /proc, a `pkill htrun` is not to end it
        Path("/proc/self/comm").write_text("supervisor", encoding="ascii")
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the program's directory, or the current one
    sys.argv = ["-c"]
    sys.modules["__main__"] = ModuleType("__main__")


def _spawn() -> _Process:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _SUPERVISE],
        stdin=reader,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(reader)
    process.returncode = 0  # it goes on without us; nobody waits for it here
    return _Process(process.pid, writer)


def start(directory: MapDirectory) -> None:
    """Start the detached process that works on a map, and wait until it does; raises EngineError."""
    _bury()
    _log_file(directory).write_bytes(b"")
    process = _prepared.pop() if _prepared else _spawn()
    _started.add(process.pid)
    process.tell(str(directory.path))
    deadline = time.monotonic() + _START_SECONDS
    while True:
        _bury()  # before the look: it may have done everything and ended by now
        if _recorded_process(directory).get("pid") == process.pid:
            break
        if process.pid not in _started or time.monotonic() > deadline:
            said = last_words(directory) or "no reason given"
            raise EngineError(f"the local run did not start: {said} (see {_log_file(directory)})")
        time.sleep(0.002)
    _logger.info("started process %d for %s", process.pid, directory.path)


def _bury() -> None:
    """Let go of those that have ended: they would be zombies for as long as this process lives."""
    for pid in list(_started):
        with contextlib.suppress(ChildProcessError):  # somebody else has
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _started.discard(pid)


def stop(directory: MapDirectory) -> None:
    """End the process of a map for good, and wait until it has; raises EngineError if it is another machine's."""
    deadline = time.monotonic() + _STOP_SECONDS
    pause = 0.01
    while is_alive(directory):
        send(directory, STOP if time.monotonic() < deadline else signal.SIGKILL)
        pause = min(2 * pause, 0.5)
        wait_until(lambda: not is_alive(directory), pause)
    # It has let go of the map, and is about to end.
    wait_until(lambda: _process_of(directory) is None, _STOP_SECONDS)


def send(directory: MapDirectory, number: int) -> None:
    """Send a signal to the process of a map, if it says already which one it is; raises EngineError."""
    host = _recorded_process(directory).get("host", os.uname().nodename)
    if host != os.uname().nodename:
        raise EngineError(f"the map runs on {host}: do that there")
    process = _process_of(directory)
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


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


def rest(directory: MapDirectory, seconds: float) -> None:
    """Let some seconds pass, or what is left of the life of the process that works on a map."""
    deadline = time.monotonic() + seconds
    pid = _process_of(directory)
    if pid is not None and hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # it has just ended, or too many files are open
            fd = os.pidfd_open(pid)
            try:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                poll.poll(1000 * seconds)
            finally:
                os.close(fd)
    while is_alive(directory) and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _END_SECONDS))


def _identity(pid: int) -> dict[str, Any]:
    """Return what tells a process from all others: its host, its id, and when it started where the system says so."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()  # from field 3 of proc(5) on
        started = fields[19] if fields[0] != "Z" else "and ended"
    except (OSError, IndexError):
        started = ""
    return {"host": os.uname().nodename, "pid": pid, "started": started}


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


def identify(directory: MapDirectory) -> None:
    """Say that the calling process is the one that works on a map: from now on it is sent signals."""
    write_json(_process_file(directory), _identity(os.getpid()))


def _process_file(directory: MapDirectory) -> Path:
    return directory.inner / "supervisor.json"


@contextlib.contextmanager
def supervising(directory: MapDirectory) -> Iterator[None]:
    """Be the process that works on a map; raises EngineError if another one does already."""
    try:
        with directory.lock(_LOCK, timeout=1):
            yield
    except Timeout:
        raise EngineError("another process works on this map") from None


def _log_file(directory: MapDirectory) -> Path:
    """Return the path of what the map's process last said."""
    return directory.inner / "supervisor.log"


def tell(directory: MapDirectory) -> None:
    """Let what this process, which works on a map, says go where it is looked for, and take standard input from it."""
    output = os.open(_log_file(directory), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((null, 0), (output, 1), (output, 2)):
        os.dup2(fd, number)
    os.close(output)
    os.close(null)


def last_words(directory: MapDirectory) -> str:
    """Return the last line that a map's process has said."""
    try:
        said = _log_file(directory).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return said.rpartition("\n")[2]


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds, or some seconds have passed."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
