"""Apptainer: the machine's own, or Debian's packages unpacked into the cache, where it runs without root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.parts import pythons
from tests.parts.errors import PartError
from tests.pool.errors import PoolError
from tests.pool.prefix import cache_dir, patch, source
from tests.tools.debian import PackageError, PrivateApt, unpack

SUITE = "sid"
RECIPE = "r1"
LEFT_OUT = ("ca-certificates", "cryptsetup", "cryptsetup-bin", "debconf", "fuse3", "perl", "python3", "uidmap")


@dataclass(frozen=True)
class Apptainer:
    """The program."""

    program: Path

    def build(self, image: Path, directory: Path, *options: str) -> None:
        """Make an image from a directory."""
        new = image.with_name(f"{image.name}.new")
        command = [str(word) for word in (self.program, "build", "--force", *options, new, directory)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PartError(f"apptainer build: {(done.stderr.strip() or str(done.returncode)).splitlines()[-1]}")
        new.rename(image)


def find() -> Apptainer | None:
    """Return the machine's Apptainer or Singularity, or what was fetched, None where there is neither."""
    program = shutil.which("apptainer") or shutil.which("singularity")
    if program is not None:
        return Apptainer(Path(program))
    fetched = directory() / "usr/bin/apptainer"
    return Apptainer(fetched) if fetched.exists() else None


def directory() -> Path:
    """Return where it is unpacked."""
    return cache_dir() / f"apptainer-{RECIPE}"


def get() -> Apptainer:
    """Return Apptainer, fetched if need be.

    Raises
    ------
    PartError
        If it is not to be had.
    """
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "apptainer.lock"):
        found = find()
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as work:
            unpack_to(Path(work), directory())
        found = find()
        assert found is not None
        return found


def unpack_to(work: Path, final: Path) -> None:
    """Download, unpack and patch Apptainer in a directory for work, and move it to its place."""
    made = work / "prefix"
    try:
        apt = PrivateApt(work / "apt", source(SUITE), installed=LEFT_OUT)
        apt.update()
        unpack(apt.download("apptainer", "squashfs-tools"), made)
        patch(made, final)
    except (PackageError, PoolError) as error:
        raise PartError(f"Apptainer could not be fetched: {error}") from error
    # It looks for these beside itself, where the packages' own places would be.
    (made / "usr/etc").symlink_to("../etc")
    (made / "usr/lib/etc").symlink_to("../../etc")
    (made / "usr/lib/var/lib/apptainer/mnt/session").mkdir(parents=True)
    # Of its tools it finds those alone that came with it, whatever PATH is: HTCondor gives it none. Without squashfuse
    # it unpacks images instead of mounting them, for which /dev/fuse would have to be the user's.
    with (made / "etc/apptainer/apptainer.conf").open("a", encoding="utf-8") as file:
        file.write(f"\nbinary path = {final}/usr/bin\n")
    made.chmod(0o755)
    made.rename(final)


def image(version: str, kind: str) -> Path:
    """Return an image with a Python of a version, made at the first time, of the kind ``sif`` or ``sandbox``."""
    source = pythons.root(version)
    made = source.with_name(f"{source.name}.{kind}")
    with FileLock(cache_dir() / "apptainer-images.lock"):
        if not made.exists():
            get().build(made, source, *(["--sandbox"] if kind == "sandbox" else []))
    return made


def complete(libexec: Path) -> None:
    """Make the image with which HTCondor finds out whether it can run image files, where it lacks it as Debian's."""
    image, source = libexec / "exit_37.sif", libexec / "singularity_test_sandbox"
    if not image.exists() and source.is_dir() and os.access(libexec, os.W_OK):
        with FileLock(cache_dir() / "apptainer-images.lock"):
            if not image.exists():
                get().build(image, source)
