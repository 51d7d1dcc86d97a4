"""``htrun report``: one page that shows a map."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from htrun.cli.common import look, tag_argument
from htrun.control import MapControl
from htrun.exceptions import ExitCode
from htrun.page.build import NAME, page_of, write_page
from htrun.settings import load


@click.command()
@tag_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Where to write it, - for standard output; by default {NAME} in the map's directory.",
)
def report(tag: str, output: Path | None) -> ExitCode:
    """Write a page that shows a map, for a browser.

    \b
    Example:
      htrun report scan
    """
    map_ = MapControl.load(tag, load())
    with map_.guard():
        look(map_)
        if output is not None and str(output) == "-":
            sys.stdout.buffer.write(page_of(map_, Path()))
        else:
            click.echo(write_page(map_, output))
    return ExitCode.OK
