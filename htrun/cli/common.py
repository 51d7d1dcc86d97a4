"""Options and arguments that commands share."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from htrun.cli.completion import complete_tags
from htrun.control import MapControl
from htrun.exceptions import HtrunError, TagNotFound, UsageError
from htrun.export import write_results
from htrun.state import ComponentStatus
from htrun.tags import TagRegistry
from htrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from htrun.settings import Config

    _ParamType = click.ParamType[ComponentStatus]
else:
    _ParamType = click.ParamType  # generic since click 8.4

F = TypeVar("F", bound="Callable[..., Any]")


tag_argument = click.argument("tag", shell_complete=complete_tags)


def selectors(function: F) -> F:
    """Add the arguments and options that select maps; see ``select``."""
    for decorator in (
        click.option("--all", "all_", is_flag=True, help="All maps."),
        click.option(
            "-p",
            "--pattern",
            "patterns",
            multiple=True,
            metavar="GLOB",
            help="Maps whose tags match; repeatable.",
        ),
        click.argument("tags", nargs=-1, shell_complete=complete_tags),
    ):
        function = decorator(function)
    return function


def select(
    settings: Config,
    tags: Sequence[str],
    patterns: Sequence[str],
    *,
    all_: bool,
    default_all: bool = False,
    quiet: bool = False,
) -> list[str]:
    """Return the tags that are meant, each once; say on stderr which patterns mean none, unless asked not to.

    Raises
    ------
    TagNotFound
        If a tag that was named has no map.
    UsageError
        If nothing was named.
    """
    if not (tags or patterns or all_ or default_all):
        raise UsageError("which maps? Name their tags, or use -p GLOB or --all")
    registry = TagRegistry(settings.tags)
    for tag in tags:
        registry.get(tag)
    chosen = list(tags)
    if patterns or all_ or (default_all and not tags):
        known = registry.tags()
        globs = ("*",) if all_ or not patterns else patterns
        matches = [{tag for tag in known if fnmatch.fnmatchcase(tag, glob)} for glob in globs]
        chosen += [tag for tag in known if any(tag in found for found in matches)]
        if not quiet:
            _tell_empty(
                [glob for glob, found in zip(globs, matches, strict=True) if not found], named=globs is patterns
            )
    return list(dict.fromkeys(chosen))


def _tell_empty(globs: Sequence[str], *, named: bool) -> None:
    """Say that patterns match nothing: a mistyped one is not to look as if all were done."""
    for glob in globs:
        message = f"no map has a tag that matches {glob!r}" if named else "there are no maps"
        click.echo(f"htrun: note: {message}", err=True)


def load_maps(settings: Config, tags: Sequence[str], named: Sequence[str]) -> Iterator[MapControl]:
    """Yield the maps of tags, one after the other; what is wrong with one that was not named hinders no other."""
    for tag in tags:
        try:
            map_ = MapControl.load(tag, settings)
        except HtrunError as error:
            if tag in named:
                raise
            if not isinstance(error, TagNotFound):  # it vanished just now
                click.echo(f"htrun: note: {error}", err=True)
        else:
            yield map_


def look(map_: MapControl) -> None:
    """Look at the disk for what is new of a map, and write its results if it has ended with nobody there to do so."""
    map_.refresh()
    if map_.has_ended:
        write_results(map_)


def not_empty(ctx: click.Context, param: click.Parameter, value: Any) -> Any:  # noqa: ARG001
    """Refuse the empty text, as the callback of an option."""
    if value in ("", Path()):
        raise click.BadParameter("it is empty")
    return value


def positive(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:  # noqa: ARG001
    """Refuse numbers below 1, as the callback of an option or argument."""
    if value is not None and value < 1:
        raise click.BadParameter(f"{value} is less than 1")
    return value


class StatusType(_ParamType):
    """A component status, in any case."""

    name = "status"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ComponentStatus:
        try:
            return ComponentStatus(str(value).upper())
        except ValueError:
            hint = did_you_mean(str(value).upper(), [status.value for status in ComponentStatus])
            self.fail(f"{value!r} is none of {', '.join(ComponentStatus)}{hint}", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002
        return [click.shell_completion.CompletionItem(s) for s in ComponentStatus if s.startswith(incomplete.upper())]


status_option = click.option(
    "--status", "statuses", type=StatusType(), multiple=True, help="Only components in this status; repeatable."
)

notify_option = click.option(
    "--notify",
    metavar="COMMAND",
    callback=not_empty,
    help="Have the shell run this when the map has ended, with HTRUN_TAG, HTRUN_STATUS and more in its environment.",
)
junit_option = click.option(
    "--junitxml",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=not_empty,
    help="Write a report for continuous integration when the map has ended, a test case a component.",
)

color_option = click.option(
    "--color/--no-color", default=None, help="Whether to use colours; by default on terminals, unless NO_COLOR is set."
)
