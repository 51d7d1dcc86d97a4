"""Run one command and measure it as a whole: wall and CPU time, and peak memory."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PR_SET_CHILD_SUBREAPER = 36
PATIENCE_S = 240.0


class BenchmarkError(Exception):
    """A command failed, or its results are wrong; the message is for whoever runs the benchmarks."""


class TooLongError(BenchmarkError):
    """A command was ended since it took so long that the whole run would take too long."""


@dataclass(frozen=True)
class Usage:
    """What a command used.

    Parameters
    ----------
    wall_s : float
        Seconds until it returned.
    cpu_s : float
        Seconds of CPU, user and system, of it and of all that it has started, as far as they have ended.
    rss_mb : float
        Peak resident memory of its largest process in MB (10**6 bytes), detached ones left out. It is never less than
        that of the process that measures, whose peak Linux counts as its children's.
    """

    wall_s: float
    cpu_s: float
    rss_mb: float


def adopt_orphans() -> None:
    """Become the parent of processes that lose their own, so that the CPU time of detached ones is counted."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl: CPU time of detached processes cannot be counted")


def run(
    command: list[str], cwd: Path, env: Mapping[str, str], stdin: Path | None = None, *, detached: bool = False
) -> Usage:
    """Run a command with its output in the file ``stdout`` of a directory, and return what it used.

    Parameters
    ----------
    command : list of str
    cwd : Path
        Where it runs; ``stdout`` and ``stderr`` are made there.
    env : mapping of str to str
    stdin : Path, optional
    detached : bool
        Leave processes that it leaves behind alone, instead of waiting for their end (which is no part of the wall
        time) to count their CPU time.

    Raises
    ------
    BenchmarkError
        If it fails, a TooLongError if it takes longer than `PATIENCE_S`.
    """
    with (
        Path(stdin or os.devnull).open("rb") as source,
        (cwd / "stdout").open("wb") as out,
        (cwd / "stderr").open("wb") as err,
    ):
        begin = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=source, stdout=out, stderr=err)
        timer = threading.Timer(PATIENCE_S, os.kill, (process.pid, signal.SIGTERM))
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        wall = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = used.ru_utime + used.ru_stime
    while not detached:
        try:
            _, _, orphan = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += orphan.ru_utime + orphan.ru_stime
    if wall > PATIENCE_S:
        raise TooLongError(f"{' '.join(command)} takes longer than {PATIENCE_S:.0f} s")
    if process.returncode != 0:
        said = (cwd / "stderr").read_text(encoding="utf-8", errors="replace").strip()[-2000:]
        raise BenchmarkError(f"exit code {process.returncode} of {' '.join(command)}\n{said}")
    return Usage(wall, cpu, used.ru_maxrss * 1024 / 1e6)
