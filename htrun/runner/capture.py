"""What a component prints, the records, and the standard streams: kept whatever the function does to them."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import sys

from . import printing, wire
from .records import drop_torn_line

_BLOCK = 1 << 20

# Whether a descriptor is still ours is asked some times a component, and fstat takes longer than many functions do. So
# our open files are marked where Linux keeps, for each, the signal that asynchronous I/O on it would send.
_GET_MARK, _SET_MARK = getattr(fcntl, "F_GETSIG", None), getattr(fcntl, "F_SETSIG", None)
_MARKS = (61, 62, 63)
_fcntl = fcntl.fcntl
_lseek = os.lseek
_HIGH = 200


def out_of_the_way(fd: int, number: int) -> int:
    """Give an open file a descriptor of at least a number: one that is closed is not soon the number of another file.

    Files that are opened get the lowest number there is. The file keeps its descriptor where there may be none so high.
    """
    try:
        high = int(_fcntl(fd, fcntl.F_DUPFD_CLOEXEC, number))
    except OSError:
        return fd
    os.close(fd)
    return high


class _File:
    """A file open for appending, that is opened again if its descriptor was closed or has become another file's.

    Parameters
    ----------
    path : str
    mark : int
        A real-time signal, another one for each file that is to be told apart from others by it.
    """

    def __init__(self, path: str, mark: int) -> None:
        self.path = path
        self._mark = mark
        self.reopen()

    def reopen(self) -> None:
        """Open the file, whose descriptor a function has closed."""
        self.fd = out_of_the_way(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644), _HIGH + self._mark)
        status = os.fstat(self.fd)
        self.identity = (status.st_dev, status.st_ino)
        self._get_mark = None
        if _GET_MARK is not None and _SET_MARK is not None:
            try:
                _fcntl(self.fd, _SET_MARK, self._mark)
                self._get_mark = _GET_MARK
            except OSError:
                pass  # then fstat has to do

    def size(self) -> int:
        """Return the size in bytes."""
        try:
            return os.lseek(self.fd, 0, os.SEEK_END)
        except OSError:
            self.reopen()
            return os.lseek(self.fd, 0, os.SEEK_END)

    def is_at(self, number: int) -> bool:
        """Tell whether a descriptor is one of this file."""
        try:
            if self._get_mark is not None:
                return bool(_fcntl(number, self._get_mark) == self._mark)
            status = os.fstat(number)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def move_to(self, path: str) -> int:
        """Append what was printed to another file, too much of it without its middle, and empty this one.

        Returns
        -------
        int
            The number of bytes appended. Where there is no space for them nothing has changed.
        """
        size = os.fstat(self.fd).st_size  # as of now: what a component has left running may print on and on
        note = printing.left_out(size)
        if note:
            printing.give_back(self.path)  # the disk may be full of it
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            start = os.fstat(target).st_size
            try:
                if note:
                    self._copy(0, printing.KEPT_BYTES, target)
                    write_all(target, note)
                    self._copy(size - printing.KEPT_BYTES, size, target)
                else:
                    self._copy(0, size, target)
            except OSError:
                os.ftruncate(target, start)
                raise
            stop = os.fstat(target).st_size
        finally:
            os.close(target)
        if note:
            printing.empty(self.fd)
        else:
            os.ftruncate(self.fd, 0)
        return stop - start

    def _copy(self, start: int, stop: int, target: int) -> None:
        while start < stop:
            block = os.pread(self.fd, min(_BLOCK, stop - start), start)
            if not block:
                break
            write_all(target, block)
            start += len(block)


class Pipe:
    """An end of a pipe, used only as long as its descriptor is not closed or another file's.

    Raises
    ------
    OSError
        From its methods, once it is.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._status = os.fstat(fd)

    def _check(self) -> None:
        if not os.path.samestat(os.fstat(self._fd), self._status):
            raise OSError("the function has put a file of its own in the place of a pipe of htrun's")

    def read(self) -> bytes:
        """Return what there is to read, at least a byte; nothing at the end."""
        self._check()
        return os.read(self._fd, 4096)

    def write(self, data: bytes) -> None:
        """Write a few bytes, which a pipe takes as a whole."""
        self._check()
        os.write(self._fd, data)


def _is_open(fd: int) -> bool:
    try:
        _fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True


def _is_usable(stream: io.TextIOWrapper | None) -> bool:
    try:
        return stream is not None and not stream.closed
    except ValueError:  # a function has detached it
        return False


