"""Following maps on the terminal, in the way of pytest."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from htrun import reports, words
from htrun.cli import can_redraw, wants_color
from htrun.exceptions import ExitCode, HtrunError
from htrun.state import ComponentStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO

    from htrun.control import MapControl
    from htrun.reports import Traceback

_MAX_REPORTS = 50
_MAX_SUMMARY_LINES = 200
_LINE_SECONDS = 0.1  # at most ten updates of the progress line a second
_LOG_STEP = 10  # per cent between two lines of progress where there is no terminal
_LOG_SECONDS = 60.0
_SILENCE_SECONDS = 60.0  # after so long without a start it is time to say why
_NOT_STARTED = (ComponentStatus.IDLE, ComponentStatus.UNMATERIALIZED, ComponentStatus.HELD)


class Talk:
    """Where htrun talks: on stdout where that is a terminal and not asked for data, on stderr otherwise.

    Parameters
    ----------
    data_on_stdout : bool
    """

    def __init__(self, *, data_on_stdout: bool = False) -> None:
        self.stream: TextIO = sys.stdout if sys.stdout.isatty() and not data_on_stdout else sys.stderr
        self.is_terminal = can_redraw(self.stream)

    def say(self, text: str = "", **style: Any) -> None:
        """Print a line."""
        click.echo(self.style(text, **style) if style else text, file=self.stream, color=self.color)

    @property
    def color(self) -> bool:
        """Whether output is coloured: on terminals, unless NO_COLOR says otherwise (no-color.org)."""
        return wants_color(self.stream)

    def style(self, text: str, **style: Any) -> str:
        """Return text styled as ``click.style`` does; ``say`` leaves the colours out where they are not wanted."""
        return click.style(text, **style)

    def rule(self, title: str = "", character: str = "=", **style: Any) -> None:
        """Print a line across the terminal, a short one where it may be read out."""
        columns = len(title) + 8 if self.stream.isatty() and not self.is_terminal else None
        self.say(reports.rule(title, character, columns), **style)

    def update(self, text: str) -> None:
        """Show a line that the next one replaces; only on terminals."""
        click.echo(f"\r\x1b[K{text}", file=self.stream, nl=False, color=True)
        self.stream.flush()


class Progress:
    """Shows how a map gets on: a line that is redrawn on a terminal, and a line now and then elsewhere."""

    def __init__(self, talk: Talk, map_: MapControl, *, verbose: int = 0, quiet: bool = False) -> None:
        self.talk = talk
        self.map = map_
        self.verbose = verbose
        self.quiet = quiet
        self.started = time.monotonic()
        self._finished_before: int | None = None
        self._drawn = 0.0
        self._shown_percent = 0
        self._logged = time.monotonic()
        self._held: set[int] = set()
        self._explained = False
        self._finished: set[int] = set()
        self._submissions = map_.submissions or len(map_.directory.read_submissions())

    def show(self, *, changed: bool) -> None:
        """Show what there is to show after a look at the map."""
        if self._finished_before is None:
            self._finished_before = self.map.finished
        self._show_holds()
        if self.verbose and changed:
            self._show_components()
        if self.quiet:
            return
        self._show_jobs()
        self._show_why()
        now = time.monotonic()
        if self.talk.is_terminal:
            if now - self._drawn >= _LINE_SECONDS:
                self._drawn = now
                self.talk.update(self._line())
        elif not self.verbose:
            percent = self._percent() // _LOG_STEP * _LOG_STEP
            if percent > self._shown_percent or (changed and now - self._logged > _LOG_SECONDS):
                self._shown_percent, self._logged = percent, now
                self.talk.say(self._line())

    def clear(self) -> None:
        """Take the progress line away."""
        if self.talk.is_terminal and not self.quiet and self._drawn:
            self.talk.update("")

    def _percent(self) -> int:
        return 100 * self.map.finished // max(1, len(self.map))

    def _line(self) -> str:
        total = len(self.map)
        finished = self.map.finished
        phrases = [p for p in reports.count_phrases(self.map.counts()) if not p.endswith("completed")]
        line = f"{self.map.tag}: {finished:,}/{total:,} [{self._percent():3d}%] {', '.join(phrases)}"
        elapsed = time.monotonic() - self.started
        unfinished = self.map.unfinished
        seen = finished - (self._finished_before or 0)
        if seen and unfinished and elapsed > 2:
            line += f", about {words.clock(elapsed * unfinished / seen)} left"
        return line[: reports.width() - 1] if self.talk.is_terminal else line.rstrip()

    def _say(self, text: str, **style: Any) -> None:
        self.clear()
        self.talk.say(text, **style)
        self._drawn = 0.0

    def _show_holds(self) -> None:
        held = self.map.holds
        for line in reports.hold_lines(held[component] for component in set(held) - self._held):
            self._say(f"HELD {line}", fg="yellow")
        self._held = set(held)

    def _show_jobs(self) -> None:
        """Say which jobs have been submitted since the beginning."""
        if self.map.submissions != self._submissions:
            for submission in self.map.directory.read_submissions()[self._submissions :]:
                if submission.cluster:
                    self._say(reports.jobs_line(submission))
            self._submissions = self.map.submissions

    def _show_why(self) -> None:
        """Say once why nothing has started, if nothing has for a while."""
        from htrun.explanation import idle, indented  # only now: hardly any run needs it

        if self._explained:
            return
        counts = self.map.counts()
        started = len(self.map) - sum(counts[status] for status in _NOT_STARTED)
        waiting = counts[ComponentStatus.IDLE] + counts[ComponentStatus.UNMATERIALIZED]
        if started or not waiting:
            self._explained = bool(started)
            return
        if time.time() - self.map.last_event() < _SILENCE_SECONDS:
            return
        self._explained = True
        try:
            paragraphs = list(idle(self.map))
        except Exception as error:  # noqa: BLE001 (the run matters more than what is said of it)
            paragraphs = [f"Why cannot be told: {error}"]
        if paragraphs:
            columns = reports.width() if self.talk.is_terminal else None
            self._say(f"nothing has started yet ('htrun why {self.map.tag}' looks again):", fg="yellow")
            for paragraph in paragraphs:
                self._say(indented(paragraph, columns))

    def _show_components(self) -> None:
        for component, outcome in enumerate(self.map.records.outcomes):
            if outcome and component not in self._finished:
                self._finished.add(component)
                status = self.map.status_of(component)
                percent = 100 * len(self._finished) // len(self.map)
                color = reports.STATUS_COLORS.get(status.value)
                call = reports.call_text(self.map, component)
                self._say(f"component {component}: {call} {self.talk.style(status.value, fg=color)} [{percent:3d}%]")


def follow(map_: MapControl, talk: Talk, *, verbose: int = 0, quiet: bool = False, max_failures: int = 0) -> None:
    """Watch a map until nothing can become of it any more, showing its progress.

    Parameters
    ----------
    map_ : MapControl
    talk : Talk
    verbose : int
    quiet : bool
    max_failures : int
        Stop the map after this many errors; 0 for never.
    """
    progress = Progress(talk, map_, verbose=verbose, quiet=quiet)
    try:
        with closing(map_.watch()) as looks:
            for changed in looks:
                progress.show(changed=changed)
                if max_failures and map_.errored >= max_failures and map_.is_active:
                    map_.stop(f"its map stopped after {words.count(max_failures, 'error')}")
    finally:
        progress.clear()


def notifying(map_: MapControl, command: str | None, wait: Callable[[], ExitCode]) -> ExitCode:
    """Wait for the end of a map and return what it means; then run a command, if any, unless that was interrupted."""
    code = ExitCode.INTERRUPTED
    try:
        code = wait()
    except HtrunError as error:
        code = error.exit_code
        raise
    finally:
        if command is not None and code is not ExitCode.INTERRUPTED:
            from htrun.cli.ending import notify  # only now: hardly any run needs it

            notify(map_, command, code)
    return code


def exit_code(map_: MapControl) -> ExitCode:
    """Return what a map's statuses mean for a command that waited for it."""
    counts = map_.counts()
    if counts[ComponentStatus.COMPLETED] == len(map_):
        return ExitCode.OK
    if counts[ComponentStatus.ERRORED] or counts[ComponentStatus.REMOVED]:
        return ExitCode.ERRORED
    if counts[ComponentStatus.HELD]:
        return ExitCode.HELD
    return ExitCode.INTERRUPTED  # it was stopped: what is left is idle


