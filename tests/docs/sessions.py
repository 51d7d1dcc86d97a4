"""What the blocks of a page run in: a shell and an interpreter, both from the page's first block to its last."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.docs.blocks import Block

PATIENCE_S = 300.0

# Commands come one by one, so that what they export, and where they change to, counts for those after them; they
# have nothing on standard input, and the descriptors of this loop are closed for them.
_LOOP = """
while IFS= read -r -d '' -u 3 command; do
    eval "$command" 3<&- 4>&-
    printf '%s\\n' "$?" >&4
done 3< "$1" 4> "$2"
"""


class Stuck(Exception):
    """A block did not come to its end; the message says what it said until then."""


class Terminal:
    """A bash whose commands write to one file, standard error in its order with standard output.

    Parameters
    ----------
    cwd, home : Path
        Where it starts, and where its own files are.
    env : mapping of str to str
    """

    def __init__(self, cwd: Path, home: Path, env: Mapping[str, str]) -> None:
        self.output = home / "output"
        pipes = [home / name for name in ("commands", "codes")]
        for pipe in pipes:
            os.mkfifo(pipe)
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                ["bash", "-c", _LOOP, "bash", *pipes],
                cwd=cwd,
                env={**env, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.commands = pipes[0].open("wb", buffering=0)
        self.codes = pipes[1].open("rb", buffering=0)

    def run(self, command: str) -> tuple[int, str]:
        """Run a command and return its exit code, and what it has written.

        Raises
        ------
        Stuck
            If it does not end in time, or ends the shell.
        """
        begin = self.output.stat().st_size
        self.commands.write(os.fsencode(command) + b"\0")
        code = self.codes.readline() if select.select([self.codes], [], [], PATIENCE_S)[0] else b""
        said = self.output.read_bytes()[begin:].decode("utf-8", "replace")
        if not code:
            raise Stuck(f"it took longer than {PATIENCE_S:g} s, or ended the shell\n{said}")
        return int(code), said

    def close(self) -> None:
        """End the shell, and what still runs in it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.commands.close()
        self.codes.close()


class Interpreter:
    """A Python in which blocks are run in one namespace.

    Parameters
    ----------
    cwd : Path
    env : mapping of str to str
    """

    def __init__(self, cwd: Path, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("interpreter.py")],
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, block: Block) -> str | None:
        """Run a block and return what is wrong with it, None if nothing is.

        Raises
        ------
        Stuck
            If it does not end in time, or ends the interpreter.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {
            "text": block.text,
            "page": block.page,
            "line": block.line,
            "place": block.place,
            "doctest": is_doctest(block.text),
        }
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            raise Stuck(f"it took longer than {PATIENCE_S:g} s")
        answer = self.process.stdout.readline()
        if not answer:
            raise Stuck("it ended the interpreter")
        failure: str | None = json.loads(answer)
        return failure

    def close(self) -> None:
        """End the interpreter."""
        self.process.kill()
        self.process.communicate()


def is_doctest(text: str) -> bool:
    """Tell whether Python is shown as it is typed, with its prompt, instead of as in a file."""
    return any(line.lstrip().startswith(">>>") for line in text.splitlines())
