"""What maps use, compared with what their jobs ask for: from data to data and text, without printing any of it."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from htrun import sizing
from htrun.history import Spread
from htrun.reports import width
from htrun.units import UNITS, read_size
from htrun.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from htrun.engines.base import Resources
    from htrun.records import Usage
    from htrun.view import MapView

_LONG_SECONDS = 0.1
"""Of a component that took less, its part in what is around it is too small to say how many CPUs it used."""
_SPARE_CPUS = 0.8
"""How many more CPUs than it asked for HTCondor lets a job use, by its own rule for that."""
HEAD = ("", "requested", "min", "median", "95 %", "max", "exceeded")
_BARS = 10
_BLOCKS = "▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Measured:
    """How much was used of a resource, and how much was asked for.

    Attributes
    ----------
    used : sequence of float
        Of each job, or of each component; none if nothing is known.
    requested : sequence of float
        Each amount that was asked for, as far as that is known.
    exceeded : int
        How many have used more than they asked for.
    """

    used: Sequence[float]
    requested: Sequence[float]
    exceeded: int

    def to_dict(self) -> dict[str, Any]:
        """Return the quantiles, as data."""
        spread = Spread.of(self.used)
        return {
            "count": len(self.used),
            "requested_min": min(self.requested, default=None),
            "requested_max": max(self.requested, default=None),
            "min": min(self.used, default=None),
            **{name: getattr(spread, name) if spread else None for name in ("median", "p95", "max")},
            "exceeded": self.exceeded,
        }


@dataclass(frozen=True)
class MapUsage:
    """What a map has used so far.

    Attributes
    ----------
    tag, target : str
    components, recorded : int
        How many there are, and how many have finished.
    of : {"jobs", "components"}
        What memory and disk are of: on HTCondor, of the jobs, which are what asks for them.
    memory_mb, disk_kb : Measured
        MiB and KiB.
    cpus : Measured
        Processor time by time, of each component that took long enough for it to say something.
    cpu_efficiency : float or None
        How much of the CPUs that were asked for these have used.
    """

    tag: str
    target: str
    components: int
    recorded: int
    of: Literal["jobs", "components"]
    memory_mb: Measured
    disk_kb: Measured
    cpus: Measured
    cpu_efficiency: float | None

    @property
    def resources(self) -> dict[str, Measured]:
        """The resources, by their names with units."""
        return {"memory_mb": self.memory_mb, "disk_kb": self.disk_kb, "cpus": self.cpus}

    @property
    def proposed_memory_mb(self) -> int | None:
        """How much memory to ask for next time, in MB; None where nothing is known."""
        memory = Spread.of(self.memory_mb.used)
        return None if memory is None else sizing.memory_mb(memory.p95)

    @property
    def proposal(self) -> dict[str, str]:
        """What to ask for next time, by option; without an option whose default will do."""
        proposed = {}
        memory, disk, cpus = self.proposed_memory_mb, Spread.of(self.disk_kb.used), Spread.of(self.cpus.used)
        if memory is not None:
            proposed["request_memory"] = f"{memory}MB"
        if disk is not None and not sizing.is_usual_disk(disk.max):
            proposed["request_disk"] = f"{sizing.disk_mb(disk.max)}MB"
        if cpus is not None and round(cpus.p95) > 1:
            proposed["request_cpus"] = str(round(cpus.p95))
        return proposed

    def to_dict(self) -> dict[str, Any]:
        """Return it as data, without the single values."""
        return {
            "components": self.components,
            "recorded": self.recorded,
            "of": self.of,
            **{name: measured.to_dict() for name, measured in self.resources.items()},
            "cpu_efficiency": self.cpu_efficiency,
            "proposal": self.proposal,
        }

    def proposed_options(self) -> str:
        """Return the proposal as it is written on the command line."""
        return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in self.proposal.items())

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of a table with ``HEAD`` for people, a resource of which something is known each."""
        names = {"memory_mb": "memory, MB", "disk_kb": "disk, MB", "cpus": "CPUs"}
        return [
            (names[name], *_cells(measured, 1024 if name == "disk_kb" else 1))
            for name, measured in self.resources.items()
            if measured.used
        ]

    def text(self, encoding: str) -> str:
        """Return it for people: a table, a histogram, and what to ask for next time.

        Parameters
        ----------
        encoding : str
            That of where it will be shown; without block characters, bars are made of ``#``.
        """
        return "\n".join(self._lines(encoding))

    def _lines(self, encoding: str) -> Iterator[str]:
        from tabulate import tabulate  # only now: it costs start-up time

        finished = f"{self.recorded:,} of {count(self.components, 'component')}"
        yield f"{self.tag}: what {finished} of {self.target} used"
        if not any(measured.used for measured in self.resources.values()):
            return
        align = ["left", *["right"] * (len(HEAD) - 1)]
        yield tabulate(self.rows(), headers=HEAD, disable_numparse=True, colalign=align)
        if self.cpu_efficiency is not None:
            yield f"CPU efficiency: {self.cpu_efficiency:.0%} of the CPUs that were requested"
        if self.memory_mb.used:
            yield f"memory of {count(len(self.memory_mb.used), self.of[:-1])}, MB:"
            yield from histogram(self.memory_mb.used, encoding)
        if self.proposal:
            yield f"next time: {self.proposed_options()}"
            yield "(memory: a fifth more than 95 % used, 128 MB at least;"
            yield " disk: a fifth more than the most; CPUs: as 95 % used)"


