"""Commands that look after maps."""

from __future__ import annotations

import platform
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from htrun import __version__, overview, reports
from htrun.cli import can_redraw, complain, wants_color
from htrun.cli.common import (
    color_option,
    junit_option,
    load_maps,
    look,
    notify_option,
    select,
    selectors,
)
from htrun.cli.completion import complete_tags
from htrun.cli.results import tell_notes
from htrun.cli.terminal import Talk, exit_code, follow, notifying, show_summary, worst
from htrun.control import MapControl, delete_directory
from htrun.engines.base import get_engine
from htrun.exceptions import (
    EngineError,
    ExitCode,
    HtrunError,
    InvalidMapDirectory,
    MapWasRemoved,
    NotPrivate,
    TagNotFound,
    UsageError,
)
from htrun.export import write_results
from htrun.settings import Config, load
from htrun.tags import TagRegistry
from htrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any


@click.command()
@selectors
@click.option("--state/--no-state", default=True, show_default=True, help="How many components are in each status.")
@click.option("--meta/--no-meta", default=True, show_default=True, help="Sizes and times.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "json_compact", "csv"], case_sensitive=False),
    default="text",
    show_default=True,
)
@click.option("--live/--no-live", default=False, help="Show the table anew every second, until Ctrl-C.")
@color_option
def status(
    tags: Sequence[str],
    patterns: Sequence[str],
    all_: bool,
    state: bool,
    meta: bool,
    format_: str,
    live: bool,
    color: bool | None,
) -> ExitCode:
    """Show a table of maps, all of them by default. Transient ones have a star.

    \b
    Example:
      htrun status --no-meta
    """
    if live and format_ != "text":
        raise UsageError("--live is for the table that people read: leave out --format")
    settings = load()
    known: dict[str, MapControl] = {}
    style = click.style if (wants_color(sys.stdout) if color is None else color) else reports.plain

    def text() -> str:
        # What is shown anew each second says by itself that it is empty, and data goes to programs.
        chosen = select(settings, tags, patterns, all_=all_, default_all=True, quiet=live or format_ != "text")
        rows = list(_status_rows(settings, chosen, tags, known, state=state, meta=meta))
        if format_ == "text":
            # A terminal that cannot redraw is read out, perhaps: then tables are of no use.
            columns = None if not sys.stdout.isatty() else reports.width() if can_redraw(sys.stdout) else 0
            return overview.status_table(
                rows, style if columns != 0 else reports.plain, state=state, meta=meta, columns=columns
            )
        if format_ == "csv":
            return overview.status_csv(rows, state=state, meta=meta).removesuffix("\n")
        return overview.status_json(rows, compact=format_ == "json_compact")

    if live:
        from htrun.cli.screen import show_table

        show_table(text, settings.wait_time)
    else:
        click.echo(text(), color=color)
    return ExitCode.OK


def _status_rows(
    settings: Config, chosen: Sequence[str], named: Sequence[str], known: dict[str, MapControl], **what: bool
) -> Iterator[dict[str, Any]]:
    """Yield what is shown of maps; those that are known need be read only as far as they are new."""
    for map_ in load_maps(settings, [tag for tag in chosen if tag not in known], named):
        known[map_.tag] = map_
    for tag in chosen:
        if tag not in known:
            continue  # damaged, which was said
        try:
            with known[tag].guard():
                look(known[tag])
                yield overview.status_row(known[tag], **what)
        except MapWasRemoved:
            del known[tag]
            if tag in named:
                raise


@click.command()
@selectors
@junit_option
@notify_option
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def wait(
    tags: Sequence[str],
    patterns: Sequence[str],
    all_: bool,
    junitxml: Path | None,
    notify: str | None,
    quiet: bool,
) -> ExitCode:
    """Wait until maps have ended.

    They have when all components are completed, errored or held. A run whose process was killed is carried on.

    \b
    Example:
      htrun wait scan && htrun collect scan > scan.jsonl
    """
    settings = load()
    chosen = select(settings, tags, patterns, all_=all_)
    talk = Talk()
    codes = []
    with ExitStack() as stack:
        add = None
        if junitxml is not None:
            from htrun import junit  # only now: it is seldom asked for

            junit.prepare(junitxml)
            add = stack.enter_context(junit.junit_file(junitxml))
        for tag in chosen:
            try:
                map_ = MapControl.load(tag, settings)
                wait_for = partial(_wait, map_, talk, quiet=quiet, heading=len(chosen) > 1, add=add)
                codes.append(notifying(map_, notify, wait_for))
            except KeyboardInterrupt:
                talk.say(f"interrupted; {tag!r} goes on without us", fg="yellow")
                return ExitCode.INTERRUPTED
            except HtrunError as error:  # hinders no other
                if not isinstance(error, TagNotFound) or tag in tags:
                    complain(str(error))
                    codes.append(error.exit_code)
    return worst(codes)


