"""Commands that act on maps: holding and releasing them, pausing, vacating, editing, rerunning and renaming them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import click

from htrun import reports
from htrun.cli import complain
from htrun.cli.common import select, selectors, status_option, tag_argument
from htrun.cli.terminal import worst
from htrun.control import MapControl
from htrun.exceptions import ExitCode, HtrunError, TagAlreadyExists, TagNotFound, UsageError
from htrun.settings import load
from htrun.units import UNITS, read_size
from htrun.words import count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from htrun.engines.base import Action
    from htrun.state import ComponentStatus

_DONE: dict[Action, str] = {
    "hold": "held",
    "release": "released",
    "pause": "paused",
    "resume": "resumed",
    "vacate": "vacated",
}


def each(tags: Sequence[str], patterns: Sequence[str], *, all_: bool, do: Callable[[MapControl], str]) -> ExitCode:
    """Do something to each of the maps that are meant, and say on stderr what came of it; one hinders no other."""
    config = load()
    codes = []
    for tag in select(config, tags, patterns, all_=all_):
        try:
            click.echo(do(MapControl.load(tag, config)), err=True)
        except HtrunError as error:
            if not isinstance(error, TagNotFound) or tag in tags:
                complain(str(error))
                codes.append(error.exit_code)
    return worst(codes)


def act(action: Action) -> Callable[[MapControl], str]:
    """Return a function that acts on a map, and says what it did."""

    def do(map_: MapControl) -> str:
        number = map_.act(action)
        if number:
            return f"{_DONE[action]} {map_.tag}: {count(number, 'component')}"
        return f"nothing to {action} in {map_.tag}: {', '.join(reports.count_phrases(map_.counts()))}"

    return do


@click.command()
@selectors
def hold(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Keep unfinished components from running until released.

    HTCondor holds components by itself where something has gone wrong with them: 'htrun reasons' says what.

    \b
    Example:
      htrun hold scan
    """
    return each(tags, patterns, all_=all_, do=act("hold"))


