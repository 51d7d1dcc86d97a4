"""What can be done to a map: waiting for it, stopping it, carrying on with it, removing it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from htrun.exceptions import EngineError, HtrunError, MapWasRemoved, RunDied
from htrun.logs import get_logger
from htrun.runner.files import remove_tree
from htrun.store import move_aside, sweep
from htrun.view import MapView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from htrun.tags import TagRegistry

_POLL_SECONDS = 0.02
_MAX_POLL_SECONDS = 0.5
_logger = get_logger(__name__)


class MapControl(MapView):
    """A map to act on."""

    def watch(self) -> Iterator[bool]:
        """Yield after every look at the map, as long as it is active; True where something has changed.

        Raises
        ------
        MapWasRemoved
            If somebody removes the map meanwhile.
        RunDied
            If the process of a local run was killed.
        """
        pause = _POLL_SECONDS
        seen: object = None
        while True:
            active = self._look()
            now = (self.records.finished, bytes(self._codes) if len(self) < 10_000 else self.counts())
            changed, seen = now != seen, now
            yield changed
            if not active:
                return
            pause = _POLL_SECONDS if changed else min(pause * 1.2, _MAX_POLL_SECONDS)
            time.sleep(pause)

    def _look(self) -> bool:
        working = self.engine.is_working(self.directory)  # before the refresh, so that its last words are not missed
        self.refresh()
        if working and (self.unfinished or self.engine.records_are_live):
            return True  # a local run is over when its process is, which still writes the results
        if self.unfinished or self.removed:
            # Perhaps somebody is just removing it, and has come as far as stopping it: then this waits for the end.
            with self.registry.lock_tag(self.tag):
                pass
        if not self._is_there():
            raise MapWasRemoved(self.tag)
        reason = self.engine.left_behind(self.directory) if self.unfinished else None
        if reason is not None:
            raise RunDied(self.tag, reason)
        return False

    def carry_on(self) -> str | None:
        """Start again what was left undone; return how that ended, None if there was nothing. Raises EngineError."""
        if not self.unfinished or self.engine.left_behind(self.directory) is None:
            return None
        with self.registry.lock_tag(self.tag):  # whoever made the map may be submitting it just now
            reason = self.engine.left_behind(self.directory)
            if reason is not None:
                _logger.info("carrying on with map %s: %s", self.tag, reason)
                self.engine.carry_on(self.directory)
            return reason

    def stop(self, reason: str) -> None:
        """Let no component run any more, for a reason in words; what is finished stays. Raises EngineError."""
        with self.registry.lock_tag(self.tag):
            self.stop_locked(reason)

    def stop_locked(self, reason: str) -> None:
        """Do as ``stop`` does for a caller that holds the lock of the tag."""
        if self._is_there():  # another map may have its place by now
            _logger.info("stopping map %s: %s", self.tag, reason)
            self.engine.act(self.directory, "remove", reason)

    def remove(self, *, force: bool = False) -> None:
        """Stop the map and delete it with all its results.

        Parameters
        ----------
        force : bool
            Delete it even where its jobs cannot be stopped, as with a schedd that is gone.

        Raises
        ------
        EngineError
            If its jobs cannot be stopped; the map is left as it is.
        """
        with self.registry.lock_tag(self.tag):
            try:
                self.stop_locked("its map is removed by htrun")
            except HtrunError as error:
                if not force:
                    raise EngineError(
                        f"map {self.tag!r} was not removed: {error} (--force removes it anyway)"
                    ) from error
            self.delete()

    def delete(self) -> None:
        """Delete the map with all its results; the caller holds the lock of its tag, and has stopped it."""
        if self._is_there():
            delete_directory(self.tag, self.registry)


def delete_directory(tag: str, registry: TagRegistry) -> None:
    """Delete what a tag points to, without looking at it: all that can be done about a map that is damaged."""
    with registry.lock():
        directory = registry.find(tag)
        if directory is None:
            return
        grave = move_aside(directory.path)
        registry.forget(tag)
    if grave is not None:
        remove_tree(str(grave))
        sweep(grave.parent)
    _logger.info("removed map %s in %s", tag, directory.path)
