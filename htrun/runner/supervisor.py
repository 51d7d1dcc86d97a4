"""The parent of the workers: deals out ranges of calls, and survives whatever a component does to its process."""

from __future__ import annotations

import collections
import contextlib
import errno
import json
import mmap
import os
import selectors
import signal
import struct
import time
from typing import TYPE_CHECKING

from . import failures, records, wire
from .capture import save_output, write_all
from .worker import FAILED, Worker, component_scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .calls import Calls

_RANGE_SECONDS = 0.05
"""How long a range should keep a worker busy: long beside the 100 µs of dealing it out, short beside the whole."""
_MAX_BARREN_DEATHS = 3


class Spec:
    """What to run and where, for all workers of a supervisor.

    Parameters
    ----------
    reference : dict
        What ``loading.load_function`` imports.
    sources : str
        The directory of the user's modules.
    file : callable
        From the id of a file to bring along to where it lies on this node.
    attempt : int
        How often this job has been started, counted from 1.
    """

    def __init__(
        self, reference: Mapping[str, str | None], sources: str, file: Callable[[str], str], attempt: int = 1
    ) -> None:
        self.reference = reference
        self.sources = os.path.abspath(sources)
        self.file = file
        self.attempt = attempt
        self.node = json.dumps(os.uname().nodename)


class Board:
    """Shared memory in which a worker says which component it is in."""

    _layout = struct.Struct("=qd")

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, self._layout.size)
        self.end()

    def begin(self, component: int, started: float) -> None:
        """Note the component that starts now."""
        self._layout.pack_into(self.memory, 0, component, started)

    def end(self) -> None:
        """Note that no component is running."""
        struct.pack_into("=q", self.memory, 0, -1)

    def read(self) -> tuple[int, float]:
        """Return (component or -1, start time in seconds since the epoch)."""
        component, started = self._layout.unpack_from(self.memory, 0)
        return component, started


class _Slot:
    """A place for one worker process at a time."""

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


