"""What is asked for at the end of maps: a command that is run then."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from htrun.exceptions import ExitCode
from htrun.state import ComponentStatus

if TYPE_CHECKING:
    from htrun.view import MapView

_STATUSES = {
    ExitCode.OK: "completed",
    ExitCode.ERRORED: "errored",
    ExitCode.HELD: "held",
    ExitCode.INTERNAL: "died",
}


def notify(map_: MapView, command: str, code: ExitCode) -> None:
    """Let the shell run a command that is told how a map has ended; that it fails is a note.

    What it prints goes to standard error: standard output may be data.

    Parameters
    ----------
    map_ : MapView
    command : str
    code : ExitCode
        What htrun is going to exit with.
    """
    counts = map_.counts()
    told = {
        "HTRUN_TAG": map_.tag,
        "HTRUN_STATUS": _STATUSES.get(code, "unknown"),
        "HTRUN_EXIT_CODE": str(int(code)),
        "HTRUN_RESULTS": str(map_.path),
        "HTRUN_COMPONENTS": str(len(map_)),
        **{f"HTRUN_{status.value}": str(counts[status]) for status in ComponentStatus},
    }
    sys.stdout.flush()
    try:
        done = subprocess.run(  # noqa: S602 (that is what is asked for)
            command, shell=True, env={**os.environ, **told}, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
        )
    except KeyboardInterrupt:
        problem = "it was interrupted"
    except OSError as error:
        problem = f"the shell cannot be started: {error.strerror}"
    else:
        if not done.returncode:
            return
        problem = f"it ended with exit code {done.returncode}"
    click.echo(f"htrun: note: --notify {command!r}: {problem}", err=True)
