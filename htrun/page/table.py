"""The components of a map as the page holds them: in columns, each compressed, within a number of bytes.

Of up to ``MAX_ROWS`` components there is a row each, and of more of them the status, and a row of some. Numbers are
kept in three digits, and times in 65,536 steps. Texts are cut as far as it takes.
"""

from __future__ import annotations

import base64
import heapq
import json
import math
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from htrun.export import inputs
from htrun.reports import shorten
from htrun.runner import values
from htrun.state import ComponentStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from htrun.page.causes import Cause
    from htrun.page.measures import Measures
    from htrun.page.timeline import Timeline
    from htrun.records import Record
    from htrun.view import MapView

MAX_ROWS = 100_000
_SOME_ROWS = 50_000
_MAX_OTHERS = 25_000
_MAX_EXTREME = 2_000
_LENGTHS = (300, 150, 100, 75, 55, 40, 30, 20)
_LONG = 4 * _LENGTHS[0]
_OTHER_CAUSE = 255
_STEPS = 65_535
_LEAST_EXPONENT, _MOST_EXPONENT = -6, 9
_FEWER = 0.7

STATUSES = tuple(ComponentStatus)


class Table:
    """The components of a map.

    Parameters
    ----------
    map_ : MapView
    measures : Measures
    timeline : Timeline
    causes : sequence of Cause
        Those that the page shows.
    """

    def __init__(self, map_: MapView, measures: Measures, timeline: Timeline, causes: Sequence[Cause]) -> None:
        self._map = map_
        self._measures = measures
        self._timeline = timeline
        self._causes = causes

    def pack(self, budget: int) -> dict[str, Any]:
        """Return it as what JSON holds: ``columns`` by name, zlib in base64, and what they mean.

        Parameters
        ----------
        budget : int
            How many bytes the columns may take.

        Raises
        ------
        OSError
        """
        size = len(self._map)
        fixed = {
            "status": _packed(bytes(map(STATUSES.index, self._map.component_statuses))),
            "nodes": _packed("\n".join(map(_one_line, self._measures.nodes)).encode("utf-8", "replace")),
        }
        limit = MAX_ROWS if size <= MAX_ROWS else _SOME_ROWS
        while True:
            rows = self._chosen(limit)
            columns = fixed | {name: _packed(data) for name, data in self._numbers(rows)}
            left = budget - sum(map(len, columns.values()))
            if left >= 0 or not rows:
                break
            limit = int(_FEWER * len(rows))
        lengths = {}
        failures, outputs = self._outcomes(rows)
        calls = [_line(_call_text(call)) for call in inputs(self._map.directory, rows)]
        for name, texts in (("failure", failures), ("input", calls), ("output", outputs)):
            lengths[name], columns[name] = _fitting(texts, left)
            left -= len(columns[name])
        return {
            "size": size,
            "rows": len(rows),
            "statuses": [status.value for status in STATUSES],
            "begin": self._timeline.begin,
            "step": (self._timeline.end - self._timeline.begin) / _STEPS,
            "lengths": lengths,
            "columns": columns,
        }

    def _chosen(self, limit: int) -> Sequence[int]:
        """Return the components of which more is kept than the status, in order.

        They are all, or what has not completed, the slowest and the largest, and some of the others at equal distances.
        """
        size = len(self._map)
        if size <= limit:
            return range(size)
        others = tuple(set(STATUSES) - {ComponentStatus.COMPLETED})
        chosen = set(_some(list(self._map.components_with(*others)), min(_MAX_OTHERS, limit // 2)))
        for column in (self._measures.wall_s, self._measures.memory_mb):
            chosen.update(heapq.nlargest(min(_MAX_EXTREME, limit // 10), range(size), key=column.__getitem__))
        chosen.update(_some(range(size), limit - len(chosen)))
        return sorted(chosen)

    def _numbers(self, rows: Sequence[int]) -> Iterator[tuple[str, bytes]]:
        measures, begin = self._measures, self._timeline.begin
        step = (self._timeline.end - begin) / _STEPS
        if len(rows) < len(self._map):
            yield "component", _planes([b - a for a, b in pairwise([0, *rows])], 4)
        begun = [round(min(max(measures.started[row] - begin, 0) / step, _STEPS)) for row in rows]
        yield "started", _planes([(b - a) & _STEPS for a, b in pairwise([0, *begun])], 2)
        yield "wall", _planes([_three_digits(measures.wall_s[row]) for row in rows], 2)
        yield "memory", _planes([_three_digits(measures.memory_mb[row]) for row in rows], 2)
        yield "node", _planes([measures.node[row] + 1 for row in rows], 2)
        jobs = [measures.job[row] + 1 for row in rows]
        yield "job", _planes([(b - a) & 0xFFFFFFFF for a, b in pairwise([0, *jobs])], 4)
        yield "attempts", bytes(measures.attempts[row] for row in rows)
        yield "marks", bytes(measures.marks[row] for row in rows)
        of = {c: number for number, cause in enumerate(self._causes, 1) for c in cause.components}
        bad = (ComponentStatus.ERRORED, ComponentStatus.HELD, ComponentStatus.REMOVED)
        is_bad = [self._map.status_of(row) in bad for row in rows]
        yield (
            "cause",
            bytes(of.get(row, _OTHER_CAUSE) if is_so else 0 for row, is_so in zip(rows, is_bad, strict=True)),
        )

    def _outcomes(self, rows: Sequence[int]) -> tuple[list[str], list[str]]:
        """Return the errors, or reasons of holds, and the outputs of components; empty where there is none."""
        reasons = self._map.holds | self._map.removals
        failures, outputs = [""] * len(rows), [""] * len(rows)
        for place, (row, record) in enumerate(zip(rows, self._map.records.walk(rows), strict=True)):
            status = self._map.status_of(row)
            if status is ComponentStatus.COMPLETED and record is not None:
                outputs[place] = _output(record)
            elif status is ComponentStatus.ERRORED:
                error = self._map.error(row, record)
                summary = ": ".join(filter(None, (error["type"], error["message"])))
                failures[place] = _line(summary.encode("utf-8", "replace"))
            else:
                failures[place] = _line(str(reasons.get(row, "")).encode("utf-8", "replace"))
        return failures, outputs


def _call_text(given: bytes) -> bytes:
    """Return an input as the arguments of a call: ``x=1, name="a"`` is more in fewer characters than its JSON."""
    if len(given) > _LONG:
        return given
    value = json.loads(given)
    if isinstance(value, dict):
        return ", ".join(f"{key}={values.dumps(item)}" for key, item in value.items()).encode("utf-8", "replace")
    return given[1:-1] if isinstance(value, list) else given


def _line(text: bytes) -> str:
    """Return text on a line, not much longer than it may be."""
    return shorten(text[:_LONG].decode("utf-8", "replace"), _LENGTHS[0])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _output(record: Record) -> str:
    at = record.line.find(b',"output":')
    if at >= 0:
        return _line(record.line[at + 10 : -1])
    return "(large: see outputs.jsonl)" if record.line.find(b',"output_file":') >= 0 else "(no JSON form)"


def _some(numbers: Sequence[int], most: int) -> Sequence[int]:
    """Return so many of some numbers at the most, at equal distances."""
    return numbers[:: max(1, math.ceil(len(numbers) / most))] if most > 0 else ()


def _three_digits(value: float) -> int:
    """Return 0 for 0, and else a number below 2**16 that says three digits and the power of ten."""
    if value < 10.0**_LEAST_EXPONENT:
        return 0
    exponent = min(math.floor(math.log10(value)), _MOST_EXPONENT)
    digits = min(round(value / 10.0 ** (exponent - 2)), 1000)
    if digits == 1000:
        exponent, digits = exponent + 1, 100
    return (exponent - _LEAST_EXPONENT) * 900 + digits - 99


def _planes(numbers: Iterable[int], width: int) -> bytes:
    """Return the lowest bytes of all numbers, then the next ones: so they compress better."""
    numbers = list(numbers)
    return b"".join(bytes(number >> 8 * place & 255 for number in numbers) for place in range(width))


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()


def _fitting(texts: Sequence[str], budget: int) -> tuple[int | None, str]:
    """Return how long texts may be to fit into some bytes, and them, a line each.

    None stands for as long as they are, and 0 for nothing.
    """
    longest = max(map(len, texts), default=0)
    for length in dict.fromkeys(min(length, longest) for length in _LENGTHS):
        column = _packed("\n".join(shorten(text, length) for text in texts).encode("utf-8", "replace"))
        if len(column) <= budget:
            return length if length < longest or longest == _LENGTHS[0] else None, column
    return 0, ""
