"""The command: a module a family of subcommands, imported only when one of them is called."""

from __future__ import annotations

import atexit
import codecs
import difflib
import gc
import io
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from itertools import dropwhile
from typing import TYPE_CHECKING, Any, TextIO

import click

from htrun import __version__
from htrun.exceptions import BadInputs, ExitCode, HtrunError, TagAlreadyExists, is_write_failure

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "init": "init",
    "run": "run",
    "collect": "results",
    "errors": "results.map_errors",
    "reasons": "results",
    "stdout": "results",
    "stderr": "results",
    "components": "results",
    "usage": "usage",
    "report": "report",
    "status": "manage",
    "top": "top",
    "why": "why",
    "wait": "manage",
    "tags": "manage",
    "path": "manage",
    "hold": "act",
    "release": "act",
    "pause": "act",
    "resume": "act",
    "vacate": "act",
    "edit": "act",
    "rerun": "act",
    "retag": "act",
    "remove": "manage",
    "clean": "act",
    "version": "manage",
    "settings": "configure.show_settings",
    "set": "configure.set_setting",
    "logs": "configure",
    "transplants": "configure",
    "autocompletion": "configure",
}
"""The module of each subcommand, and its name there where it has another one."""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called, and runs a target where no subcommand is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(".")
        command: click.Command = getattr(import_module(f"htrun.cli.{module}"), name or cmd_name)
        gc.enable()
        gc.freeze()  # what is imported stays
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not _names_command(args, completing=ctx.resilient_parsing):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[click.shell_completion.CompletionItem]:
        from htrun.cli.completion import complete_targets

        targets = [] if incomplete.startswith("-") else complete_targets(ctx, self.params[0], incomplete)
        return [*super().shell_complete(ctx, incomplete), *targets]


def _names_command(args: Sequence[str], *, completing: bool) -> bool:
    """Tell whether the arguments are for the group or a subcommand of its; if not, they say what to run."""
    if args[0] in COMMANDS or args[0] in ("--help", "-h", "--version"):
        return True
    rest = list(dropwhile(_is_verbose, args))
    if rest != args and (rest[0] in COMMANDS if rest else completing):
        return True  # `htrun -v COMMAND` shows the messages of the log, `htrun -v TARGET` is `htrun run -v TARGET`
    if completing:
        return False
    if difflib.get_close_matches(args[0], ["--version"], cutoff=0.85):  # `htrun run` would suggest its own --option
        raise click.UsageError(f"No such option {args[0]!r}; did you mean '--version'?")
    if args[0].startswith("-") or any(mark in args[0] for mark in (":", ".py", os.sep)):
        return False
    close = difflib.get_close_matches(args[0], COMMANDS, n=1)
    hint = f"did you mean 'htrun {close[0]}'?" if close else "'htrun --help' lists the commands"
    raise click.UsageError(
        f"{args[0]!r} is neither a command nor a target (module:function or file.py:function); {hint}"
    )


def _is_verbose(word: str) -> bool:
    return word == "--verbose" or (word.startswith("-v") and not word.strip("-v"))


