"""A Docker daemon for the tests of an ordinary user, which only root can start; needs the standard library alone."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.parts.daemon import Daemon
from tests.parts.errors import PartError
from tests.tools.debian import PackageError, PrivateApt, run, unpack

if TYPE_CHECKING:
    import pwd

BASE = Path("/var/lib/htrun-docker")
FETCHED = BASE / "programs"
PACKAGES = ("docker.io", "docker-cli", "containerd", "runc")


def socket_path(user: str) -> Path:
    """Return where the daemon for a user listens."""
    return BASE / user / "docker.sock"


def start(who: pwd.struct_passwd) -> None:
    """Start the daemon for a user unless it runs; images stay in its directory.

    Raises
    ------
    PartError
        If it cannot be had or does not start.
    """
    daemon = Daemon(BASE / who.pw_name)
    path = socket_path(who.pw_name)
    if daemon.pid is not None and answers(path):
        return
    daemon.stop()
    daemon.directory.mkdir(parents=True, exist_ok=True)
    left = daemon.directory / "docker.pid"
    left.unlink(missing_ok=True)
    # Containers get no network: it would need rules that belong to the machine.
    options = ["--iptables=false", "--ip6tables=false", "--bridge=none", f"--group={who.pw_gid}"]
    places = {"data-root": "data", "exec-root": "run", "pidfile": left.name}
    options += [f"--{name}={daemon.directory / place}" for name, place in places.items()]
    daemon.start(["dockerd", *options, f"--host=unix://{path}"], lambda: answers(path), environment())


def stop(who: pwd.struct_passwd) -> bool:
    """Stop the daemon for a user with its containers, and return whether it was running."""
    return Daemon(BASE / who.pw_name).stop()


def answers(path: Path) -> bool:
    """Return whether somebody listens on a socket."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            return True
    except OSError:
        return False


def environment() -> dict[str, str]:
    """Return an environment in which the machine's Docker is found, or else Debian's packages of it."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    env = {**os.environ, "PATH": path}
    if all(shutil.which(program, path=path) for program in ("dockerd", "containerd", "runc")):
        return env
    if not FETCHED.exists():
        fetch()
    own = os.pathsep.join(str(FETCHED / part) for part in ("usr/sbin", "usr/bin", "sbin"))
    libraries = os.pathsep.join(str(path) for usr in ("usr/", "") for path in FETCHED.glob(f"{usr}lib/*-linux-gnu"))
    return {**env, "PATH": f"{own}{os.pathsep}{path}", "LD_LIBRARY_PATH": libraries}


def fetch() -> None:
    """Unpack Docker and what the machine lacks for it; nothing is installed, so that nothing starts by itself."""
    if shutil.which("apt-get") is None:
        raise PartError("Docker is not installed, and without apt-get it cannot be fetched")
    with tempfile.TemporaryDirectory(prefix="building-", dir=BASE) as directory:  # others may be at it too
        work = Path(directory)
        try:
            there = run(["dpkg-query", "--show", "--showformat", "${Package}\n"]).split()
            apt = PrivateApt(work / "apt", installed=({*there, "adduser"} - {*PACKAGES}))
            apt.update()
            wanted = [package for package in PACKAGES if apt.candidate(package) is not None]
            unpack(apt.download(*wanted), work / "programs")
        except PackageError as error:
            raise PartError(f"Docker could not be fetched: {error}") from error
        if not FETCHED.exists():
            (work / "programs").rename(FETCHED)
