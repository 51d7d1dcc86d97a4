"""The geometry of the page's charts: across in percent of the width, down in pixels; the template draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from htrun.page.timeline import BINS
from htrun.state import ComponentStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from htrun.page.timeline import NodeTime, Timeline

STACK = (
    ComponentStatus.COMPLETED,
    ComponentStatus.ERRORED,
    ComponentStatus.HELD,
    ComponentStatus.REMOVED,
    ComponentStatus.RUNNING,
    ComponentStatus.SUSPENDED,
    ComponentStatus.IDLE,
    ComponentStatus.UNMATERIALIZED,
    ComponentStatus.UNKNOWN,
)
"""The statuses from the bottom of the chart upwards."""

LEVELS_HEIGHT = 200
BARS_HEIGHT = 150
MARK_HEIGHT = 17
LOAD_HEIGHT = 22
_MAX_BARS = 40
_MAX_TICKS = 6
_TABLE_ROWS = 10
_WIDE = 30.0
"""How many times as much as 5 % of the values 95 % of them are where an axis is logarithmic."""
_FAR = 3.0
"""How many times as far as the values go an axis is drawn for a mark."""
_RIGHT = 60.0
_OVERLAP = 0.1
"""By how much bars reach into the next ones, so that no gap is seen where they meet within a pixel."""
_LAST_TICK = 0.94
"""Up to where on an axis there is room for the text of a tick."""
_MINUTES = 120.0
"""From where on times are told in the unit of their steps, minutes and longer ones, if that is not less."""
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 6 * 3600, 12 * 3600, 86400)


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A rectangle of a chart: where, of what kind, and what it says."""

    x: float
    y: float
    width: float
    height: float
    kind: str = ""
    text: str = ""


@dataclass(frozen=True)
class Mark:
    """A line across a chart of bars at a value; ``is_beyond`` if that is not on the axis."""

    x: float
    row: int
    text: str
    kind: str
    anchor: str
    is_beyond: bool = False


@dataclass
class Chart:
    """A chart of bars.

    Attributes
    ----------
    height : int
        Pixels, without the axis below.
    bars : list of Bar
    x_ticks, y_ticks : list of Tick
    marks : list of Mark
    columns : list of str
        The head of the table that says the same.
    rows : list of sequence of str
        Its rows.
    is_logarithmic : bool
    """

    height: int
    bars: list[Bar] = field(default_factory=list)
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    hovers: list[Bar] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rows: list[Sequence[str]] = field(default_factory=list)
    is_logarithmic: bool = False


def seconds_text(seconds: float) -> str:
    """Return a time in three digits and the unit that fits: ``250 ms``, ``1.2 s``, ``3.5 h``."""
    for unit, size, below in (("µs", 1e-6, 1e-3), ("ms", 1e-3, 1.0), ("s", 1.0, 120.0), ("min", 60.0, 7200.0)):
        if seconds < below:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds / 3600)} h" if seconds < 172800 else f"{_digits(seconds / 86400)} d"


