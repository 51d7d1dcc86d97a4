"""A progress bar for Python users, in terminals and in notebooks."""

from __future__ import annotations


class ProgressBar:
    """How many components of a map have ended.

    In notebooks it is text, too: a widget is gone, or still at its beginning, once the notebook is stored.

    Parameters
    ----------
    tag : str
    total : int
    """

    def __init__(self, tag: str, total: int) -> None:
        from tqdm import tqdm  # only now: it costs start-up time

        self._bar = tqdm(total=total, desc=tag, unit="component", ascii=True, dynamic_ncols=True)

    def update(self, finished: int) -> None:
        """Show that so many have ended by now."""
        self._bar.update(finished - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
