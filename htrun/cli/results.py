"""Commands that show what a map has brought: outputs, errors, holds, and what components printed."""

from __future__ import annotations

import sys
import textwrap
import time
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from htrun import reports
from htrun.cli import wants_color
from htrun.cli.common import color_option, load_maps, look, select, selectors, status_option, tag_argument
from htrun.control import MapControl
from htrun.exceptions import ExitCode, HtrunError, TimeoutError, UsageError
from htrun.execution import execution_lines
from htrun.export import Exporter, Format
from htrun.settings import load
from htrun.state import ComponentStatus
from htrun.store import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from htrun.export import Default
    from htrun.reports import Traceback
    from htrun.view import MapView

_POLL_SECONDS = 0.1
_SAY_SECONDS = 1.0  # most of what it waits for is over sooner
_FORMATS: dict[str, Format] = {".csv": "csv", ".tsv": "tsv"}


def tell_notes(map_: MapView) -> None:
    """Say on stderr what could not be put where it was to go."""
    for note in map_.notes:
        click.echo(f"htrun: note: {note}", err=True)
    map_.notes.clear()


def tell_losses(nonfinite: int, unexportable: int = 0, tag: str = "") -> None:
    """Say on stderr, once, what an export could not show as it is."""
    if nonfinite:
        click.echo(f"htrun: note: NaN or infinity exported as null: {nonfinite:,}", err=True)
    if unexportable:
        hint = f"'htrun collect {tag} --default repr' shows their repr()"
        click.echo(f"htrun: note: outputs without a JSON form exported as null: {unexportable:,}; {hint}", err=True)


@click.command()
@tag_argument
@click.option(
    "--format",
    "format_",
    type=click.Choice(get_args(Format)),
    help="By default that of the file's extension, or jsonl.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file, atomically.")
@click.option("--with-inputs", is_flag=True, help="Include what each component was called with.")
@click.option("--values", is_flag=True, help="Only the outputs, one a line: the inputs of the next command.")
@status_option
@click.option("--flatten", is_flag=True, help="In tables, nested objects become columns with dotted names.")
@click.option(
    "--default",
    type=click.Choice(["error", "repr", "skip"]),
    default="error",
    show_default=True,
    help="What to do with an output that has no JSON form.",
)
def collect(
    tag: str,
    format_: Format | None,
    output: Path | None,
    with_inputs: bool,
    values: bool,
    statuses: Sequence[ComponentStatus],
    flatten: bool,
    default: Default,
) -> ExitCode:
    """Export the results of a map, as far as there are any.

    \b
    Example:
      htrun collect scan --format csv --with-inputs > scan.csv
    """
    if format_ is None:
        ending = "" if output is None else output.suffix.lower()
        if ending == ".parquet":
            raise UsageError("results are JSONL, CSV or TSV: choose another name, or say which with --format")
        format_ = _FORMATS.get(ending, "jsonl")
    if flatten and format_ == "jsonl":
        raise UsageError("--flatten is for tables: add --format csv or --format tsv")
    if values and with_inputs:
        raise UsageError("--values is for the outputs alone: leave it out to have --with-inputs")
    map_ = MapControl.load(tag, load())
    with map_.guard():
        look(map_)
        exporter = Exporter(map_, statuses=statuses or None, with_inputs=with_inputs, default=default)
        if output is None or str(output) == "-":
            exporter.write(sys.stdout.buffer, format_, flatten=flatten, values_only=values)
        else:
            with atomic_write(output) as stream:
                exporter.write(stream, format_, flatten=flatten, values_only=values)
    tell_losses(exporter.nonfinite)
    missing = map_.counts()
    missing.pop(ComponentStatus.COMPLETED, None)
    if values and not statuses and missing:
        why = ", ".join(reports.count_phrases(missing))
        click.echo(f"htrun: note: {missing.total():,} of {len(map_):,} components have no output ({why})", err=True)
    return ExitCode.OK


@click.command("errors")
@selectors
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Show at most so many reports; 0 for all.")
@click.option("--tb", type=click.Choice(["auto", "short", "line"]), default="auto", show_default=True)
def map_errors(tags: Sequence[str], patterns: Sequence[str], all_: bool, limit: int, tb: Traceback) -> ExitCode:
    """Show the error reports of maps.

    \b
    Example:
      htrun errors scan --limit 3
    """
    settings = load()
    shown = 0
    for map_ in load_maps(settings, select(settings, tags, patterns, all_=all_), tags):
        with map_.guard():
            map_.refresh()
            for component in map_.components_with(ComponentStatus.ERRORED):
                if limit and shown >= limit:
                    return ExitCode.OK
                style = click.style if wants_color(sys.stdout) else reports.plain
                click.echo(reports.ErrorReport(map_, component).text(tb, style))
                shown += 1
    return ExitCode.OK


