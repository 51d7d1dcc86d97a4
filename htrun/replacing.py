"""Making room for a map, without ever leaving its tag with neither the new one nor the one before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from htrun.control import MapControl
from htrun.runner.files import remove_tree
from htrun.store import MapDirectory, move_aside, read_json
from htrun.tags import REPLACED

if TYPE_CHECKING:
    from pathlib import Path

    from htrun.tags import TagRegistry


class Replacement:
    """The maps that a new one replaces: the one that has the tag, and the one in its place.

    They are stopped at once, and are there until the new map has been submitted: what is in its place is moved aside,
    and the tag stands for it there as long as the new one is not in that place. The caller holds the lock of the tag.

    Parameters
    ----------
    tag, uid : str
        Of the new map.
    path : pathlib.Path
        Where it will be.
    registry : TagRegistry
    wanted : bool
        Whether anything is to be replaced at all.
    """

    def __init__(self, tag: str, uid: str, path: Path, registry: TagRegistry, *, wanted: bool) -> None:
        self._tag = tag
        self._uid = uid
        self._path = path
        self._registry = registry
        self._maps: dict[Path, str | None] = {}
        """Where the maps are, and the uid of the one that has the tag."""
        self._aside: Path | None = None
        self._leftovers: list[Path] = []
        if not wanted:
            return
        found = registry.find(tag)
        if found is not None:
            self._maps[found.path] = next(uid for uid, where in registry.entries(tag) if where == found.path)
        self._leftovers = [where for where in registry.leftovers(tag) if where not in self._maps]
        self._maps.setdefault(path, None)
        for directory in map(MapDirectory, self._maps):
            if directory.info_file.exists():
                MapControl(tag, directory, registry).stop_locked("its map is replaced")

    def __bool__(self) -> bool:
        return self._aside is not None or any(path != self._path for path in self._maps)

    def make_room(self) -> None:
        """Let the tag mean the new map once that is in its place; the caller holds the registry's lock."""
        aside = self._path.with_name(f"{REPLACED}{os.urandom(8).hex()}")
        before = [
            (uid, where)
            for path, uid in self._maps.items()
            if uid is not None
            for where in ((aside, path) if path == self._path else (path,))
        ]
        self._registry.set(self._tag, self._uid, self._path, before)
        if self._path in self._maps and self._path.exists():
            self._aside = aside
            self._path.rename(aside)

    def put_back(self) -> None:
        """Let everything be as it was, but for what was running, and remove the new map."""
        grave = None
        with self._registry.lock():
            if self._is_new():
                grave = move_aside(self._path)
            if self._aside is not None:
                self._aside.rename(self._path)
                self._aside = None
            if self._uid in dict(self._registry.entries(self._tag)):
                path, uid = next(iter(self._maps.items()), (self._path, None))
                if uid is None:
                    self._registry.forget(self._tag)
                else:
                    self._registry.set(self._tag, uid, path)
        if grave is not None:
            remove_tree(str(grave))

    def _is_new(self) -> bool:
        try:
            return bool(read_json(MapDirectory(self._path).info_file)["uid"] == self._uid)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def remove(self) -> None:
        """Remove what was replaced for good."""
        replaced = [path for path in (self._aside, *self._maps, *self._leftovers) if path not in (None, self._path)]
        graves = [move_aside(path) for path in replaced if path is not None]
        with self._registry.lock():
            self._registry.set(self._tag, self._uid, self._path)
        for grave in graves:
            if grave is not None:
                remove_tree(str(grave))
