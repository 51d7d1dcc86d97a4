"""A pool of two machines for a single test module: both are this one, under two names."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tests.pool import config, prefix, probe
from tests.pool.errors import PoolError
from tests.pool.pool import READY_S, STOP_S, Pool, lay_out, refuse_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.equipment import Equipment

MACHINES = ("localhost", "second.test")
_SECOND = """
NETWORK_HOSTNAME = {name}
UID_DOMAIN = {domain}
FILESYSTEM_DOMAIN = {domain}
COLLECTOR_HOST = {collector}
DAEMON_LIST = MASTER, STARTD
"""


@contextlib.contextmanager
def two_machines(home: Path, parts: Equipment) -> Iterator[Pool]:
    """Start such a pool in a directory, and end it; raises PoolError."""
    refuse_root()
    programs = prefix.find()
    first, second = home / "first", home / "second"
    pool = Pool(first / "condor_config", programs)
    with contextlib.ExitStack() as stack:
        lay_out(first, config.text(first, programs, parts))
        stack.enter_context(_master(first, pool))
        probe.ask(pool.config, wait=READY_S)
        collector = (first / "log/.collector_address").read_text(encoding="utf-8").splitlines()[0]
        more = _SECOND.format(name=MACHINES[1], domain=MACHINES[0], collector=collector)
        lay_out(second, config.text(second, programs, parts) + more)
        stack.enter_context(_master(second, Pool(second / "condor_config", programs)))
        until = time.monotonic() + READY_S
        while _machines(pool) != set(MACHINES):
            if time.monotonic() > until:
                message = f"the pool has not got two machines within {READY_S:.0f} s; see {second / 'log'}"
                raise PoolError(message)
            time.sleep(0.2)
        yield pool


@contextlib.contextmanager
def _master(home: Path, pool: Pool) -> Iterator[None]:
    kept = {key: value for key, value in os.environ.items() if not key.upper().startswith(("_CONDOR_", "PYTEST_"))}
    assert pool.programs is not None
    with (home / "log/master.out").open("wb") as output:
        process = subprocess.Popen(
            [pool.programs.sbin / "condor_master", "-f"],
            env={**kept, **pool.env},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _machines(pool: Pool) -> set[str]:
    """Return the names of the machines that the pool has now."""
    assert pool.programs is not None
    command = [str(pool.programs.bin / "condor_status"), "-af", "Machine"]
    env = {**os.environ, **pool.env}
    return set(subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout.split())
