"""How much is kept of what a component prints, and seeing to it while it prints."""

from __future__ import annotations

import fcntl
import os
import sys

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from typing import Any

KEPT_BYTES = 5 << 20
"""How many bytes are kept of the beginning, and as many of the end, of what a component prints to one stream."""
LOOK_SECONDS = 0.2
"""How often the files of running components are looked at: a disk takes some hundred megabytes meanwhile."""

_SLACK_BYTES = 1 << 20  # not every look needs to give something back
_PUNCH_HOLE = 3  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE of fallocate(2)


def left_out(size: int) -> bytes:
    """Return what stands in the place of the middle of so many printed bytes; nothing if all of it is kept."""
    more = size - 2 * KEPT_BYTES
    if more <= 0:
        return b""
    text = "htrun left out %d bytes here: of what a component prints, it keeps the first and the last %d MiB"
    return ("\n[%s]\n" % (text % (more, KEPT_BYTES >> 20))).encode("ascii")


def give_back(path: str) -> None:
    """Free the disk space of the middle of a file that has grown beyond what is kept of it.

    The file keeps its size, so that whoever writes to it notices nothing, and the end may grow meanwhile. Where the
    file system cannot do that, the space is free when the component has ended.
    """
    try:
        if os.stat(path).st_size <= 2 * KEPT_BYTES:
            return
        fd = os.open(path, os.O_WRONLY)
    except OSError:
        return  # nothing was printed, or it is gone: the function may do that
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(fd)
        if status.st_blocks * 512 > 2 * KEPT_BYTES + _SLACK_BYTES:
            _fallocate(fd, _PUNCH_HOLE, KEPT_BYTES, status.st_size - 2 * KEPT_BYTES)
    except OSError:
        pass  # it is being emptied
    finally:
        os.close(fd)


def empty(fd: int) -> None:
    """Empty a file that what is in it was taken from, not in the midst of ``give_back``."""
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.ftruncate(fd, 0)
    fcntl.flock(fd, fcntl.LOCK_UN)


def _fallocate(fd: int, mode: int, start: int, length: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes  # only now: hardly any component prints so much

    libc: Any = ctypes.CDLL(None)
    fallocate = getattr(libc, "fallocate64", None) or libc.fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    fallocate(fd, mode, start, length)  # what the file system cannot do is no harm
