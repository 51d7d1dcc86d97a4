"""JUnit XML, as servers for continuous integration read it: a test suite a map, a test case a component."""

from __future__ import annotations

import errno
import os
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from htrun import reports
from htrun.exceptions import UsageError
from htrun.export import inputs
from htrun.records import read_usage
from htrun.state import UNFINISHED, ComponentStatus
from htrun.store import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from htrun.records import Record
    from htrun.view import MapView

# XML has no way to say these, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLOCK = 1000  # test cases that are written at once
_MAX_REPORTS = 1000  # whole error reports, of some kilobytes each; of others there is the message


def prepare(path: Path) -> None:
    """Make the directory that a file is to be in; raises UsageError if it cannot be written there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(f"--junitxml {path}: it cannot be written there: {error.strerror}") from None


@contextmanager
def junit_file(path: Path) -> Iterator[Callable[[MapView], None]]:
    """Write a file that appears whole, or not at all if an exception leaves the context.

    Yields
    ------
    callable
        Adds a map, as of its last refresh.
    """
    with atomic_write(path) as file:

        def add(map_: MapView) -> None:
            for text in _suite(map_):
                file.write(text.encode())

        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="htrun">\n')
        yield add
        file.write(b"</testsuites>\n")


def _suite(map_: MapView) -> Iterator[str]:
    counts, info = map_.counts(), map_.directory.info
    numbers = {
        "tests": len(map_),
        "failures": counts[ComponentStatus.ERRORED],
        "errors": counts[ComponentStatus.HELD] + counts[ComponentStatus.REMOVED],
        "skipped": map_.unfinished,
        "time": f"{map_.total_usage().total_wall_s:.3f}",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(info["created"])),
        "hostname": info["host"],
    }
    yield f"<testsuite{_attributes(name=map_.tag, **numbers)}>\n<properties>\n"
    for name in ("target", "engine", "delivery", "uid"):
        yield f"<property{_attributes(name=name, value=info[name]['text'] if name == 'target' else info[name])}/>\n"
    yield "</properties>\n"
    reference = info["target"]["reference"]
    start = f"<testcase{_attributes(classname='{module}.{qualname}'.format(**reference))} name="
    components = range(len(map_))
    reasons = {component: hold.reason for component, hold in (map_.holds | map_.removals).items()}
    cases, full = [], 0
    for component, record, given in zip(
        components, map_.records.walk(components), inputs(map_.directory, components), strict=True
    ):
        usage = read_usage(component, record.line) if record is not None else None
        name = quoteattr(_legal(f"component {component}: {reports.call_of(reference['qualname'], given)}"))
        seconds = f' time="{usage.wall_s:.6f}"' if usage is not None else ""
        full += map_.status_of(component) is ComponentStatus.ERRORED
        outcome = _outcome(map_, component, record, reasons, in_full=full <= _MAX_REPORTS)
        cases.append(f"{start}{name}{seconds}{f'>{outcome}</testcase>' if outcome else '/>'}\n")
        if len(cases) == _BLOCK:
            yield "".join(cases)
            cases.clear()
    yield "".join(cases)
    yield "</testsuite>\n"


def _outcome(map_: MapView, component: int, record: Record | None, reasons: dict[int, str], *, in_full: bool) -> str:
    """Return what is in the test case of a component: nothing if it has completed."""
    status = map_.status_of(component)
    if status is ComponentStatus.COMPLETED:
        return ""
    if status is ComponentStatus.ERRORED:
        report = reports.ErrorReport(map_, component, record)
        said = _attributes(message=report.summary(), type=report.error["type"])
        text = report.text() if in_full else ""
        return f"<failure{said}>{escape(_legal(text), {chr(13): '&#13;'})}</failure>"
    if status in UNFINISHED:
        return f"<skipped{_attributes(message=f'it is {status}: the map was stopped before its end')}/>"
    reason = reasons.get(component, "no reason given")
    return f"<error{_attributes(message=f'{status}: {reason}', type=status.value)}/>"


def _attributes(**values: object) -> str:
    return "".join(f" {name}={quoteattr(_legal(str(value)))}" for name, value in values.items())


def _legal(text: str) -> str:
    """Return text with what XML cannot hold spelt out: ``#x1B`` as pytest does."""
    return _ILLEGAL.sub(lambda found: f"#x{ord(found[0]):02X}", text)
