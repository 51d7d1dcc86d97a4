"""What people read of a map: from data to text, without printing any of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import textwrap
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

from htrun.execution import failure_lines, transfer_times
from htrun.export import display_input
from htrun.state import ComponentStatus
from htrun.words import count, duration

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator

    from htrun.records import Record
    from htrun.submissions import Submission
    from htrun.view import ComponentHold, MapView

Traceback = Literal["auto", "short", "line", "no"]


STATUS_COLORS = {"COMPLETED": "green", "ERRORED": "red", "HELD": "yellow", "RUNNING": "cyan", "REMOVED": "yellow"}

CHAINED = (
    ("cause", "The above exception was the direct cause of the following exception:"),
    ("context", "During handling of the above exception, another exception occurred:"),
)
"""What an error of a record may have with it, and how Python introduces the next one then."""

_MAX_PRINTED = 10_000
_MAX_INPUT = 60


def plain(text: str, **_: Any) -> str:
    """Return text as it is: the style of what is no terminal."""
    return text


def width() -> int:
    """Return the width of the terminal in columns, 80 where there is none."""
    return shutil.get_terminal_size().columns


def rule(title: str = "", character: str = "=", columns: int | None = None) -> str:
    """Return a line across the terminal with a title in its middle."""
    columns = columns or width()
    return f" {title} ".center(columns, character) if title else character * columns


def jobs_line(submission: Submission) -> str:
    """Return which jobs a submission has, and why: ``jobs: 40 of up to 250 components, in cluster 12 (as asked)``."""
    first = "the first " if submission.pilot else ""
    each = f" of up to {submission.chunk_size:,} components" if submission.chunk_size > 1 else " of one component"
    why = f" ({submission.why})" if submission.why else ""
    return f"jobs: {first}{submission.jobs:,}{each}, in cluster {submission.cluster}{why}"


def count_phrases(counts: Counter[ComponentStatus]) -> list[str]:
    """Return ``3 errored, 10 completed`` in its parts, what needs attention first."""
    order = [
        ComponentStatus.ERRORED,
        ComponentStatus.HELD,
        ComponentStatus.COMPLETED,
        ComponentStatus.RUNNING,
        ComponentStatus.SUSPENDED,
        ComponentStatus.IDLE,
        ComponentStatus.UNMATERIALIZED,
        ComponentStatus.REMOVED,
        ComponentStatus.UNKNOWN,
    ]
    return [f"{counts[status]:,} {status.value.lower()}" for status in order if counts[status]]


def shorten(text: str, limit: int) -> str:
    """Return text on one line of at most ``limit`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: max(0, limit - 3)] + "..."


def input_text(map_: MapView, component: int) -> str:
    """Return a component's input as JSON, whole."""
    return display_input(map_.directory.call(component), map_.directory.files).decode("utf-8", "replace")


def call_text(map_: MapView, component: int) -> str:
    """Return a component's call as Python would write it, shortened: ``measure('a.py', size=3)``."""
    name = map_.directory.info["target"]["reference"]["qualname"]
    return call_of(name, input_text(map_, component))


def call_of(name: str, text: str | bytes) -> str:
    """Return the call of a function with an input, given as JSON; see ``call_text``."""
    given = json.loads(text)
    if isinstance(given, dict):
        inner = ", ".join(f"{key}={value!r}" for key, value in given.items())
    else:
        inner = ", ".join(map(repr, given)) if isinstance(given, list) else str(given)
    return f"{name}({shorten(inner, _MAX_INPUT)})"


class ErrorReport:
    """All that is shown of one errored component.

    Parameters
    ----------
    map_ : MapView
    component : int
    record : Record, optional
        Its record, where that was read already.
    """

    def __init__(self, map_: MapView, component: int, record: Record | None = None) -> None:
        self.map_ = map_
        self.component = component
        self.record = record or map_.records.get(component)
        self.error = map_.error(component, self.record)

    def summary(self) -> str:
        """Return the error on one line: its type, and the first line of its message."""
        error = self.error
        message = error["message"].strip().partition("\n")[0]
        return f"{error['type']}: {message}" if message else str(error["type"])

    def text(self, traceback: Traceback = "auto", style: Callable[..., str] = plain, columns: int | None = None) -> str:
        """Return the report.

        Parameters
        ----------
        traceback : {"auto", "short", "line", "no"}
            ``auto`` shows source around each of the user's lines and the local variables, ``short`` a line of source a
            frame, ``line`` all on one line.
        style : callable
        columns : int, optional
            How wide rules are; by default as wide as the terminal.
        """
        if traceback == "no":
            return ""
        if traceback == "line":
            frames = [frame for frame in self.error["frames"] if frame["user"]]
            where = f"{self._file(frames[-1])}:{frames[-1]['line']}: " if frames else ""
            return f"{where}{self.summary()} (component {self.component})"
        title = f"component {self.component}: {call_text(self.map_, self.component)}"
        lines = [style(rule(title, "_", columns), fg="red", bold=True)]
        lines += self._exception(self.error, traceback, style)
        lines += self._printed(columns)
        if traceback == "auto":
            lines += self._scratch(columns)
        if self.record is not None:
            lines += failure_lines(self.record)
        lines.append(style(self._where(), dim=True))
        return "\n".join(lines)

    def _file(self, frame: dict[str, Any]) -> str:
        if not frame["user"]:
            return str(frame["file"])
        original = self.map_.directory.info["target"]["sources"].get(frame["file"])
        if original is None:
            return str(frame["file"])
        relative = os.path.relpath(original)
        return str(original) if relative.startswith("..") else relative

    def _exception(self, error: dict[str, Any], traceback: Traceback, style: Callable[..., str]) -> Iterator[str]:
        for key, phrase in CHAINED:
            if key in error:
                yield from self._exception(error[key], traceback, style)
                yield from ("", phrase)
        frames = error["frames"]
        last_user = max((i for i, frame in enumerate(frames) if frame["user"]), default=-1)
        for i, frame in enumerate(frames):
            # Frames of libraries are kept short; those below the user's last line show where it went from there.
            if not frame["user"] and i < last_user and traceback == "auto":
                continue
            yield ""
            yield f"{style(self._file(frame), bold=True)}:{frame['line']}: in {frame['function']}"
            source = frame["source"] if frame["user"] and traceback == "auto" else frame["source"][-1:]
            yield from source_lines(source, style)
            if traceback == "auto" and frame.get("locals"):
                yield ""
                names = frame["locals"]
                wide = min(max(map(len, names)), 20)
                for name, value in names.items():
                    yield f"    {name:{wide}} = {value}"
        yield ""
        message = f"{error['type']}: {error['message']}" if error["message"] else str(error["type"])
        for note in error.get("notes", ()):
            message += "\n" + note
        for line in message.splitlines():
            yield style(f"E   {line}", fg="red")
        for part in error.get("exceptions", ()):
            yield from ("", "-- one of the exceptions in the group:")
            yield from self._exception(part, traceback, style)

    def _printed(self, columns: int | None) -> Iterator[str]:
        for name in ("stdout", "stderr"):
            text = printed_end(self.record, name, f"'htrun {name} {self.map_.tag} {self.component}'")
            if text.strip():
                yield rule(f"Captured {name}", "-", columns)
                yield text.rstrip("\n")

    def _scratch(self, columns: int | None) -> Iterator[str]:
        before, after = ([], self.error.get("scratch", ())) if self.record is None else self.record.scratch()
        unchanged = ((after, "before the call and after it"),)
        for files, when in unchanged if before == after else ((before, "before the call"), (after, "after the call")):
            if files:
                yield rule(f"Files in the scratch directory {when}", "-", columns)
                for name, size in files:
                    yield f"{size:>12,}  {name}"

    def _where(self) -> str:
        record = self.record
        if record is None:
            node = self.error.get("node")
            return f"[node {node}]" if node else "[it left no record]"
        environment = record.environment()
        parts = [f"node {record.data.get('node', 'unknown')}"]
        if "python" in environment:
            parts.append(f"Python {environment['python']} ({environment['executable']})")
        if record.data.get("attempt", 1) > 1:
            parts.append(f"attempt {record.data['attempt']}")
        parts.append(f"after {duration(record.data.get('wall_s', 0.0))}")
        if "memory_mb" in record.data:
            parts.append(f"peak memory {record.data['memory_mb']:,.0f} MB")
        parts += [f"transfer {text}" for text in transfer_times(record.data, None)]
        return f"[{', '.join(parts)}]"


def printed_end(record: Record | None, stream: str, where: str) -> str:
    """Return what a component has printed, of much only the end, and ``where`` all of it is."""
    text = "" if record is None else record.printed(stream).decode("utf-8", "replace")
    if len(text) <= _MAX_PRINTED:
        return text
    return f"... {len(text) - _MAX_PRINTED:,} characters before this, see {where}\n{text[-_MAX_PRINTED:]}"


def source_lines(source: list[str], style: Callable[..., str] = plain) -> Iterator[str]:
    """Yield source around a line, which is the last one, without the indentation that all of it has."""
    while source and not source[0].strip():
        source = source[1:]
    indent = min((len(line) - len(line.lstrip()) for line in source if line.strip()), default=0)
    for number, line in enumerate(source):
        last = number == len(source) - 1
        yield style(f"{'>' if last else ' '}   {line[indent:]}", bold=last)


def cause(hold: ComponentHold) -> tuple[str, int | None, int | None]:
    """Return what holds for the same reason have in common: all that is said but for the names of slots."""
    return re.sub(r"\bslot\w*@[\w.-]+", "slot", hold.reason), hold.code, hold.subcode


def hold_lines(holds: Iterable[ComponentHold]) -> Iterator[str]:
    """Yield a line for all components held for the same reason: ``component 3: why``, ``components 3-5: why``."""
    by_cause: dict[tuple[str, int | None, int | None], list[ComponentHold]] = {}
    for hold in sorted(holds, key=attrgetter("component")):
        by_cause.setdefault(cause(hold), []).append(hold)
    for alike in by_cause.values():
        first = alike[0]
        codes = f" [code {first.code}.{first.subcode}]" if first.code is not None else ""
        slots = len({hold.reason for hold in alike}) - 1
        more = f" ({count(slots, 'other slot')} {'says' if slots == 1 else 'say'} so too)" if slots else ""
        components = span_text(hold.component for hold in alike)
        yield f"component{'s' if len(alike) > 1 else ''} {components}: {first.reason}{codes}{more}"


def span_text(numbers: Iterable[int]) -> str:
    """Return ascending numbers with runs joined: ``0-6, 9``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def slowest(map_: MapView, number: int) -> list[tuple[float, int]]:
    """Return (wall seconds, component) of the slowest components, all of them for 0."""
    times = sorted(((used.wall_s, used.component) for used in map_.records.usage()), reverse=True)
    return times[:number] if number else times


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


def size_text(number: float) -> str:
    """Return a number of bytes with a decimal unit, as ``ls -h --si`` does."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
