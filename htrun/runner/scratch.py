"""The directory that a worker's components run in, one after the other."""

from __future__ import annotations

import os
import time

from .capture import out_of_the_way
from .files import remove_tree

_LONG_AGO = 946684800  # of 2000: the time of a directory that nothing has happened in
_NUMBER = 300
_JUST_NOW = 0.001  # seconds in which nothing else is likely to have removed it
_clock = time.perf_counter


def component_scratch(scratch: str) -> str:
    """Return the directory that components run in, within the one that a worker has."""
    return os.path.join(scratch, "work")


class Scratch:
    """A directory that is as new for each component.

    What is asked of it again and again goes by its descriptor, which takes half the time that its path does.

    Parameters
    ----------
    path : str
    elsewhere : str
        A directory that the process can be in meanwhile.
    """

    def __init__(self, path: str, elsewhere: str) -> None:
        self.path = path
        self._elsewhere = elsewhere
        self._make()

    def enter(self) -> None:
        """Be in the directory, which something that an earlier component has left running may have removed."""
        try:
            if _clock() - self._looked < _JUST_NOW or os.fstat(self._fd).st_nlink:
                os.fchdir(self._fd)
                return
        except OSError:  # a function has closed it
            pass
        self._make()
        os.chdir(self.path)

    def is_used(self) -> bool:
        """Tell whether the directory is not as it was made, which it is after most functions.

        Whatever becomes of an entry in it changes its time, and so do the functions that hand files over.
        """
        try:
            status = os.fstat(self._fd)
        except OSError:
            return True
        self._looked = _clock()
        unused = self._unused
        return (
            status.st_mtime_ns != unused.st_mtime_ns
            or status.st_ctime_ns != unused.st_ctime_ns
            or status.st_mode != unused.st_mode
            or status.st_nlink != unused.st_nlink
        )

    def renew(self) -> None:
        """Make the directory anew, without anything in it."""
        os.chdir(self._elsewhere)
        remove_tree(self.path)
        try:
            os.close(self._fd)
        except OSError:
            pass
        self._make()

    def _make(self) -> None:
        os.makedirs(self.path, exist_ok=True)
        os.utime(self.path, (time.time(), _LONG_AGO))
        self._fd = out_of_the_way(os.open(self.path, os.O_RDONLY), _NUMBER)
        self._unused = os.fstat(self._fd)
        self._looked = _clock()
