"""HTCondor's event log of a map as its bindings read it, from any event on and with what is damaged in it left out.

The bindings can only begin at the beginning of a file, stop for good at what is no event, without saying so, and raise
at an event that they cannot make out. So what is new in the log is cut at the marks that end events, and given to them
in files of some events each. Where they find fewer than there are marks, they get what begins as events do.
"""

from __future__ import annotations

import re
import tempfile
from typing import TYPE_CHECKING, Any

from htrun.engines.htcondor.bindings import bindings, translated
from htrun.exceptions import CorruptEventLog, EngineError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_AT_ONCE = 1000
_READ_BYTES = 1 << 22
_END = b"\n...\n"
_BEGINNING = re.compile(rb"\d{3} \(\d+\.-?\d+\.\d+\) \d[\d/-]+[ T]\d\d:\d\d:\d\d")


class RawLog:
    """Reads an event log as it grows.

    Parameters
    ----------
    path : pathlib.Path
        It need not be there yet.
    kinds : collection of int, optional
        The numbers of the kinds of events that are wanted; all by default.
    offset, position : int
        Those of a reader that this one goes on from.

    Attributes
    ----------
    offset : int
        How many bytes have been read, up to the end of an event.
    position : int
        How many events have been given.
    """

    def __init__(self, path: Path, kinds: Collection[int] = (), offset: int = 0, position: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.position = position
        self._kinds = {b"%03d" % kind for kind in kinds}

    def new(self) -> Iterator[Any]:
        """Yield the events that are new; raises CorruptEventLog."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self.offset:  # it is not the file that it was
                    self.offset = self.position = 0
                file.seek(self.offset)
                rest = b""
                while data := file.read(_READ_BYTES):
                    *events, rest = (rest + data).split(_END)
                    wanted = [event for event in events if self._is_wanted(event)]
                    for start in range(0, len(wanted), _AT_ONCE):
                        for event in _understood(wanted[start : start + _AT_ONCE]):
                            self.position += 1
                            yield event
                    self.offset += sum(map(len, events)) + len(events) * len(_END)
        except FileNotFoundError:
            return
        except (EngineError, OSError) as error:
            raise CorruptEventLog(f"cannot read the event log {self.path}: {error}") from error

    def _is_wanted(self, event: bytes) -> bool:
        return not self._kinds or event[:3] in self._kinds or not _BEGINNING.match(event)


def _understood(texts: list[bytes]) -> list[Any]:
    """Return events that the bindings can make out in what stands between the marks."""
    events = _events(texts)
    if len(events) == len(texts):
        return events
    beginnings = [[found.start() for found in _BEGINNING.finditer(text)] for text in texts]
    return _events([text[places[-1] :] for text, places in zip(texts, beginnings, strict=True) if places])


def _events(texts: list[bytes]) -> list[Any]:
    """Return what the bindings make of events, but for those that they cannot make out."""
    events: list[Any] = []
    with tempfile.NamedTemporaryFile(prefix="htrun-events-") as copy:
        copy.writelines(text + _END for text in texts)
        copy.flush()
        with translated("it is damaged"):
            log = bindings().JobEventLog(copy.name)
        for _ in range(len(texts) + 1):  # else it does not get past one
            try:
                with translated("an event is damaged"):
                    events.extend(log.events(0))
                break
            except EngineError:
                continue
        log.close()
    return events
