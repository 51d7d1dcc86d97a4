"""A progress bar for Python users, in terminals and in notebooks."""

from __future__ import annotations

import sys


class ProgressBar:
    """How many components of a map have ended.

    In notebooks it is text, too: a widget is gone, or still at its beginning, once the notebook is stored.

    Parameters
    ----------
    tag : str
    total : int
    finished : int
        How many have ended before, which are no measure of how fast it goes on.
    """

    def __init__(self, tag: str, total: int, finished: int) -> None:
        from tqdm import tqdm  # only now: it costs start-up time

        self._bar = tqdm(total=total, initial=finished, desc=tag, unit="component", ascii=True, dynamic_ncols=True)
        self._ticks = sys.stderr.isatty()  # elsewhere all that is shown stays, and would pile up

    def update(self, finished: int) -> None:
        """Show that so many have ended by now."""
        if finished != self._bar.n:
            self._bar.update(finished - self._bar.n)
        elif self._ticks:
            self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
