"""What was known of a map at somebody's last look, kept so that the next look need not begin at the beginning.

It is a cache: it is only taken for what it says if it is whole, of this version of htrun, and if what was read then is
still on disk as it was, though there may be more by now. Removing it loses nothing.
"""

from __future__ import annotations

import json
import sys
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import Timeout

from htrun import __version__
from htrun.exceptions import MapWasRemoved

if TYPE_CHECKING:
    from pathlib import Path

    from htrun.store import MapDirectory

_FORMAT = 1
_NAME = "snapshot"
_END_BYTES = 4096  # of a log, by which the same one is known that has grown


class Seen(NamedTuple):
    """What a file or directory was like: inode, size in bytes, time of its last change in nanoseconds."""

    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> Seen | None:
        """Return what a path is like; None if there is nothing."""
        try:
            state = path.stat()
        except FileNotFoundError:
            return None
        return cls(state.st_ino, state.st_size, state.st_mtime_ns)


class Identity(NamedTuple):
    """By what it is known whether a snapshot is of what is on disk.

    Attributes
    ----------
    log, submissions, jobs : Seen or None
        The event log, the list of submissions, and the directory of the job directories.
    """

    log: Seen | None
    submissions: Seen | None
    jobs: Seen | None

    @classmethod
    def of(cls, directory: MapDirectory, log: Path) -> Identity:
        """Return that of a map, given the path of its event log."""
        return cls(Seen.of(log), Seen.of(directory.submissions), Seen.of(directory.jobs))


def write(
    directory: MapDirectory, log: Path, identity: Identity, header: dict[str, Any], sections: list[bytes]
) -> None:
    """Keep what is known of a map, as of an identity; nothing happens where that cannot be written."""
    header = {
        **_writer(directory),
        "identity": identity,
        "ends": _ends(directory, log, identity),
        "sections": [(len(section), zlib.crc32(section)) for section in sections],
        **header,
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    part = directory.inner / f"{_NAME}.part"
    # Not synced to disk: what a crash leaves of it is not whole, and so is not used.
    with suppress(OSError, Timeout, MapWasRemoved), directory.lock(_NAME, timeout=0):
        with part.open("wb") as file:
            file.writelines([b"%08x %s\n" % (zlib.crc32(text), text), *sections])
        part.replace(directory.inner / _NAME)


def read(directory: MapDirectory, log: Path, identity: Identity) -> tuple[dict[str, Any], bool] | None:
    """Return the header of a map's snapshot, and whether nothing has changed since; None if there is none of use."""
    try:
        with (directory.inner / _NAME).open("rb") as file:
            header = _header(file.readline())
        if any(header[name] != value for name, value in _writer(directory).items()):
            return None
        kept = Identity(*(seen and Seen(*seen) for seen in header["identity"]))
        if kept == identity:
            return header, True
        has_grown = _has_grown(kept.log, identity.log) and _has_grown(kept.submissions, identity.submissions)
        return (header, False) if has_grown and _ends(directory, log, kept) == header["ends"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_sections(directory: MapDirectory, header: dict[str, Any]) -> list[bytes]:
    """Return what is kept with a header; raises ValueError if it is damaged or another one's, OSError if it is gone."""
    with (directory.inner / _NAME).open("rb") as file:
        if _header(file.readline()) != header:
            raise ValueError("it was written anew")
        sections = [file.read(length) for length, _ in header["sections"]]
    for section, (length, checksum) in zip(sections, header["sections"], strict=True):
        if len(section) != length or zlib.crc32(section) != checksum:
            raise ValueError("it is damaged")
    return sections


def _header(line: bytes) -> dict[str, Any]:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if int(checksum, 16) != zlib.crc32(text):
        raise ValueError("it is damaged")
    header: dict[str, Any] = json.loads(text)
    return header


def _writer(directory: MapDirectory) -> dict[str, Any]:
    """Return what has to be the same for whoever writes a snapshot and who reads it."""
    uid, components = directory.info["uid"], directory.components
    return {
        "format": _FORMAT,
        "version": __version__,
        "byteorder": sys.byteorder,
        "uid": uid,
        "components": components,
    }


def _has_grown(before: Seen | None, now: Seen | None) -> bool:
    """Tell whether a file that is only appended to may be the same one, with more in it or nothing."""
    if before is None or now is None:
        return before is now
    return before == now or (before.inode == now.inode and before.size < now.size)


def _ends(directory: MapDirectory, log: Path, identity: Identity) -> list[int]:
    """Return checksums of the last bytes of the logs, as far as they were seen."""
    return [_end(log, identity.log), _end(directory.submissions, identity.submissions)]


def _end(path: Path, seen: Seen | None) -> int:
    if seen is None:
        return 0
    with path.open("rb") as file:
        file.seek(max(0, seen.size - _END_BYTES))
        return zlib.crc32(file.read(min(seen.size, _END_BYTES)))
