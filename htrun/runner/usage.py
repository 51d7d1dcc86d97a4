"""What a component uses of the machine: processor time, memory, disk space."""

from __future__ import annotations

import os
import resource
import sys
import time

_QUICK_SECONDS = 0.0001
"""Only of a component that took longer the system is asked for more than processor time: that takes microseconds."""
_STALE_SECONDS = 0.005
"""After so much processor time it is asked again in any case."""
_FORGET_SECONDS = 0.05
"""Forgetting a peak takes some tens of microseconds, which is little for components that took longer than this."""
_RISE_KIB = 100
"""A peak that has risen by less is not worth them; records have a tenth of a MiB."""


_clock = time.process_time
_MIB = 1 << 20 if sys.platform == "darwin" else 1 << 10
"""A MiB in the units of ``ru_maxrss``."""


def mebibytes(maxrss: float) -> float:
    """Return a ``ru_maxrss`` in MiB."""
    return maxrss / _MIB


class Meter:
    """Measures what this process and the children it has waited for use, from one ``read`` to the next."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Count from here on: what came before does not."""
        self._forgets = _forget_peak()
        self._forgotten = _clock()
        own = resource.getrusage(resource.RUSAGE_SELF)
        self._base = own.ru_maxrss
        self._peak = mebibytes(own.ru_maxrss)
        self._signs = own.ru_minflt, own.ru_nvcsw
        self.skip_time()

    def skip_time(self) -> None:
        """Count processor time from here on; of memory, what came before does count."""
        self._children = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._cpu = _clock()
        self._due = self._cpu + _STALE_SECONDS

    def read(self, seconds: float) -> tuple[float, float]:
        """Return what was used since the last time, and count from here on.

        Parameters
        ----------
        seconds : float
            How long that was.

        Returns
        -------
        cpu : float
            Processor time in seconds.
        memory : float
            What the largest process had of memory at the most, in MiB. It is too high where the kernel only knows the
            peak of all times: of children, where a component before had a larger one, and of this process, where a
            component that was over within a twentieth of a second comes after one that has given memory back. It is too
            low by no more than a component can take in a tenth of a millisecond, which is about a MiB.
        """
        cpu = _clock()
        used = cpu - self._cpu
        self._cpu = cpu
        if seconds < _QUICK_SECONDS and cpu < self._due:
            return used, self._peak
        own = resource.getrusage(resource.RUSAGE_SELF)
        before = self._children
        signs = own.ru_minflt, own.ru_nvcsw
        if signs != self._signs:  # no process is started without a page fault, or without waiting for vfork(2)
            self._children = resource.getrusage(resource.RUSAGE_CHILDREN)
            used += _seconds(self._children) - _seconds(before)
        peak = own.ru_maxrss
        if self._children.ru_minflt != before.ru_minflt:  # some have ended meanwhile
            peak = max(peak, self._children.ru_maxrss)
        self._peak = mebibytes(own.ru_maxrss)
        self._signs = signs
        self._due = cpu + _STALE_SECONDS
        is_long = seconds > _FORGET_SECONDS or cpu - self._forgotten > _FORGET_SECONDS
        if self._forgets and (is_long or own.ru_maxrss - self._base > _RISE_KIB):
            self.start()
        return used, mebibytes(peak)


def _seconds(usage: resource.struct_rusage) -> float:
    """Return the processor time that the kernel counts."""
    return usage.ru_utime + usage.ru_stime


def _forget_peak() -> bool:
    """Let the peak of this process's memory be what it has now, where the kernel is Linux and lets us."""
    try:
        fd = os.open("/proc/self/clear_refs", os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(fd, b"5")
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def disk_kb(*directories: str) -> int:
    """Return the space that all below directories takes, in KiB; what is not there takes none.

    A file counts with its size or with what is allocated to it, whichever is more, since batch systems count either.
    It takes less time than removing the files.
    """
    size = 0
    todo = list(directories)
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    size += max(status.st_size, 512 * status.st_blocks)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except OSError:  # closed, or removed by what the component has left running
            continue
    return -(-size // 1024)