class Capture:
    """The records of a job directory, and what is printed to file descriptors 1 and 2.

    What a component prints goes to files of its own first: programs that open /dev/stdout anew empty it, and that must
    not hit what others have printed.

    Parameters
    ----------
    directory : str
        The job directory.
    scratch : str
        Where the files of the running component are.
    """

    def __init__(self, directory: str, scratch: str) -> None:
        self._records = _File(os.path.join(directory, wire.RECORDS), _MARKS[2])
        self._logs = [os.path.join(directory, name) for name in (wire.STDOUT, wire.STDERR)]
        self._ends = [file_size(path) for path in self._logs]
        self._outputs = [
            _File(os.path.join(scratch, name), mark) for name, mark in zip((wire.STDOUT, wire.STDERR), _MARKS)
        ]
        for file in self._outputs:
            os.ftruncate(file.fd, 0)
        self._spans: list[tuple[int, int]]
        self._is_stuck = False
        self.begin()
        self._streams: list[io.TextIOWrapper | None] = [None, None]
        self._stdin: io.TextIOWrapper | None = None
        self.settle()

    def settle(self) -> list[tuple[int, int]]:
        """Put away what was printed and mend the standard streams.

        Returns
        -------
        list of (int, int)
            Where in the job's stdout and stderr that is, in bytes, which was printed since the last ``begin``. As long
            as nothing is printed it is the same list.
        """
        if self._is_untouched():
            return self._spans
        for number, file in enumerate(self._outputs):
            if file.size():
                self._ends[number] += file.move_to(self._logs[number])
        self._mend_stdin()
        for number, name in enumerate(("stdout", "stderr")):
            self._mend_output(number, name)
        self._spans = [(begin, end) for (begin, _), end in zip(self._spans, self._ends)]
        return self._spans

    def _is_untouched(self) -> bool:
        """Flush what was printed; tell whether that was nothing, and everything is in its place, as mostly it is."""
        is_flushed = True
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception as error:  # closed, or replaced by something of the user's
                is_flushed = False
                self._is_stuck = self._is_stuck or isinstance(error, OSError)
        out, err = self._outputs
        try:
            _fcntl(0, fcntl.F_GETFD)  # it is open
            return (
                _lseek(out.fd, 0, os.SEEK_END) == 0 == _lseek(err.fd, 0, os.SEEK_END)
                and is_flushed
                and sys.stdout is self._streams[0]
                and sys.stderr is self._streams[1]
                and sys.stdin is self._stdin
                and not self._stdin.closed
                and out.is_at(1)
                and err.is_at(2)
            )
        except (OSError, ValueError, AttributeError):  # closed, detached, or not there
            return False

    def _mend_output(self, number: int, name: str, *, anew: bool = False) -> None:
        file, stream, fd = self._outputs[number], self._streams[number], number + 1
        if not anew and _is_usable(stream) and getattr(sys, name) is stream and file.is_at(fd):
            return
        null = os.open(os.devnull, os.O_WRONLY)
        if null != fd:
            os.dup2(null, fd)
            os.close(null)
        if stream is not None:
            try:
                stream.flush()  # what it could not write would be taken for the next component's
            except (OSError, ValueError):
                pass
        os.dup2(file.fd, fd)
        raw = io.FileIO(fd, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        self._streams[number] = stream
        setattr(sys, name, stream)

    def _mend_stdin(self) -> None:
        stream = self._stdin
        if _is_usable(stream) and sys.stdin is stream and _is_open(0):
            return
        null = os.open(os.devnull, os.O_RDONLY)
        if null != 0:  # it is if 0 was closed: descriptors are the lowest that are free
            os.dup2(null, 0)
            os.close(null)
        self._stdin = sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")

    def append(self, record: str) -> None:
        """Append the line of a record; it is on disk, as far as the kernel is concerned, when this returns.

        Where there is no space for it nothing has changed.
        """
        data = record.encode("utf-8")
        try:
            try:
                write_all(self._records.fd, data)
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                self._records.reopen()
                write_all(self._records.fd, data)
        except OSError:
            drop_torn_line(self._records.path)
            raise
        if self._spans is not self._nothing or self._is_stuck:
            self.begin()

    def begin(self) -> None:
        """Let what is printed from now on be told apart from what was printed before."""
        if self._is_stuck:
            self._is_stuck = False
            for number, name in enumerate(("stdout", "stderr")):
                self._mend_output(number, name, anew=True)
        self._spans = self._nothing = [(end, end) for end in self._ends]


def save_output(directory: str, scratch: str) -> list[tuple[int, int]]:
    """Put away what a component had printed when its process died; see ``Capture.settle``."""
    spans = []
    for name in (wire.STDOUT, wire.STDERR):
        log, path = os.path.join(directory, name), os.path.join(scratch, name)
        start = file_size(log)
        spans.append((start, start))
        if file_size(path):
            file = _File(path, _MARKS[0])
            spans[-1] = (start, start + file.move_to(log))
            os.close(file.fd)
    return spans


def file_size(path: str) -> int:
    """Return the size of a file in bytes, 0 if it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``: os.write may take a part of it only."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])
