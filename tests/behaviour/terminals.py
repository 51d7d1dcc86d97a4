"""A terminal that commands run on: what is on its screen, typing, resizing it, and whether it is left as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Any

import pyte
import pytest

from tests.behaviour.conftest import HTRUN

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from tests.behaviour.conftest import Shell


class Terminal:
    """A pseudo-terminal with a screen, on which htrun runs until the context is left.

    Attributes
    ----------
    written : bytes
        All that was written to it so far.
    """

    def __init__(self, shell: Shell, *words: object, columns: int = 80, lines: int = 24, **env: str) -> None:
        self._ours, theirs = pty.openpty()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(theirs)
        self._theirs = theirs
        environ = {k: v for k, v in {**shell.env, "TERM": "xterm-256color", **env}.items() if k != "COLUMNS" and v}
        self.process = subprocess.Popen(
            [HTRUN, *map(str, words)],
            cwd=shell.cwd,
            env=environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
        )
        self.written = b""

    def resize(self, columns: int, lines: int) -> None:
        """Make the terminal as large as that."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def read(self, seconds: float = 0.05) -> None:
        """Take in what is written within some time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._ours], [], [], left)[0]:
                data = os.read(self._ours, 65536)
                self.written += data
                self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without spaces at the ends of lines."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """What is on the screen, as one text."""
        return "\n".join(self.lines)

    def until(self, condition: Callable[[str], Any], what: str, seconds: float = 60.0) -> None:
        """Wait until what is on the screen meets a condition; fail after some time."""
        deadline = time.monotonic() + seconds
        while not condition(self.text):
            if time.monotonic() > deadline:
                pytest.fail(f"after {seconds:g} s still not: {what}\n{self.text}")
            self.read()

    def wait(self) -> int:
        """Wait until the command has ended; return its exit code."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end\n{self.text}"
            self.read()
        self.read()
        return self.process.returncode

    def is_as_before(self) -> bool:
        """Tell whether the terminal has its modes, its cursor and its normal screen again."""
        after = self.written.rpartition(b"\x1b[?1049h")[2]
        left = all(sequence in after for sequence in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?7h"))
        return left and termios.tcgetattr(self._theirs) == self.modes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)
