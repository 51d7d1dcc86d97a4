"""What can be done to a map: waiting for it, stopping it, carrying on with it, removing it."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from htrun.exceptions import (
    CannotRerunComponents,
    CannotRetagMap,
    EngineError,
    HtrunError,
    MapWasRemoved,
    RunDied,
)
from htrun.logs import get_logger
from htrun.outputs import move
from htrun.runner.files import remove_tree
from htrun.sickness import sick_machines
from htrun.state import UNFINISHED, ComponentStatus
from htrun.store import move_aside, read_json, sweep, write_json
from htrun.submissions import join
from htrun.tags import TagRegistry, check_tag
from htrun.view import MapView

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator

    from typing_extensions import Self

    from htrun.engines.base import Action, Attribute
    from htrun.settings import Config
    from htrun.store import MapDirectory

_POLL_SECONDS = 0.1  # between looks: workers, or the daemons of a pool, may need the processors themselves
_MAX_POLL_SECONDS = 0.5
_LIVE_SECONDS = 1.0  # the same of a local run: a look takes its time from the workers, and the end is seen without one
_REST = 10  # times as long as a look took there is none: what it takes of a large map is taken from the workers
_MAX_REST_SECONDS = 5.0
_EFFECT_SECONDS = 5.0
_EFFECT_POLL_SECONDS = 0.02
_AGAIN_SECONDS = 10.0  # between two tries at what the engine could not do

_WAITING = frozenset({ComponentStatus.UNMATERIALIZED, ComponentStatus.IDLE})
_CONCERNED: dict[Action, frozenset[ComponentStatus]] = {
    "hold": UNFINISHED,
    "release": frozenset({ComponentStatus.HELD}),
    "pause": _WAITING | {ComponentStatus.RUNNING},
    "resume": _WAITING | {ComponentStatus.SUSPENDED},
    "vacate": frozenset({ComponentStatus.RUNNING, ComponentStatus.SUSPENDED}),
}
_SHOWN: dict[Action, frozenset[ComponentStatus]] = {
    "hold": UNFINISHED,
    "release": frozenset({ComponentStatus.HELD}),
    "pause": frozenset({ComponentStatus.RUNNING}),
    "resume": frozenset({ComponentStatus.SUSPENDED}),
    "vacate": frozenset(),
}
"""The statuses that no component has any more when an action has taken effect."""
_OLD = "old."
"""What the names of directories begin with where results are put away; the size of the list of submissions follows."""
_logger = get_logger(__name__)


class MapControl(MapView):
    """A map to act on.

    Parameters
    ----------
    tag : str
    directory : MapDirectory
    registry : TagRegistry
        Where the tag is registered.
    """

    def __init__(self, tag: str, directory: MapDirectory, registry: TagRegistry) -> None:
        super().__init__(tag, directory)
        self.registry = registry
        self._exclude_at = -math.inf

    @classmethod
    def load(cls, tag: str, settings: Config) -> Self:
        """Return the map that has a tag; raises TagNotFound."""
        registry = TagRegistry(settings.tags)
        return cls(tag, registry.get(tag), registry)

    @contextmanager
    def lock(self, *others: str) -> Iterator[None]:
        """Hold the lock of the map's tag, which another process may have changed, and those of other tags."""
        while True:
            tag = self.tag
            with self.registry.lock_tag(tag, *others):
                if self.is_there():
                    self.tag = str(read_json(self.directory.info_file)["tag"])
                if self.tag == tag:
                    yield
                    return

    def watch(self) -> Generator[bool]:
        """Yield after every look at the map, as long as it is active; True where something has changed.

        Raises
        ------
        MapWasRemoved
            If somebody removes the map meanwhile.
        RunDied
            If the process of a local run was killed.
        """
        try:
            yield from self._watch()
        finally:
            if self.is_there():
                self._let_go()

    def _let_go(self) -> None:
        """Let the engine submit what it has put off, or else say that it could not."""
        try:
            self.engine.let_go(self.directory)
        except EngineError as error:
            _logger.warning("map %s: %s", self.tag, error)
            self.notes.append(f"the rest of the jobs could not be submitted: {error}; 'htrun wait {self.tag}' does it")

    def _watch(self) -> Iterator[bool]:
        live = self.engine.records_are_live
        pause = _POLL_SECONDS
        seen: object = None
        while True:
            began = time.monotonic()
            active = self._look()
            took = time.monotonic() - began
            now = (self.records.finished, bytes(self._codes) if len(self) < 10_000 else self.counts())
            changed, seen = now != seen, now
            yield changed
            if not active:
                return
            pause = _LIVE_SECONDS if live else _POLL_SECONDS if changed else min(pause * 1.2, _MAX_POLL_SECONDS)
            self.engine.rest(self.directory, max(pause, min(_REST * took, _MAX_REST_SECONDS)))

    def _look(self) -> bool:
        self.engine.advance(self.directory)
        working = self.engine.is_working(self.directory)  # before the refresh, so that its last words are not missed
        self.refresh()
        if working:
            self._exclude_machines()
        if working and (self.unfinished or self.engine.records_are_live):
            return True  # a local run is over when its process is, which still writes the results
        if self.unfinished or self.removed:
            # Perhaps somebody is just removing it, and has come as far as stopping it: then this waits for the end.
            with self.lock():
                pass
        if not self.is_there():
            raise MapWasRemoved(self.tag)
        reason = self.engine.left_behind(self.directory) if self.unfinished else None
        if reason is not None:
            raise RunDied(self.tag, reason)
        # Another command may just have been submitting what this one has found missing.
        return not working and bool(self.unfinished) and self.engine.is_working(self.directory)

    def _exclude_machines(self) -> None:
        """Let no more components go to machines where some have failed that another one has completed."""
        retried = self.retried
        if not retried or time.monotonic() < self._exclude_at:
            return
        records = self.records.walk(self.components_in(retried))
        sick = sick_machines(record for record in records if record is not None)
        try:
            new = self.engine.exclude(self.directory, list(sick)) if sick else []
        except EngineError as error:
            _logger.warning("map %s: %s", self.tag, error)
            self._exclude_at = time.monotonic() + _AGAIN_SECONDS
            return
        self.forget_retried(retried)
        for machine in new:
            component, other = sick[machine]
            self.notes.append(
                f"component {component} has failed on {machine} and completed on {other}: "
                f"what has not started does not go to {machine} any more"
            )

    def carry_on(self) -> str | None:
        """Start again what was left undone; return how that ended, None if there was nothing. Raises EngineError."""
        if next(self.directory.inner.glob(f"{_OLD}*"), None) is not None:
            with self.lock():
                self._see_to_old_results()
        if len(self.registry.entries(self.tag)) > 1:
            with self.lock():
                self._remove_replaced()
        if not self.unfinished or self.engine.left_behind(self.directory) is None:
            return None
        with self.lock():  # whoever made the map may be submitting it just now
            reason = self.engine.left_behind(self.directory)
            if reason is not None:
                _logger.info("carrying on with map %s: %s", self.tag, reason)
                self.engine.carry_on(self.directory)
            return reason

    def _remove_replaced(self) -> None:
        """Remove what a command that was killed has left of the map whose place this one has taken."""
        entries = self.registry.entries(self.tag)
        if entries[0] == (self.directory.info["uid"], self.path):
            for path in self.registry.leftovers(self.tag):
                remove_tree(str(path))
            with self.registry.lock():
                self.registry.set(self.tag, *entries[0])

    def stop(self, reason: str) -> None:
        """Let no component run any more, for a reason in words; what is finished stays. Raises EngineError."""
        with self.lock():
            self.stop_locked(reason)

    def stop_locked(self, reason: str) -> None:
        """Do as ``stop`` does for a caller that holds the lock of the tag."""
        if self.is_there():  # another map may have its place by now
            _logger.info("stopping map %s: %s", self.tag, reason)
            self.engine.act(self.directory, "remove", reason)

    def act(self, action: Action) -> int:
        """Do something to all components that it concerns, and return how many these are.

        A component that is over is concerned by nothing. The status of the others shows the effect when this returns,
        unless that takes longer than some seconds.

        Parameters
        ----------
        action : {"hold", "release", "pause", "resume", "vacate"}

        Raises
        ------
        EngineError
        """
        with self.lock():
            concerned = self._concerned(action)
            self.refresh()
            number = self._number(concerned)
            if number and self.is_there():
                _logger.info("%s map %s", action, self.tag)
                self.engine.act(self.directory, action, f"its user asked for it, with 'htrun {action}'")
        deadline = time.monotonic() + _EFFECT_SECONDS
        while number and self._number(_SHOWN[action]):
            if time.monotonic() > deadline:
                break
            time.sleep(_EFFECT_POLL_SECONDS)
            self.refresh()
        return number

    def _concerned(self, action: Action) -> frozenset[ComponentStatus]:
        """Return the statuses of the components that an action concerns."""
        concerned = _CONCERNED[action]
        if action in ("pause", "resume") and not self.engine.pauses_waiting:
            return concerned - _WAITING
        if action == "pause" and not self.engine.is_working(self.directory):
            return concerned - _WAITING  # nothing is about to start
        return concerned

    def _number(self, statuses: Collection[ComponentStatus]) -> int:
        counts = self.counts()
        return sum(counts[status] for status in statuses)

    def edit(self, attribute: Attribute, value: int) -> int:
        """Change a request, in MiB of memory or KiB of disk, and return how many components it concerns.

        Those that run see the change when they are started anew. Raises EngineError.
        """
        with self.lock():
            self.refresh()
            number = self._number(UNFINISHED | {ComponentStatus.HELD})
            if number and self.is_there():
                self.engine.edit(self.directory, attribute, value)
        return number

    def rerun(self, components: Iterable[int] | None = None) -> int:
        """Run components again, from scratch and as they were submitted first; return how many.

        Parameters
        ----------
        components : iterable of int, optional
            All of them by default. It is asked when nobody else can act on the map any more, which has been looked at.

        Raises
        ------
        IndexError
            If the map has no such component.
        CannotRerunComponents
            If any of them has not ended yet.
        EngineError
        """
        with self.lock():
            self.refresh()
            if not self.is_there():
                raise MapWasRemoved(self.tag)
            chosen = sorted(set(range(len(self)) if components is None else components))
            if chosen and not 0 <= chosen[0] <= chosen[-1] < len(self):
                wrong = chosen[0] if chosen[0] < 0 else chosen[-1]
                raise IndexError(f"map {self.tag!r} has no component {wrong}: it has 0 to {len(self) - 1}")
            active = [component for component in chosen if not self.status_of(component).is_final]
            if active:
                raise CannotRerunComponents(self.tag, active, self.status_of(active[0]))
            if chosen:
                with self._without_results(chosen):
                    self.engine.submit(self.directory, join(chosen))
                self.refresh()
        return len(chosen)

    @contextmanager
    def _without_results(self, components: list[int]) -> Iterator[None]:
        """Put results of components away for good, but back where they were if nothing is submitted."""
        directory = self.directory
        results = [directory.run_file, directory.outputs_file, directory.errors_file]
        if len(components) == len(self):
            results.append(directory.output_files)
        elif directory.output_files.exists():
            results += [directory.output_files / str(component) for component in components]
        self._see_to_old_results()
        old = directory.inner / f"{_OLD}{directory.submissions_size()}"
        old.mkdir()
        try:
            for path in results:
                if path.exists():
                    path.replace(old / path.name)
            yield
        finally:
            self._see_to_old_results()

    def _see_to_old_results(self) -> None:
        """Remove results that were put away, or put them back where nothing was submitted, be it for a kill."""
        directory = self.directory
        for old in directory.inner.glob(f"{_OLD}*"):
            if old.name == f"{_OLD}{directory.submissions_size()}":
                for path in old.iterdir():
                    parent = directory.output_files if path.name.isdecimal() else directory.path
                    move(path, parent / path.name)
            remove_tree(str(old))

    def retag(self, tag: str) -> None:
        """Give the map another tag, which is free; it is not transient any more.

        The directory of a map that was made on the command line has the tag's name, and gets the new one.

        Raises
        ------
        InvalidTag, TagAlreadyExists
        CannotRetagMap
            If the directory cannot be renamed, since jobs of the map write to it.
        """
        check_tag(tag)
        with self.lock(tag):
            self.refresh()
            self._retag(tag)

    def _retag(self, tag: str) -> None:
        old = self.tag
        with self.registry.lock():
            if not self.is_there():
                raise MapWasRemoved(old)
            if tag != old:
                self.registry.check_free(tag)
            path = self.path
            if path.name == old and tag != old:
                path = path.with_name(tag)
                writes = self.engine.records_are_live and self.engine.is_working(self.directory)  # the results, still
                if not self.has_ended or writes:
                    raise CannotRetagMap(old, f"its jobs write to {self.path}: wait until it has ended")
                if path.exists() or path.is_symlink():
                    raise CannotRetagMap(old, f"{path} is in the way")
            info = {**self.directory.info, "tag": tag, "transient": False}
            self.registry.set(tag, info["uid"], path)
            if path != self.path:
                self.path.rename(path)
            self.directory.move(path)
            self.directory.set_info(info)
            if tag != old:
                self.registry.forget(old)
            if self.directory.run_file.exists():
                write_json(self.directory.run_file, {**read_json(self.directory.run_file), "tag": tag})
            self.tag = tag

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
        with self.lock():
            try:
                self.stop_locked("its map is removed by htrun")
            except HtrunError as error:
                if not force:
                    raise EngineError(
                        f"map {self.tag!r} was not removed: {error} (--force, in Python force=True, removes it anyway)"
                    ) from error
            self.delete()

    def delete(self) -> None:
        """Delete the map with all its results; the caller holds the lock of its tag, and has stopped it."""
        if self.is_there():
            delete_directory(self.tag, self.registry)


def delete_directory(tag: str, registry: TagRegistry) -> None:
    """Delete what a tag points to, without looking at it: all that can be done about a map that is damaged."""
    with registry.lock():
        directory = registry.find(tag)
        if directory is None:
            return
        graves = [move_aside(path) for path in dict.fromkeys([directory.path, *registry.leftovers(tag)])]
        registry.forget(tag)
    for grave in filter(None, graves):
        remove_tree(str(grave))
        sweep(grave.parent)
    _logger.info("removed map %s in %s", tag, directory.path)
