"""How many components make a job, where nobody has said so."""

from __future__ import annotations

import math
from typing import NamedTuple

MAX_JOBS = 10_000
"""How many jobs a map becomes by default at the most."""
_JOB_SECONDS = 60.0
"""What a job should take: starting one costs a second or so."""
_LONGEST_SECONDS = 3600.0
"""What no job should take, were all its components as slow as the slowest that is known."""
_STARTS_PER_SECOND = 10.0
"""How many jobs a schedd starts: 5 to 20 were seen."""
_OVERHEAD_SECONDS = 30e-6
"""What a component costs beside its function."""
_ROUNDS = 4
"""How many jobs a slot gets where there is work for it, so that slots do not wait for the last one."""
_SPREAD = 100
"""So many jobs are soon started: they get a slot each, as if it were not known how quick components are. Then, if that
is wrong, all slots share what there is to do."""


class Times(NamedTuple):
    """What components of a target take, in seconds."""

    mean: float
    longest: float

    def __str__(self) -> str:
        for size, unit in ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
            if self.mean >= size:
                return f"{self.mean / size:.2g} {unit}" if self.mean < 10 * size else f"{self.mean / size:,.0f} {unit}"
        return "less than 1 ms"


def chunk_size(count: int, times: Times | None, slots: int, max_jobs: int) -> int:
    """Return how many components make a job.

    Jobs of about a minute, or shorter ones, while there are slots for them.

    Parameters
    ----------
    count : int
        How many components there are.
    times : Times or None
        What one takes. Without it each is a job of its own, since it may be one of an hour.
    slots : int
        How many jobs can run at once.
    max_jobs : int
        How many jobs there may be, which goes before everything else.
    """
    least = max(1, -(-count // max_jobs))
    if times is None:
        return least
    total = count * (times.mean + _OVERHEAD_SECONDS)
    soonest = math.sqrt(total * _STARTS_PER_SECOND)  # with more, starting them takes longer than they do
    jobs = max(total / _JOB_SECONDS, min(slots, _SPREAD), min(_ROUNDS * slots, soonest))
    slowest = max(times.longest, times.mean, _OVERHEAD_SECONDS)
    return max(least, min(math.ceil(count / jobs), int(_LONGEST_SECONDS / slowest)))
