"""Ask a pool whether it works, in a process of its own since the bindings may hang or abort."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.pool.errors import PoolError

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 10.0


def ask(config: Path, wait: float = 0.0) -> str:
    """Return what a pool says of itself in one line, allowing it some time to come up.

    Parameters
    ----------
    config : Path
        The pool's configuration file.
    wait : float
        Seconds to go on asking.

    Raises
    ------
    PoolError
        If the pool does not answer, with the reason.
    """
    if not config.is_file():
        message = f"there is no HTCondor configuration file {config}"
        raise PoolError(message)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "CONDOR_CONFIG": str(config), "PYTHONPATH": path}
    command = [sys.executable, "-m", __name__, str(wait)]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=wait + PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        message = f"the pool of {config} gave no answer within {wait + PATIENCE_S:.0f} s"
        raise PoolError(message) from error
    said = (done.stdout.strip() or done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    if done.returncode != 0:
        message = f"the pool of {config} does not answer: {said}"
        raise PoolError(message)
    return said


def describe() -> str:
    """Return one line about the pool, or raise an error where its schedd or its execute side does not answer."""
    import htcondor2

    slots = htcondor2.Collector().query(htcondor2.AdTypes.Startd, projection=["Cpus", "TotalSlotCpus", "SlotType"])
    if not slots:
        message = "no slot has joined it yet"
        raise PoolError(message)
    ad = htcondor2.Collector().locate(htcondor2.DaemonTypes.Schedd)
    jobs = len(htcondor2.Schedd(ad).query(projection=["ClusterId"]))
    version = str(ad["CondorVersion"]).split()[1]
    cpus = sum(int(slot["TotalSlotCpus"]) for slot in slots if slot.get("SlotType") != "Dynamic")
    return f"HTCondor {version}, {cpus} cpus, {jobs} jobs in the queue"


def main() -> int:
    """Print what the pool says of itself, or why it does not answer."""
    until = time.monotonic() + float(sys.argv[1])
    while True:
        try:
            sys.stdout.write(describe() + "\n")
        except Exception as error:  # noqa: BLE001 - the bindings raise many kinds, and any means 'not yet'
            said = f"{error}".strip() or type(error).__name__
        else:
            return 0
        if time.monotonic() >= until:
            sys.stdout.write(said.replace("\n", " ") + "\n")
            return 1
        time.sleep(0.2)


if __name__ == "__main__":
    raise SystemExit(main())
