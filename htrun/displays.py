"""Tables of maps, in notebooks, that follow what becomes of the maps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from htrun.exceptions import HtrunError

if TYPE_CHECKING:
    import asyncio

    from htrun.control import MapControl

_REST_SECONDS = 0.25  # at most four new tables a second,
_REST_SHARE = 20  # and no more than a twentieth of the time for making them
_SHORTEST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0


class Displayed:
    """What makes a map show itself in a notebook.

    A table that is shown is made anew whenever somebody waits for the map, and otherwise while the kernel is idle: in
    its own thread and loop, so that nothing of a map has to be made safe for threads. It stays as it is once nothing
    moves any more: what becomes of the map when it is released or run again is for the next table, and a stored
    notebook tells what happened. Tables that are shown meanwhile are one display.
    """

    _control: MapControl
    _display: Any = None  # IPython's handle of tables that follow the map
    _shown = ""
    _show_again = 0.0  # not before this moment
    _rests = False  # whether they show a map in which nothing moves
    _following: asyncio.Task[None] | None = None

    def _now(self) -> MapControl:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        from htrun import notebook  # only now: it costs start-up time

        return notebook.map_html(self._now())

    def _ipython_display_(self) -> None:
        import asyncio  # only now: it costs start-up time

        from IPython import display, get_ipython  # which has called this

        if getattr(get_ipython(), "kernel", None) is None:
            raise NotImplementedError  # in a terminal, which shows the repr() then
        self._shown = self._repr_html_()
        if self._display is None or self._rests:
            self._display = display.DisplayHandle()
        self._rests = not self._control.unfinished
        self._display.display(self._bundle(), raw=True)
        if not self._rests and (self._following is None or self._following.done()):
            self._following = asyncio.get_running_loop().create_task(self._follow())

    def _bundle(self) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._shown}

    def _update_display(self, note: str = "") -> bool:
        """Show the map as of its last refresh, where it is shown; tell whether that has changed."""
        now = time.monotonic()
        if self._display is None:
            return False
        from htrun import notebook  # only now, too

        rests = not self._control.unfinished
        if now < self._show_again and not (rests or note):
            return False
        shown = notebook.map_html(self._control, note)
        took = time.monotonic() - now
        self._show_again = now + max(_REST_SECONDS, _REST_SHARE * took)
        changed = shown != self._shown
        if changed and self._rests:
            self._display = None
            return False
        # At rest once more than needed: programs that execute notebooks take only what comes while a cell runs.
        if changed or rests:
            self._shown, self._rests = shown, rests
            self._display.update(self._bundle(), raw=True)
        return changed

    async def _follow(self) -> None:
        """Keep the table up to date while the kernel has nothing else to do."""
        import asyncio

        pause = _SHORTEST_PAUSE_SECONDS
        note = ""
        while not note and self._display is not None and not self._rests:
            await asyncio.sleep(pause)
            started = time.monotonic()
            try:
                self._now()
            except (HtrunError, OSError) as error:
                note = f"This table is not kept up to date any more: {error}"
            changed = self._update_display(note)
            pause = _SHORTEST_PAUSE_SECONDS if changed else min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
            pause = max(pause, _REST_SHARE * (time.monotonic() - started))
