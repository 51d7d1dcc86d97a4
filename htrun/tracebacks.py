"""The tracebacks of htrun's errors in IPython and in notebooks."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType

_PACKAGE = str(Path(__file__).parent) + "/"
_LIBRARY = str(Path(traceback.__file__).parent) + "/"


def lines(error: BaseException, shown: BaseException, remote: str = "") -> list[str]:
    """Return a traceback as IPython shows it, without the frames of htrun.

    Parameters
    ----------
    error : BaseException
        The error that was raised.
    shown : BaseException
        What to show in its place.
    remote : str
        A traceback of elsewhere, with colours, to show before the last line.

    Returns
    -------
    list of str
        Its lines, or parts of several lines, without the last newline each.
    """
    from IPython import get_ipython  # where this is called from

    shell = get_ipython()
    frames = _users(error.__traceback__)
    if shell is None:
        return [*traceback.format_exception(type(shown), shown, frames), remote]
    if shell.colors.lower() == "nocolor":
        import click

        remote = click.unstyle(remote)
    *before, last = shell.InteractiveTB.structured_traceback(type(shown), shown, frames)
    return [*before, f"{remote}\n", last] if remote else [*before, last]


def _users(frames: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of this package, nor those of the standard library below them."""
    kept: list[TracebackType] = []
    ours = False
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if file.startswith(_PACKAGE):
            ours = True
        elif not file.startswith(_LIBRARY) or "site-packages" in file:
            ours = False
        if not ours:
            kept.append(frames)
        frames = frames.tb_next
    result: TracebackType | None = None
    for entry in reversed(kept):
        result = TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result
