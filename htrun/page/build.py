"""Putting the page together."""

from __future__ import annotations

import base64
import hashlib
import heapq
import os
import shlex
import time
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from htrun import __version__
from htrun.history import Spread
from htrun.page import charts
from htrun.page.causes import MAX_CAUSES, causes_of
from htrun.page.measures import Measures
from htrun.page.table import Table
from htrun.page.timeline import BINS, timeline_of
from htrun.reports import input_text, jobs_line, shorten
from htrun.state import ComponentStatus
from htrun.store import atomic_write
from htrun.usage import HEAD, usage_of
from htrun.words import count, moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jinja2 import Environment

    from htrun.page.timeline import Timeline
    from htrun.usage import MapUsage
    from htrun.view import MapView

NAME = "report.html"
"""What the page is called in the map's directory."""

_MAX_BYTES = 1_000_000
_MAX_HEAD = 1_000
"""What the table takes beside its columns."""
_SLOWEST = 10
_MAX_INPUT = 200
_GLYPHS = {
    "COMPLETED": "✓",
    "ERRORED": "✕",
    "HELD": "‖",
    "REMOVED": "⊘",
    "RUNNING": "▸",
    "SUSPENDED": "◦",
    "IDLE": "·",
    "UNMATERIALIZED": "·",
    "UNKNOWN": "?",
}


@dataclass(frozen=True)
class _Slow:
    """One of the slowest components."""

    component: int
    status: str
    wall_s: float
    memory_mb: float
    node: str
    input: str


def write_page(map_: MapView, path: Path | None = None) -> Path:
    """Write the page of a map, as of its last refresh; return where it is.

    Parameters
    ----------
    map_ : MapView
    path : pathlib.Path, optional
        By default ``report.html`` in the map's directory.

    Raises
    ------
    HtrunError, OSError
    """
    path = map_.path / NAME if path is None else path
    page = page_of(map_, path.parent)  # before anything is written
    with atomic_write(path) as stream:
        stream.write(page)
    return path


def page_of(map_: MapView, place: Path) -> bytes:
    """Return the page of a map, as of its last refresh.

    Parameters
    ----------
    map_ : MapView
    place : pathlib.Path
        The directory that its links begin at.

    Raises
    ------
    HtrunError, OSError
    """
    measures = Measures.of(map_)
    timeline = timeline_of(map_, measures)
    causes = causes_of(map_)
    shown = causes[:MAX_CAUSES]
    page = {
        **_facts(map_, measures, timeline),
        **_charts(measures, timeline, usage_of(map_)),
        "causes": shown,
        "other_causes": causes[MAX_CAUSES:],
        "slowest": _slowest(map_, measures),
        "links": _links(map_, place),
    }
    template, style, script = (
        files("htrun.page").joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")
    )
    render = partial(
        _environment().from_string(template).render,
        page,
        style=style,
        script=script,
        style_hash=_digest(style),
        script_hash=_digest(script),
    )
    room = _MAX_BYTES - len(render(table={}).encode("utf-8", "replace")) - _MAX_HEAD
    table = Table(map_, measures, timeline, shown).pack(room)
    return render(table=table).encode("utf-8", "replace")


def _facts(map_: MapView, measures: Measures, timeline: Timeline) -> dict[str, Any]:
    """Return what ran, where, and how that stands."""
    info = map_.directory.info
    counts = map_.counts()
    walls = Spread.of(wall for wall, node in zip(measures.wall_s, measures.node, strict=True) if node >= 0)
    memories = Spread.of(filter(None, measures.memory_mb))
    options = info.get("options", {})
    submissions = map_.directory.read_submissions()
    pythons = ", ".join(f"{version} ({number:,})" for version, number in measures.pythons.most_common())
    about = {
        "Target": info["target"]["text"],
        "Command": shlex.join(info["command"]) if info["command"] else "",
        "In directory": info["directory"],
        "Made by": f"{info['user']} on {info['host']}, with htrun {info['versions']['htrun']}",
        "Engine": info["engine"],
        "Delivery": info["delivery"],
        "Jobs": "\n".join(jobs_line(s).removeprefix("jobs: ") for s in submissions if s.cluster is not None),
        "Submissions": f"{len(submissions):,}" if len(submissions) > 1 else "",
        "Options": "\n".join(f"{key} = {value}" for key, value in _flat(options)),
        "Python": pythons if len(measures.pythons) > 1 else "".join(measures.pythons),
        "Map's directory": str(map_.path),
    }
    return {
        "tag": map_.tag,
        "word": shlex.quote(map_.tag),
        "target": info["target"]["text"],
        "version": __version__,
        "written": time.time(),
        "zone": time.strftime("UTC%z"),
        "size": len(map_),
        "state": _state(map_, timeline),
        "counts": {s.value: counts[s] for s in charts.STACK if counts[s]},
        "begin": timeline.begin,
        "end": timeline.end,
        "is_active": timeline.goes_on,
        "busy_s": sum(measures.wall_s),
        "recorded": map_.records.finished,
        "median_s": walls.median if walls else None,
        "peak_mb": memories.max if memories else None,
        "node_count": len(measures.nodes),
        "engine": info["engine"],
        "about": {name: text for name, text in about.items() if text},
        "retried": sum(attempts > 1 for attempts in measures.attempts),
    }