def _cells(measured: Measured, unit: float) -> Iterator[str]:
    row = measured.to_dict()
    lowest, highest = row["requested_min"], row["requested_max"]
    if lowest is None:
        yield "default"
    else:
        yield _number(highest / unit) if lowest == highest else f"{_number(lowest / unit)}-{_number(highest / unit)}"
    for name in ("min", "median", "p95", "max"):
        yield _number(row[name] / unit)
    yield f"{measured.exceeded:,}"


def _number(value: float) -> str:
    """Return a number in as many digits as say something of it."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def usage_of(map_: MapView) -> MapUsage:
    """Return what a map has used, as of its last refresh; raises HtrunError."""
    rows = list(map_.records.usage())
    jobs = map_.engine.resources(map_.directory)
    asked = _Requests(map_)
    long = [row for row in rows if row.wall_s >= _LONG_SECONDS and row.cpu_s]  # of dead ones it is not known
    cpus = [(row.cpu_s / row.wall_s, asked.of("request_cpus", row.component) or 1.0) for row in long]
    wanted = sum(row.wall_s * request for row, (_, request) in zip(long, cpus, strict=True))
    memory, disk = _of_jobs(map_, rows, jobs) if jobs else _of_components(rows, asked)
    return MapUsage(
        tag=map_.tag,
        target=str(map_.directory.info["target"]["text"]),
        components=len(map_),
        recorded=len(rows),
        of="jobs" if jobs else "components",
        memory_mb=memory,
        disk_kb=disk,
        cpus=Measured(
            [round(used, 3) for used, _ in cpus],
            sorted({request for _, request in cpus}),
            sum(used > request + _SPARE_CPUS for used, request in cpus),
        ),
        cpu_efficiency=round(sum(row.cpu_s for row in long) / wanted, 3) if wanted else None,
    )


def _of_components(rows: Iterable[Usage], asked: _Requests) -> tuple[Measured, Measured]:
    memory = [(row.memory_mb, asked.of("request_memory", row.component)) for row in rows if row.memory_mb]
    disk = [(float(row.disk_kb), asked.of("request_disk", row.component)) for row in rows if row.disk_kb]
    return _measured(memory), _measured(disk)


def _of_jobs(map_: MapView, rows: Iterable[Usage], jobs: Mapping[int, Resources]) -> tuple[Measured, Measured]:
    """Return what jobs have used: what the engine has seen, which looks now and then, or what a component has."""
    memory: dict[int, float] = {}
    disk: dict[int, float] = {}
    for row in rows:
        job = map_.job_number(row.component)
        memory[job] = max(memory.get(job, 0.0), row.memory_mb)
        disk[job] = max(disk.get(job, 0.0), row.disk_kb)
    of = {job: jobs[job] for job in sorted({map_.job_number(c) for c in range(len(map_))}) if job in jobs}
    memories = [(max(memory.get(job, 0), seen.memory_mb or 0), seen.request_memory_mb) for job, seen in of.items()]
    disks = [(max(disk.get(job, 0), seen.disk_kb or 0), seen.request_disk_kb) for job, seen in of.items()]
    return _measured(memories, [seen.ran_out for seen in of.values()]), _measured(disks)


def _measured(pairs: Sequence[tuple[float, float | None]], ran_out: Sequence[bool] = ()) -> Measured:
    """Return what was used, given with what was asked for by each."""
    over = [request is not None and used > request for used, request in pairs]
    exceeded = sum(map(any, zip(over, ran_out, strict=True))) if ran_out else sum(over)
    requests = sorted({request for _, request in pairs if request is not None})
    return Measured([used for used, _ in pairs if used], requests, exceeded)


_COUNTED_IN = {"request_memory": 1024**2, "request_disk": 1024, "request_cpus": 1}
"""What a number alone is of, in bytes, and amounts are counted in."""


class _Requests:
    """The amounts that the options of a map ask for, where they are numbers."""

    def __init__(self, map_: MapView) -> None:
        self._fixed = {key: self._amount(key, text) for key, text in map_.directory.submit_options.items()}
        self._variadic = map_.directory.variadic_options

    def of(self, key: str, component: int) -> float | None:
        """Return what is asked for a component: MiB of memory, KiB of disk."""
        values = self._variadic.get(key)
        return self._fixed.get(key) if values is None else self._amount(key, values[component])

    def _amount(self, key: str, text: str) -> float | None:
        size = read_size(text)
        if size is None or key not in _COUNTED_IN:
            return None
        number, unit = size
        return number * (UNITS[unit] / _COUNTED_IN[key] if unit else 1)


def histogram(values: Sequence[float], encoding: str, columns: int | None = None) -> Iterator[str]:
    """Yield the lines of a histogram of numbers: their range, a bar, and how many there are.

    Parameters
    ----------
    values : sequence of float
        At least one.
    encoding : str
        See ``MapUsage.text``.
    columns : int, optional
        How wide lines may be; by default as wide as the terminal.
    """
    low, high = min(values), max(values)
    step = _step((high - low) / _BARS)
    first = math.floor(low / step)
    bins = [0] * (math.floor(high / step) - first + 1)
    for value in values:
        bins[math.floor(value / step) - first] += 1
    edges = [f"{(first + number) * step:,.10g}" for number in range(len(bins) + 1)]
    wide, number_wide = max(map(len, edges)), len(f"{max(bins):,}")
    room = max(1, (columns or width()) - 2 * wide - number_wide - 8)
    for number, some in enumerate(bins):
        bar = _bar(room * some / max(bins), encoding)
        yield f"  {edges[number]:>{wide}} - {edges[number + 1]:>{wide}} {some:>{number_wide},} {bar}".rstrip()


def _step(least: float) -> float:
    """Return the least round number that is not smaller, so that there are no more than some bars."""
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    return max(1.0, next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least))


def _bar(length: float, encoding: str) -> str:
    try:
        _BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "#" * math.ceil(length)
    whole, part = divmod(math.ceil(8 * length), 8)
    return _BLOCKS[-1] * whole + (_BLOCKS[part - 1] if part else "")


def to_csv(usages: Iterable[MapUsage]) -> str:
    """Return what maps have used as CSV, a row a resource."""
    rows = [
        {"tag": usage.tag, "resource": name, "of": "components" if name == "cpus" else usage.of, **measured.to_dict()}
        | {"proposal": usage.proposal.get(f"request_{name.partition('_')[0]}")}
        for usage in usages
        for name, measured in usage.resources.items()
    ]
    text = io.StringIO()
    names = ["tag", "resource", "of", *Measured((), (), 0).to_dict(), "proposal"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
