"""What was given to an engine at once, and which of its components make a job."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]
"""Components as half-open ranges."""


def join(components: Iterable[int]) -> Ranges:
    """Return ascending numbers as half-open ranges."""
    result: list[tuple[int, int]] = []
    for component in components:
        if result and result[-1][1] == component:
            result[-1] = (result[-1][0], component + 1)
        else:
            result.append((component, component + 1))
    return tuple(result)


def marked(marks: bytes | bytearray) -> Ranges:
    """Return the components whose byte is 1, and not 0, as half-open ranges."""
    result = []
    start = marks.find(1)
    while start >= 0:
        stop = marks.find(0, start)
        stop = len(marks) if stop < 0 else stop
        result.append((start, stop))
        start = marks.find(1, stop)
    return tuple(result)


@dataclass
class Submission:
    """Components that were given to an engine at once.

    Attributes
    ----------
    submission : int
        Its number, counted from 0.
    first_job : int
    chunk_size : int
        Components a job.
    components : tuple of (int, int)
    apart : bool
        Whether a job never has components of more than one of these ranges.
    cluster : int or None
        HTCondor's number for it, once known.
    schedd : str or None
        The name of the schedd that has it.
    why : str
        Why it is cut into jobs as it is, in words.
    pilot : bool
        Whether the rest of the map waits for what its components take.
    dropped : str or None
        Why it was never given to the engine and never will be, where that is so.
    adopted : int
        Not 0 for what was never given to an engine: in so many job directories are results that an earlier map had.
    """

    submission: int
    first_job: int
    chunk_size: int
    components: Ranges
    apart: bool = False
    cluster: int | None = None
    schedd: str | None = None
    why: str = ""
    pilot: bool = False
    dropped: str | None = None
    adopted: int = 0

    @property
    def size(self) -> int:
        """The number of components."""
        return sum(stop - start for start, stop in self.components)

    @property
    def jobs(self) -> int:
        """The number of jobs, or of what takes the place of their directories."""
        if self.adopted:
            return self.adopted
        return self._jobs_until[-1] if self.apart else -(-self.size // self.chunk_size)

    @cached_property
    def _jobs_until(self) -> list[int]:
        """How many jobs there are up to the end of each range, where ranges are kept apart."""
        return list(itertools.accumulate(-(-(stop - start) // self.chunk_size) for start, stop in self.components))

    @cached_property
    def _size_until(self) -> list[int]:
        """How many components there are up to the end of each range."""
        return list(itertools.accumulate(stop - start for start, stop in self.components))

    def chunk(self, job: int) -> Ranges:
        """Return the components of one of its jobs."""
        number = job - self.first_job
        if self.apart:
            position = bisect.bisect_right(self._jobs_until, number)
            start, stop = self.components[position]
            start += (number - (self._jobs_until[position - 1] if position else 0)) * self.chunk_size
            return ((start, min(start + self.chunk_size, stop)),)
        position = bisect.bisect_right(self._size_until, number * self.chunk_size)
        skip = number * self.chunk_size - (self._size_until[position - 1] if position else 0)
        left = self.chunk_size
        result = []
        for start, stop in itertools.islice(self.components, position, None):
            take = min(left, stop - start - skip)
            result.append((start + skip, start + skip + take))
            skip = 0
            left -= take
            if not left:
                break
        return tuple(result)
