"""Attempts at components that have failed, and are followed by another one."""

from __future__ import annotations

import json
import os

from . import wire
from .capture import write_all
from .records import drop_torn_line

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_MAX_MESSAGE = 200


class Attempts:
    """Counts attempts, and keeps what became of those that have failed in a file of the job directory.

    So it is known after a kill of everything, and by a job that starts again on another machine.

    Parameters
    ----------
    retries : int
        How often a component that has failed is tried again.
    first : int
        The number of an attempt that nothing is known before.
    node : str
        Where this is.
    elsewhere : bool
        Whether the next attempt is to be made on another node, when this job has done the rest.

    Attributes
    ----------
    version : int
        Grows with what is known.
    """

    def __init__(self, retries: int = 0, first: int = 1, node: str = "", *, elsewhere: bool = False) -> None:
        self.retries = retries
        self.node = node
        self.elsewhere = elsewhere
        self.version = 0
        self._first = first
        self._restarts: dict[int, int] = {}
        self._failed: dict[int, list[tuple[str, dict[str, Any]]]] = {}
        self._read: dict[str, int] = {}

    def number(self, component: int) -> int:
        """Return the number of a component's present attempt, counted from 1."""
        return self._first + self._restarts.get(component, 0)

    def resume(self, component: int) -> None:
        """Note that a component starts anew without having failed."""
        self._restarts[component] = self._restarts.get(component, 0) + 1

    def are_left(self, component: int) -> bool:
        """Tell whether a component that fails now is tried again."""
        return len(self._failed.get(component, ())) < self.retries

    def have_failed(self, components: Iterable[int]) -> bool:
        """Tell whether an attempt at any of the components is known to have failed."""
        return bool(self._failed) and any(component in self._failed for component in components)

    def fail(self, directory: str, component: int, error: dict[str, Any], *spans: Sequence[int]) -> None:
        """Note that the present attempt at a component has failed.

        Parameters
        ----------
        directory : str
            The job directory.
        component : int
        error : dict
            What went wrong, as ``failures`` describes it.
        *spans : (int, int)
            Where in the job's stdout and stderr there is what the attempt has printed.
        """
        path = os.path.join(directory, wire.ATTEMPTS)
        message = " ".join(str(error["message"]).split())
        row = {
            "component": component,
            "attempt": self.number(component),
            "type": error["type"],
            "message": message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 3] + "...",
            "node": self.node,
            **dict(zip((wire.STDOUT, wire.STDERR), spans)),
        }
        drop_torn_line(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            write_all(fd, json.dumps(row).encode("utf-8") + b"\n")
        finally:
            os.close(fd)
        self.read(directory)

    def read(self, directory: str) -> set[int]:
        """Take in what is new in a job directory; return the components it is of."""
        fresh: set[int] = set()
        if not self.retries:
            return fresh
        try:
            with open(os.path.join(directory, wire.ATTEMPTS), "rb") as file:
                file.seek(self._read.get(directory, 0))
                data = file.read()
        except FileNotFoundError:
            return fresh
        whole = data[: data.rfind(b"\n") + 1]
        self._read[directory] = self._read.get(directory, 0) + len(whole)
        for line in whole.splitlines():
            row = json.loads(line.decode("utf-8"))
            component = row.pop("component")
            self._failed.setdefault(component, []).append((directory, row))
            self._restarts[component] = max(self._restarts.get(component, 0), row["attempt"] + 1 - self._first)
            fresh.add(component)
        self.version += bool(fresh)
        return fresh

    def forget(self, components: Iterable[int]) -> None:
        """Let counts of components begin anew."""
        for component in components if self._failed or self._restarts else ():
            self._failed.pop(component, None)
            self._restarts.pop(component, None)

    def note(self, directory: str, component: int) -> str:
        """Return what a record in a job directory says of the attempts before; nothing if there were none."""
        failed = self._failed.get(component)
        if not failed:
            return ""
        rows = []
        for where, row in failed:
            mine = where == directory  # else what was printed is somewhere else
            rows.append(row if mine else {k: v for k, v in row.items() if k not in (wire.STDOUT, wire.STDERR)})
        return ',"failures":%s,"machine":%s' % (json.dumps(rows), json.dumps(self.node))
