"""Programs that stay in the background between test runs; only the standard library, since root uses it too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.parts.errors import PartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

READY_S = 30.0
STOP_S = 15.0


@dataclass(frozen=True)
class Daemon:
    """A program in the background whose command line names a directory of its own."""

    directory: Path

    @property
    def pid(self) -> int | None:
        """Return its process id, None where it does not run."""
        try:
            pid = int((self.directory / "daemon.pid").read_text(encoding="utf-8"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        # The number may by now be another process's, or a dead one's, who has no command line.
        return pid if os.fsencode(self.directory) in words else None

    def start(self, command: Sequence[object], ready: Callable[[], bool], env: Mapping[str, str]) -> None:
        """Start it in a session of its own, and return when it is ready.

        Raises
        ------
        PartError
            If it ends at once or is not ready in time, with the last line that it has written.
        """
        log = self.directory / "daemon.log"
        # The shell gives the child away, so that it is no matter to this process when it ends.
        words = ["sh", "-c", '"$@" > "$0" 2>&1 < /dev/null & echo $!', log, *command]
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.directory,
            env=env,
            stdout=subprocess.PIPE,
            start_new_session=True,
            check=True,
        )
        (self.directory / "daemon.pid").write_bytes(done.stdout)
        until = time.monotonic() + READY_S
        time.sleep(0.1)  # until then the process may still be the shell's
        while not ready():
            if self.pid is None or time.monotonic() > until:
                self.stop()
                said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
                raise PartError(f"{command[0]} did not start: {' '.join(said)}; see {log}")
            time.sleep(0.1)

    def stop(self) -> bool:
        """End it, and return whether it was running."""
        there = self.pid is not None
        for number in (signal.SIGTERM, signal.SIGKILL):
            until = time.monotonic() + STOP_S
            if (pid := self.pid) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while self.pid is not None and time.monotonic() < until:
                time.sleep(0.1)
        return there
