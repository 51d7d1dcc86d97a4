"""``htrun usage``: what components use, compared with what their jobs ask for."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from htrun import usage as usages
from htrun.cli.common import load_maps, look, select, selectors
from htrun.exceptions import ExitCode
from htrun.settings import load

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@selectors
@click.option("--format", "format_", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def usage(tags: Sequence[str], patterns: Sequence[str], all_: bool, format_: str) -> ExitCode:
    """Compare what maps use with what they ask for.

    \b
    Example:
      htrun usage scan
    """
    settings = load()
    rows = []
    for map_ in load_maps(settings, select(settings, tags, patterns, all_=all_), tags):
        with map_.guard():
            look(map_)
            rows.append(usages.usage_of(map_))
    if format_ == "json":
        click.echo(json.dumps({row.tag: row.to_dict() for row in rows}, indent=2))
    elif format_ == "csv":
        click.echo(usages.to_csv(rows), nl=False)
    else:
        for number, row in enumerate(rows):
            click.echo(("\n" if number else "") + row.text(sys.stdout.encoding))
    return ExitCode.OK
