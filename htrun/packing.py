"""Packing the Python installation that runs this, once for as long as nothing in it changes; see ``transplant``."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from htrun import private
from htrun.installation import Installation, fingerprint, members, packages
from htrun.logs import get_logger
from htrun.transplant import ABOUT, PACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from htrun.installation import Member

TOP = "htrun-python"
"""The directory that an archive is unpacked to."""
START = f"{TOP}/start"
"""The script in it that starts Python."""
_LEVEL = 6
_logger = get_logger(__name__)


def pack(installation: Installation, directory: Path) -> Path:
    """Return the directory of the transplant of an installation, packed where there is none yet.

    Parameters
    ----------
    installation : Installation
    directory : pathlib.Path
        Where transplants are.

    Raises
    ------
    CannotTransplantPython
    OSError
    """
    content = list(members(installation))
    path = directory / fingerprint(content)
    if is_there(path):
        return path
    private.make(directory)
    with FileLock(directory / ".lock"):
        if not is_there(path):
            path.mkdir(exist_ok=True)
            try:
                _write(installation, content, path)
            except BaseException:
                for name in (f"{PACKED}.part", f"{ABOUT}.part"):
                    (path / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    path.rmdir()
                raise
    return path


def packed(installation: Installation, directory: Path) -> Path:
    """Return the directory where the transplant of an installation is, or would be."""
    return directory / fingerprint(list(members(installation)))


def is_there(path: Path) -> bool:
    """Return whether there is a transplant in a directory."""
    return (path / ABOUT).exists() and (path / PACKED).exists()


def unpacked_size(path: Path) -> int:
    """Return how many bytes a transplant takes when it is unpacked."""
    return int(json.loads((path / ABOUT).read_text(encoding="utf-8")).get("unpacked", 0))


def _write(installation: Installation, content: Sequence[Member], path: Path) -> None:
    started = time.monotonic()
    total = sum(Path(member.path).stat().st_size for member in content if member.path and member.data is None)
    tell = _teller(f"htrun: packing {installation.environment or installation.prefix} ({total / 1e6:,.0f} MB), once")
    part = path / f"{PACKED}.part"
    done = 0
    with (
        part.open("wb") as file,
        gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as stream,
        tarfile.open(mode="w", fileobj=stream, format=tarfile.PAX_FORMAT) as archive,
    ):
        for member in content:
            done += _add(archive, member)
            tell(done / max(total, 1))
    part.rename(path / PACKED)
    size = (path / PACKED).stat().st_size
    about = {"created": time.time(), "packages": packages(installation), "unpacked": done}
    part = path / f"{ABOUT}.part"
    part.write_text(json.dumps(about), encoding="utf-8")
    part.rename(path / ABOUT)
    seconds = time.monotonic() - started
    sys.stderr.write(f": {size / 1e6:,.0f} MB, {seconds:.0f} s\n")
    _logger.info("packed %s into %s: %d bytes, %.1f s", installation.prefix, path, size, seconds)


def _add(archive: tarfile.TarFile, member: Member) -> int:
    """Put a member in an archive, as nobody's in particular; return its size."""
    name = f"{TOP}/{member.name}"
    if member.target is not None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, member.target
        archive.addfile(info)
        return 0
    info = archive.gettarinfo(os.path.realpath(member.path), name) if member.path else tarfile.TarInfo(name)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    if member.data is not None:
        info.type, info.size = tarfile.REGTYPE, len(member.data)
        archive.addfile(info, io.BytesIO(member.data))
    elif info.isreg():
        with Path(member.path).open("rb") as file:
            archive.addfile(info, file)
    else:
        info.mode |= 0o700  # so that it can be filled
        archive.addfile(info)
    return info.size


def _teller(text: str) -> Callable[[float], None]:
    """Say what is done, and return what shows on a terminal how much of it is."""
    sys.stderr.write(text)
    sys.stderr.flush()
    shown = 0

    def tell(part: float) -> None:
        nonlocal shown
        if int(100 * part) > shown and sys.stderr.isatty():
            shown = int(100 * part)
            sys.stderr.write(f"\r{text} {shown}%")
            sys.stderr.flush()

    return tell
