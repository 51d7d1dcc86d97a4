"""How a map has gone over time: how many components were in each status, and how busy each node was."""

from __future__ import annotations

import array
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from htrun.state import ComponentStatus, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from htrun.page.measures import Measures
    from htrun.state import JobEvent
    from htrun.view import MapView

BINS = 120
MAX_NODES = 20
_MIN_SECONDS = 1e-3


@dataclass
class NodeTime:
    """What a node, or several that are not shown each, has done.

    Attributes
    ----------
    name : str
    components, errored : int
    busy_s : float
        The run times of its components, added up.
    load : array of float
        How many components it ran at once, on average in each bin of time; of several nodes, each of them.
    errors : array of int
        How many components of its have ended in each bin with an error.
    """

    name: str
    components: int = 0
    errored: int = 0
    busy_s: float = 0.0
    load: array.array[float] = field(default_factory=lambda: array.array("d", bytes(8 * BINS)))
    errors: array.array[int] = field(default_factory=lambda: array.array("q", bytes(8 * BINS)))


@dataclass
class Timeline:
    """How a map has gone from when it was made to its end, or until now.

    Attributes
    ----------
    begin, end : float
        Seconds since the epoch.
    levels : dict of ComponentStatus to list of int
        How many components were in each status at the end of each bin; those that were in none are left out.
    nodes : list of NodeTime
        Those that ran most components first; the last one may stand for several.
    goes_on : bool
        Whether anything can still become of a component by itself.
    """

    begin: float
    end: float
    levels: dict[ComponentStatus, list[int]]
    nodes: list[NodeTime]
    goes_on: bool = False


def timeline_of(map_: MapView, measures: Measures) -> Timeline:
    """Return the timeline of a map, of the last run of each component; raises HtrunError and OSError.

    Events tell of what has left no record: what runs, is held or was removed. A component that was held for a while is
    shown so.
    """
    events = sorted(map_.engine.events(map_.directory).read({}, map_.records.is_settled), key=lambda e: e.time)
    ends = (begun + took for begun, took in zip(measures.started, measures.wall_s, strict=True))
    last = max(ends, default=0.0)
    begin = float(map_.directory.info["created"])
    goes_on = map_.is_active
    if goes_on:
        end = time.time()
    elif map_.records.finished == len(map_):
        end = last
    else:
        end = max(last, events[-1].time if events else map_.last_event())
    scale = _Scale(begin, max(end, begin + _MIN_SECONDS))
    levels = _levels(map_, measures, events, scale)
    return Timeline(begin, scale.end, levels, _nodes(map_, measures, scale), goes_on)


class _Scale:
    """Bins of time."""

    def __init__(self, begin: float, end: float) -> None:
        self.begin = begin
        self.end = end
        self._step = (end - begin) / BINS

    def place(self, moment: float) -> float:
        """Return where a moment is, in bins from the first one on: from 0 to ``BINS``."""
        return min(max((moment - self.begin) / self._step, 0.0), float(BINS))

    def bin(self, moment: float) -> int:
        """Return the bin that a moment is in."""
        return min(int(self.place(moment)), BINS - 1)

    def after(self, moment: float) -> int:
        """Return the first bin at whose end a moment is over."""
        return max(0, math.ceil(self.place(moment)) - 1)


def _levels(
    map_: MapView, measures: Measures, events: Sequence[JobEvent], scale: _Scale
) -> dict[ComponentStatus, list[int]]:
    changes: dict[ComponentStatus, list[int]] = {status: [0] * (BINS + 1) for status in ComponentStatus}
    running = changes[ComponentStatus.RUNNING]
    since = _since(events)
    for component, status in enumerate(map_.component_statuses):
        begun = measures.started[component]
        if begun:
            ended = scale.after(begun + measures.wall_s[component])
            running[scale.after(begun)] += 1
            running[ended] -= 1
            changes[status][ended] += 1
        elif status in _TOLD_BY_EVENTS:
            changes[status][scale.after(since.get(map_.job_number(component), scale.begin))] += 1
        elif status.is_final:
            changes[status][BINS - 1] += 1
    held = changes[ComponentStatus.HELD]
    for start, stop, number in _past_holds(events):
        held[scale.after(start)] += number
        held[scale.after(stop)] -= number
    levels = {status: list(accumulate(numbers))[:BINS] for status, numbers in changes.items()}
    # Of a job that was held, components may have finished before; of what is left, nothing is told but that it waits.
    for status in (ComponentStatus.HELD, ComponentStatus.IDLE):
        known = levels.pop(status)
        left = [max(0, len(map_) - sum(at)) for at in zip(*levels.values(), strict=True)]
        levels[status] = left if status is ComponentStatus.IDLE else list(map(min, known, left))
    return {status: numbers for status, numbers in levels.items() if any(numbers)}


_TOLD_BY_EVENTS = (
    ComponentStatus.RUNNING,
    ComponentStatus.SUSPENDED,
    ComponentStatus.HELD,
    ComponentStatus.REMOVED,
    ComponentStatus.ERRORED,  # without a record
)


def _since(events: Iterable[JobEvent]) -> dict[int, float]:
    """Return since when jobs are in the status that they are in."""
    return {event.job: event.time for event in events if event.kind.status is not None}


def _past_holds(events: Iterable[JobEvent]) -> Iterable[tuple[float, float, int]]:
    """Yield when jobs were held that are not any more, and with how many components."""
    sizes: dict[int, int] = {}
    held: dict[int, float] = {}
    for event in events:
        if event.components is not None:
            sizes[event.job] = sum(stop - start for start, stop in event.components)
        if event.kind is EventKind.HELD:
            held.setdefault(event.job, event.time)
        elif event.kind.status is not None and event.job in held:
            yield held.pop(event.job), event.time, sizes.get(event.job, 1)


def _nodes(map_: MapView, measures: Measures, scale: _Scale) -> list[NodeTime]:
    """Return what nodes have done, those that ran most components first; the last one may stand for several."""
    sizes = Counter(measures.node)
    sizes.pop(-1, None)
    by_size = [node for node, _ in sizes.most_common()]
    shown = by_size if len(by_size) <= MAX_NODES else by_size[: MAX_NODES - 1]
    nodes = [NodeTime(measures.nodes[node]) for node in shown]
    if len(shown) < len(by_size):
        nodes.append(NodeTime(f"{len(by_size) - len(shown):,} others, on average"))
    place = {node: min(number, len(nodes) - 1) for number, node in enumerate(by_size)}
    for component, node in enumerate(measures.node):
        if node < 0:
            continue
        row, begun, wall = nodes[place[node]], measures.started[component], measures.wall_s[component]
        row.components += 1
        row.busy_s += wall
        if begun:
            _add_load(row.load, scale.place(begun), scale.place(begun + wall))
        if map_.status_of(component) is ComponentStatus.ERRORED:
            row.errored += 1
            row.errors[scale.bin(begun + wall)] += 1
    if len(shown) < len(by_size):
        others = nodes[-1]
        others.load = array.array("d", (load / (len(by_size) - len(shown)) for load in others.load))
    return nodes


def _add_load(load: array.array[float], start: float, stop: float) -> None:
    """Add what runs from one place to another, in bins."""
    first, last = int(start), min(int(stop), BINS - 1)
    if first >= last:
        load[min(first, BINS - 1)] += stop - start
        return
    load[first] += first + 1 - start
    for number in range(first + 1, last):
        load[number] += 1.0
    load[last] += stop - last
