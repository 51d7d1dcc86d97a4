"""Maps in a table: the status of each, and what it took."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from htrun.reports import STATUS_COLORS, plain, size_text
from htrun.state import ComponentStatus
from htrun.words import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from htrun.view import MapView


def status_row(map_: MapView, *, state: bool, meta: bool) -> dict[str, Any]:
    """Return what is known of a map as of its last refresh, as data: sizes in bytes, times in seconds.

    Parameters
    ----------
    map_ : MapView
    state : bool
        Include how many components are in each status, ``component_status_counts``.
    meta : bool
        Include ``local_data``, ``max_memory``, ``max_runtime`` and ``total_runtime``.
    """
    row: dict[str, Any] = {"tag": map_.tag, "transient": map_.is_transient, "components": len(map_)}
    if state:
        shown = dict.fromkeys((status.value for status in ComponentStatus.display_statuses()), 0)
        row["component_status_counts"] = shown | {status.value: number for status, number in map_.counts().items()}
    if meta:
        usage = map_.total_usage()
        row["local_data"] = map_.local_data()
        row["max_memory"] = int(usage.max_memory_mb * 2**20)
        row["max_runtime"] = usage.max_wall_s
        row["total_runtime"] = round(usage.total_wall_s, 6)
    return row


def status_table(
    rows: Iterable[dict[str, Any]],
    style: Callable[..., str] = plain,
    *,
    state: bool = True,
    meta: bool = True,
    columns: int | None = None,
) -> str:
    """Return ``status_row`` of maps as a table for people; transient maps have a star before their tag.

    The columns are there without any map too; ``state`` and ``meta`` are those of the rows. What is wider than a
    terminal's columns becomes two tables, or some lines for each map, which is what there is for 0 columns.
    """
    statuses = [status.value for status in ComponentStatus.display_statuses()] if state else []
    table = []
    for row in rows:
        cells = {"Tag": f"{'* ' if row['transient'] else ''}{row['tag']}"}
        for status, number in row.get("component_status_counts", {}).items():
            cells[status] = str(number)
        if "local_data" in row:
            texts = (size_text(row["local_data"]), size_text(row["max_memory"]))
            times = (duration(row["max_runtime"]), duration(row["total_runtime"]))
            cells |= zip(_META, texts + times, strict=True)
        table.append(cells)
    names = list(dict.fromkeys(name for cells in table for name in cells)) or [
        "Tag",
        *statuses,
        *(_META if meta else ()),
    ]
    whole = _tabulated(table, names, names, style)
    if columns is None or _width_of(whole) <= columns:
        return whole
    parts = [[name for name in names[1:] if (name in _META) == last] for last in (False, True)]
    short = {name: name.replace(" ", "\n") for name in names}
    halves = [_tabulated(table, ["Tag", *part], map(short.get, ["Tag", *part]), style) for part in parts if part]
    if max(map(_width_of, halves)) <= columns:
        return "\n\n".join(halves)
    return "\n".join(_status_lines(cells, columns) for cells in table)


_META = ("Local Data", "Max Memory", "Max Runtime", "Total Runtime")
_NO_BREAK = "\xa0"


def _tabulated(
    table: Iterable[dict[str, str]], names: Iterable[str], headings: Iterable[Any], style: Callable[..., str]
) -> str:
    from tabulate import tabulate  # only now: it costs start-up time

    names = list(names)
    body = [
        [
            style(text, fg=STATUS_COLORS.get(name)) if name in ComponentStatus.__members__ and text != "0" else text
            for name, text in ((name, cells.get(name, "0")) for name in names)
        ]
        for cells in table
    ]
    aligned = ["left"] + ["right"] * (len(names) - 1)
    return tabulate(body, headers=list(headings), disable_numparse=True, colalign=aligned)


def _width_of(table: str) -> int:
    return next(len(line) for line in table.splitlines() if not line.strip("- "))  # the line below the headings


def _status_lines(cells: dict[str, str], columns: int) -> str:
    """Return a map's row of the table as a headline, and below it what is not zero of the rest."""
    parts = [f"{name} {text}" for name, text in cells.items() if name != "Tag" and text != "0"]
    text = ", ".join(part.replace(" ", _NO_BREAK) for part in parts)
    lines = textwrap.wrap(text, columns - 2) if columns > 30 else [text]
    return "\n".join([cells["Tag"], *(f"  {line.replace(_NO_BREAK, ' ')}" for line in lines)])


def status_json(rows: Iterable[dict[str, Any]], *, compact: bool = False) -> str:
    """Return ``status_row`` of maps as a JSON object by tag."""
    table = {row["tag"]: row for row in rows}
    return json.dumps(table, indent=None if compact else 2, separators=(",", ":") if compact else None)


def status_csv(rows: Iterable[dict[str, Any]], *, state: bool = True, meta: bool = True) -> str:
    """Return ``status_row`` of maps as CSV, a column a status; see ``status_table``."""
    import csv
    import io

    flat = [
        {name: value for name, value in row.items() if name != "component_status_counts"}
        | {"transient": json.dumps(row["transient"])}
        | row.get("component_status_counts", {})
        for row in rows
    ]
    columns = ["tag", "transient", "components"]
    columns += ["local_data", "max_memory", "max_runtime", "total_runtime"] if meta else []
    columns += [status.value for status in ComponentStatus.display_statuses()] if state else []
    names = list(dict.fromkeys(name for row in flat for name in row)) or columns
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval=0, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()
