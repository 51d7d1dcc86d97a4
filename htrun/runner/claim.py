"""Who works in a job's directory, where jobs run in it on a file system that machines share.

HTCondor may start a job again while processes of an earlier start still live: when it has lost sight of them, as when a
starter was killed. Each process of a start has a shared lock, and a start begins when it could have the only one.
"""

from __future__ import annotations

import fcntl
import os
import time

from . import wire

_PATIENCE_SECONDS = 300.0
"""With some file systems, the lock of a machine that is gone stays until that is back."""


def wait_and_take(directory: str) -> None:
    """Wait until no earlier start works in a job's directory, and be the one that does."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    fd = _open(directory)
    while time.monotonic() < deadline:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # between the two another start may have been quicker
            break
        except BlockingIOError:
            time.sleep(0.1)
        except OSError:  # the file system has no locks
            break


def take(directory: str) -> None:
    """Be one more process of the start that works in a job's directory, until this process ends."""
    try:
        fcntl.flock(_open(directory), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass


def _open(directory: str) -> int:
    return os.open(os.path.join(directory, wire.CALLS), os.O_RDWR)  # NFS gives no locks on what is read alone
