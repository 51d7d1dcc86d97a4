"""Start, stop and show the personal pool: ``python -m tests.pool start|stop|status|env``."""

from __future__ import annotations

import argparse
import os
import pwd
import shlex
import sys
from pathlib import Path

from tests.pool import pool as pools
from tests.pool import probe
from tests.pool.errors import PoolError

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and return an exit code, 0 unless something failed or no pool runs."""
    parser = argparse.ArgumentParser(prog="python -m tests.pool", description=__doc__)
    parser.add_argument("action", choices=["start", "stop", "status", "env"])
    action = parser.parse_args(arguments).action
    try:
        return act(action)
    except PoolError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 2


def hint() -> str:
    """Return how to use the pool: whole, as root has it started by somebody else, in another directory."""
    activate = shlex.quote(f"{sys.prefix}/bin/activate")
    use = f'cd {shlex.quote(str(ROOT))} && . {activate} && eval "$(python -m tests.pool env)"'
    return f"use it as {pwd.getpwuid(os.getuid()).pw_name}:\n  {use}"


def act(action: str) -> int:
    """Do one action and return its exit code."""
    if action == "start":
        pool = pools.start()
        sys.stdout.write(f"{probe.ask(pool.config)}\n{hint()}\n")
        return 0
    if action == "stop":
        sys.stdout.write("stopped\n" if pools.stop() else "no pool was running\n")
        return 0
    running = pools.running()
    if running is None:
        sys.stderr.write("no pool is running: python -m tests.pool start\n")
        return 1
    if action == "status":
        sys.stdout.write(f"{probe.ask(running.config)}\nCONDOR_CONFIG={running.config}\n")
    else:
        for name, value in running.env.items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