@click.command()
@selectors
def reasons(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Show why components of maps are held.

    \b
    Example:
      htrun reasons scan
    """
    settings = load()
    for map_ in load_maps(settings, select(settings, tags, patterns, all_=all_), tags):
        map_.refresh()
        for line in reports.hold_lines(map_.holds.values()):
            click.echo(f"{map_.tag} {line}")
    return ExitCode.OK


@click.command()
@tag_argument
@status_option
@click.option("-v", "--verbose", is_flag=True, help="Show how each was executed as well.")
@color_option
def components(tag: str, statuses: Sequence[ComponentStatus], verbose: bool, color: bool | None) -> ExitCode:
    """Show the status of each component of a map, one a line.

    \b
    Example:
      htrun components scan --status errored
    """
    map_ = MapControl.load(tag, load())
    map_.refresh()
    color = wants_color(sys.stdout) if color is None else color
    shown = list(map_.components_with(*(statuses or ComponentStatus)))
    records = map_.records.walk(shown) if verbose else repeat(None)
    transfers = map_.engine.transfers(map_.directory) if verbose else {}
    reasons = map_.holds | map_.removals if verbose else {}
    width = reports.width() - 1 if sys.stdout.isatty() else None
    for component, record in zip(shown, records, strict=False):
        status = map_.status_of(component).value
        line = f"{component} {click.style(status, fg=reports.STATUS_COLORS.get(status)) if color else status}"
        if record is not None:
            data = record.data
            where, attempt = data.get("node", "unknown"), data.get("attempt", 1)
            line += f" {where} attempt {attempt} {data.get('wall_s', 0.0):.3f}s {data.get('memory_mb', 0):.0f}MB"
        click.echo(line, color=color)
        if not verbose:
            continue
        facts = [f"reason     {reasons[component].reason}"] if component in reasons else []
        if map_.status_of(component) is ComponentStatus.ERRORED:
            facts.append(f"error      {reports.ErrorReport(map_, component, record).summary()}")
        if record is not None:
            facts += execution_lines(map_, component, record, transfers)
        for fact in facts:
            click.echo(_wrapped(fact, width))
    return ExitCode.OK


def _wrapped(fact: str, width: int | None) -> str:
    """Return a fact as lines that fit a terminal of a width, as one where there is none."""
    if width is None:
        return f"    {fact}"
    indents = {"initial_indent": " " * 4, "subsequent_indent": " " * 15}
    return textwrap.fill(fact, max(40, width), break_long_words=False, break_on_hyphens=False, **indents)  # type: ignore[arg-type]


def _printed(tag: str, component: int, timeout: float | None, stream: str, *, follow: bool) -> ExitCode:
    from htrun.following import Following

    map_ = MapControl.load(tag, load())
    if not 0 <= component < len(map_):
        raise UsageError(f"map {tag!r} has no component {component}: it has 0 to {len(map_) - 1}")
    following = Following(map_, component, stream)
    now = began = time.monotonic()
    waits, since, said = following.waits, now, False
    while True:
        active = map_.engine.is_working(map_.directory)
        new = b"".join(following.read(live=follow))
        sys.stdout.buffer.write(new)
        sys.stdout.buffer.flush()
        if following.is_over:
            return ExitCode.OK
        status = map_.status_of(component)
        if not active or status.is_final or status is ComponentStatus.HELD:
            raise HtrunError(f"component {component} of {tag!r} is {status}: it has left no {stream}")
        now = time.monotonic()
        if timeout is not None and now >= began + timeout:
            raise TimeoutError(f"component {component} of {tag!r} is still {status} after {timeout:g} s")
        if following.waits != waits:
            waits, since, said = following.waits, now, False
        if waits and not said and now >= since + _SAY_SECONDS:
            said = True
            click.echo(f"htrun: note: nothing of component {component} is to be seen yet: {waits}", err=True)
        if not new:
            time.sleep(_POLL_SECONDS)


_component_argument = click.argument("component", type=int)
_follow_option = click.option("-f", "--follow", is_flag=True, help="Show it as it comes, until the component ends.")
_timeout_option = click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="How long to wait for it; by default for ever."
)


@click.command()
@tag_argument
@_component_argument
@_follow_option
@_timeout_option
def stdout(tag: str, component: int, follow: bool, timeout: float | None) -> ExitCode:
    """Show what a component printed to its standard output.

    \b
    Example:
      htrun stdout scan 3 --follow
    """
    return _printed(tag, component, timeout, "stdout", follow=follow)


@click.command()
@tag_argument
@_component_argument
@_follow_option
@_timeout_option
def stderr(tag: str, component: int, follow: bool, timeout: float | None) -> ExitCode:
    """Show what a component printed to its standard error.

    \b
    Example:
      htrun stderr scan 3 --follow
    """
    return _printed(tag, component, timeout, "stderr", follow=follow)
