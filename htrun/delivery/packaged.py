"""Run with the python3 of the node, and bring along the packages that the target needs."""

from __future__ import annotations

import os
import platform
import shutil
from typing import TYPE_CHECKING

from htrun import packages, requirements
from htrun.delivery import Prepared
from htrun.delivery.assume import commands
from htrun.exceptions import UsageError
from htrun.runner import wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from htrun.delivery import Place
    from htrun.settings import Config

_MINOR = ".".join(platform.python_version_tuple()[:2])


class Packaged:
    """The python3 of the node, which has to be of this version, and packages.

    Parameters
    ----------
    argument : str, optional
        A requirements file; without one, they are those of the target's own file or of ``pyproject.toml``.
    """

    name = "packaged"
    summary = f"python3 on the PATH of the execute node, if it is Python {_MINOR}, and packages that come along"

    def __init__(self, argument: str | None = None) -> None:
        if argument == "":
            raise UsageError("packaged: has no file after the colon: name a requirements file, or leave the colon out")
        self._file = argument

    def here(self, target: Path | None, settings: Config, say: Callable[[str], object]) -> Path:
        """Return the directory that has the packages; see ``Delivery``."""
        return self._provide(target, settings, say).directory

    def prepare(self, place: Place) -> Prepared:
        """Put the packages into the map, and return how they get to where it runs; see ``Delivery``."""
        found = self._provide(place.target, place.settings)
        place.directory.delivery.mkdir()
        archive = place.directory.delivery / wire.PACKAGES_ARCHIVE
        try:
            os.link(found.archive, archive)  # the map keeps it when the cache is cleared
        except OSError:
            shutil.copyfile(found.archive, archive)
        runner = {"packages": archive.name, "installed": str(found.directory)}
        # What HTCondor asks for by default is enough for the files that are transferred.
        disk = f"(TransferInputSizeMB + 1) * 1280 + {found.size * 5 // 4 // 1024}"
        return Prepared({**commands(), "request_disk": disk}, runner, python=_MINOR)

    def _provide(
        self, target: Path | None, settings: Config, say: Callable[[str], object] | None = None
    ) -> packages.Packages:
        options = {} if say is None else {"say": say}
        needed = requirements.find(self._file, target)
        return packages.provide(needed, settings.packages, settings.installer, **options)
