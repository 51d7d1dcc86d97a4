"""What went wrong in a map, by cause: errors, holds and removals."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from htrun.holds import advice
from htrun.reports import ErrorReport, shorten, span_text
from htrun.state import ComponentStatus

if TYPE_CHECKING:
    from htrun.records import Record
    from htrun.view import MapView

MAX_CAUSES = 20
_MAX_REPORT = 8000
_MAX_SUMMARY = 300
_MAX_NODES = 3
_MAX_SPANS = 120
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?")
"""What differs between two messages that say the same."""


@dataclass
class Cause:
    """Components with which the same thing went wrong.

    Attributes
    ----------
    status : ComponentStatus
    summary : str
        The type and the message of the first one's error, or the reason.
    where : str
        The user's line of code that it came from; empty where there is none.
    components : list of int
    nodes : Counter of str
        Where they ran, as far as that is known.
    report : str
        The whole error report of the first one, or what mends a hold.
    """

    status: ComponentStatus
    summary: str
    where: str = ""
    components: list[int] = field(default_factory=list)
    nodes: Counter[str] = field(default_factory=Counter)
    report: str = ""

    @property
    def spans(self) -> str:
        """The numbers of its components, shortened."""
        return shorten(span_text(self.components[:1000]), _MAX_SPANS)

    @property
    def places(self) -> str:
        """The nodes where most of them ran, with how many."""
        shown = [f"{node} ({number:,})" for node, number in self.nodes.most_common(_MAX_NODES)]
        more = len(self.nodes) - len(shown)
        return ", ".join(shown) + (f" and {more:,} more" if more else "")


def causes_of(map_: MapView) -> list[Cause]:
    """Return the causes of what went wrong in a map, as of its last refresh, those with most components first.

    Errors are of the same cause if they are of the same type and come from the same line of the user's code; those that
    come from none, if their messages differ in numbers and quoted words only.
    """
    causes: dict[Any, Cause] = {}
    errored = list(map_.components_with(ComponentStatus.ERRORED))
    for component, record in zip(errored, map_.records.walk(errored), strict=True):
        _add_error(causes, map_, component, record)
    stopped = [(hold, ComponentStatus.HELD) for hold in map_.holds.values()]
    stopped += [(removal, ComponentStatus.REMOVED) for removal in map_.removals.values()]
    for why, status in stopped:
        key = (status, why.code, why.subcode, _VARYING.sub("#", why.reason))
        if key not in causes:
            mend = advice(why, map_.tag) if status is ComponentStatus.HELD else ""
            causes[key] = Cause(status, shorten(str(why), _MAX_SUMMARY), report=mend)
        causes[key].components.append(why.component)
    ordered = sorted(causes.values(), key=lambda cause: -len(cause.components))
    for cause in ordered[:MAX_CAUSES]:
        if cause.status is ComponentStatus.ERRORED:
            cause.report = _cut(ErrorReport(map_, cause.components[0]).text(columns=_COLUMNS))
    return ordered


_COLUMNS = 88


def _add_error(causes: dict[Any, Cause], map_: MapView, component: int, record: Record | None) -> None:
    error = map_.error(component, record)
    frames = error["frames"]
    place = next((frame for frame in reversed(frames) if frame["user"]), frames[-1] if frames else None)
    if place is None:
        key: Any = (error["type"], _VARYING.sub("#", error["message"]))
    else:
        key = (error["type"], place["file"], place["line"])
    if key not in causes:
        first, _, more = str(error["message"]).strip().partition("\n")
        summary = f"{error['type']}: {first}{' ...' if more else ''}" if first else str(error["type"])
        where = f"{place['file']}:{place['line']}, in {place['function']}" if place else ""
        causes[key] = Cause(ComponentStatus.ERRORED, shorten(summary, _MAX_SUMMARY), where)
    cause = causes[key]
    cause.components.append(component)
    node = error.get("node") if record is None else record.data.get("node")
    if node:
        cause.nodes[str(node)] += 1


def _cut(report: str) -> str:
    """Return a report of a limited length: its beginning and, since the error is there, its end."""
    if len(report) <= _MAX_REPORT:
        return report
    half = _MAX_REPORT // 2
    return f"{report[:half]}\n... {len(report) - 2 * half:,} characters left out ...\n{report[-half:]}"
