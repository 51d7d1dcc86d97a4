"""A progress bar for Python users, in terminals and in notebooks."""

from __future__ import annotations

import warnings


class ProgressBar:
    """How many components of a map have ended.

    Parameters
    ----------
    tag : str
    total : int
    """

    def __init__(self, tag: str, total: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # in a notebook without ipywidgets it is text, which needs no warning
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, desc=tag, unit="component", ascii=True)

    def update(self, finished: int) -> None:
        """Show that so many have ended by now."""
        self._bar.update(finished - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
