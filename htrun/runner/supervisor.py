"""The parent of the workers: deals out ranges of calls, and survives whatever a component does to its process."""

from __future__ import annotations

import collections
import contextlib
import errno
import json
import os
import selectors
import signal
import time

from . import failures, printing, records, wire
from .deaths import Deaths
from .slots import Slot, signal_group
from .timeouts import GRACE, TICK
from .usage import mebibytes
from .worker import DONE, FAILED, HELD, PUT_OFF, Worker

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from .calls import Calls
    from .spec import Spec

_RANGE_SECONDS = 0.25
"""How long a range should keep a worker busy: long beside dealing it out, which takes half a millisecond of a machine
that is busy, and short beside the whole."""
_MAX_BARREN_DEATHS = 3


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
        How many calls to deal out at once; by default as many as take about 100 ms.
    max_failures : int
        Stop after this many failed components; 0 for never.
    on_event : callable
        Called with (kind, slot number, (start, stop) positions, details) as ranges start ("EXECUTE") and end
        ("TERMINATED"), are stopped and go on ("SUSPENDED", "UNSUSPENDED") and are held ("HELD").
    on_fork : callable
        Called in each new worker process before anything else.
    on_wake : callable
        Called in the loop after a signal; may give orders.
    on_look : callable
        Called in the loop some times a second; may call ``stop``.
    """

    def __init__(
        self,
        spec: Spec,
        calls: Calls,
        ranges: Iterable[Sequence[int]],
        slots: Iterable[tuple[str, str]],
        chunk_size: int | None = None,
        max_failures: int = 0,
        on_event: Callable[[str, int, tuple[int, int], dict[str, Any]], None] | None = None,
        on_fork: Callable[[], None] | None = None,
        on_wake: Callable[[], None] | None = None,
        on_look: Callable[[], None] | None = None,
    ) -> None:
        self.spec = spec
        self.calls = calls
        self.todo = collections.deque((start, stop) for start, stop in ranges if start < stop)
        self.remaining = sum(stop - start for start, stop in self.todo)
        self.slots = [Slot(i, *where) for i, where in enumerate(slots)]
        self.chunk_size = chunk_size
        self.max_failures = max_failures
        self.on_event = on_event or (lambda *_: None)
        self.on_fork = on_fork or (lambda: None)
        self.on_wake = on_wake or (lambda: None)
        self.on_look = on_look or (lambda: None)
        self.failures = 0
        self.put_off = 0
        """How many components are to be tried again elsewhere."""
        self.stopped = False
        self.paused = False
        self.paused_at = 0.0
        self.busy_seconds = 0.0
        self.finished = 0
        self.looked = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self.deaths = Deaths(spec)

    def run(self) -> bool:
        """Work until everything is done or ``stop`` is called; return whether everything is done."""
        with _child_signals() as deaths:
            self.selector.register(deaths, selectors.EVENT_READ)
            try:
                self.on_wake()
                self._feed_all()
                look = 0.0
                while any(slot.is_occupied for slot in self.slots) or (self.paused and self.todo):
                    if time.monotonic() >= look:
                        self._bound_printing()
                        self.on_look()
                        look = time.monotonic() + printing.LOOK_SECONDS
                    for key, _ in self.selector.select(printing.LOOK_SECONDS):
                        if key.data is None:
                            os.read(deaths, 65536)
                            self._reap()
                            self.on_wake()
                        else:
                            self._listen(key.data)
                    if self.spec.timeout is not None:
                        self._watch_time(self.spec.timeout)
            finally:
                self._close()
        return not self.todo and not self.stopped

    def stop(self) -> None:
        """Kill the workers and whatever they started, for good; safe to call from a signal handler."""
        self.stopped = True
        self.paused = False
        for slot in self.slots:
            slot.kill()

    def pause(self) -> None:
        """Stop the processes of workers, which keep what they have, and deal out nothing."""
        if self.paused or self.stopped:
            return
        self.paused = True
        self.paused_at = time.monotonic()
        for slot in self._busy():
            slot.signal(signal.SIGSTOP)
            self._tell("SUSPENDED", slot)

    def resume(self) -> None:
        """Undo ``pause``."""
        if not self.paused:
            return
        self._wake()
        for slot in self._busy():
            self._tell("UNSUSPENDED", slot)
        self._feed_all()

    def _wake(self) -> None:
        """Let all workers go on: one that was done at the moment when it was stopped is idle by now."""
        if self.paused:
            self.looked = time.monotonic()
            for slot in self.slots:
                slot.board.pause(self.looked - self.paused_at)
        self.paused = False
        for slot in self.slots:
            slot.signal(signal.SIGCONT)

    def vacate(self) -> None:
        """Take the components that run off their workers, and put them back."""
        for slot in self._busy():
            slot.evicted = "vacate"
            slot.kill()

    def hold(self, reason: str) -> None:
        """Let no component run that is not finished: they are given up as held."""
        self._wake()
        for slot in self.slots:
            if slot.range is not None:  # be it vacated already: it must not come back
                slot.evicted = reason
                slot.kill()
        for todo in self.todo:
            self._hold(self.slots[0], todo, reason)
        self.todo.clear()
        self.remaining = 0

    def add(self, ranges: Iterable[Sequence[int]]) -> None:
        """Work on more positions."""
        for start, stop in ranges:
            self.todo.append((start, stop))
            self.remaining += stop - start
        self._feed_all()

    def _bound_printing(self) -> None:
        """Let no component fill the disk with what it prints."""
        for slot in self._busy():
            for name in (wire.STDOUT, wire.STDERR):
                printing.give_back(os.path.join(slot.scratch, name))

    def _busy(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.range is not None and slot.evicted is None]

    def _tell(self, kind: str, slot: Slot) -> None:
        assert slot.range is not None, "only of a busy slot there is something to tell"
        self.on_event(kind, slot.number, slot.range, {})

    def _hold(self, slot: Slot, positions: tuple[int, int], reason: str, **codes: int) -> None:
        if positions[0] < positions[1]:
            self.on_event("HELD", slot.number, positions, {"reason": reason, "code": 1, "subcode": 0, **codes})

    def _feed_all(self) -> None:
        for slot in self.slots:
            if slot.range is None:
                self._feed(slot)

    def _feed(self, slot: Slot) -> None:
        if self.stopped or self.paused or not self.todo or slot.evicted is not None:
            slot.range = None
            return
        start, stop = self.todo.popleft()
        size = self.chunk_size or self._range_size()
        if stop - start > size:
            self.todo.appendleft((start + size, stop))
            stop = start + size
        if slot.is_out_of_place or self._is_unaware(slot, start, stop):
            self._retire(slot)
        self.remaining -= stop - start
        slot.dealt = time.perf_counter()
        slot.range = (start, stop)
        self._tell("EXECUTE", slot)
        if slot.pid is None:
            self._spawn(slot)
        slot.send(start, stop)
        if self.stopped:  # by a signal, before there was a pid to kill
            self.stop()

    def _is_unaware(self, slot: Slot, start: int, stop: int) -> bool:
        """Tell whether a worker does not know of attempts that have failed at what it is to do."""
        attempts = self.spec.attempts
        is_older = slot.pid is not None and slot.knows != attempts.version
        return is_older and attempts.have_failed(self.calls.components[start:stop])

    def _range_size(self) -> int:
        share = max(1, self.remaining // (2 * len(self.slots)))
        if not self.finished:
            return 1
        return max(1, min(share, int(_RANGE_SECONDS * self.finished / max(self.busy_seconds, 1e-9))))

    def _spawn(self, slot: Slot) -> None:
        slot.knows = self.spec.attempts.version
        slot.spawn(lambda commands, replies: self._work(slot, commands, replies))
        slot.listening = True
        self.selector.register(slot.replies, selectors.EVENT_READ, slot)

    def _work(self, slot: Slot, commands: int, replies: int) -> None:
        """Be a worker process."""
        try:
            self.on_fork()
            Worker(self.spec, self.calls, slot.directory, slot.scratch, slot.board).run(commands, replies)
        except BaseException as error:  # the record of what happened is for the parent to write
            if failures.is_no_space(error):
                slot.board.end()  # no component can: so the parent knows that none of them has exited like this
                os._exit(failures.NO_SPACE)
            import traceback

            with open(os.path.join(slot.directory, wire.WORKER_LOG), "a", encoding="utf-8") as log:
                traceback.print_exc(file=log)
            os._exit(failures.WORKER_FAILED)

    def _watch_time(self, timeout: float) -> None:
        """Count the time of the workers, and kill those that do not listen to their alarms."""
        now = time.monotonic()
        passed = now - self.looked
        if passed < TICK:
            return
        self.looked = now
        for slot in self._busy() if not self.paused else ():
            slot.board.tick(min(passed, 2 * TICK))  # more, and this process was stopped as well
            component = slot.board.read()[0]
            if component >= 0 and slot.board.ran() > timeout + GRACE:
                slot.overdue = component
                slot.kill()

    def _listen(self, slot: Slot) -> None:
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

    def _take(self, slot: Slot, replies: bytes) -> bool:
        """Note what a worker has said; tell whether it is done with its range."""
        self._count_failures(replies.count(FAILED))
        self.put_off += replies.count(PUT_OFF)
        if HELD in replies:
            self._take_holds(slot)
        if not replies.endswith(DONE):
            return False
        assert slot.range is not None, "only a busy worker answers"
        start, stop = slot.range
        self.busy_seconds += time.perf_counter() - slot.dealt
        self.finished += stop - start
        slot.barren_deaths = 0
        self._tell("TERMINATED", slot)
        slot.range = None
        return True

    def _take_holds(self, slot: Slot) -> None:
        """Read which components a worker could not begin, and why."""
        with open(os.path.join(slot.records, wire.HOLDS), "rb") as file:
            file.seek(slot.read_holds)
            for line in file.read().splitlines(keepends=True):
                slot.read_holds += len(line)
                hold = json.loads(line.decode("utf-8"))
                position = self.calls.components.index(hold["component"])
                self._hold(slot, (position, position + 1), hold["reason"], code=hold["code"], subcode=hold["subcode"])

    def _reap(self) -> None:
        """Bury the workers that are dead; what they forked may live on, and hold their pipes open."""
        for slot in self.slots:
            if slot.pid is None:
                continue
            pid, status, usage = os.wait4(slot.pid, os.WNOHANG)
            if pid:
                slot.memory_mb = mebibytes(usage.ru_maxrss)
                signal_group(pid, signal.SIGKILL)
                self._take_last_words(slot)
                self._forget(slot)
                self._bury(slot, status)

    def _take_last_words(self, slot: Slot) -> None:
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

    def _bury(self, slot: Slot, status: int) -> None:
        """Take over from a dead worker: record what it died of, put back what it did not come to."""
        evicted, slot.evicted = slot.evicted, None
        if slot.range is None:
            self._feed(slot)
            return
        start, stop = slot.range
        slot.range = None
        component = slot.board.read()[0]
        if component < 0 and os.WIFEXITED(status) and os.WEXITSTATUS(status) == failures.NO_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), slot.directory)
        recorded = records.last_recorded(slot.records)
        done = start
        positions = self.calls.components[start:stop]
        for number in (component, recorded):
            if number in positions:
                done = max(done, start + positions.index(number) + (number == recorded))
        if self.stopped or evicted:
            self.on_event("TERMINATED", slot.number, (start, done), {})
            if evicted and evicted != "vacate":
                self._hold(slot, (done, stop), evicted)
            else:
                self._put_back(done, stop)
                self._feed(slot)
            return
        if done == start and component < 0:
            slot.barren_deaths += 1
        if component in positions and component != recorded:
            if slot.overdue is None:
                is_over = not self.deaths.can_resume(component, status)
            else:
                is_over = slot.overdue == component  # else it was killed for one that has ended meanwhile
            if is_over and self._is_over(slot, component, status):
                done += 1
        elif slot.barren_deaths >= _MAX_BARREN_DEATHS:  # it does not even come to the component
            slot.barren_deaths = 0
            if self._is_over(slot, positions[0], status):
                done += 1
        self.on_event("TERMINATED", slot.number, (start, done), {})
        self._put_back(done, stop)
        self._feed(slot)

    def _put_back(self, start: int, stop: int) -> None:
        if start < stop:
            self.todo.appendleft((start, stop))
            self.remaining += stop - start

    def _is_over(self, slot: Slot, component: int, status: int) -> bool:
        """Note that a component's process died; tell whether there is nothing more to be done about it here."""
        if self.deaths.can_try_again(slot, component, status):
            self.put_off += self.spec.attempts.elsewhere
            return self.spec.attempts.elsewhere
        self.deaths.record(slot, component, status)
        self._count_failures(1)
        return True

    def _forget(self, slot: Slot) -> None:
        if slot.listening:
            self.selector.unregister(slot.replies)
            slot.listening = False
        slot.forget()

    def _retire(self, slot: Slot) -> None:
        """End an idle worker."""
        pid = slot.pid
        assert pid is not None, "there is a worker to end"
        self._forget(slot)
        os.waitpid(pid, 0)
        signal_group(pid, signal.SIGKILL)

    def _close(self) -> None:
        self._wake()
        for slot in self.slots:
            if slot.pid is not None:
                if slot.range is not None:
                    slot.kill()
                self._retire(slot)
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
