"""Tables of maps in notebooks that follow what becomes of the maps."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from htrun.exceptions import HtrunError

if TYPE_CHECKING:
    from htrun.control import MapControl

_REST_SECONDS = 0.25  # at most four new tables a second
_SHORTEST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0


class Displayed:
    """What makes a map show itself in a notebook.

    A table that is shown is made anew whenever somebody waits for the map, and otherwise while the kernel is idle: in
    its own thread and loop, so that nothing of a map has to be made safe for threads. All tables of a map are one
    display, which front ends change wherever they show it, and stored notebooks have as it was last.
    """

    _control: MapControl
    _display: Any = None  # IPython's handle, once the map has been shown
    _shown = ""
    _shown_at = 0.0
    _following: asyncio.Task[None] | None = None

    def _now(self) -> MapControl:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self._html(self._now())

    def _html(self, control: MapControl, note: str = "") -> str:
        from htrun import notebook  # only now: it costs start-up time

        return notebook.map_html(control, note)

    def _ipython_display_(self) -> None:
        from IPython import display, get_ipython  # which has called this

        if getattr(get_ipython(), "kernel", None) is None:
            raise NotImplementedError  # in a terminal, which shows the repr() then
        self._shown = self._repr_html_()
        name = f"htrun-{self._control.directory.info['uid']}"
        self._display = display.display(self._bundle(), raw=True, display_id=name)
        if self._following is None or self._following.done():
            self._following = asyncio.get_running_loop().create_task(self._follow())

    def _bundle(self) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._shown}

    def _update_display(self, *, at_once: bool = False, note: str = "") -> bool:
        """Show the map as of its last refresh, where it is shown; tell whether that has changed."""
        now = time.monotonic()
        if self._display is None or (now - self._shown_at < _REST_SECONDS and not at_once):
            return False
        before, self._shown, self._shown_at = self._shown, self._html(self._control, note), now
        if self._shown != before or at_once:
            self._display.update(self._bundle(), raw=True)
        return self._shown != before

    async def _follow(self) -> None:
        """Keep the table up to date while the kernel has nothing else to do."""
        pause = _SHORTEST_PAUSE_SECONDS
        note = ""
        while not note and not self._control.has_ended:
            await asyncio.sleep(pause)
            try:
                self._now()
            except (HtrunError, OSError) as error:
                note = f"This table is not kept up to date any more: {error}"
            changed = self._update_display(note=note)
            pause = _SHORTEST_PAUSE_SECONDS if changed else min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