def show_failures(talk: Talk, map_: MapControl, traceback: Traceback) -> None:
    """Show a section a failure."""
    errored = list(map_.components_with(ComponentStatus.ERRORED))
    if errored and traceback != "no":
        talk.rule("FAILURES")
        for component in errored[:_MAX_REPORTS]:
            talk.say(reports.ErrorReport(map_, component).text(traceback, talk.style))
        if len(errored) > _MAX_REPORTS:
            talk.say(f"... {len(errored) - _MAX_REPORTS:,} more: 'htrun errors {map_.tag}' shows all of them")


def show_durations(talk: Talk, map_: MapControl, number: int) -> None:
    """Show the slowest components, all of them for 0."""
    talk.rule(f"slowest {number} durations" if number else "durations")
    for seconds, component in reports.slowest(map_, number):
        talk.say(f"{seconds:.2f}s component {component}: {reports.call_text(map_, component)}")


def show_summary(talk: Talk, map_: MapControl, seconds: float | None = None, max_failures: int = 0) -> None:
    """Show a line a failure, whether errors stopped the map, and a last line with the counts."""
    errored = list(map_.components_with(ComponentStatus.ERRORED))
    others = [f"HELD {line}" for line in reports.hold_lines(map_.holds.values())]
    others += [f"REMOVED {line}" for line in reports.hold_lines(map_.removals.values())]
    if errored or others:
        talk.rule("short summary", fg="cyan")
        room = max(40, reports.width())
        lines = [
            f"ERRORED component {c} - {reports.ErrorReport(map_, c).summary()}" for c in errored[:_MAX_SUMMARY_LINES]
        ]
        lines += others[: _MAX_SUMMARY_LINES - len(lines)]
        for line in lines:
            talk.say(reports.shorten(line, room) if talk.is_terminal else " ".join(line.split()))
        if len(lines) < len(errored) + len(others):
            talk.say(f"... and {len(errored) + len(others) - len(lines):,} more")
    if map_.holds:
        talk.say(f"'htrun why {map_.tag}' says what mends a hold, 'htrun release {map_.tag}' tries again")
    if max_failures and len(errored) >= max_failures:
        talk.rule(f"stopping after {words.count(len(errored), 'error')}", "!", fg="red")
    code = exit_code(map_)
    color = "green" if code is ExitCode.OK else "red" if code is ExitCode.ERRORED else "yellow"
    phrases = ", ".join(reports.count_phrases(map_.counts()))
    took = f" in {words.duration(seconds)}" if seconds is not None else ""
    talk.rule(f"{phrases}{took}", fg=color, bold=True)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the exit code of several maps: that of the first kind of trouble in the order of gravity."""
    found = set(codes)
    for code in (ExitCode.INTERNAL, ExitCode.USAGE, ExitCode.INTERRUPTED, ExitCode.ERRORED, ExitCode.HELD):
        if code in found:
            return code
    return ExitCode.OK
