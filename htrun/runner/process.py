"""What belongs to a worker's process, and is put back after a component that changed it."""

from __future__ import annotations

import _signal
import functools
import os
import resource
import signal
import sys
import time

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SIGNALS = [
    int(getattr(signal, name))
    for name in (
        *("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGCHLD", "SIGPIPE", "SIGALRM", "SIGVTALRM", "SIGPROF"),
        *("SIGUSR1", "SIGUSR2", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGWINCH", "SIGXCPU", "SIGXFSZ"),
    )
]
_LIMITS = [
    getattr(resource, "RLIMIT_" + name) for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK")
]
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)

QUICK_SECONDS = 0.001
"""A function that took longer is worth the dozen system calls of looking at everything."""
_UNSEEN_SECONDS = 0.02
"""So are many that took no longer each."""

# Most functions take less time than these need with the conversions that Python puts around them.
_get_handler = _signal.getsignal
_variables: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
_putenv, _umask, _setrlimit = os.putenv, os.umask, resource.setrlimit


_CHANGING: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (os, ("umask", "putenv", "unsetenv")),  # which os.environ calls
    (os.environ, ("putenv", "unsetenv")),  # until Python 3.8
    (os.environb, ("putenv", "unsetenv")),
    (signal, ("signal", "alarm", "setitimer", "pthread_sigmask")),
    (resource, ("setrlimit", "prlimit")),
    (sys, ("setrecursionlimit",)),
)
_noticed: list[str] = []
"""The functions that were called since everything was put back."""


def watch() -> None:
    """Notice calls of the functions that change a process."""
    for module, names in _CHANGING:
        for name in names:
            if hasattr(module, name):
                noticing = _noticing(getattr(module, name))
                noticing.__module__ = getattr(module, "__name__", "os")  # so that it can be pickled
                setattr(module, name, noticing)


def _noticing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def notice(*args: Any, **kwargs: Any) -> Any:
        _noticed.append(function.__name__)
        return function(*args, **kwargs)

    return notice


def set_variable(name: bytes, value: bytes) -> None:
    """Set an environment variable that ``ProcessState`` leaves alone, without being noticed."""
    _putenv(name, value)
    _variables[name] = value


class ProcessState:
    """Signal handlers, timers, limits, the umask, environment variables, ``sys.path`` and the like, as they are now.

    Parameters
    ----------
    free : bytes
        An environment variable that may have any value.

    Attributes
    ----------
    is_spoiled : bool
        Whether a function has changed for good what later ones would suffer from.
    """

    def __init__(self, free: bytes) -> None:
        self.is_spoiled = False
        self._unseen = 0.0  # seconds that functions have taken since the last look at what the system knows
        self._handlers = list(map(_get_handler, _SIGNALS))
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._free = free
        self._variables = dict(_variables)
        self._mask = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._limits = list(map(resource.getrlimit, _LIMITS))
        self._argv = list(sys.argv)
        self._path = list(sys.path)
        self._recursion_limit = sys.getrecursionlimit()
        _noticed.clear()

    def restore(self, seconds: float) -> None:
        """Put everything back.

        What Python knows of the process is changed by its own functions only, whose calls are noticed (``watch``). What
        the system knows may be changed past them as well: but to ask for that takes longer than many functions do, so
        after these it is done from time to time.

        Parameters
        ----------
        seconds : float
            How long the function took.
        """
        self._unseen += seconds
        if _noticed or seconds > QUICK_SECONDS or self._unseen > _UNSEEN_SECONDS:
            self._restore_what_the_system_knows()
            self._unseen = 0.0
        if _noticed:
            self._restore_what_python_knows()
        if sys.argv != self._argv:
            sys.argv[:] = self._argv
        if sys.path != self._path:
            sys.path[:] = self._path

    def _restore_what_the_system_knows(self) -> None:
        for timer in _TIMERS:
            _signal.setitimer(timer, 0)
        _signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if list(map(resource.getrlimit, _LIMITS)) != self._limits:
            for limit, value in zip(_LIMITS, self._limits):
                try:
                    _setrlimit(limit, value)
                except (OSError, ValueError):
                    self.is_spoiled = True  # the hard limit was lowered
        _umask(self._umask)

    def _restore_what_python_knows(self) -> None:
        for number, handler in zip(_SIGNALS, self._handlers):
            if handler is not None and _get_handler(number) is not handler:
                signal.signal(number, handler)
        self._variables[self._free] = _variables.get(self._free, b"")
        if _variables != self._variables:
            os.environ.clear()
            os.environ.update({os.fsdecode(name): os.fsdecode(value) for name, value in self._variables.items()})
            time.tzset()
        sys.setrecursionlimit(self._recursion_limit)
        _noticed.clear()
