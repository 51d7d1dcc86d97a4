"""HTCondor's event log of a map as its bindings read it, with what is damaged in it left out.

The bindings stop for good at what is no event, without saying so, and raise at an event that they cannot make out. So
the events that they give are counted against the marks that end events, and where some are missing, a copy is read that
has only what begins as events do.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from typing import TYPE_CHECKING, Any

from htrun.engines.htcondor.bindings import bindings, translated
from htrun.exceptions import CorruptEventLog, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AT_ONCE = 1000
_END = b"\n...\n"
_BEGINNING = re.compile(rb"\d{3} \(\d+\.-?\d+\.\d+\) \d[\d/-]+[ T]\d\d:\d\d:\d\d")


class RawLog:
    """Reads an event log as it grows.

    Parameters
    ----------
    path : pathlib.Path
        It need not be there yet.

    Attributes
    ----------
    position : int
        How many events have been read; the same event has the same number when it is read again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self._log: Any = None
        self._size = -1
        self._was_torn = False
        self._ends = 0
        self._counted = 0
        self._is_damaged = False

    def new(self) -> Iterator[Any]:
        """Yield the events that are new, perhaps after all before them once more; raises CorruptEventLog."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return
        if size == self._size:
            return
        self._size = size
        if self._was_torn:
            self.close()  # the bindings may skip an event of which they have seen a part
        try:
            self._was_torn = self._count_ends(size)
            if not self._is_damaged:
                if self._log is None:
                    with translated(f"cannot read {self.path}"):
                        self._log = bindings().JobEventLog(str(self.path))
                yield from self._read(self._log)
                if self.position >= self._ends:
                    return
                self._is_damaged = True
            yield from self._read_copy()
        except (EngineError, OSError) as error:
            raise CorruptEventLog(f"cannot read the event log {self.path}: {error}") from error

    def close(self) -> None:
        """Let go of the file; if it changes, it is read from its beginning."""
        if self._log is not None:
            self._log.close()
        self._log = None
        self.position = 0

    def _count_ends(self, size: int) -> bool:
        """Count the events that are whole, and tell whether there is a part of another one after them."""
        if size < self._counted:  # it is not the file that it was
            self._ends = self._counted = 0
        with self.path.open("rb") as file:
            file.seek(self._counted)
            data = file.read(size - self._counted)
        whole = data.rfind(_END) + len(_END) if _END in data else 0
        self._ends += data.count(_END)
        self._counted += whole
        return whole < len(data)

    def _read(self, log: Any) -> Iterator[Any]:
        """Yield what the bindings give, but for events that they cannot make out."""
        failures = 0
        while failures <= self._ends:  # else it does not get past one
            events: list[Any] = []
            try:
                with translated("an event is damaged"):  # around no yield: interrupts are put off in there
                    events.extend(itertools.islice(log.events(0), _AT_ONCE))
                is_over = len(events) < _AT_ONCE
            except EngineError:
                failures += 1
                is_over = False
            for event in events:
                self.position += 1
                yield event
            if is_over:
                return

    def _read_copy(self) -> Iterator[Any]:
        self.close()
        data = self.path.read_bytes()
        with tempfile.NamedTemporaryFile(prefix="htrun-events-") as copy:
            for chunk in data[: data.rfind(_END) + len(_END)].split(_END):
                beginnings = [found.start() for found in _BEGINNING.finditer(chunk)]
                if beginnings:
                    copy.write(chunk[beginnings[-1] :] + _END)
            copy.flush()
            with translated("it is damaged"):
                log = bindings().JobEventLog(copy.name)
            try:
                yield from self._read(log)
            finally:
                log.close()
        # Each time from the beginning: what is damaged is rare.
