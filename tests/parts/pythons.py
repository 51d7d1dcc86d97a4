"""Root directories with a plain Python and nothing else, unpacked from Debian's packages."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from tests.parts.errors import PartError
from tests.pool.errors import PoolError
from tests.pool.prefix import cache_dir, source
from tests.tools.debian import PackageError, PrivateApt, unpack

SUITES = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"}
RECIPE = "r1"  # counts the ways these were made, so that a change here does not reuse older ones
PACKAGES = ("base-files", "base-passwd", "bash", "coreutils", "dash", "grep", "sed", "python3")
LEFT_OUT = ("debconf", "debianutils", "dpkg", "libstdc++6", "mawk", "perl-base", "tar", "tzdata")
NOT_NEEDED = ("doc", "info", "locale", "man")


def root(version: str) -> Path:
    """Return a root directory whose ``python3`` has a version, made at the first time.

    Raises
    ------
    PartError
        If Debian's packages of it are not to be had.
    """
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    directory = cache / f"python-{version}-{RECIPE}"
    with FileLock(cache / f"python-{version}.lock"):
        if not directory.exists():
            with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as work:
                build(SUITES[version], Path(work)).rename(directory)
    return directory


def build(suite: str, work: Path) -> Path:
    """Return a root directory, made below another, with the Python of one of Debian's suites."""
    made = work / "root"
    try:
        apt = PrivateApt(work / "apt", source(suite), installed=LEFT_OUT)
        apt.update()
        unpack(apt.download(*PACKAGES), made)
    except (PackageError, PoolError) as error:
        raise PartError(f"no Python of Debian {suite}: {error}") from error
    # This is what the packages' scripts would do.
    for name in ("passwd", "group"):
        shutil.copy(made / f"usr/share/base-passwd/{name}.master", made / "etc" / name)
    shell = made / "bin/sh"
    if not shell.is_symlink():
        shell.symlink_to("dash")
    for name in NOT_NEEDED:
        shutil.rmtree(made / "usr/share" / name, ignore_errors=True)
    made.chmod(0o755)
    return made