def _wait(
    map_: MapControl, talk: Talk, *, quiet: bool, heading: bool, add: Callable[[MapControl], None] | None
) -> ExitCode:
    with map_.guard():
        map_.refresh()
        reason = map_.carry_on()
        if reason is not None:
            click.echo(f"htrun: note: carrying on with {map_.tag!r}, which had stopped: {reason}", err=True)
        max_failures = map_.directory.info["options"].get("max_failures", 0)
        if max_failures:
            max_failures += map_.errored  # those that there are have stopped the map, and were not the end of it
        follow(map_, talk, quiet=quiet, max_failures=max_failures)
        code = exit_code(map_)
        if code is not ExitCode.INTERRUPTED:
            write_results(map_)
        if add is not None:
            add(map_)
        tell_notes(map_)
        if not quiet:
            if heading:
                talk.say(f"{map_.tag}:")
            show_summary(talk, map_, max_failures=max_failures)
            if map_.unfinished and not map_.is_active:
                talk.say(f"it was stopped: 'htrun resume {map_.tag}' lets it go on", fg="yellow")
    return code


@click.command()
@click.option("-p", "--pattern", "patterns", multiple=True, metavar="GLOB", help="Only tags that match; repeatable.")
def tags(patterns: Sequence[str]) -> ExitCode:
    """List the tags of maps, one a line.

    \b
    Example:
      htrun tags -p 'scan-*'
    """
    settings = load()
    for tag in select(settings, (), patterns, all_=False, default_all=True, quiet=True):
        click.echo(tag)
    return ExitCode.OK


PARTS = ("map", "tag", "events", "logs", "inputs", "outputs", "errors", "run")


def complete_parts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the tags that begin with what was typed, and behind a colon the parts of a map."""
    tag, colon, part = incomplete.partition(":")
    if not colon:
        return complete_tags(ctx, param, incomplete)
    return [f"{tag}:{known}" for known in PARTS if known.startswith(part)]


@click.command()
@click.argument("tag", metavar="TAG[:PART]", shell_complete=complete_parts)
def path(tag: str) -> ExitCode:
    """Show where a map is, or a part of it.

    The parts are map, tag, events, logs, inputs, outputs, errors and run.

    \b
    Example:
      jq .output "$(htrun path scan:outputs)"
    """
    name, _, part = tag.partition(":")
    registry = TagRegistry(load().tags)
    directory = registry.get(name)
    places = {
        "map": directory.path,
        "tag": registry.tag_file(name),
        "events": get_engine(directory.info["engine"]).event_log(directory),
        "logs": directory.jobs,
        "inputs": directory.calls,
        "outputs": directory.outputs_file,
        "errors": directory.errors_file,
        "run": directory.run_file,
    }
    if (part or "map") not in places:
        raise UsageError(f"a map has no part {part!r}{did_you_mean(part, places)}: there are {', '.join(places)}")
    click.echo(places[part or "map"])
    return ExitCode.OK


@click.command()
@selectors
@click.option("--force", is_flag=True, help="Remove maps even if their jobs cannot be removed.")
def remove(tags: Sequence[str], patterns: Sequence[str], all_: bool, force: bool) -> ExitCode:
    """Stop maps and delete them with their results.

    \b
    Example:
      htrun remove -p 'test-*'
    """
    settings = load()
    registry = TagRegistry(settings.tags)
    codes = []
    for tag in select(settings, tags, patterns, all_=all_):
        try:
            _remove(tag, settings, registry, force=force)
        except HtrunError as error:
            if not isinstance(error, TagNotFound) or tag in tags:
                complain(str(error))
                codes.append(error.exit_code)
        else:
            click.echo(f"removed {tag}", err=True)
    return worst(codes)


def _remove(tag: str, settings: Config, registry: TagRegistry, *, force: bool) -> None:
    try:
        map_ = MapControl.load(tag, settings)
    except (InvalidMapDirectory, NotPrivate, EngineError):  # not to be used, or of an engine that is not installed
        if not force:
            raise
        with registry.lock_tag(tag):
            delete_directory(tag, registry)
    else:
        map_.remove(force=force)


@click.command()
def version() -> ExitCode:
    """Show the versions of htrun, Python and HTCondor.

    \b
    Example:
      htrun version
    """
    from importlib_metadata import PackageNotFoundError
    from importlib_metadata import version as version_of

    click.echo(f"htrun {__version__}")
    click.echo(f"Python {platform.python_version()}")
    try:
        click.echo(f"HTCondor bindings {version_of('htcondor')}")
    except PackageNotFoundError:
        click.echo("HTCondor bindings not installed")
    return ExitCode.OK
