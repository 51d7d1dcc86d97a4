"""Sequences with something of each component of a map: what it has printed, where its output files are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from htrun.errors import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from pathlib import Path

    from htrun.maps import Map
    from htrun.records import Record

    Timeout = float | timedelta | None

T = TypeVar("T")


def pick(item: int | slice, length: int, get: Callable[[int], T]) -> Any:
    """Return what an index or a slice of a sequence means, given how to get one item; negative indices count back."""
    if isinstance(item, slice):
        return [get(component) for component in range(*item.indices(length))]
    return get(item + length if -length <= item < 0 else item)


class _OfComponents(Sequence[T]):
    """A sequence with something of each component of a map."""

    def __init__(self, map: Map) -> None:  # noqa: A002
        self._map = map

    def get(self, component: int, timeout: Timeout = None) -> T:
        """Return what there is of a component.

        Parameters
        ----------
        component : int
        timeout : float or datetime.timedelta, optional
            How long to wait for the component to end; for ever by default.

        Raises
        ------
        IndexError, TimeoutError, MapComponentHeld
        """
        return self._read(component, self._map.wait_for(component, timeout))

    def _read(self, component: int, record: Record | None) -> T:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._map)

    @overload
    def __getitem__(self, item: int) -> T: ...
    @overload
    def __getitem__(self, item: slice) -> list[T]: ...
    def __getitem__(self, item: int | slice) -> Any:
        """Return what there is of a component without waiting; raise OutputNotFound, which is a FileNotFoundError."""
        return pick(item, len(self), lambda component: self.get(component, timeout=0))

    def __iter__(self) -> Iterator[T]:
        return (self.get(component) for component in range(len(self)))


def _printed(record: Record | None, stream: str) -> str:
    return Verbatim("" if record is None else record.printed(stream).decode("utf-8", "replace"))


class MapStdOut(_OfComponents[str]):
    """What each component of a map has printed to its standard output."""

    def _read(self, component: int, record: Record | None) -> str:  # noqa: ARG002
        return _printed(record, "stdout")


class MapStdErr(_OfComponents[str]):
    """What each component of a map has printed to its standard error."""

    def _read(self, component: int, record: Record | None) -> str:  # noqa: ARG002
        return _printed(record, "stderr")


class MapOutputFiles(_OfComponents["Path"]):
    """The directory of each component's output files."""

    def _read(self, component: int, record: Record | None) -> Path:  # noqa: ARG002
        directory = self._map.path / "files" / str(component)
        directory.mkdir(parents=True, exist_ok=True)
        return directory
