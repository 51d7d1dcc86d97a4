"""What a pool is given besides HTCondor itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.parts import apptainer, authority, docker
from tests.parts.errors import PartError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.apptainer import Apptainer
    from tests.parts.docker import Docker


@dataclass(frozen=True)
class Equipment:
    """The parts that a pool has, each None where it is missing."""

    docker: Docker | None
    apptainer: Apptainer | None

    def config(self) -> str:
        """Return the lines that a pool's configuration needs for them."""
        lines = []
        # The plugin for URLs believes whom this directory holds, also who joins it later.
        environment = {"X509_CERT_DIR": str(authority.directory())}
        if self.docker is not None:
            lines.append(f"DOCKER = {self.docker.program}")
            if self.docker.host is not None:
                environment["DOCKER_HOST"] = self.docker.host
        if self.apptainer is not None:
            lines.append(f"SINGULARITY = {self.apptainer.program}")
        given = " ".join(f"{name}={value}" for name, value in environment.items())
        return "\n".join(["", "# Real parts (tests/parts).", *lines, f'STARTD_ENVIRONMENT = "{given}"', ""])

    def complete(self, libexec: Path) -> None:
        """Complete HTCondor's own helpers in a directory with what it needs to find out about the parts."""
        if self.apptainer is not None:
            with contextlib.suppress(PartError):
                apptainer.complete(libexec)


def find() -> Equipment:
    """Return what there is, without fetching anything."""
    found = None
    with contextlib.suppress(PartError):
        found = docker.find()
    return Equipment(found, apptainer.find())


def prepare() -> None:
    """Fetch what a pool could use and would not fetch by itself; what is missing then is said by who asks for it."""
    with contextlib.suppress(PartError):
        apptainer.get()


def stop() -> bool:
    """End what stays up between test runs, and return whether there was anything to end."""
    return docker.registry_daemon().stop()
