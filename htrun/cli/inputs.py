"""The options of ``htrun TARGET`` that say what to call it with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from htrun.cli.common import not_empty
from htrun.cli.completion import complete_args
from htrun.encoder import InputsOptions
from htrun.exceptions import UsageError
from htrun.inputs import read, read_scan, single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from htrun.columns import Columns
    from htrun.settings import Config
    from htrun.transfers import FileTable


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options."""
    for decorator in reversed(
        (
            click.option(
                "--args",
                "source",
                metavar="FILE|@TAG",
                callback=not_empty,
                shell_complete=complete_args,
                help="One call a line: JSONL, CSV or TSV, or a row: Parquet; '-' reads standard input. @TAG: the "
                "outputs of the map TAG.",
            ),
            click.option(
                "--input-format",
                type=click.Choice(["jsonl", "csv", "tsv", "parquet"]),
                help="Instead of going by the extension.",
            ),
            click.option(
                "--scan",
                "scans",
                multiple=True,
                metavar="NAME=VALUES,...",
                help="Calls without a file: every combination of the values of x=1:10,y=[a,b]. 1:10 is 1 to 10, both "
                "included, and 0:1:0.1 has a step; repeatable.",
            ),
            click.option("--zip", "paired", is_flag=True, help="Pair the values of --scan instead of combining them."),
            click.option(
                "--transfer",
                multiple=True,
                metavar="NAME",
                help="Strings given to this parameter are files to bring along; repeatable.",
            ),
            click.option("--no-transfer", is_flag=True, help="Bring no files along, whatever the annotations say."),
        )
    ):
        command = decorator(command)
    return command


def check_inputs(options: dict[str, Any]) -> None:
    """Raise UsageError if what is said of the inputs makes no sense together."""
    source, scans, tag = options["source"], options["scans"], options["tag"]
    if scans and source is not None:
        raise UsageError("--scan and --args exclude each other: both say what to call the function with")
    if options["paired"] and not scans:
        raise UsageError("--zip pairs the values of --scan, of which there is none")
    if options["input_format"] and (source is None or source.startswith("@")):
        raise UsageError(f"--input-format is for the file of --args, and {source or 'there'} is none")
    if source is not None and tag is not None and source.partition(":")[0] == f"@{tag}":
        raise UsageError(f"--args {source}: the map {tag!r} cannot have its own outputs as inputs; give another --tag")


def read_calls(
    function: Callable[..., Any],
    options: dict[str, Any],
    files: FileTable,
    taken: frozenset[str],
    columns: Columns,
    settings: Config,
) -> Iterator[bytes]:
    """Return the calls that a command line asks for; see ``htrun.inputs.read``."""
    source, directory = options["source"], Path.cwd()
    inputs = InputsOptions(
        format=options["input_format"],
        transfer=frozenset(options["transfer"]),
        detect=not options["no_transfer"],
        taken=taken,
        columns=columns,
    )
    if options["scans"]:
        return read_scan(options["scans"], function, inputs, files, directory, paired=options["paired"])
    if source is None:
        if columns:
            raise UsageError(f"a field of each input is to {columns.tasks[0]}, but there is no --args")
        return iter([single(function)])
    if source.startswith("@"):
        from htrun.chaining import read_outputs

        return read_outputs(source, function, inputs, files, settings)
    return read(source, function, inputs, files, directory, sys.stdin.buffer)
