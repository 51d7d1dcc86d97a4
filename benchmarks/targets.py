"""What htrun is to reach, and whether it does: each number comes from the timings of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks import pool, scale
from benchmarks.cases import BURN, DASK, DOUBLE, HTRUN, IDEAL, PIPE, TUNED, UNEVEN, Case
from benchmarks.results import median

if TYPE_CHECKING:
    from benchmarks.results import Results

MILLION = 1_000_000


@dataclass(frozen=True)
class Target:
    """A bound, and the number that was found; None where the case was not measured."""

    what: str
    bound: Literal["at most", "at least"]
    limit: float
    found: float | None

    @property
    def verdict(self) -> str:
        """Return whether it is met, in words."""
        if self.found is None:
            return "not measured"
        met = self.found <= self.limit if self.bound == "at most" else self.found >= self.limit
        return "met" if met else "not met"


def targets(results: Results) -> list[Target]:
    """Return all targets with what was found."""
    return [*_local(results), *_pool(results), *_scale(results), *_maps(results)]


def _local(results: Results) -> list[Target]:
    def ratio(size: int, subject: str, other: str) -> float | None:
        return median(results.ratios(DOUBLE.name, size, subject, other))

    return [
        Target("10,000 x double: time over that of GNU parallel --pipe", "at most", 1.05, ratio(10_000, HTRUN, PIPE)),
        Target(
            "10,000 x double: dask.distributed's time over that of htrun", "at least", 25, ratio(10_000, DASK, HTRUN)
        ),
        Target("100,000 x double: time over that of a tuned executor", "at most", 3.5, ratio(100_000, HTRUN, TUNED)),
        Target("2,000 x 10 ms CPU: % of the ideal", "at least", 97, of_ideal(results, BURN, 2_000, HTRUN)),
        Target("uneven work: % of the ideal", "at least", 90, of_ideal(results, UNEVEN, 1_000, HTRUN)),
    ]


def of_ideal(results: Results, case: Case, size: int, subject: str) -> float | None:
    """Return the time of the ideal in the same round as a percentage of a subject's, the median."""
    found = median(results.ratios(case.name, size, IDEAL, subject))
    return found and 100 * found


def _pool(results: Results) -> list[Target]:
    def rate(subject: str) -> float | None:
        """Return the rate of components as a percentage of that of plain jobs with transfer."""
        found = median(results.ratios("pool-jobs", pool.JOBS, pool.TRANSFER, subject))
        return found and 100 * found

    whole = results.wall_s("pool-double", pool.CHUNKS, HTRUN)
    one = results.wall_s("pool-double", pool.CHUNKS, pool.ONE_JOB)
    longer = None if whole is None or one is None else whole - one
    return [
        Target("pool, a component a job: rate, % of plain jobs with transfer", "at least", 85, rate(HTRUN)),
        Target("pool, a shared filesystem, no transfer: the same", "at least", 100, rate(pool.IN_PLACE)),
        Target("pool, 10,000 x double: seconds longer than one plain job", "at most", 15, longer),
    ]


def _scale(results: Results) -> list[Target]:
    found = []
    for case, where in (("scale", "local"), ("pool-scale", "pool")):
        create = results.wall_s(case, MILLION, scale.CREATE)
        found += [
            Target(f"10^6, {where}: create and submit, µs a component", "at most", 6, create),  # s per million
            Target(f"10^6, {where}: memory for that, MB", "at most", 300, results.rss_mb(case, MILLION, scale.CREATE)),
        ]
        for when in (scale.STATUS_RUNNING, scale.STATUS_ENDED) if case == "scale" else (scale.STATUS_RUNNING,):
            found += [
                Target(f"10^6, {where}: {when}, s", "at most", 1, results.wall_s(case, MILLION, when)),
                Target(f"10^6, {where}: memory for that, MB", "at most", 200, results.rss_mb(case, MILLION, when)),
            ]
    collect = results.wall_s("scale", MILLION, scale.COLLECT)
    files = results.files.get(str(MILLION)), results.files.get("1000")
    more = None if files[0] is None or files[1] is None else files[0] - files[1]
    growth = [_growth(results, subject) for subject in (scale.CREATE, scale.COLLECT)]
    return [
        *found,
        Target("10^6: collect, lines a second", "at least", 300_000, collect and MILLION / collect),
        Target("10^6: create and submit, time over 10 times that of 10^5", "at most", 1.1, growth[0]),
        Target("10^6: collect, time over 10 times that of 10^5", "at most", 1.1, growth[1]),
        Target("10^6, one job: files more than with 10^3", "at most", 3, more),
    ]


def _growth(results: Results, subject: str) -> float | None:
    """Return the time for a million over ten times that for a tenth of it: 1 or less if it grows linearly."""
    large, small = (results.wall_s("scale", size, subject) for size in (MILLION, MILLION // 10))
    return None if large is None or small is None else large / (10 * small)


def _maps(results: Results) -> list[Target]:
    looks = (scale.STATUS, scale.TAGS, scale.COMPLETION)
    return [
        Target(f"50 maps of 10,000: {name}, s", "at most", 0.5, results.wall_s("maps", scale.MAPS, name))
        for name in looks
    ]
