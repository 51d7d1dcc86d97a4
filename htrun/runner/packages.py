"""Packages that a job brings along: unpacked once, importable after the standard library and before installed ones."""

from __future__ import annotations

import os
import sys
import zipfile

from .pythons import WrongPython, differs, this_python


def unpack(archive: str, directory: str, python: str | None) -> None:
    """Unpack an archive, unless that was done, or a Python of another version could do nothing with it."""
    if os.path.isdir(directory) or differs(python):
        return
    part = directory + ".part"
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            path = packed.extract(info, part)
            if info.external_attr >> 16 & 0o111:
                os.chmod(path, os.stat(path).st_mode | 0o111)  # noqa: S103 (as it was)
    os.makedirs(part, exist_ok=True)  # there may be no packages
    os.rename(part, directory)


def use(directory: str, python: str | None) -> None:
    """Let packages be imported, and their programs be found; raises WrongPython if they are for another version."""
    if differs(python):
        minor = ".".join(str(python).split(".")[:2])
        raise WrongPython(
            "the packages that come along are for Python %s, and here is %s: run htrun with Python %d.%d, keep to "
            "machines that have Python %s, or use an image that has the packages (--delivery docker:IMAGE)"
            % (minor, this_python(), *sys.version_info[:2], minor)
        )
    if directory in sys.path:
        return
    # Not before the standard library: there are packages of the names of its modules, for Pythons that lack these.
    places = [n for n, entry in enumerate(sys.path) if "site-packages" in entry or "dist-packages" in entry]
    sys.path.insert(min(places, default=len(sys.path)), directory)
    programs = os.path.join(directory, "bin")
    if os.path.isdir(programs):
        os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", os.defpath)