class Supervisor:
    """Runs calls on a number of worker processes and sees to it that each ends up with a record.

    Parameters
    ----------
    spec : Spec
    calls : Calls
    ranges : iterable of (int, int)
        The positions to run, as half-open ranges in the order to start them.
    slots : list of (str, str)
        For each worker its job directory and its scratch directory.
    chunk_size : int or None
        How many calls to deal out at once; by default as many as take about 50 ms.
    max_failures : int
        Stop after this many failed components; 0 for never.
    on_event : callable
        Called with (kind, slot number, (start, stop) positions) as ranges start ("EXECUTE") and end ("TERMINATED").
    on_fork : callable
        Called in each new worker process before anything else.
    """

    def __init__(
        self,
        spec: Spec,
        calls: Calls,
        ranges: Iterable[Sequence[int]],
        slots: Iterable[tuple[str, str]],
        chunk_size: int | None = None,
        max_failures: int = 0,
        on_event: Callable[[str, int, tuple[int, int]], None] | None = None,
        on_fork: Callable[[], None] | None = None,
    ) -> None:
        self.spec = spec
        self.calls = calls
        self.todo = collections.deque((start, stop) for start, stop in ranges if start < stop)
        self.remaining = sum(stop - start for start, stop in self.todo)
        self.slots = [_Slot(i, *where) for i, where in enumerate(slots)]
        self.chunk_size = chunk_size
        self.max_failures = max_failures
        self.on_event = on_event or (lambda *_: None)
        self.on_fork = on_fork or (lambda: None)
        self.failures = 0
        self.stopped = False
        self.busy_seconds = 0.0
        self.finished = 0
        self.selector = selectors.DefaultSelector()

    def run(self) -> bool:
        """Work until everything is done or ``stop`` is called; return whether everything is done."""
        with _child_signals() as deaths:
            self.selector.register(deaths, selectors.EVENT_READ)
            try:
                for slot in self.slots:
                    self._feed(slot)
                while any(slot.range is not None for slot in self.slots):
                    for key, _ in self.selector.select():
                        if key.data is None:
                            os.read(deaths, 65536)
                            self._reap()
                        else:
                            self._listen(key.data)
            finally:
                self._close()
        return not self.todo and not self.stopped

    def stop(self) -> None:
        """Kill the workers and whatever they started; safe to call from a signal handler."""
        self.stopped = True
        for slot in self.slots:
            if slot.pid is not None:
                _kill_worker(slot.pid)

    def _feed(self, slot: _Slot) -> None:
        if self.stopped or not self.todo:
            slot.range = None
            return
        start, stop = self.todo.popleft()
        size = self.chunk_size or self._range_size()
        if stop - start > size:
            self.todo.appendleft((start + size, stop))
            stop = start + size
        self.remaining -= stop - start
        slot.range = (start, stop)
        slot.dealt = time.perf_counter()
        self.on_event("EXECUTE", slot.number, slot.range)
        if slot.pid is None:
            self._spawn(slot)
        try:
            os.write(slot.commands, b"%d %d\n" % slot.range)
        except BrokenPipeError:
            pass  # it died meanwhile, which a signal tells
        if self.stopped:  # by a signal, before there was a pid to kill
            self.stop()

    def _range_size(self) -> int:
        share = max(1, self.remaining // (2 * len(self.slots)))
        if not self.finished:
            return 1
        return max(1, min(share, int(_RANGE_SECONDS * self.finished / max(self.busy_seconds, 1e-9))))

    def _spawn(self, slot: _Slot) -> None:
        os.makedirs(slot.directory, exist_ok=True)
        command_end, slot.commands = os.pipe()
        slot.replies, reply_end = os.pipe()
        slot.board.end()
        slot.pid = os.fork()
        if slot.pid == 0:
            try:
                os.setpgid(0, 0)
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_DFL)
                _close_all_but(command_end, reply_end)
                self.on_fork()
                Worker(self.spec, self.calls, slot.directory, slot.scratch, slot.board).run(command_end, reply_end)
            except BaseException as error:  # the record of what happened is for the parent to write
                if failures.is_no_space(error):
                    slot.board.end()  # no component can: so the parent knows that none of them has exited like this
                    os._exit(failures.NO_SPACE)
                import traceback

                with open(os.path.join(slot.directory, wire.WORKER_LOG), "a", encoding="utf-8") as log:
                    traceback.print_exc(file=log)
                os._exit(failures.WORKER_FAILED)
            os._exit(0)
        os.close(command_end)
        os.close(reply_end)
        os.set_blocking(slot.replies, False)
        slot.listening = True
        self.selector.register(slot.replies, selectors.EVENT_READ, slot)

    def _listen(self, slot: _Slot) -> None:
        """Take what a worker says; a range that is done makes room for the next one."""
        if slot.pid is None:
            return  # buried since the selector saw it
        try:
            replies = os.read(slot.replies, 65536)
        except BlockingIOError:
            return
        if not replies:
            self.selector.unregister(slot.replies)  # closed: its death is still to come
            slot.listening = False
        elif self._take(slot, replies):
            self._feed(slot)

    def _take(self, slot: _Slot, replies: bytes) -> bool:
        """Note what a worker has said; tell whether it is done with its range."""
        self._count_failures(replies.count(FAILED))
        if replies.endswith(FAILED):
            return False
        assert slot.range is not None, "only a busy worker answers"
        start, stop = slot.range
        self.busy_seconds += time.perf_counter() - slot.dealt
        self.finished += stop - start
        slot.barren_deaths = 0
        self.on_event("TERMINATED", slot.number, slot.range)
        slot.range = None
        return True

    def _reap(self) -> None:
        """Bury the workers that are dead; what they forked may live on, and hold their pipes open."""
        for slot in self.slots:
            if slot.pid is None:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid:
                _kill_group(pid)
                self._take_last_words(slot)
                self._forget(slot)
                self._bury(slot, status)

    def _take_last_words(self, slot: _Slot) -> None:
        try:
            replies = os.read(slot.replies, 65536)
        except BlockingIOError:
            return
        if replies:
            self._take(slot, replies)

    def _count_failures(self, number: int) -> None:
        self.failures += number
        if self.max_failures and self.failures >= self.max_failures and not self.stopped:
            self.stop()

    def _bury(self, slot: _Slot, status: int) -> None:
        """Take over from a dead worker: record what it died of, put back what it did not come to."""
        if slot.range is None:
            self._feed(slot)
            return
        start, stop = slot.range
        slot.range = None
        component = slot.board.read()[0]
        if component < 0 and os.WIFEXITED(status) and os.WEXITSTATUS(status) == failures.NO_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), slot.directory)
        recorded = records.last_recorded(slot.directory)
        done = start
        positions = self.calls.components[start:stop]
        for number in (component, recorded):
            if number in positions:
                done = max(done, start + positions.index(number) + (number == recorded))
        if self.stopped:
            self.on_event("TERMINATED", slot.number, (start, done))
            self.todo.appendleft((done, stop))
            return
        if done == start and component < 0:
            slot.barren_deaths += 1
        if component in positions and component != recorded:
            self._record_death(slot, component, status)
            done += 1
        elif slot.barren_deaths >= _MAX_BARREN_DEATHS:  # it does not even come to the component
            slot.barren_deaths = 0
            self._record_death(slot, positions[0], status)
            done += 1
        self.on_event("TERMINATED", slot.number, (start, done))
        if done < stop:
            self.todo.appendleft((done, stop))
            self.remaining += stop - done
        self._feed(slot)

    def _record_death(self, slot: _Slot, component: int, status: int) -> None:
        path = os.path.join(slot.directory, wire.RECORDS)
        records.drop_torn_line(path)
        running, started = slot.board.read()
        now = time.time()
        stdout, stderr = save_output(slot.directory, slot.scratch)
        error = failures.describe_death(status, os.path.join(slot.directory, wire.WORKER_LOG))
        error["scratch"] = failures.list_scratch(component_scratch(slot.scratch))
        text = (
            '%s,"attempt":%d,"node":%s,"started":%.6f,"wall_s":%.6f,"stdout":[%d,%d],"stderr":[%d,%d],"error":%s}\n'
            % (
                records.record_prefix(component, wire.ERRORED),
                self.spec.attempt,
                self.spec.node,
                started if running >= 0 else now,
                max(0.0, now - started) if running >= 0 else 0.0,
                *stdout,
                *stderr,
                json.dumps(error),
            )
        )
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            write_all(fd, text.encode("utf-8"))
        finally:
            os.close(fd)
        environment = os.path.join(slot.directory, wire.ENVIRONMENT)
        if not os.path.exists(environment):
            with open(environment, "w", encoding="utf-8") as file:
                json.dump(failures.describe_environment(), file)
        self._count_failures(1)

    def _forget(self, slot: _Slot) -> None:
        if slot.listening:
            self.selector.unregister(slot.replies)
        os.close(slot.replies)
        os.close(slot.commands)
        slot.pid = None

    def _close(self) -> None:
        for slot in self.slots:
            if slot.pid is not None:
                pid = slot.pid
                if slot.range is not None:
                    _kill_worker(pid)
                self._forget(slot)  # a closed command pipe ends an idle worker
                os.waitpid(pid, 0)
                _kill_group(pid)
        self.selector.close()


@contextlib.contextmanager
def _child_signals() -> Iterator[int]:
    """Give a file descriptor that can be read when a child has died."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handler = signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler the signal wakes nobody
    descriptor = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGCHLD, handler)
        os.close(reader)
        os.close(writer)


def _close_all_but(*keep: int) -> None:
    """Close what the parent had open: its locks and the pipes of other workers must not live on in this process."""
    for fd in map(int, os.listdir("/dev/fd")):
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass  # the listing's own


def _kill_group(pid: int) -> None:
    """Kill what a worker started; the worker itself may be gone, and its number another's."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _kill_worker(pid: int) -> None:
    """Kill a worker that has not been waited for, and what it started."""
    _kill_group(pid)  # there is no group yet if it was only just forked
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it was waited for just now, when the signal came that asks for this