def _flat(options: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return options, and the submit commands among them, as pairs."""
    pairs: list[tuple[str, Any]] = []
    for key, value in options.items():
        pairs += list(value.items()) if isinstance(value, dict) else [(key, value)]
    return pairs


def _state(map_: MapView, timeline: Timeline) -> str:
    """Return in a word how a map stands."""
    if timeline.goes_on:
        return "running"
    if map_.counts()[ComponentStatus.HELD]:
        return "held"
    if map_.unfinished:
        return "stopped"
    return "complete" if map_.counts()[ComponentStatus.COMPLETED] == len(map_) else "ended"


def _charts(measures: Measures, timeline: Timeline, usage: MapUsage) -> dict[str, Any]:
    """Return what the template draws."""
    walls = [wall for wall, node in zip(measures.wall_s, measures.node, strict=True) if node >= 0]
    memories = usage.memory_mb.used
    time_marks, memory_marks = _quantiles(walls), _memory_marks(usage)
    rows = max(len(time_marks), len(memory_marks))  # so that the two charts are beside each other
    most = max((max(node.load) for node in timeline.nodes), default=0.0) or 1.0
    return {
        "levels": charts.levels_chart(timeline),
        "times": charts.histogram(walls, charts.TIME, time_marks, rows) if walls else None,
        "memory": charts.histogram(memories, charts.MEMORY, memory_marks, rows) if memories else None,
        "usage": usage,
        "usage_head": HEAD,
        "nodes": [(n, charts.load_path(n, most), list(charts.error_places(n))) for n in timeline.nodes],
        "most_load": most,
    }


def _quantiles(values: Sequence[float]) -> dict[str, tuple[str, float]]:
    spread = Spread.of(values)
    return {"median": ("median", spread.median), "95 % within": ("p95", spread.p95)} if spread else {}


def _memory_marks(usage: MapUsage) -> dict[str, tuple[str, float]]:
    marks = _quantiles(usage.memory_mb.used)
    if usage.memory_mb.requested:
        marks["requested"] = ("requested", max(usage.memory_mb.requested))
    if usage.proposed_memory_mb is not None:
        marks["proposed"] = ("proposed", usage.proposed_memory_mb)
    return marks


def _slowest(map_: MapView, measures: Measures) -> list[_Slow]:
    known = (component for component, node in enumerate(measures.node) if node >= 0)
    return [
        _Slow(
            component,
            map_.status_of(component).value,
            measures.wall_s[component],
            measures.memory_mb[component],
            measures.nodes[measures.node[component]],
            shorten(input_text(map_, component), _MAX_INPUT),
        )
        for component in heapq.nlargest(_SLOWEST, known, key=measures.wall_s.__getitem__)
    ]


def _links(map_: MapView, place: Path) -> dict[str, str]:
    """Return what links begin with: to the result files that there are, the job directories, and the output files."""
    directory = map_.directory
    parts = {"jobs": directory.jobs, "files": directory.output_files}
    if map_.results_are_written():
        results = {"outputs": directory.outputs_file, "errors": directory.errors_file, "run": directory.run_file}
        parts |= {name: path for name, path in results.items() if path.exists()}
    return {name: quote(os.fsencode(os.path.relpath(path.resolve(), place.resolve()))) for name, path in parts.items()}


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined  # only now: it costs start-up time

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        seconds=charts.seconds_text,
        megabytes=charts.megabytes_text,
        percent=lambda value: f"{value:.5g}%",
        when=moment,
    )
    environment.globals.update(glyphs=_GLYPHS, bins=BINS, load_height=charts.LOAD_HEIGHT, count=count)
    return environment


def _digest(text: str) -> str:
    """Return by what the page's security policy knows a style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
