"""``htrun TARGET --args FILE``: load, read, create, follow, report."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from htrun import __version__, policy, reports, words
from htrun.choices import choose_delivery, usual_engine
from htrun.cli.common import junit_option, not_empty, notify_option, positive
from htrun.cli.completion import complete_deliveries, complete_engines, complete_files, complete_targets
from htrun.cli.inputs import check_inputs, input_options, read_calls
from htrun.cli.options import JobOptions, job_options, read_job_options
from htrun.cli.results import tell_losses, tell_notes
from htrun.cli.terminal import Talk, exit_code, follow, notifying, show_durations, show_failures, show_summary
from htrun.control import MapControl
from htrun.creation import MapRequest, asked_options, check_request, chosen_requests, create_map
from htrun.delivery import brings_packages, get_delivery, import_packages
from htrun.engines.base import choose_engine
from htrun.exceptions import EngineError, ExitCode, UsageError
from htrun.export import Exporter, display_input, write_results
from htrun.input_files import InputFiles
from htrun.options import MapOptions, inherited_options
from htrun.resume import resume
from htrun.settings import Config, load
from htrun.store import read_json
from htrun.tags import TagRegistry
from htrun.targets import load as load_target
from htrun.transfers import FileTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from htrun.engines.base import Engine
    from htrun.reports import Traceback
    from htrun.targets import Target

_SHOWN_CALLS = 1000


class Whys(NamedTuple):
    """Why an engine and a delivery method were chosen, and what jobs ask for where that was to be found out."""

    engine: str
    delivery: str
    requests: list[str]


@click.command()
@click.argument("target", shell_complete=complete_targets)
@input_options
@click.option(
    "--engine",
    metavar="NAME",
    shell_complete=complete_engines,
    help="local, htcondor or auto (HTCondor where there is a schedd).",
)
@click.option(
    "--delivery",
    metavar="NAME[:ARG]",
    shell_complete=complete_deliveries,
    help="How Python gets to execute nodes: shared, assume, docker[:IMAGE], singularity[:IMAGE], transplant, "
    "packaged[:FILE], or auto, the default.",
)
@click.option(
    "--requirements",
    metavar="FILE",
    callback=not_empty,
    shell_complete=complete_files,
    help="Packages to bring along; implies --delivery packaged.",
)
@click.option(
    "--workers",
    type=int,
    callback=positive,
    metavar="N",
    help="Worker processes on this machine; by default one a CPU.",
)
@job_options
@click.option("--tag", help="The name of the map; made up by default.")
@click.option(
    "--results",
    type=click.Path(file_okay=False),
    callback=not_empty,
    default="results",
    show_default=True,
    help="Where the map's directory goes.",
)
@click.option("--overwrite", is_flag=True, help="Remove the map that has the tag, if there is one.")
@click.option("--resume", is_flag=True, help="Run only what the map of the tag has no good result of.")
@click.option("--lf", "--last-failed", "last_failed", is_flag=True, help="Run again what has failed of that map.")
@click.option("--detach", is_flag=True, help="Start the map, print its tag, and leave it to itself.")
@click.option("--collect-only", is_flag=True, help="Show what would run, and stop.")
@click.option("--stdout", "to_stdout", is_flag=True, help="Write the collected results to standard output at the end.")
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv", "tsv"]), help="Their format; implies --stdout.")
@click.option("-x", "--exitfirst", is_flag=True, help="Stop at the first error.")
@click.option("--maxfail", type=int, callback=positive, metavar="N", help="Stop after N errors.")
@click.option(
    "--tb",
    type=click.Choice(["auto", "short", "line", "no"]),
    default="auto",
    show_default=True,
    help="How error reports look.",
)
@click.option("--durations", type=click.IntRange(min=0), metavar="N", help="Show the N slowest components, all for 0.")
@junit_option
@notify_option
@click.option("-v", "--verbose", count=True, help="Show every component as it finishes.")
@click.option("-q", "--quiet", is_flag=True, help="Show failures and the last line only.")
def run(**options: Any) -> ExitCode:
    """Call TARGET once for each line of a file.

    TARGET is module:function or path/to/file.py:function. Without --args or --scan it is called once, without
    arguments.

    \b
    Example:
      htrun examples/source_metrics.py:measure --args modules.jsonl --tag stdlib
      cat in.jsonl | htrun f.py:g --args - --stdout | jq .output
    """
    started = time.monotonic()
    settings = load()
    data_on_stdout = options["to_stdout"] or options["format_"] is not None
    if options["detach"] and data_on_stdout:
        raise UsageError("--detach leaves before there are results: collect them with 'htrun collect' later")
    if options["detach"]:
        for name in ("notify", "junitxml"):
            if options[name] is not None:
                raise UsageError(f"--detach leaves before the map has ended: 'htrun wait TAG --{name}' waits for it")
    _check_resuming(options)
    check_inputs(options)
    if options["junitxml"] is not None and not options["collect_only"]:
        from htrun import junit  # only now: it is seldom asked for

        junit.prepare(options["junitxml"])
    talk = Talk(data_on_stdout=data_on_stdout)
    given = _given_delivery(options)
    named = given or settings.delivery
    brings = brings_packages(named)

    def bring_packages(file: Path | None) -> None:
        import_packages(named, file, settings, lambda text: click.echo(f"htrun: {text}", err=True))

    engine, why = choose_engine(options["engine"]) if options["engine"] else usual_engine(settings)
    if not options["engine"] and settings.engine != "auto":
        why = settings.origin("ENGINE")
    if not options["collect_only"]:
        engine.prepare()
    target = load_target(options["target"], before_import=bring_packages if brings else None)
    for note in target.notes:
        click.echo(f"htrun: note: {note}", err=True)
    if options["workers"] and engine.name != "local":
        click.echo(f"htrun: note: --workers is for the engine local, and says nothing to {engine.name}", err=True)
    asked = read_job_options(options)
    if engine.name == "local" and (idle := asked.idle_on_this_machine(options["workers"])):
        says = "says" if len(idle) == 1 else "say"
        click.echo(f"htrun: note: {', '.join(idle)} {says} nothing to the engine local", err=True)
    reason = engine.why_not()
    if reason is not None:
        raise EngineError(f"engine {engine.name}: {reason}")
    delivery, why_delivery = choose_delivery(given, engine, settings)
    if given and engine.name == "local" and not brings:
        click.echo("htrun: note: --delivery says nothing to the engine local, which uses this Python", err=True)
    request = _request(target, engine, delivery, options, asked)
    chosen = chosen_requests(request, settings) if engine.name != "local" else []
    whys = Whys(engine=why, delivery=why_delivery, requests=chosen)
    check_request(request, settings)
    files = FileTable()
    taken = InputFiles(asked_options(request, settings), files, Path.cwd()).fixed_names
    calls = read_calls(target.function, options, files, taken, asked.columns, settings)
    if options["collect_only"]:
        return _show_calls(request, whys, talk, calls, files, quiet=options["quiet"])
    map_: MapControl | None = None
    there, had_failed = None, True
    try:
        if options["resume"] or options["last_failed"]:
            map_, there, had_failed = resume(request, calls, files, settings, _note, failed_only=options["last_failed"])
        else:
            map_ = create_map(request, calls, files, settings)
        if not options["quiet"]:
            _show_header(talk, request, whys)
            _show_map(talk, map_, there, had_failed=had_failed)
    except EngineError as error:
        if not why.startswith("auto"):
            raise
        raise EngineError(f"{error}; --engine local runs it on this machine") from error
    except KeyboardInterrupt:
        made = map_ or _made(request, settings)
        if made is None or options["detach"]:
            raise
        return _interrupted(talk, made)  # it runs already, though nobody has looked at it yet
    if options["detach"]:
        return _leave(talk, map_)
    with map_.guard():
        see_through = partial(_see_through, talk, map_, started, options, data_on_stdout=data_on_stdout)
        return notifying(map_, options["notify"], see_through)


def _made(request: MapRequest, settings: Config) -> MapControl | None:
    """Return the map that was made of a request, by a call that did not come to return it."""
    registry = TagRegistry(settings.tags)
    for tag in registry.tags() if request.tag is None else [request.tag]:
        if any(uid == request.uid for uid, _ in registry.entries(tag)) and registry.find(tag) is not None:
            map_ = MapControl.load(tag, settings)
            return map_ if map_.directory.info["uid"] == request.uid else None
    return None


def _check_resuming(options: dict[str, Any]) -> None:
    """Raise UsageError if what is asked for of an earlier map makes no sense together."""
    ways = [f"--{name}" for name in ("resume", "lf", "overwrite") if options["last_failed" if name == "lf" else name]]
    if len(ways) > 1:
        raise UsageError(
            f"{' and '.join(ways)} exclude each other: --resume runs what has no good result yet, --lf what has "
            "failed, --overwrite everything"
        )
    if ways in (["--resume"], ["--lf"]):
        if options["tag"] is None:
            raise UsageError(f"{ways[0]} needs --tag TAG: it goes on with the map of that tag")
        if options["collect_only"]:
            raise UsageError(f"--collect-only shows all calls that there are, so {ways[0]} says nothing to it")


def _note(text: str) -> None:
    click.echo(f"htrun: note: {text}", err=True)


def _resumed(components: int, there: int, *, had_failed: bool) -> str:
    """Say how much of a map was there already."""
    if not had_failed:
        return f"nothing has failed: {there:,} of {components:,} results are there"
    if there == components:
        return f"resumed: all {there:,} results are there already, nothing to run"
    return f"resumed: {there:,} of {components:,} results are there already, {components - there:,} to run"


def _given_delivery(options: dict[str, Any]) -> str | None:
    """Return the delivery method that the command line asks for."""
    delivery: str | None = options["delivery"]
    if options["requirements"] is None:
        return delivery
    asked = f"packaged:{options['requirements']}"
    if delivery not in (None, "packaged", asked):
        raise UsageError(f"--requirements is for the delivery method packaged, not for {delivery}")
    return asked


def _request(target: Target, engine: Engine, delivery: str, options: dict[str, Any], asked: JobOptions) -> MapRequest:
    return MapRequest(
        target=target,
        engine=engine,
        delivery=delivery,
        results=Path(options["results"]).absolute(),
        tag=options["tag"],
        overwrite=options["overwrite"] or options["resume"] or options["last_failed"],
        options={
            "workers": options["workers"],
            "max_failures": 1 if options["exitfirst"] else options["maxfail"],
        },
        map_options=MapOptions.merge(asked.map_options, *inherited_options(target.function)),
        columns=asked.columns,
        followed=not options["detach"],
    )


def _relative(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _show_header(talk: Talk, request: MapRequest, whys: Whys) -> None:
    talk.rule("htrun session starts", bold=True)
    talk.say(f"platform {sys.platform} -- Python {sys.version.partition(' ')[0]}, htrun-{__version__}")
    talk.say(f"target: {request.target.text}")
    workers = request.options["workers"] if request.engine.name == "local" else None
    workers = f", {workers} workers" if workers else ""
    talk.say(f"engine: {request.engine.name} ({whys.engine}): {request.engine.describe()}{workers}")
    asked = [policy.shown(key, value) for key, value in request.map_options.policy.items()]
    asked += [f"{key} = {value}" for key, value in request.map_options.items()]
    asked += [f"{key} from the inputs" for key in request.columns.values]
    if asked:
        talk.say(f"options: {', '.join(asked)}")
    for chosen in whys.requests:
        talk.say(chosen)
    if request.engine.name != "local":
        talk.say(f"delivery: {request.delivery} ({whys.delivery}): {get_delivery(request.delivery).summary}")
    elif brings_packages(request.delivery):
        talk.say(f"delivery: {request.delivery} ({whys.delivery}): the packages, for this Python, {sys.executable}")
    else:
        talk.say(f"delivery: none needed: this Python, {sys.executable}")


def _show_map(talk: Talk, map_: MapControl, there: int | None, *, had_failed: bool) -> None:
    talk.say(f"tag: {map_.tag}{' (made up)' if map_.is_transient else ''}")
    talk.say(f"results: {_relative(map_.path)}")
    for submission in map_.directory.read_submissions() if there != len(map_) else ():
        if submission.cluster:
            talk.say(reports.jobs_line(submission))
    talk.say(f"collected {words.count(len(map_), 'component')}{'' if there is not None else chr(10)}", bold=True)
    if there is not None:
        talk.say(f"{_resumed(len(map_), there, had_failed=had_failed)}\n", bold=True)


def _show_calls(
    request: MapRequest, whys: Whys, talk: Talk, calls: Iterator[bytes], files: FileTable, *, quiet: bool
) -> ExitCode:
    """Show what would run: the header, and the calls as they were understood."""
    shown = []
    count = 0
    for call in calls:  # all of them, since what is wrong with the last one is worth knowing too
        count += 1
        if count <= _SHOWN_CALLS:
            shown.append(call)
    if not quiet:
        _show_header(talk, request, whys)
        for source in request.target.sources:
            talk.say(f"source: {source.name}")
        for entry in files:
            talk.say(f"file: {entry.given}")
    table = {entry.id: {"given": entry.given} for entry in files}
    name = request.target.reference["qualname"]
    for component, call in enumerate(shown):
        click.echo(f"{component}: {name} {display_input(call, table, strict=False).decode('utf-8', 'replace')}")
    if count > len(shown):
        click.echo(f"... and {count - len(shown):,} more")
    talk.rule(f"{words.count(count, 'component')} would run")
    return ExitCode.OK


def _leave(talk: Talk, map_: MapControl) -> ExitCode:
    if talk.stream is sys.stderr:
        click.echo(map_.tag)  # for tag=$(htrun ... --detach)
    talk.say(f"started; 'htrun wait {map_.tag}' waits for it, 'htrun status' shows how it gets on")
    return ExitCode.OK


def _see_through(
    talk: Talk, map_: MapControl, started: float, options: dict[str, Any], *, data_on_stdout: bool
) -> ExitCode:
    max_failures = map_.directory.info["options"].get("max_failures", 0)
    quiet = options["quiet"]
    try:
        follow(map_, talk, verbose=options["verbose"], quiet=quiet, max_failures=max_failures)
    except KeyboardInterrupt:
        return _interrupted(talk, map_)
    stopped_by_errors = max_failures and map_.errored >= max_failures
    if exit_code(map_) is ExitCode.INTERRUPTED and not stopped_by_errors:
        return _interrupted(talk, map_)
    write_results(map_)
    if options["junitxml"] is not None:
        from htrun import junit

        with junit.junit_file(options["junitxml"]) as add:
            add(map_)
    tell_notes(map_)
    traceback: Traceback = options["tb"]
    show_failures(talk, map_, traceback)
    if options["durations"] is not None:
        show_durations(talk, map_, options["durations"])
    show_summary(talk, map_, time.monotonic() - started, max_failures)
    if stopped_by_errors and map_.unfinished:
        talk.say(f"'htrun resume {map_.tag}' lets the others run")
    if data_on_stdout:
        exporter = Exporter(map_)
        exporter.write(sys.stdout.buffer, options["format_"] or "jsonl")
        tell_losses(exporter.nonfinite)
    else:
        summary = read_json(map_.directory.run_file)
        tell_losses(summary["nonfinite"], summary["unexportable"], map_.tag)
    return exit_code(map_)


def _interrupted(talk: Talk, map_: MapControl) -> ExitCode:
    if not map_.engine.outlives_interrupt:
        map_.stop("interrupted")
    map_.refresh()  # the last look may be a second ago
    finished = f"{map_.finished:,} of {len(map_):,} components have finished"
    tell_notes(map_)
    if map_.engine.outlives_interrupt:
        talk.say(f"interrupted; the jobs keep running ({finished} so far)", fg="yellow")
        talk.say(f"come back with 'htrun wait {map_.tag}', or end them with 'htrun remove {map_.tag}'")
    else:
        talk.say(f"interrupted; the run was stopped ({finished})", fg="yellow")
        talk.say(f"'htrun resume {map_.tag}' lets it go on, 'htrun collect {map_.tag}' has the results so far")
    return ExitCode.INTERRUPTED
