"""The places of worker processes: starting them, talking to them, pausing and ending them."""

from __future__ import annotations

import mmap
import os
import signal
import struct

from . import wire
from .capture import file_size
from .failures import WORKER_FAILED

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)


class Board:
    """Shared memory in which a worker says which component it is in."""

    _layout = struct.Struct("=qddd")
    _component = struct.Struct("=q")
    _clock = struct.Struct("=d")
    _called_at = 16
    _paused_at = 24
    _ticks_at = 32

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, self._layout.size + self._clock.size)
        self.end()

    def begin(self, component: int, started: float) -> None:
        """Note the component that starts now."""
        self._layout.pack_into(self.memory, 0, component, started, -1.0, 0.0)

    def end(self) -> None:
        """Note that no component is running."""
        self._component.pack_into(self.memory, 0, -1)

    def read(self) -> tuple[int, float]:
        """Return (component or -1, start time in seconds since the epoch)."""
        component, started, *_ = self._layout.unpack_from(self.memory, 0)
        return component, started

    def call(self) -> None:
        """Note that the component's function is called now."""
        self._clock.pack_into(self.memory, self._called_at, self._clock.unpack_from(self.memory, self._ticks_at)[0])

    def returned(self) -> None:
        """Note that the function has returned: what is still to be done takes as long as it takes."""
        self._clock.pack_into(self.memory, self._called_at, -1.0)

    def pause(self, seconds: float) -> None:
        """Note for how long the worker was stopped."""
        self._clock.pack_into(self.memory, self._paused_at, self.paused() + seconds)

    def paused(self) -> float:
        """Return for how many seconds the worker was stopped since the component began."""
        return float(self._clock.unpack_from(self.memory, self._paused_at)[0])

    def tick(self, seconds: float) -> None:
        """Count some time in which the worker could run."""
        ticks = self._clock.unpack_from(self.memory, self._ticks_at)[0]
        self._clock.pack_into(self.memory, self._ticks_at, ticks + seconds)

    def ran(self) -> float:
        """Return for how many seconds the component's function could run since it was called; 0 if it was not."""
        called, _, ticks = struct.unpack_from("=ddd", self.memory, self._called_at)
        return ticks - called if called >= 0 else 0.0


class Slot:
    """A place for one worker process at a time.

    Parameters
    ----------
    number : int
    directory : str
        The job directory that the worker appends to. Set to another one, it is the next worker's.
    scratch : str
        The worker's scratch directory.
    """

    def __init__(self, number: int, directory: str, scratch: str) -> None:
        self.number = number
        self.directory = directory
        self.scratch = scratch
        self.board = Board()
        self.pid: int | None = None
        self.commands = self.replies = -1
        self.range: tuple[int, int] | None = None
        self.dealt = 0.0
        self.listening = False
        self.barren_deaths = 0
        self.read_holds = 0
        self.memory_mb = 0.0  # the peak of its last worker
        self.evicted: str | None = None  # why its worker was killed, until that is buried
        self.overdue: int | None = None  # the component that it was killed for, which took too long
        self.knows = 0  # the version of what its worker knows of attempts
        self._works_in = directory

    @property
    def is_occupied(self) -> bool:
        """Whether its worker works, or was killed and has not been buried."""
        return self.range is not None or self.evicted is not None

    @property
    def is_out_of_place(self) -> bool:
        """Whether its worker appends to a directory that is not the slot's any more."""
        return self.pid is not None and self._works_in != self.directory

    @property
    def records(self) -> str:
        """The job directory that its worker, or the last one, appends to."""
        return self._works_in

    def spawn(self, work: Callable[[int, int], None]) -> None:
        """Start a worker process, which calls ``work`` with the descriptors to read from and to write to."""
        os.makedirs(self.directory, exist_ok=True)
        self._works_in = self.directory
        self.overdue = None
        self.read_holds = file_size(os.path.join(self.directory, wire.HOLDS))
        command_end, self.commands = os.pipe()
        self.replies, reply_end = os.pipe()
        self.board.end()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the handlers are the parent's
        self.pid = os.fork()
        if self.pid == 0:
            code = WORKER_FAILED
            try:
                os.setpgid(0, 0)
                signal.set_wakeup_fd(-1)
                for number in _SIGNALS:
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                close_all_but(command_end, reply_end)
                work(command_end, reply_end)
                code = 0
            finally:
                os._exit(code)  # whatever happens: going on would be to do what is the parent's
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(command_end)
        os.close(reply_end)
        os.set_blocking(self.replies, False)

    def send(self, start: int, stop: int) -> None:
        """Give the worker its range."""
        self.range = (start, stop)
        try:
            os.write(self.commands, b"%d %d\n" % (start, stop))
        except BrokenPipeError:
            pass  # it died meanwhile, which a signal tells

    def signal(self, number: int) -> None:
        """Send a signal to the worker and whatever it started."""
        if self.pid is not None:
            signal_group(self.pid, number)

    def kill(self) -> None:
        """Kill the worker, which has not been waited for, and what it started."""
        if self.pid is None:
            return
        signal_group(self.pid, signal.SIGKILL)  # there is no group yet if it was only just forked
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was waited for just now, when the signal came that asks for this

    def forget(self) -> None:
        """Let go of a worker; a closed command pipe ends an idle one."""
        os.close(self.replies)
        os.close(self.commands)
        self.pid = None


def signal_group(pid: int, number: int) -> None:
    """Send a signal to what a worker started; the worker itself may be gone, and its number another's."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def close_all_but(*keep: int) -> None:
    """Close what the parent of this process had open, but for the standard streams and some other descriptors.

    Its locks and the pipes of others must not live on in this process.
    """
    for fd in map(int, os.listdir("/dev/fd")):
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass  # the listing's own