@click.command()
@selectors
def release(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Let held components of maps run again.

    \b
    Example:
      htrun reasons scan; htrun release scan
    """
    return each(tags, patterns, all_=all_, do=act("release"))


@click.command()
@selectors
def pause(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Stop the processes of components that run, for a while.

    They keep their place and what they have.

    \b
    Example:
      htrun pause scan; sleep 1h; htrun resume scan
    """
    return each(tags, patterns, all_=all_, do=act("pause"))


@click.command()
@selectors
def resume(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Let paused components go on, or a run that was stopped.

    The latter is a run on this machine that was stopped with Ctrl-C.

    \b
    Example:
      htrun resume scan
    """
    return each(tags, patterns, all_=all_, do=act("resume"))


@click.command()
@selectors
def vacate(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Take components that run off their machines.

    They become idle, and start anew.

    \b
    Example:
      htrun edit memory scan 4 --unit GB; htrun vacate scan
    """
    return each(tags, patterns, all_=all_, do=act("vacate"))


@click.command()
@click.option("--all", "all_", is_flag=True, help="Remove all other maps as well.")
def clean(all_: bool) -> ExitCode:
    """Remove transient maps: those whose tag was made up.

    'htrun status' marks them with a star.

    \b
    Example:
      htrun clean
    """
    config = load()
    codes = []
    removed = False
    for tag in select(config, (), (), all_=True, quiet=True):
        try:
            map_ = MapControl.load(tag, config)
            if all_ or map_.is_transient:
                map_.remove()
                removed = True
                click.echo(f"removed {tag}", err=True)
        except TagNotFound:  # somebody else was quicker
            continue
        except HtrunError as error:
            complain(str(error))
            codes.append(error.exit_code)
    if not removed and not codes:
        click.echo(f"nothing to clean: there are no {'maps' if all_ else 'transient maps'}", err=True)
    return worst(codes)


@click.command()
@tag_argument
@click.argument("new")
def retag(tag: str, new: str) -> ExitCode:
    """Give the map TAG the tag NEW.

    It is not transient any more.

    \b
    Example:
      htrun retag mildly-safe-gnu scan
    """
    map_ = MapControl.load(tag, load())
    try:
        map_.retag(new)
    except TagAlreadyExists as error:
        hint = f"choose another one, or remove that map with 'htrun remove {new}'"
        raise UsageError(f"tag {new!r} is taken by {error.path}: {hint}") from None
    click.echo(f"{tag} is {new} now, in {map_.path}", err=True)
    return ExitCode.OK


@click.group()
def edit() -> None:
    """Change what the unfinished components of a map request.

    Those that run do not see it before they are started anew: see 'htrun vacate'.

    \b
    Example:
      htrun edit memory scan 4GB
    """


_TOO_MUCH = 1e9


def _size(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float, str]:  # noqa: ARG001
    """Return a size as its number and its unit, which is empty if ``--unit`` tells it."""
    size = read_size(value)
    if size is None or not 0 < size[0] < _TOO_MUCH:
        raise click.BadParameter(f"{value!r} is no size: a number above 0, alone or with its unit, such as 2GB")
    return size


def _edit(tag: str, size: tuple[float, str], unit: str, *, memory: bool) -> ExitCode:
    number, own_unit = size
    unit = own_unit or unit.upper()
    what = f"{number:.12g} {unit} of {'memory' if memory else 'disk'}"
    map_ = MapControl.load(tag, load())
    amount = math.ceil(number * UNITS[unit] / UNITS["MB" if memory else "KB"])
    concerned = map_.edit("request_memory" if memory else "request_disk", amount)
    if map_.engine.name == "local":
        click.echo(f"htrun: note: requests say nothing to the engine local, which runs {tag}", err=True)
    elif concerned:
        verb = "requests" if concerned == 1 else "request"
        click.echo(f"{tag}: {count(concerned, 'component')} {verb} {what} now", err=True)
    else:
        click.echo(f"nothing to edit in {tag}: {', '.join(reports.count_phrases(map_.counts()))}", err=True)
    return ExitCode.OK


@edit.command("memory")
@tag_argument
@click.argument("memory", callback=_size)
@click.option("--unit", type=click.Choice(["MB", "GB"], case_sensitive=False), default="MB", show_default=True)
def edit_memory(tag: str, memory: tuple[float, str], unit: str) -> ExitCode:
    """Set the memory that unfinished components of a map request.

    \b
    Example:
      htrun edit memory scan 4GB
    """
    return _edit(tag, memory, unit, memory=True)


@edit.command("disk")
@tag_argument
@click.argument("disk", callback=_size)
@click.option("--unit", type=click.Choice(["KB", "MB", "GB"], case_sensitive=False), default="GB", show_default=True)
def edit_disk(tag: str, disk: tuple[float, str], unit: str) -> ExitCode:
    """Set the disk space that unfinished components of a map request.

    \b
    Example:
      htrun edit disk scan 20
    """
    return _edit(tag, disk, unit, memory=False)


@click.group()
def rerun() -> None:
    """Run components again, from scratch.

    They run as they were submitted first, and what they had left is gone. They must have completed, errored or been
    removed.

    \b
    Example:
      htrun rerun components scan --status errored
    """


@rerun.command("components")
@tag_argument
@click.argument("components", nargs=-1, metavar="[COMPONENTS]...")
@status_option
def rerun_components(tag: str, components: Sequence[str], statuses: Sequence[ComponentStatus]) -> ExitCode:
    """Run some components of a map again.

    They are named by numbers, ranges such as 3-7, or their status.

    \b
    Example:
      htrun rerun components scan 0 3-7
    """
    if not (components or statuses):
        raise UsageError("which components? Give their numbers, or --status STATUS")
    map_ = MapControl.load(tag, load())
    ranges = [_numbers(text) for text in components]
    for last in (numbers[-1] for numbers in ranges if numbers[-1] >= len(map_)):
        raise UsageError(f"map {tag!r} has no component {last}: it has 0 to {len(map_) - 1}")
    chosen = [number for numbers in ranges for number in numbers]
    if statuses:
        map_.refresh()
        among = set(chosen)
        chosen = [c for c in map_.components_with(*statuses) if not components or c in among]
    number = map_.rerun(chosen)
    if number:
        click.echo(f"rerunning {count(number, 'component')} of {tag}", err=True)
    else:
        click.echo(f"nothing to rerun in {tag}: {', '.join(reports.count_phrases(map_.counts()))}", err=True)
    return ExitCode.OK


def _numbers(text: str) -> range:
    """Return the numbers that a text such as ``3`` or ``3-7`` means; raises UsageError."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if found is None:
        raise UsageError(f"{text!r} is no component: give a number, or a range such as 3-7")
    first = int(found[1])
    last = int(found[2] or first)
    if last < first:
        raise UsageError(f"the range {text} is empty: did you mean {last}-{first}?")
    return range(first, last + 1)


@rerun.command("map")
@selectors
def rerun_map(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Run all components of maps again.

    \b
    Example:
      htrun rerun map scan
    """
    return each(tags, patterns, all_=all_, do=_rerun)


def _rerun(map_: MapControl) -> str:
    return f"rerunning {count(map_.rerun(), 'component')} of {map_.tag}"
