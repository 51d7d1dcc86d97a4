"""Programs that users write with htrun: scripts that Python runs, in the open or on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

from tests.behaviour.conftest import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.conftest import Shell


def run(shell: Shell, script: str, *words: str, code: int = 0, **env: str) -> str:
    """Run a script in the working directory and return what it has printed; warnings are errors."""
    done = subprocess.run(
        [sys.executable, shell.write("script.py", script), *words],
        cwd=shell.cwd,
        env={**shell.env, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert code or not done.stderr, done.stderr
    return done.stdout


def on_terminal(shell: Shell, *command: str | Path, columns: int = 80, **env: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal and return its exit code and what it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {k: v for k, v in {**shell.env, "TERM": "xterm", **env}.items() if k != "COLUMNS"}
    process = subprocess.Popen(command, cwd=shell.cwd, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # its end, on Linux
            break
        if not data:
            break
        shown += data
    os.close(ours)
    return process.wait(60), shown.decode()