def megabytes_text(mib: float) -> str:
    """Return an amount in MB or GB, in three digits."""
    return f"{_digits(mib)} MB" if mib < 10_000 else f"{_digits(mib / 1024)} GB"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def levels_chart(timeline: Timeline) -> Chart:
    """Return the chart of how many components were in each status, stacked, over time."""
    total = sum(levels[0] for levels in timeline.levels.values())
    chart = Chart(LEVELS_HEIGHT, x_ticks=list(time_ticks(timeline.end - timeline.begin)))
    if not total:
        return chart
    shown = [status for status in STACK if status in timeline.levels]
    chart.y_ticks = [Tick(LEVELS_HEIGHT * (1 - value / total), f"{value:,}") for value in _count_ticks(total)]
    below = [0] * BINS
    for status in shown:
        levels = timeline.levels[status]
        chart.bars += _merged(status.value, below, levels, total)
        below = [a + b for a, b in zip(below, levels, strict=True)]
    step = (timeline.end - timeline.begin) / BINS
    for number in range(BINS):
        counts = ", ".join(
            f"{timeline.levels[status][number]:,} {status.value.lower()}"
            for status in shown
            if timeline.levels[status][number]
        )
        text = f"after {seconds_text((number + 1) * step)}: {counts}"
        chart.hovers.append(Bar(100 * number / BINS, 0, 100 / BINS, LEVELS_HEIGHT, text=text))
    chart.columns = ["After", *(status.value.capitalize() for status in shown)]
    for number in range(BINS // _TABLE_ROWS - 1, BINS, BINS // _TABLE_ROWS):
        cells = [f"{timeline.levels[status][number]:,}" for status in shown]
        chart.rows.append((seconds_text((number + 1) * step), *cells))
    return chart


def _merged(kind: str, below: Sequence[int], levels: Sequence[int], total: int) -> Iterator[Bar]:
    """Yield the bars of a status, one for all that are alike and follow each other."""
    start = 0
    for number in range(1, BINS + 1):
        if number < BINS and (below[number], levels[number]) == (below[start], levels[start]):
            continue
        if levels[start]:
            height = LEVELS_HEIGHT * levels[start] / total
            top = LEVELS_HEIGHT * (1 - below[start] / total) - height
            x, width = 100 * start / BINS, 100 * (number - start) / BINS
            yield Bar(x, top, min(width + _OVERLAP, 100 - x), height, kind)
        start = number


def _count_ticks(total: int) -> list[int]:
    step = max(1, round(nice(total / 4)))
    return [*range(step, total - step // 2, step), total]


def time_ticks(seconds: float) -> Iterator[Tick]:
    """Yield the ticks of an axis of time from 0, all in the same unit."""
    least = seconds / _MAX_TICKS
    step = (
        next((step for step in _TIME_STEPS if step >= least), nice(least / 86400) * 86400) if least > 1 else nice(least)
    )
    units = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
    told_by = step if seconds >= _MINUTES else min(seconds, 1.0)
    unit, size = next((pair for pair in units if told_by >= pair[1]), units[-1])
    yield from _ticks(seconds, step, lambda moment: f"{moment / size:,.4g} {unit}")


def memory_ticks(mib: float) -> Iterator[Tick]:
    """Yield the ticks of an axis of memory from 0, all in the same unit."""
    step, unit, size = nice(mib / _MAX_TICKS), "MB", 1.0
    if mib > 10_000:
        step, unit, size = nice(mib / 1024 / _MAX_TICKS) * 1024, "GB", 1024.0
    yield from _ticks(mib, step, lambda amount: f"{amount / size:,.4g} {unit}")


def _ticks(end: float, step: float, text: Callable[[float], str]) -> Iterator[Tick]:
    for number in range(int(end / step) + 1):
        if number * step <= _LAST_TICK * end:
            yield Tick(100 * number * step / end, text(number * step) if number else "0")


def nice(least: float) -> float:
    """Return the least number that is not smaller, and 1, 2 or 5 times a power of ten."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


class Quantity(NamedTuple):
    """What is shown in a chart of bars: how a value is written, and the ticks of an axis from 0 to one."""

    text: Callable[[float], str]
    ticks: Callable[[float], Iterator[Tick]]


TIME = Quantity(seconds_text, time_ticks)
MEMORY = Quantity(megabytes_text, memory_ticks)


def histogram(
    values: Sequence[float], quantity: Quantity, marks: Mapping[str, tuple[str, float]], mark_rows: int
) -> Chart:
    """Return the chart of how often values are there.

    Parameters
    ----------
    values : sequence of float
        At least one, none below 0.
    quantity : Quantity
    marks : mapping of str to (str, float)
        The kind and the value of what is marked, by its name.
    mark_rows : int
        For how many marks there is room.
    """
    text = quantity.text
    ordered = sorted(values)
    last = len(ordered) - 1
    low, high = ordered[round(0.05 * last)], ordered[round(0.95 * last)]
    far = max([ordered[-1], *(value for _, value in marks.values() if value <= _FAR * ordered[-1])])
    is_log = ordered[0] > 0 and high > _WIDE * low
    near = min([ordered[0], *(value for _, value in marks.values() if value > 0)])
    axis = _Logarithmic(near, far) if is_log else _Linear(far)
    counts = [0] * axis.bars
    for value in ordered:
        counts[axis.bar(value)] += 1
    most = max(counts)
    top = MARK_HEIGHT * mark_rows
    chart = Chart(top + BARS_HEIGHT, is_logarithmic=is_log, columns=["From", "To", "How many"])
    for number, count in enumerate(counts):
        begin, end = axis.edge(number), axis.edge(number + 1)
        if count:
            height = max(1.5, BARS_HEIGHT * count / most)
            said = f"{text(begin)} to {text(end)}: {count:,}"
            left, right = axis.at(begin), axis.at(end)
            chart.bars.append(Bar(left, top + BARS_HEIGHT - height, right - left, height, text=said))
            chart.rows.append((text(begin), text(end), f"{count:,}"))
    chart.x_ticks = list(axis.ticks(quantity))
    chart.y_ticks = [Tick(top + BARS_HEIGHT * (1 - value / most), f"{value:,}") for value in _count_ticks(most)[-1:]]
    for row, (name, (kind, value)) in enumerate(sorted(marks.items(), key=lambda item: item[1][1])):
        at = min(axis.at(value), 100.0)
        anchor = "end" if at > _RIGHT else "start"
        chart.marks.append(Mark(at, row, f"{name} {text(value)}", kind, anchor, is_beyond=value > far))
    return chart


class _Linear:
    """An axis from 0."""

    def __init__(self, far: float) -> None:
        self._step = nice(far / _MAX_BARS) if far > 0 else 1.0
        self.bars = int(far / self._step) + 1
        self._end = self.bars * self._step

    def bar(self, value: float) -> int:
        return min(int(value / self._step), self.bars - 1)

    def edge(self, number: int) -> float:
        return number * self._step

    def at(self, value: float) -> float:
        return 100 * value / self._end

    def ticks(self, quantity: Quantity) -> Iterator[Tick]:
        return quantity.ticks(self._end)


class _Logarithmic:
    """An axis on which powers of ten have equal distances."""

    def __init__(self, least: float, far: float) -> None:
        self._least = math.log10(least)
        self._step = max((math.log10(far) - self._least) / _MAX_BARS, 1e-9)
        self.bars = _MAX_BARS

    def bar(self, value: float) -> int:
        return min(max(int((math.log10(value) - self._least) / self._step), 0), self.bars - 1)

    def edge(self, number: int) -> float:
        return float(10 ** (self._least + number * self._step))

    def at(self, value: float) -> float:
        return 100 * (math.log10(value) - self._least) / self._step / self.bars if value > 0 else 0.0

    def ticks(self, quantity: Quantity) -> Iterator[Tick]:
        first, last = math.ceil(self._least), math.floor(self._least + self.bars * self._step)
        step = max(1, math.ceil((last - first + 1) / _MAX_TICKS))
        powers = (10.0**power for power in range(first, last + 1, step))
        return (Tick(self.at(value), quantity.text(value)) for value in powers if self.at(value) <= 100 * _LAST_TICK)


def load_path(node: NodeTime, most: float) -> str:
    """Return the path of how busy a node was, in a box of ``BINS`` by ``LOAD_HEIGHT``; ``most`` fills it."""
    tops = [f"{LOAD_HEIGHT * (1 - load / most):.4g}" for load in node.load]
    changes = [f"H{number}V{tops[number]}" for number in range(1, BINS) if tops[number] != tops[number - 1]]
    return "".join([f"M0 {LOAD_HEIGHT}V{tops[0]}", *changes, f"H{BINS}V{LOAD_HEIGHT}Z"])


def error_places(node: NodeTime) -> Iterator[Tick]:
    """Yield where in time components of a node have errored, in percent, and how many."""
    for number, errored in enumerate(node.errors):
        if errored:
            yield Tick(100 * (number + 0.5) / BINS, f"{errored:,} errored")
