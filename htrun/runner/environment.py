"""What Python and which packages there are where components run, kept beside their records."""

from __future__ import annotations

import itertools
import json
import os
import sys

from . import wire

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from typing import Any


def write(directory: str) -> None:
    """Write it to a job directory; raises OSError."""
    with open(os.path.join(directory, wire.ENVIRONMENT), "w", encoding="utf-8") as file:
        json.dump(_describe(), file)


def _describe() -> dict[str, Any]:
    system = os.uname()
    parts = [system.sysname, system.release, system.machine]
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):  # it is another C library
        libc = ""
    if libc:
        parts.append("with-" + libc.replace(" ", ""))  # as platform.platform() has it
    return {
        "node": system.nodename,
        "platform": "-".join(parts),
        "python": sys.version.partition(" ")[0],
        "executable": sys.executable,
        "packages": _packages(sys.path),
    }


def _packages(path: list[str]) -> dict[str, str]:
    """Return the versions of the packages that are installed in the directories of a path.

    As importlib.metadata does, from the first lines of their metadata: parsing all of it takes twenty times longer.
    """
    packages: dict[str, str] = {}
    for entry in path:
        try:
            names = os.listdir(entry or os.curdir)
        except Exception:  # noqa: S112 (not there, a zip file, or nothing that belongs on a path)
            continue
        for name in names:
            if type(name) is not str or not name.endswith((".dist-info", ".egg-info")):
                continue
            place = os.path.join(entry, name)
            for file in (os.path.join(place, "METADATA"), os.path.join(place, "PKG-INFO"), place):
                try:
                    with open(file, encoding="utf-8", errors="replace") as lines:
                        head = list(itertools.takewhile(str.strip, lines))  # up to the description
                except OSError:
                    continue
                fields = dict(line.rstrip().partition(": ")[::2] for line in reversed(head))  # the first of a name
                if "Name" in fields and "Version" in fields:
                    packages.setdefault(fields["Name"], fields["Version"])
                break
    return packages
