"""Pythons to install htrun for: those that the machine has, and newer ones from Debian's packages."""

from __future__ import annotations

import tempfile
from pathlib import Path

from filelock import FileLock

from tests.parts.errors import PartError
from tests.pool.errors import PoolError
from tests.pool.prefix import cache_dir, patch, source
from tests.tools.debian import PackageError, PrivateApt, unpack
from tests.tools.pythons import pythons

SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14")
SUITES = {"3.13": "trixie", "3.14": "forky"}
RECIPE = "r1"  # counts the ways these were made, so that a change here does not reuse older ones
LEFT_OUT = ("debconf", "media-types", "netbase", "tzdata")


def interpreters() -> dict[str, Path | None]:
    """Return an interpreter of each version that htrun supports and that there is, None for those to be fetched."""
    here = pythons()
    return {
        version: Path(here[version]) if version in here else None
        for version in SUPPORTED
        if version in here or version in SUITES
    }


def fetch(version: str) -> Path:
    """Return an interpreter of a version from Debian's packages, unpacked at the first time.

    Its C library comes along, since it may need a newer one than the machine's.

    Raises
    ------
    PartError
        If the packages are not to be had.
    """
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    prefix = cache / f"interpreter-{version}-{RECIPE}"
    with FileLock(cache / f"interpreter-{version}.lock"):
        if not prefix.exists():
            with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as work:
                made = Path(work) / "prefix"
                try:
                    apt = PrivateApt(Path(work) / "apt", source(SUITES[version]), installed=LEFT_OUT)
                    apt.update()
                    unpack(apt.download(f"python{version}"), made)
                    patch(made, prefix)
                except (PackageError, PoolError) as error:
                    raise PartError(f"no Python {version} of Debian {SUITES[version]}: {error}") from error
                made.chmod(0o755)
                made.rename(prefix)
    return prefix / f"usr/bin/python{version}"
