"""A terminal that is drawn on again and again: only the lines that have changed, and it is left as it was found.

It is done with the control sequences that terminals and multiplexers have in common, not with curses. That needs a
description of the terminal, which the machine at the other end of an ssh often does not have of a newer one.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import time
import tty
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from htrun.cli import can_redraw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from typing_extensions import Self

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # the alternate screen, no cursor, and what is too long does not wrap
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOLD, _SHOW = "\x1b[?2026h", "\x1b[?2026l"  # terminals that know synchronized updates show what is between at once
_KEY = re.compile(rb"\x1b[\[O][0-9;]*.|.", re.DOTALL)
_KEYS = {b"\x1b[A": "up", b"\x1bOA": "up", b"k": "up", b"\x1b[B": "down", b"\x1bOB": "down", b"j": "down"}
_KEYS |= {b"\x1b": "escape", b"q": "quit", b"Q": "quit"}
_RESIZE_SECONDS = 0.2  # how often it is asked how large the terminal is


class Screen:
    """The terminal of standard output as a whole, from entering the context to leaving it, however that is left."""

    def __init__(self) -> None:
        self._output = sys.stdout.fileno()
        self._input = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._size = self.size()
        self._shown: list[str] = []
        self._typed: list[bytes] = []  # keys that have come together

    def __enter__(self) -> Self:
        self._modes = None if self._input is None else termios.tcgetattr(self._input)
        self._on_stop = signal.signal(signal.SIGTSTP, self._stop)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTSTP, self._on_stop)
        self._give_back()

    def size(self) -> os.terminal_size:
        """Return the columns and lines that there are now; the usual ones where the terminal does not say."""
        size = os.get_terminal_size(self._output)
        return size if size.columns and size.lines else os.terminal_size((80, 24))

    def draw(self, lines: Sequence[str]) -> None:
        """Show lines from the top, nothing below them; what does not fit is cut off."""
        size = self.size()
        if size != self._size:
            self._size, self._shown = size, []
        shown = [*lines[: size.lines], *[""] * (size.lines - len(lines))]
        before: Sequence[str | None] = self._shown or [None] * size.lines
        changed = [
            f"\x1b[{row};1H\x1b[0m\x1b[K{line}"
            for row, (line, old) in enumerate(zip(shown, before, strict=True), 1)
            if line != old
        ]
        if changed:
            self._write(f"{_HOLD}{''.join(changed)}\x1b[0m{_SHOW}")
        self._shown = shown

    def key(self, seconds: float) -> str | None:
        """Wait for a key, or until the terminal is to be drawn anew; return what the key means, if anything.

        Returns
        -------
        str or None
            ``quit`` (also where there is nobody at the terminal any more), ``up``, ``down`` or ``escape``.
        """
        deadline = time.monotonic() + seconds
        sources = [] if self._input is None else [self._input]
        while self._shown and self.size() == self._size and (left := deadline - time.monotonic()) > 0:
            if not self._typed and select.select(sources, [], [], min(left, _RESIZE_SECONDS))[0]:
                assert self._input is not None, "nothing else can be ready"
                self._typed = _KEY.findall(os.read(self._input, 256)) or [b"q"]
            while self._typed:
                meaning = _KEYS.get(self._typed.pop(0))
                if meaning is not None:
                    return meaning
        return None

    def _take(self) -> None:
        if self._input is not None:
            tty.setcbreak(self._input)  # each key at once, and not echoed; Ctrl-C still interrupts
        self._shown = []
        self._write(_ENTER)

    def _give_back(self) -> None:
        with suppress(OSError, termios.error):  # it may be gone
            self._write(f"\x1b[{self._size.lines};1H{_LEAVE}")
            if self._input is not None:
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._modes or [])

    def _stop(self, *_: Any) -> None:
        """Be stopped by Ctrl-Z, without the terminal."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._stop)  # it goes on here
        self._take()

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def show(
    frame: Callable[[os.terminal_size], Sequence[str]], seconds: float, on_key: Callable[[str], None] = lambda _: None
) -> None:
    """Draw on the terminal again and again, until q or Ctrl-C.

    Parameters
    ----------
    frame : callable
        Returns the lines for a terminal of a size.
    seconds : float
        How long to wait in between.
    on_key : callable
        Called with the other keys; what they change is drawn at once.
    """
    with suppress(KeyboardInterrupt), Screen() as screen:
        while True:
            screen.draw(frame(screen.size()))
            key = screen.key(seconds)
            if key == "quit":
                return
            if key is not None:
                on_key(key)


def show_table(text: Callable[[], str], seconds: float) -> None:
    """Show a text anew again and again, until Ctrl-C, and leave it there; elsewhere than on a terminal, line by line.

    Parameters
    ----------
    text : callable
        Returns what to show.
    seconds : float
        How long to wait in between.
    """
    if can_redraw(sys.stdout):
        shown = ""

        def frame(size: os.terminal_size) -> Sequence[str]:
            nonlocal shown
            shown = text()
            return fit(shown.splitlines(), size.lines)

        show(frame, seconds)
        click.echo(shown, color=True)
        return
    with suppress(KeyboardInterrupt):
        while True:
            click.echo(text(), color=True)
            sys.stdout.flush()
            time.sleep(seconds)


def fit(lines: list[str], height: int) -> list[str]:
    """Return the first lines, and how many there are below them."""
    if len(lines) <= height:
        return lines
    shown = lines[: max(height - 1, 0)]
    return [*shown, f"... {len(lines) - len(shown):,} more: name tags, or use -p GLOB"]


def columns(text: str) -> int:
    """Return how many columns a text without control sequences takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def cell(text: str, width: int, *, right: bool = False) -> str:
    """Return a text in exactly so many columns: cut off, or with spaces after it, or before it."""
    if not text.isascii() or not text.isprintable():
        text = "".join(c if c.isprintable() else "?" for c in text)
        while columns(text) > width:
            text = text[:-1]
    text = text[:width]
    space = " " * (width - columns(text))
    return space + text if right else text + space
