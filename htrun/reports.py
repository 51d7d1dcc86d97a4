"""What people read of a map: from data to text, without printing any of it."""

from __future__ import annotations

import json
import os
import re
import shutil
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
    """Return a component's input as JSON, whole, with NaN and infinities."""
    call = map_.directory.call(component)
    return display_input(call, map_.directory.files, strict=False).decode("utf-8", "replace")


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


def size_text(number: float) -> str:
    """Return a number of bytes with a decimal unit, as ``ls -h --si`` does."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
