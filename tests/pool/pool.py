"""A personal pool that stays up between test runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.parts import equipment
from tests.pool import config, prefix, probe
from tests.pool.errors import PoolError

READY_S = 60.0
STOP_S = 15.0
SYSTEM_CONFIG = Path("/etc/condor/condor_config")


@dataclass(frozen=True)
class Pool:
    """A pool that answers: its configuration file, and where its programs are unless they are on PATH."""

    config: Path
    programs: prefix.Programs | None = None

    @property
    def env(self) -> dict[str, str]:
        """Return the environment variables that a client of the pool needs."""
        path = os.environ.get("PATH", os.defpath)
        if self.programs is not None:
            there = path.split(os.pathsep)  # /usr/bin moved to the front would hide an environment's python3
            missing = [part for part in self.programs.path.split(os.pathsep) if part not in there]
            path = os.pathsep.join([*missing, path])
        return {"CONDOR_CONFIG": str(self.config), "PATH": path}


def locate() -> Pool:
    """Return the pool for tests: the developer's, the system's if allowed, or else our own, started if need be.

    Raises
    ------
    PoolError
        If there is none and none can be started.
    """
    refuse_root()
    named = os.environ.get("HTRUN_TEST_CONDOR_CONFIG")
    if named:
        probe.ask(Path(named))
        return Pool(Path(named).absolute(), None)
    if os.environ.get("HTRUN_TEST_USE_SYSTEM_POOL") == "1":
        system = Path(os.environ.get("CONDOR_CONFIG") or SYSTEM_CONFIG)
        probe.ask(system)
        return Pool(system.absolute(), None)
    return start()


def refuse_root() -> None:
    """Raise an error if this is root, from whom HTCondor takes no jobs."""
    if os.geteuid() == 0:
        message = "HTCondor takes no jobs from root: run this as an ordinary user (make test and make pool do so)"
        raise PoolError(message)


def directory() -> Path:
    """Return the directory of our own pool."""
    return prefix.cache_dir() / "pool"


def start(home: Path | None = None) -> Pool:
    """Return our own pool, or one in another directory, started anew unless it runs as it should and answers."""
    refuse_root()
    home = home or directory()
    home.parent.mkdir(parents=True, exist_ok=True)
    programs = prefix.find()
    pool = Pool(home / "condor_config", programs)
    parts = equipment.find()
    wanted = config.text(home, programs, parts)
    with FileLock(home.parent / "pool.lock"):
        if master_pid(home) is not None and pool.config.read_text(encoding="utf-8") == wanted:
            with contextlib.suppress(PoolError):
                probe.ask(pool.config)
                return pool
        end_daemons(home)
        shutil.rmtree(home, ignore_errors=True)
        lay_out(home, wanted)
        parts.complete(programs.libexec)
        launch(home, programs, pool.env)
        try:
            probe.ask(pool.config, wait=READY_S)
        except PoolError as error:
            end_daemons(home)
            message = f"the pool did not come up within {READY_S:.0f} s ({error}); see {home / 'log'}"
            raise PoolError(message) from error
    return pool


def lay_out(home: Path, text: str) -> None:
    """Make the pool's directories and write its configuration."""
    for name in ("execute", "lock", "log", "run", "spool"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for name in ("passwords.d", "tokens.d"):
        (home / name).mkdir(mode=0o700, exist_ok=True)
    (home / "condor_config").write_text(text, encoding="utf-8")


def launch(home: Path, programs: prefix.Programs, env: dict[str, str]) -> None:
    """Start the pool's condor_master in the background, free of this process, its terminal and its settings."""
    kept = {key: value for key, value in os.environ.items() if not key.upper().startswith(("_CONDOR_", "PYTEST_"))}
    with (home / "log/master.out").open("wb") as output:
        done = subprocess.run(
            [programs.sbin / "condor_master", "-pidfile", home / "master.pid"],
            env={**kept, **env},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        said = (home / "log/master.out").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        message = f"condor_master did not start (exit code {done.returncode}): {' '.join(said)}; see {home / 'log'}"
        raise PoolError(message)


def running() -> Pool | None:
    """Return our own pool if its master runs."""
    if master_pid(directory()) is None:
        return None
    return Pool(directory() / "condor_config", prefix.find())


def stop() -> bool:
    """Stop our own pool, its jobs and parts included, and return whether there was anything to stop."""
    home = directory()
    if not home.parent.is_dir():
        return False
    with FileLock(home.parent / "pool.lock"):
        return any([end_daemons(home), equipment.stop()])


def master_pid(home: Path) -> int | None:
    """Return the process id of a pool's master, None where it is gone."""
    try:
        pid = int((home / "master.pid").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return pid if pid in daemons(home) else None


def daemons(home: Path) -> dict[int, str]:
    """Return the process ids and names of all daemons that were started with a pool's configuration."""
    mark = b"CONDOR_CONFIG=" + os.fsencode(home / "condor_config")
    found = {}
    for process in Path("/proc").iterdir():
        # Processes end at any time, and those of other users show no environment.
        with contextlib.suppress(OSError):
            if process.name.isdigit() and mark in (process / "environ").read_bytes().split(b"\0"):
                name = (process / "comm").read_text(encoding="utf-8").strip()
                if name.startswith("condor_"):
                    found[int(process.name)] = name
    return found


def end_daemons(home: Path) -> bool:
    """End a pool's daemons, the master first so that it can end the others, and return whether there were any."""
    there = daemons(home)
    master = master_pid(home)
    if master is not None:
        signal_all([master], signal.SIGQUIT)
        wait_gone(home, STOP_S)
    signal_all(daemons(home), signal.SIGKILL)
    wait_gone(home, STOP_S)
    return bool(there)


def signal_all(pids: list[int] | dict[int, str], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_gone(home: Path, seconds: float) -> None:
    """Wait until none of a pool's daemons is left, at most so many seconds."""
    until = time.monotonic() + seconds
    while daemons(home) and time.monotonic() < until:
        time.sleep(0.1)