@click.group(cls=LazyGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="htrun", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", count=True, help="Show log messages as the command runs.")
def cli(verbose: int) -> None:
    """Map a Python function over the lines of a file.

    \b
    htrun TARGET --args FILE    run TARGET, which is module:function or
                                path/to/file.py:function, once for each line of
                                FILE ('htrun run --help' has the options)
    htrun collect TAG           export the results

    \b
    Example:
      htrun model.py:simulate --args parameters.jsonl --tag scan
      htrun collect scan --format csv > scan.csv

    Exit codes: 0 all components completed, 1 some errored, 2 interrupted, 3 internal error, 4 usage or input error,
    5 nothing to run, 6 components held.
    """
    from htrun.layers import Fixed
    from htrun.logs import show_messages, start_logging
    from htrun.settings import load, settings

    settings.maps.insert(1, Fixed({"CLI": True}, "this command"))
    if verbose:
        show_messages()
    with suppress(HtrunError):  # the command itself will say what is wrong with the settings, if that matters to it
        start_logging(load(), hand_on=False)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status; the error of a user is a message, never a traceback of ours."""
    _open_closed_streams()
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = _call(sys.argv[1:] if args is None else args)
        sys.stdout.flush()
    except click.exceptions.Exit as error:  # after --help and --version
        status = error.exit_code
    except getattr(click.exceptions, "NoArgsIsHelpError", ()) as error:  # since click 8.2
        error.show()
        status = ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        status = ExitCode.USAGE
    except BadInputs as error:
        click.echo(str(error), err=True)  # each line begins with file and line, as tools that jump there expect
        status = error.exit_code
    except TagAlreadyExists as error:  # whose own words are for Python users
        complain(
            f"tag {error.tag!r} is taken by {error.path}: choose another one, go on with that with --resume, start "
            f"anew with --overwrite, or remove it with 'htrun remove {error.tag}'"
        )
        status = error.exit_code
    except HtrunError as error:
        complain(str(error))
        status = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        status = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; Python must not complain about it once more while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except OSError as error:
        message, status = _explain(error)
        complain(message)
    except Exception:  # noqa: BLE001 (the last resort)
        import traceback

        traceback.print_exc()
        complain("this is a bug in htrun, not in your function; please report it with the lines above")
        status = ExitCode.INTERNAL
    _leave(int(status) if isinstance(status, int) else 0)


def _explain(error: OSError) -> tuple[str, ExitCode]:
    if is_write_failure(error):
        return f"cannot write {error.filename or 'the output'}: {error.strerror}", ExitCode.INTERNAL
    if isinstance(error, FileNotFoundError) and not error.filename:
        return "the current directory is not there any more: change to another one", ExitCode.USAGE
    message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    theirs = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError)
    return message, ExitCode.USAGE if isinstance(error, theirs) else ExitCode.INTERNAL


def _leave(status: int) -> None:
    """Exit, whatever threads the target has started when it was imported, and whatever cannot be written.

    Python's own way out takes another fiftieth of a second, for the sake of objects that are gone then.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # that was told already; Python must not tell it again while it shuts down
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if sys.gettrace() or sys.getprofile() or _is_monitored():
        sys.exit(status)  # what profiles this has something to say yet
    threads = sys.modules.get("threading")
    if threads is None or all(t.daemon for t in threads.enumerate() if t is not threads.main_thread()):
        atexit._run_exitfuncs()
    files = [thing for thing in gc.get_objects() if type(thing) in (io.TextIOWrapper, io.BufferedWriter)]
    for file in (*files, sys.stdout, sys.stderr):  # what the target has opened when it was imported
        with suppress(OSError, ValueError):
            file.flush()
    os._exit(status)


def _is_monitored() -> bool:
    """Tell whether a tool of ``sys.monitoring`` (Python 3.12) is at work, as cProfile is."""
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and any(monitoring.get_tool(number) for number in range(6))


def _open_closed_streams() -> None:
    """Put the null device where a standard stream is closed, as daemons do, so that nobody has to ask."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    codecs.register_error("htrun", _spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="htrun")


def _spell(error: UnicodeError) -> tuple[bytes, int]:
    """Return what stands for characters that an encoding lacks: bytes of file names as they are, others as escapes."""
    assert isinstance(error, UnicodeEncodeError)
    codes = map(ord, error.object[error.start : error.end])
    spelt = (
        bytes([c - 0xDC00]) if 0xDC80 <= c <= 0xDCFF else chr(c).encode("ascii", "backslashreplace") for c in codes
    )
    return b"".join(spelt), error.end


def _call(args: Sequence[str]) -> Any:
    """Do what click's own ``main`` does, without its own ideas of exit codes: 1 for a closed pipe is one of them."""
    completion = os.environ.get("_HTRUN_COMPLETE")
    if completion:
        from htrun.cli.shells import complete

        return complete(cli, completion)
    with cli.make_context("htrun", list(args)) as context:
        return cli.invoke(context)


def complain(message: str) -> None:
    """Say on stderr what went wrong."""
    error = click.style("error:", fg="red", bold=True) if wants_color(sys.stderr) else "error:"
    click.echo(f"htrun: {error} {message}", err=True, color=True)


def wants_color(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose user has nothing against colours (no-color.org)."""
    return can_redraw(stream) and not os.environ.get("NO_COLOR")


def can_redraw(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal on which a line can take the place of another one.

    With TERM=dumb, or none, all it gets is lines one after another, as a screen reader has it.
    """
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
