"""Transplants: Python installations that were packed to be taken along to execute nodes.

Each has a directory ``<TRANSPLANT.DIR>/<hash>/``, where the hash is that of the names, sizes and times of its files. In
it are

- ``python.tar.gz``, the installation,
- ``transplant.json``, ``{"created": <seconds since 1970>, "packages": ["numpy==2.0.0", ...], "unpacked": <bytes>}``,
  which is written last: a directory without it is none yet.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from htrun.exceptions import UsageError
from htrun.runner.files import remove_tree
from htrun.settings import load as load_settings

PACKED = "python.tar.gz"
ABOUT = "transplant.json"


class Transplant(NamedTuple):
    """A packed installation.

    Attributes
    ----------
    hash : str
    path : pathlib.Path
        Its directory.
    created : datetime.datetime
        In local time.
    size : int
        Of the packed installation, in bytes.
    packages : tuple of str
        What is installed in it, as ``pip freeze`` shows it.
    """

    hash: str
    path: Path
    created: datetime
    size: int
    packages: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Transplant:
        """Return the transplant in a directory.

        Raises
        ------
        UsageError
            If there is none, or it is damaged.
        """
        path = Path(path)
        try:
            about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
            created = datetime.fromtimestamp(about["created"])
            packages = tuple(map(str, about["packages"]))
            size = (path / PACKED).stat().st_size
        except OSError as error:
            raise UsageError(f"{path} is no transplant: {error.filename}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, OverflowError):
            raise UsageError(f"{path} is a damaged transplant: {ABOUT} does not say what it has to") from None
        return cls(path.name, path, created, size, packages)

    def remove(self) -> None:
        """Delete it."""
        # First what makes it one: whatever happens in between leaves no half of a transplant.
        (self.path / ABOUT).unlink(missing_ok=True)
        remove_tree(str(self.path))


def transplants() -> tuple[Transplant, ...]:
    """Return the transplants there are, the oldest first."""
    directory = load_settings().transplants
    found = (Transplant.load(about.parent) for about in directory.glob(f"*/{ABOUT}"))
    return tuple(sorted(found, key=lambda transplant: (transplant.created, transplant.hash)))


def transplant_info() -> str:
    """Return what is known of all transplants, as a text; the numbers are for ``htrun transplants remove``."""
    parts = []
    for index, transplant in enumerate(transplants()):
        lines = [
            f"{index}: {transplant.hash}",
            f"   path      {transplant.path}",
            f"   created   {transplant.created:%Y-%m-%d %H:%M:%S}",
            f"   size      {transplant.size / 1e6:,.1f} MB",
            f"   packages  {len(transplant.packages)}",
            *(f"             {package}" for package in transplant.packages),
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
