"""Maps that are looked at again and again: which there are, how fast they get on, and which errors are new."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from htrun import reports
from htrun.cli.common import look
from htrun.control import MapControl
from htrun.exceptions import HtrunError, MapWasRemoved, TagNotFound
from htrun.snapshot import Identity
from htrun.state import ComponentStatus
from htrun.words import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from htrun.settings import Config

MAX_ERRORS = 200
"""How many errors of a map are kept, the last ones."""
_RATE_SECONDS = 60.0  # how far back the rate looks
_REST = 20  # times as long as a look took, in processor time, there is none
_MAX_REST_SECONDS = 5.0


class Error(NamedTuple):
    """An error as it is shown: when it happened, of what, and what in one line."""

    time: float
    component: int
    summary: str


class Watched:
    """A map that is looked at again and again.

    Parameters
    ----------
    map_ : MapControl

    Attributes
    ----------
    errors : list of Error
        Those that came since the first look, in the order of their times; the last of them.
    """

    def __init__(self, map_: MapControl) -> None:
        self.map = map_
        self.errors: list[Error] = []
        self.is_active = True
        self._finished: deque[tuple[float, int]] = deque()
        self._errored: frozenset[int] = frozenset()
        self._is_new = True
        self._ended: Identity | None = None

    def look(self) -> None:
        """Look at the disk; of a map that has ended only whether it was touched since. Raises MapWasRemoved."""
        map_ = self.map
        with map_.guard():
            identity = Identity.of(map_.directory, map_.engine.event_log(map_.directory))
            if identity == self._ended:
                return
            look(map_)
            self.is_active = map_.is_active
            self._ended = identity if map_.has_ended else None
            if not (self._is_new and map_.has_ended):  # then they are no news
                self.read_errors()
            self._is_new = False
        self._note_rate(time.monotonic())

    def read_errors(self) -> None:
        """Take in errors that are new."""
        map_ = self.map
        if map_.errored == len(self._errored):
            return
        errored = frozenset(map_.components_with(ComponentStatus.ERRORED))
        new = sorted(errored - self._errored)[-MAX_ERRORS:]
        found = [error for error in self.errors if error.component in errored]
        for component, record in zip(new, map_.records.walk(new), strict=True):
            ended = time.time()
            if record is not None and "started" in record.data:
                ended = record.data["started"] + record.data.get("wall_s", 0.0)
            found.append(Error(ended, component, reports.ErrorReport(map_, component, record).summary()))
        self.errors = sorted(found)[-MAX_ERRORS:]
        self._errored = errored

    def _note_rate(self, now: float) -> None:
        """Note how much has finished: of the last minute each look, and one before that."""
        if self._finished and self._finished[-1][1] > self.map.finished:
            self._finished.clear()  # components run again
        self._finished.append((now, self.map.finished))
        while len(self._finished) > 2 and self._finished[1][0] < now - _RATE_SECONDS:
            self._finished.popleft()

    @property
    def rate(self) -> float:
        """How many components finish in a second; 0 where that is not known yet."""
        (began, before), (now, finished) = self._finished[0], self._finished[-1]
        return (finished - before) / (now - began) if now - began >= 1 else 0.0

    @property
    def outlook(self) -> str:
        """How long it will take, or what has come of it."""
        counts = self.map.counts()
        if self.is_active:
            return clock(self.map.unfinished / self.rate) if self.rate else "-"
        if self.map.unfinished:
            return "stopped"
        if counts[ComponentStatus.HELD]:
            return "held"
        return "done" if counts[ComponentStatus.COMPLETED] == len(self.map) else "failed"

    @property
    def percent(self) -> int:
        """How much of it has finished."""
        return 100 * self.map.finished // max(1, len(self.map))


class Maps:
    """The maps that are meant, as they come and go.

    Parameters
    ----------
    settings : Config
    chosen : callable
        Returns their tags.
    named : sequence of str
        Those that must be there.

    Attributes
    ----------
    damaged : dict of str to str
        What is wrong with others that are left out, by their tags.
    """

    def __init__(self, settings: Config, chosen: Callable[[], list[str]], named: Sequence[str]) -> None:
        self._settings = settings
        self._chosen = chosen
        self._named = named
        self.damaged: dict[str, str] = {}
        self._known: dict[str, Watched] = {}
        self._next = 0.0

    def look(self) -> list[Watched]:
        """Return the maps as they are now, those that get on first; raises TagNotFound where a named one is gone.

        A look takes longer the more there is to see: then the next one comes later, and this returns what was seen.
        """
        if time.monotonic() >= self._next:
            before = time.process_time()
            seen = {}
            for tag in self._chosen():
                try:
                    if tag not in self.damaged:
                        seen[tag] = self._known.get(tag) or Watched(MapControl.load(tag, self._settings))
                        seen[tag].look()
                except (MapWasRemoved, TagNotFound):  # or replaced: then the next look finds the other one
                    seen.pop(tag, None)
                except HtrunError as error:
                    if tag in self._named:
                        raise
                    seen.pop(tag, None)
                    self.damaged[tag] = str(error)
            self._known = seen
            rest = _REST * (time.process_time() - before)
            self._next = time.monotonic() + min(rest, _MAX_REST_SECONDS)
        return sorted(self._known.values(), key=lambda watched: (not watched.is_active, watched.map.has_ended))
