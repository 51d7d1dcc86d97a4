"""The command that says why nothing happens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from htrun import reports
from htrun.cli.common import load_maps, look, select, selectors
from htrun.exceptions import ExitCode, MapWasRemoved
from htrun.explanation import indented, paragraphs
from htrun.settings import load

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@selectors
def why(tags: Sequence[str], patterns: Sequence[str], all_: bool) -> ExitCode:
    """Say why maps do not get on, and what to do about it.

    \b
    Example:
      htrun why scan
    """
    settings = load()
    columns = reports.width() if sys.stdout.isatty() else None
    for map_ in load_maps(settings, select(settings, tags, patterns, all_=all_), tags):
        try:
            with map_.guard():
                look(map_)
                click.echo(f"{map_.tag}: {', '.join(reports.count_phrases(map_.counts()))}")
                for paragraph in paragraphs(map_):
                    click.echo(indented(paragraph, columns))
        except MapWasRemoved:
            if map_.tag in tags:
                raise
    return ExitCode.OK
