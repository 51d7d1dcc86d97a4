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

    def config(self, directory: Path) -> str:
        """Return the lines that a pool's configuration needs for them; the pool lies in a directory."""
        # The plugin for URLs believes whom this directory holds, also who joins it later.
        lines = [f'STARTD_ENVIRONMENT = "X509_CERT_DIR={authority.directory()}"']
        if self.docker is not None:
            lines.append(f"DOCKER = {directory / 'docker'}")
        if self.apptainer is not None:
            lines.append(f"SINGULARITY = {self.apptainer.program}")
        return "\n".join(["", "# Real parts (tests/parts).", *lines, ""])

    def lay_out(self, directory: Path, libexec: Path) -> None:
        """Write what the configuration names, and complete HTCondor's own helpers."""
        if self.docker is not None:
            script = directory / "docker"
            script.write_text(self.docker.script(), encoding="utf-8")
            script.chmod(0o755)
        if self.apptainer is not None:
            with contextlib.suppress(PartError):
                apptainer.complete(libexec)

    @property
    def path(self) -> list[str]:
        """Return the directories that belong on the PATH of the pool's daemons."""
        return [str(self.apptainer.tools)] if self.apptainer is not None else []


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
