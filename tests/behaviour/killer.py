"""Runs a command of htrun's again and again, and kills it at its first step, at its second, and so on, until it ends.

A step is whatever changes something outside of the process: files that are opened for writing, made, written, synced,
renamed, removed or locked, processes that are started, jobs that are submitted. ``kill -9`` comes just before it.

``python killer.py FIRST WORDS...``: N in the words is the number of the run, from 1. Steps count once the file FIRST is
there. ``supervise PATH`` in the place of WORDS is the process of a local map. Prints for each run the step at which it was killed, and at last the exit code of the one that was not.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from typing import Any

from htrun import supervise
from htrun.cli import main

CHANGES = {
    *("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "os.link", "os.symlink"),
    *("fcntl.flock", "subprocess.Popen", "os.fork", "os.utime"),
}
ELSEWHERE = ("/dev/", os.path.join(tempfile.gettempdir(), "tmp"), "module.pyc")  # where byte code is made
CALLS = {"fsync", "_schedd_submit"}
WRITE = ("posix", "write")  # what other objects write, they buffer


class Killer:
    """Kills this process at a step."""

    def __init__(self, step: int, first: str, pipe: int) -> None:
        self.left = step
        self.first = first
        self.pipe = pipe
        self.begun = False
        self.here = (os.getpid(), threading.get_ident())

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at an audit event; see ``sys.addaudithook``."""
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, str) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in CHANGES:
            return
        what = str(arguments[0]) if arguments else ""
        if not what.startswith(ELSEWHERE):
            self.step(f"{event} {what}")

    def profile(self, _: Any, event: str, argument: Any) -> None:
        """Look at a call; see ``sys.setprofile``."""
        if event == "c_call" and (argument.__name__ in CALLS or (argument.__module__, argument.__name__) == WRITE):
            self.step(argument.__name__)

    def step(self, what: str) -> None:
        """Count a step."""
        if (os.getpid(), threading.get_ident()) != self.here:
            return  # nor are its children killed
        self.begun = self.begun or os.path.exists(self.first)
        if self.begun:
            self.left -= 1
            if not self.left:
                os.write(self.pipe, what.encode())
                os.kill(os.getpid(), signal.SIGKILL)


def run(number: int, first: str, words: list[str]) -> bool:
    """Run the command in a process of its own; tell whether it was killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)  # what is printed here is what happened to it
        killer = Killer(number, first, writer)
        sys.addaudithook(killer.audit)
        sys.setprofile(killer.profile)
        if words[0] == "supervise":
            supervise.main(words[1])
        else:
            sys.argv = ["htrun", *words]
            main()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        sys.stdout.write(f"{number} {code} {pipe.readline() if code < 0 else ''}\n")
        sys.stdout.flush()
    return code < 0


if __name__ == "__main__":
    count = 1
    while run(count, *[sys.argv[1].replace("N", str(count)), [w.replace("N", str(count)) for w in sys.argv[2:]]]):
        count += 1
