"""``htrun top``: maps as they get on, how fast, how long it will take, and errors as they come."""

from __future__ import annotations

import sys
import textwrap
import time
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import click

from htrun import reports
from htrun.cli import can_redraw, screen, wants_color
from htrun.cli.common import select, selectors
from htrun.cli.watching import MAX_ERRORS, Error, Maps
from htrun.exceptions import ExitCode
from htrun.settings import load
from htrun.state import UNFINISHED, ComponentStatus
from htrun.words import count

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from htrun.cli.watching import Watched

_MAX_RANGES = 100  # of running components, beyond any terminal's height
_SAY_SECONDS = 60.0  # between two lines of a map, where there is no screen to draw on
_SAY_PERCENT = 10
_SAY_ERRORS = 20
_BAR = 12
_MIN_TAG = 8


class View:
    """What is on the terminal: a table of maps, and below it errors of all of them, or all that is of one.

    Parameters
    ----------
    style : callable
        As ``click.style``.
    """

    def __init__(self, style: Callable[..., str]) -> None:
        self._style = style
        self._maps: list[Watched] = []
        self._selected: str | None = None

    def key(self, key: str) -> None:
        """Select another map, or none."""
        tags = [watched.map.tag for watched in self._maps]
        if key == "escape" or not tags:
            self._selected = None
        elif self._selected not in tags:
            self._selected = tags[0] if key == "down" else tags[-1]
        else:
            self._selected = tags[(tags.index(self._selected) + (1 if key == "down" else -1)) % len(tags)]

    def lines(self, maps: list[Watched], size: os.terminal_size) -> list[str]:
        """Return the lines for a terminal of a size."""
        self._maps = maps
        columns, height = size
        selected = next((watched for watched in maps if watched.map.tag == self._selected), None)
        if selected is None:
            title, panel = "errors", list(_errors(maps, tagged=True))
        else:
            wrap = partial(textwrap.wrap, width=max(20, columns), subsequent_indent="  ")
            title, panel = selected.map.tag, list(chain.from_iterable(map(wrap, _details(selected))))
        # Beside the two there are a headline, a heading, how many maps are not shown, what keys there are, and a title.
        room = max(2, height - 4 - bool(panel or selected))
        for_maps = min(len(maps), max(1, room - min(len(panel), max(room // 2, 1))))
        table = _table(maps, columns)
        first = 0 if selected is None else max(0, maps.index(selected) - for_maps + 1)
        shown = maps[first : first + for_maps]
        lines = [self._style(screen.cell(_headline(maps), columns), bold=True)]
        lines.append(self._style(table[0], underline=True))
        for watched, row in zip(shown, table[1:][first:], strict=False):
            lines.append(self._row(watched, row, is_selected=watched is selected))
        if len(shown) < len(maps):
            lines.append(screen.cell(f"... {len(maps) - len(shown):,} more maps", columns))
        below = max(0, height - len(lines) - 2)
        if below and (panel or selected is not None):
            lines.append(self._style(screen.cell(f"-- {title} ".ljust(columns, "-"), columns), bold=True))
            lines += [
                screen.cell(line, columns) for line in (panel[:below] if selected is not None else panel[-below:])
            ]
        lines += [""] * (height - len(lines) - 1)
        keys = "q: quit   up, down: select a map" + ("   Esc: all maps" if selected is not None else "")
        return [*lines[: height - 1], self._style(screen.cell(keys, columns), dim=True)]

    def _row(self, watched: Watched, row: str, *, is_selected: bool) -> str:
        color = {"done": "green", "failed": "red", "held": "yellow", "stopped": "yellow"}.get(watched.outlook)
        if watched.is_active and watched.map.errored:
            color = "red"
        return self._style(row, fg=color, reverse=is_selected or None)


def _headline(maps: Sequence[Watched]) -> str:
    active = sum(watched.is_active for watched in maps)
    finished, total = sum(w.map.finished for w in maps), sum(len(w.map) for w in maps)
    errored = sum(watched.map.errored for watched in maps)
    text = f"htrun top: {active} of {count(len(maps), 'map')} active, {errored:,} errored, "
    return f"{text}{finished:,} of {total:,} finished, {time.strftime('%H:%M:%S')}"


class _Column(NamedTuple):
    """A column of the table: its heading, what is in it, and how soon it is left out of a narrow one."""

    heading: str
    text: Callable[[Watched], str]
    rank: int


def _number(*statuses: ComponentStatus) -> Callable[[Watched], str]:
    def text(watched: Watched) -> str:
        counts = watched.map.counts()
        return f"{sum(counts[status] for status in statuses):,}"

    return text


def _rate_text(watched: Watched) -> str:
    rate = watched.rate
    if not rate or not watched.is_active:
        return "-"
    for seconds, unit in ((1, "s"), (60, "min")):
        if rate * seconds >= 0.95:
            return f"{rate * seconds:,.1f}/{unit}"
    return f"{rate * 3600:.1f}/h"


def _bar(watched: Watched) -> str:
    full = _BAR * watched.percent // 100
    return f"[{'#' * full}{'.' * (_BAR - full)}]"


_COLUMNS = (
    _Column("", _bar, 9),
    _Column("", lambda watched: f"{watched.percent}%", 1),
    _Column("finished", lambda watched: f"{watched.map.finished:,}/{len(watched.map):,}", 4),
    _Column("running", _number(ComponentStatus.RUNNING), 5),
    _Column("waiting", _number(*(UNFINISHED - {ComponentStatus.RUNNING})), 8),
    _Column("held", _number(ComponentStatus.HELD), 6),
    _Column("errored", _number(ComponentStatus.ERRORED), 2),
    _Column("rate", _rate_text, 7),
    _Column("left", lambda watched: watched.outlook, 3),
)


def _table(maps: Sequence[Watched], columns: int) -> list[str]:
    """Return the heading and a row a map, as wide as the terminal: what matters least is left out of a narrow one."""
    tags = [watched.map.tag for watched in maps]
    widest = max((screen.columns(tag) for tag in tags), default=_MIN_TAG)
    texts = {column: [column.heading, *(column.text(watched) for watched in maps)] for column in _COLUMNS}
    widths = {column: max(map(len, cells)) for column, cells in texts.items()}
    room = columns - max(_MIN_TAG, min(widest, columns // 4))
    kept = set()
    for column in sorted(_COLUMNS, key=lambda column: column.rank):
        if widths[column] + 1 > room:
            break
        room -= widths[column] + 1
        kept.add(column)
    shown = [column for column in _COLUMNS if column in kept]
    for_tag = max(0, columns - sum(widths[column] + 1 for column in shown))
    rows = []
    for number, tag in enumerate(["map", *tags]):
        cells = [screen.cell(texts[column][number], widths[column], right=True) for column in shown]
        rows.append(" ".join([screen.cell(tag, for_tag), *cells]))
    return rows


def _errors(maps: Iterable[Watched], *, tagged: bool) -> Iterator[str]:
    """Yield errors, the last ones last."""
    found = sorted((error, watched.map.tag) for watched in maps for error in watched.errors)
    for error, tag in found[-MAX_ERRORS:]:
        which = f"{tag} {error.component}" if tagged else f"component {error.component}"
        yield f"{time.strftime('%H:%M:%S', time.localtime(error.time))} {which}: {error.summary}"


def _details(watched: Watched) -> Iterator[str]:
    """Yield what there is to be said of one map."""
    map_ = watched.map
    yield f"{map_.directory.info['target']['text']} on {map_.engine.name}, in {map_.path}"
    yield ", ".join(reports.count_phrases(map_.counts()))
    for line in reports.hold_lines(map_.holds.values()):
        yield f"held: {line}"
    for number, (where, components) in enumerate(map_.running()):
        if number == _MAX_RANGES:
            break
        yield f"running{f' on {where}' if where else ''}: {reports.span_text(components)}"
    if map_.errored:
        watched.read_errors()
        yield from list(_errors([watched], tagged=False))[::-1]  # what has just happened is what may still be in sight


class Teller:
    """Says in lines what becomes of maps, where there is no screen to draw on."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[object, list[str], float]] = {}
        self._errors: set[tuple[str, Error]] = set()

    def tell(self, watched: Watched, now: float) -> None:
        """Say what is new of a map, if it is worth a line."""
        map_ = watched.map
        new = [error for error in watched.errors if (map_.tag, error) not in self._errors]
        for error in new[-_SAY_ERRORS:]:
            click.echo(f"{map_.tag}: component {error.component} errored: {error.summary}")
        if len(new) > _SAY_ERRORS:
            click.echo(f"{map_.tag}: ... and {len(new) - _SAY_ERRORS:,} more errors")
        self._errors.update((map_.tag, error) for error in new)
        phrases = reports.count_phrases(map_.counts())
        state = watched.is_active, watched.percent // _SAY_PERCENT, map_.counts()[ComponentStatus.HELD]
        before, said, moment = self._said.get(map_.tag, (None, [], now))
        if state != before or (phrases != said and now - moment >= _SAY_SECONDS):
            self._said[map_.tag] = state, phrases, now
            outlook = watched.outlook if not watched.is_active else f"about {watched.outlook} left"
            text = f"{map_.tag}: {watched.percent}% of {count(len(map_), 'component')} finished: {', '.join(phrases)}"
            click.echo(text if outlook == "about - left" else f"{text}; {outlook}")


@click.command()
@selectors
def top(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Watch maps as they get on, all of them by default.

    Errors are shown as they come. The arrow keys select a map, of which there is more to see then; q quits. Elsewhere
    than on a terminal it says in lines what has changed, until Ctrl-C.

    \b
    Example:
      htrun top -p 'scan-*'
    """
    settings = load()

    def chosen() -> list[str]:
        return select(settings, tags, patterns, all_=all_, default_all=True, quiet=True)

    maps = Maps(settings, chosen, tags)
    maps.look()  # what is wrong with what was asked for is said before the terminal is taken
    if not can_redraw(sys.stdout):
        teller = Teller()
        with suppress(KeyboardInterrupt):
            while True:
                for watched in maps.look():
                    teller.tell(watched, time.monotonic())
                sys.stdout.flush()
                time.sleep(settings.wait_time)
    else:
        view = View(click.style if wants_color(sys.stdout) else _attributes)
        screen.show(lambda size: view.lines(maps.look(), size), settings.wait_time, view.key)
    for tag, problem in maps.damaged.items():
        click.echo(f"htrun: note: {tag} is not shown: {problem}", err=True)
    return ExitCode.OK


def _attributes(text: str, **style: Any) -> str:
    """Return text without colours, but with what else tells it apart from other text."""
    return click.style(text, **{name: value for name, value in style.items() if name != "fg"})
