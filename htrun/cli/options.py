"""The options of ``htrun TARGET`` that ask something of the jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from htrun import policy
from htrun.columns import Columns
from htrun.exceptions import UsageError
from htrun.options import CREDENTIALS, MapOptions, option_key
from htrun.remaps import output_name
from htrun.transfers import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_REQUESTS = {
    "request_memory": ("SIZE", "Memory a job asks for, such as 2GB; a number alone is of MB."),
    "request_cpus": ("N", "CPUs a job asks for."),
    "request_disk": ("SIZE", "Disk space a job asks for, such as 10GB; a number alone is of KB."),
    "request_gpus": ("N", "GPUs a job asks for."),
}
_POLICY = {
    "chunk_size": ("N|auto", "Components that a job works; auto, the default, finds out what suits the function."),
    "max_jobs": ("N", "Jobs that a map becomes at the most, where the chunk size is auto."),
    "max_running": ("N", "Jobs that run at once at the most."),
    "max_idle": ("N", "Jobs that wait at once at the most; more are made as they start."),
    "retries": ("N", "Try a component that has failed up to N times again."),
    "timeout": ("DURATION", "What a component may take: seconds, or 5m, 2h, 1d; then it has failed."),
}
_FORM = "say KEY=VALUE, +NAME=VALUE for an attribute of your own, or KEY=@FIELD for a field of each input"


class JobOptions(NamedTuple):
    """What is asked of the jobs.

    Attributes
    ----------
    map_options : MapOptions
    columns : Columns
        What fields of the inputs ask.
    """

    map_options: MapOptions
    columns: Columns

    def idle_on_this_machine(self, workers: int | None) -> list[str]:
        """Return the options that make no difference on this machine, where a number of workers may be given."""
        keys = [*self.map_options, *self.columns.values]
        keys += [f"--{key.replace('_', '-')}" for key in ("max_jobs", "max_idle") if key in self.map_options.policy]
        return [key for key in keys if key not in CREDENTIALS and (key != "request_cpus" or workers)]


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    command = click.option(
        "--output-remap",
        "output_remaps",
        multiple=True,
        metavar="NAME=DEST",
        help="Send the output file NAME to a path or a URL, which NAME=@FIELD takes from each input; repeatable.",
    )(command)
    command = click.option(
        "--input-file",
        "input_files",
        multiple=True,
        metavar="PATH",
        help="A file, directory or URL that each component brings along; repeatable.",
    )(command)
    command = click.option(
        "-o",
        "--option",
        "submit_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="A submit command of HTCondor, which KEY=@FIELD takes from each input; repeatable.",
    )(command)
    for name, (metavar, text) in reversed((_POLICY | _REQUESTS).items()):
        read = _read_policy if name in _POLICY else None
        command = click.option(f"--{name.replace('_', '-')}", metavar=metavar, callback=read, help=text)(command)
    return command


def _read_policy(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:  # noqa: ARG001
    """Read an option of ``_POLICY``; a click callback."""
    try:
        return None if value is None else policy.read(str(param.name), value)
    except UsageError as error:
        raise click.BadParameter(str(error).removeprefix(f"{param.name}: ")) from None


def read_job_options(options: dict[str, Any]) -> JobOptions:
    """Return what a command line asks of the jobs; raises UsageError or ReservedOptionKeyword."""
    remaps, remap_fields = _read_remaps(options["output_remaps"])
    fixed = MapOptions(
        fixed_input_files=options["input_files"],
        output_remaps=remaps or None,
        **{key: options[key] for key in policy.KEYS if options[key] is not None},
    )
    fields: dict[str, str] = {}
    for key, value in _given(options):
        if key in fixed or option_key(key).lower() in map(str.lower, fields):
            raise UsageError(f"the option {key} is given twice")
        if value.startswith("@") and not value.startswith("@@"):
            if value == "@":
                raise UsageError(f"-o {key}=@: there is no field named; {_FORM}")
            fields[option_key(key)] = value[1:]
        else:
            fixed[key] = value.removeprefix("@")
    return JobOptions(fixed, Columns(fields, remap_fields))


def _read_remaps(texts: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return destinations, and fields that have them, by the names of output files."""
    fixed: dict[str, str] = {}
    fields: dict[str, str] = {}
    for text in texts:
        name, _, to = text.partition("=")
        if not name or to in ("", "@"):
            raise UsageError(
                f"--output-remap {quoted(text)}: say NAME=DESTINATION, or NAME=@FIELD for a field of each input"
            )
        if output_name(name) in {**fixed, **fields}:
            raise UsageError(f"--output-remap: {quoted(name)} is there twice")
        if to.startswith("@") and not to.startswith("@@"):
            fields[name] = to[1:]
        else:
            fixed[name] = to.removeprefix("@")
    return fixed, fields


def _given(options: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _REQUESTS:
        if options[name] is not None:
            yield name, options[name].strip()
    for text in options["submit_options"]:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"-o {quoted(text)}: {_FORM}")
        yield key.strip(), value.strip()
