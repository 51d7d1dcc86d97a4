"""How long a component may take: an alarm raises an exception in its function, and if that does not help it is killed.

Only the time counts in which a component can run: the supervisor counts it, once a second, and not while it has stopped
the worker, or was stopped itself.
"""

from __future__ import annotations

import signal
import time

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType
    from typing import Any

    from .slots import Board

TICK = 1.0
"""Seconds between looks of the supervisor at its workers."""
GRACE = 5.0
"""Seconds that a function has to end once it has been interrupted."""


_NOTHING = 0.01
"""Seconds that an alarm may come too early."""


class ComponentTimeout(BaseException):
    """A component has taken longer than it may; no ``Exception``, since functions catch those of their own."""


def describe_timeout(seconds: float) -> dict[str, Any]:
    """Return the error of a component that had to be killed."""
    message = "it took longer than %g s, and did not end within %g s of being interrupted" % (seconds, GRACE)
    return {"type": ComponentTimeout.__name__, "message": message + ": its process was killed", "frames": []}


class Alarm:
    """Interrupts a function that takes too long.

    Parameters
    ----------
    seconds : float
        How long a function may take.
    board : slots.Board
        Where the time is counted in which this process could run.
    """

    def __init__(self, seconds: float, board: Board) -> None:
        self.seconds = seconds
        self.board = board
        self._calling = self._rang = False
        self._called = 0.0

    def install(self) -> None:
        """Make this process listen to the alarm."""
        signal.signal(signal.SIGALRM, self._ring)

    def call(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a function. The timer is left to be stopped with all others that the function may have set."""
        self.board.call()
        self._rang = False
        self._called = time.monotonic()
        self._calling = True
        try:
            signal.setitimer(signal.ITIMER_REAL, self.seconds)
            result = function(*args, **kwargs)
        finally:
            self._calling = False  # what rings from now on is too late
            self.board.returned()
        if self._rang:  # and the function has caught what that raised
            raise self._timeout()
        return result

    def _ring(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signals call it so)
        if not self._calling:
            return
        left = self.seconds - (time.monotonic() - self._called - self.board.paused())
        counted = self.seconds - self.board.ran()
        if counted > 2 * TICK:  # as exact as this time is counted: the supervisor was stopped as well
            left = max(left, counted)
        if left > _NOTHING:
            signal.setitimer(signal.ITIMER_REAL, left)
            return
        self._rang = True
        raise self._timeout()

    def _timeout(self) -> ComponentTimeout:
        return ComponentTimeout("it took longer than %g s" % self.seconds)
