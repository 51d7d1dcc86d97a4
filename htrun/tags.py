"""The tag registry: which map is meant by a tag, and that no two are."""

from __future__ import annotations

import difflib
import fnmatch
import os
import zlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock

from htrun import private
from htrun.exceptions import InvalidTag, TagAlreadyExists, TagNotFound
from htrun.store import MapDirectory, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FORBIDDEN = frozenset('/\\:*?[]"<>|')
_TAG_LOCKS = 32
REPLACED = ".htrun-old-"
"""What the names of directories begin with that maps are moved to while others take their places."""
_MAX_BYTES = 200  # file systems take 255, and names are made from tags


def check_tag(tag: str) -> str:
    """Return the tag if a map may have it; raise InvalidTag otherwise."""
    if not isinstance(tag, str):
        raise InvalidTag(tag, f"it is no text, but of type {type(tag).__name__}")
    if not tag:
        raise InvalidTag(tag, "it is empty")
    if tag[0] in "-.":
        raise InvalidTag(tag, f"it begins with {tag[0]!r}")
    for character in tag:
        if character in _FORBIDDEN or not character.isprintable() or character.isspace():
            raise InvalidTag(tag, f"the character {character!r} is not allowed in it")
    if len(os.fsencode(tag)) > _MAX_BYTES:
        raise InvalidTag(tag, f"it is longer than {_MAX_BYTES} bytes")
    return tag


def make_up_tag() -> str:
    """Return a readable tag, such as ``mildly-safe-gnu``."""
    import petname  # only now: its word lists cost start-up time

    return str(petname.Generate(3, "-"))


class TagRegistry:
    """The tags of one ``HTRUN_DIR``: a file each, that points to the map's directory.

    A tag whose map is no longer there (its directory was removed by hand, or its creation was killed half way) counts
    as free.

    Parameters
    ----------
    directory : pathlib.Path
        Made on the first use.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from changing the registry meanwhile."""
        private.make(self.directory)
        with FileLock(self.directory / ".lock"):
            yield

    @contextmanager
    def lock_tag(self, *tags: str) -> Iterator[None]:
        """Keep other processes from making or removing maps of these tags meanwhile.

        It may be held for as long as an engine takes, so it is not the registry's; a few locks are shared by all tags,
        so that no file has to be left for each. Whoever needs both takes this one first.
        """
        private.make(self.directory)
        with ExitStack() as stack:
            for number in sorted({zlib.crc32(os.fsencode(tag)) % _TAG_LOCKS for tag in tags}):
                stack.enter_context(FileLock(self.directory / f".lock-{number}"))
            yield

    def tag_file(self, tag: str) -> Path:
        """Return the file of a tag, which need not exist."""
        return self.directory / tag

    def entries(self, tag: str) -> list[tuple[str, Path]]:
        """Return the uid and the path that a tag stands for, and then those that it stands for if there is no such map.

        The latter are of a map that is being replaced: so the tag has one of the two whenever a command is killed.

        Raises
        ------
        NotPrivate
            If somebody else could have written it.
        """
        private.check(self.directory)
        try:
            entry = read_json(self.tag_file(check_tag(tag)))
            rows = [entry, *entry.get("before", ())]
            return [(str(row["uid"]), self.directory.parent / row["path"]) for row in rows]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidTag):
            return []

    def leftovers(self, tag: str) -> list[Path]:
        """Return where there may be something left of maps that a tag's has replaced, by commands that were killed."""
        return [path for _, path in self.entries(tag)[1:] if path.name.startswith(REPLACED)]

    def find(self, tag: str) -> MapDirectory | None:
        """Return the map that has a tag, be its description readable or not; None if there is no map of this tag."""
        for uid, path in self.entries(tag):
            directory = MapDirectory(path)
            try:
                if read_json(directory.info_file)["uid"] == uid:
                    return directory
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError, KeyError, TypeError):
                return directory  # damaged or out of reach: what it holds is still its user's
        return None

    def get(self, tag: str) -> MapDirectory:
        """Return the map that has a tag; raise TagNotFound."""
        directory = self.find(tag)
        if directory is None:
            raise TagNotFound(tag, difflib.get_close_matches(tag, self.tags(), n=3))
        return directory

    def check_free(self, tag: str) -> None:
        """Raise TagAlreadyExists if a map has the tag."""
        directory = self.find(check_tag(tag))
        if directory is not None:
            raise TagAlreadyExists(tag, directory.path)

    def set(self, tag: str, uid: str, path: Path, before: Iterable[tuple[str, Path]] = ()) -> None:
        """Let a tag mean the map with this ``uid`` at ``path``, or else one before it; the caller holds the lock."""
        rows = [{"uid": uid, "path": str(path)} for uid, path in before]
        write_json(self.tag_file(tag), {"uid": uid, "path": str(path), **({"before": rows} if rows else {})})

    def forget(self, tag: str) -> None:
        """Free a tag; the caller holds the lock."""
        self.tag_file(tag).unlink(missing_ok=True)

    def tags(self, pattern: str | None = None) -> tuple[str, ...]:
        """Return the tags of all maps, those that match a glob-style pattern if one is given, sorted."""
        try:
            names = [entry.name for entry in os.scandir(self.directory) if not entry.name.startswith(".")]
        except FileNotFoundError:
            return ()
        if pattern is not None:
            names = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        return tuple(sorted(name for name in names if self.find(name) is not None))
