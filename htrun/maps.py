"""The map that Python users hold in their hands."""

from __future__ import annotations

import json
import operator
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, overload
from weakref import WeakValueDictionary

from htrun import overview, reports
from htrun.control import MapControl
from htrun.displays import Displayed
from htrun.errors import ComponentError, ComponentErrors
from htrun.exceptions import (
    ExpectedError,
    MapComponentError,
    MapComponentHeld,
    MapWasRemoved,
    OutputNotFound,
    RunDied,
    TimeoutError,
    UsageError,
)
from htrun.export import write_results
from htrun.logs import start_logging
from htrun.progress import ProgressBar
from htrun.runner.calls import parse_arguments
from htrun.sequences import MapOutputFiles, MapStdErr, MapStdOut, pick
from htrun.settings import load
from htrun.state import ComponentStatus
from htrun.transfers import TransferPath
from htrun.words import printable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from htrun.records import Record
    from htrun.sequences import Timeout
    from htrun.view import ComponentHold

Inputs = tuple[tuple[Any, ...], dict[str, Any]]

_FIRST_POLL_SECONDS = 0.01
_ENDED = (ComponentStatus.COMPLETED, ComponentStatus.ERRORED)

_maps: WeakValueDictionary[str, Map] = WeakValueDictionary()
"""The maps of this process by uid: there is never more than one object of a map."""
_making = Lock()


class Map(Displayed, Sequence[Any]):
    """A function that was mapped over inputs: its components, their state and their outputs.

    Maps come from ``htrun.map`` and its like, and from ``htrun.load``. Of a map there is one object in a process. As a
    sequence it holds the outputs in the order of the inputs: iterating waits for each, indexing does not.

    Whatever is asked of a map is answered as of now. After ``remove``, everything but ``tag`` and ``exists`` raises
    MapWasRemoved.

    Attributes
    ----------
    stdout, stderr : MapStdOut, MapStdErr
        What the components have printed.
    output_files : MapOutputFiles
        The directories of the components' output files.
    """

    def __init__(self, control: MapControl) -> None:
        self._control = control
        self._wait_time = load().wait_time
        self.stdout = MapStdOut(self)
        self.stderr = MapStdErr(self)
        self.output_files = MapOutputFiles(self)

    @classmethod
    def of(cls, control: MapControl) -> Map:
        """Return the one object of a map in this process."""
        uid = control.directory.info["uid"]
        with _making:
            known = _maps.get(uid)
            if known is None:
                known = _maps[uid] = cls(control)
        if known.tag != control.tag:  # another process has given it a new tag
            known._control = control
        return known

    @classmethod
    def load(cls, tag: str) -> Map:
        """Return the map that has a tag; raise TagNotFound if there is none."""
        config = load()
        start_logging(config)
        return cls.of(MapControl.load(tag, config))

    def __repr__(self) -> str:
        return f"Map(tag = {self.tag})"

    def __len__(self) -> int:
        return len(self._control)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> Any:
        return Map.load, (self.tag,)  # so that a copy is this very object

    @property
    def tag(self) -> str:
        """The name of the map."""
        return self._control.tag

    @property
    def path(self) -> Path:
        """The directory of the map."""
        return self._control.path

    @property
    def components(self) -> tuple[int, ...]:
        """The indices of the components."""
        return tuple(range(len(self)))

    @property
    def exists(self) -> bool:
        """Whether the map has not been removed."""
        return self._control.is_there()

    @property
    def is_transient(self) -> bool:
        """Whether its tag was made up, so that ``htrun.clean`` removes it."""
        return self._now().is_transient

    @property
    def is_done(self) -> bool:
        """Whether all outputs are there."""
        return self._now().counts()[ComponentStatus.COMPLETED] == len(self)

    @property
    def is_active(self) -> bool:
        """Whether there are components that have neither completed nor errored, nor were removed."""
        return not self._now().has_ended

    def _now(self) -> MapControl:
        """Look at the map, and return what it is like."""
        if not self.exists:
            raise MapWasRemoved(self.tag)
        self._control.refresh()
        return self._control

    # Waiting

    def wait(
        self,
        timeout: Timeout = None,
        show_progress_bar: bool = False,
        holds_ok: bool = False,
        errors_ok: bool = False,
    ) -> None:
        """Wait until every component has completed, errored or is held, and nothing can move any more.

        Parameters
        ----------
        timeout : float or datetime.timedelta, optional
            How long to wait, in seconds if a number; for ever by default.
        show_progress_bar : bool
        holds_ok, errors_ok : bool
            Whether to go on waiting when components are held, or have errored.

        Raises
        ------
        TimeoutError
        MapComponentHeld, MapComponentError
            As soon as a component is held, or has errored.
        RunDied
            If what works on it ends before its time; waiting again carries on.
        """
        bar = ProgressBar(self.tag, len(self), self._now().finished) if show_progress_bar else None
        try:
            for _ in self._looks(timeout, "map {tag!r} has not ended"):
                control = self._control
                if bar is not None:
                    bar.update(control.finished)
                if not errors_ok:
                    for component in control.components_with(ComponentStatus.ERRORED, ComponentStatus.REMOVED):
                        self._raise_error(component)
                if not holds_ok:
                    for component in control.components_with(ComponentStatus.HELD):
                        self._raise_hold(component)
                if not control.unfinished:
                    break
        finally:
            if bar is not None:
                bar.close()
        if self._control.has_ended:
            write_results(self._control)

    def _looks(self, timeout: Timeout, complaint: str) -> Iterator[None]:
        """Yield after every look at the map; raise when that has gone on for too long, or nothing can come of it."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        deadline = None if seconds is None else time.monotonic() + seconds
        pause = min(_FIRST_POLL_SECONDS, self._wait_time)
        self._now().carry_on()
        while True:
            working = self._control.engine.is_working(self._control.directory)
            self._now()
            self._update_display()
            yield
            if not working and self._control.unfinished:
                died = self._control.engine.left_behind(self._control.directory)
                raise RunDied(self.tag, died) if died else RunDied(self.tag, "it was told to stop", "resume")
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                error = OutputNotFound if seconds is not None and seconds <= 0 else TimeoutError
                raise error(complaint.format(tag=self.tag) + (f" after {seconds:g} s" if seconds else ""))
            time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - now)))
            pause = min(1.2 * pause, self._wait_time)

    def wait_for(self, component: int, timeout: Timeout) -> Record | None:
        """Wait until a component has completed or errored, and return its record if it has left one."""
        if not 0 <= component < len(self):
            raise IndexError(f"map {self.tag!r} has no component {component}: it has 0 to {len(self) - 1}")
        if self._control.status_of(component) not in _ENDED:  # else it is as it is, and need not be looked for
            for _ in self._looks(timeout, f"component {component} of map {{tag!r}} has not ended"):
                status = self._control.status_of(component)
                if status in _ENDED:
                    break
                if status is ComponentStatus.HELD:
                    self._raise_hold(component)
                if status is ComponentStatus.REMOVED:
                    self._raise_error(component)
        with self._control.guard():
            return self._control.records.get(component)

    def _raise_hold(self, component: int) -> None:
        raise MapComponentHeld(f"Component {component} of map {self.tag} is held: {self._control.holds[component]}")

    def _raise_error(self, component: int) -> None:
        import click  # only now: it costs start-up time

        removal = self._control.removals.get(component)
        if removal is not None:
            raise MapComponentError(f"Component {component} of map {self.tag} was removed: {removal}")
        error = self._error(component, self._control.records.get(component))
        what = f"Component {component} of map {self.tag} encountered error while executing."
        remote = reports.ErrorReport(self._control, component)
        summary = f"Component {component} of map {self.tag} has failed with {remote.summary()}"
        texts = f"{what} Error report:\n{error.report()}", summary, remote.text(style=click.style)
        raise MapComponentError(*map(printable, texts))

    def _error(self, component: int, record: Record | None) -> ComponentError:
        return ComponentError(self, component, self._control.error(component, record), record)

    # Outputs

    def get(self, component: int, timeout: Timeout = None) -> Any:
        """Return the output of a component.

        Parameters
        ----------
        component : int
        timeout : float or datetime.timedelta, optional
            How long to wait for it; for ever by default.

        Raises
        ------
        IndexError
            If there is no such component.
        TimeoutError
        MapComponentError, MapComponentHeld
            If it has errored, or is held.
        """
        record = self.wait_for(component, timeout)
        if record is None or self._control.status_of(component) is ComponentStatus.ERRORED:
            self._raise_error(component)
        assert record is not None, "that would have been an error"
        return record.value()

    def get_err(self, component: int, timeout: Timeout = None) -> ComponentError:
        """Return the error of a component; raise ExpectedError if it has completed, and else as ``get`` does."""
        record = self.wait_for(component, timeout)
        if self._control.status_of(component) is ComponentStatus.COMPLETED:
            raise ExpectedError(f"component {component} of map {self.tag!r} has completed, so there is no error")
        return self._error(component, record)

    @overload
    def __getitem__(self, item: int) -> Any: ...
    @overload
    def __getitem__(self, item: slice) -> list[Any]: ...
    def __getitem__(self, item: int | slice) -> Any:
        """Return the output of a component, or of a slice of them, without waiting; raise OutputNotFound."""
        return pick(item, len(self), lambda component: self.get(component, timeout=0))

    def __iter__(self) -> Iterator[Any]:
        return self.iter()

    def iter(self, timeout: Timeout = None) -> Iterator[Any]:
        """Yield the outputs in the order of the inputs, waiting for each at most for ``timeout``."""
        for component in range(len(self)):
            yield self.get(component, timeout)

    def iter_with_inputs(self, timeout: Timeout = None) -> Iterator[tuple[Inputs, Any]]:
        """Yield ((args, kwargs), output) in the order of the inputs, waiting for each at most for ``timeout``."""
        for component in range(len(self)):
            yield self._inputs(component), self.get(component, timeout)

    def iter_as_available(self, timeout: Timeout = None) -> Iterator[Any]:
        """Yield outputs as they become available, within ``timeout`` in all."""
        for component in self._as_available(timeout):
            yield self.get(component)

    def iter_as_available_with_inputs(self, timeout: Timeout = None) -> Iterator[tuple[Inputs, Any]]:
        """Yield ((args, kwargs), output) as outputs become available, within ``timeout`` in all."""
        for component in self._as_available(timeout):
            yield self._inputs(component), self.get(component)

    def _as_available(self, timeout: Timeout) -> Iterator[int]:
        left = dict.fromkeys(range(len(self)))
        for _ in self._looks(timeout, "map {tag!r} has not ended"):
            moving = (*_ENDED, ComponentStatus.HELD, ComponentStatus.REMOVED)
            for component in [c for c in self._control.components_with(*moving) if c in left]:
                del left[component]
                yield component
            if not left:
                return

    def iter_inputs(self) -> Iterator[Inputs]:
        """Yield the (args, kwargs) of the components."""
        self._now()
        return (self._inputs(component) for component in range(len(self)))

    def _inputs(self, component: int) -> Inputs:
        directory = self._control.directory
        text, _, brought = directory.call(component).decode("utf-8").partition("\t")
        names = {name: identifier for identifier, name in json.loads(brought)} if brought else {}
        python = directory.info["versions"]["python"]
        given = {name: directory.files[identifier]["given"] for name, identifier in names.items()}
        args, kwargs = parse_arguments(text, lambda name: TransferPath.parse(given[name]), python)
        return tuple(args), kwargs

    # State

    @property
    def component_statuses(self) -> list[ComponentStatus]:
        """The status of each component."""
        return self._now().component_statuses

    def components_by_status(self) -> Mapping[ComponentStatus, tuple[int, ...]]:
        """Return the components that are in each status; no component for any other status."""
        groups: defaultdict[ComponentStatus, tuple[int, ...]] = defaultdict(tuple)
        control = self._now()
        for status in control.counts():
            groups[status] = tuple(control.components_with(status))
        return groups

    def status(self) -> str:
        """Return how many components are in each status, as text."""
        counts = self._now().counts()
        shown = dict.fromkeys(ComponentStatus.display_statuses()) | dict.fromkeys(counts)
        numbers = " | ".join(f"{status} = {counts[status]}" for status in shown)
        return f"Map {self.tag} ({len(self)} components): {numbers}"

    def status_row(self, *, state: bool = True, meta: bool = True) -> dict[str, Any]:
        """Return what ``htrun.status`` shows of the map, as data: sizes in bytes, times in seconds."""
        return overview.status_row(self._now(), state=state, meta=meta)

    @property
    def holds(self) -> dict[int, ComponentHold]:
        """The holds of held components, by component."""
        return ComponentHolds(self._now().holds)

    def hold_report(self) -> str:
        """Return a table of the components that are held, and why."""
        from tabulate import tabulate  # only now: it costs start-up time

        rows = [(component, hold.code, hold.reason) for component, hold in sorted(self.holds.items())]
        return str(tabulate(rows, headers=["Component", "Code", "Hold Reason"], disable_numparse=True))

    @property
    def errors(self) -> dict[int, ComponentError]:
        """The errors of errored components, by component."""
        errored = list(self._now().components_with(ComponentStatus.ERRORED))
        records = self._control.records.walk(errored)
        return ComponentErrors(
            (component, self._error(component, record)) for component, record in zip(errored, records, strict=True)
        )

    def error_reports(self) -> Iterator[str]:
        """Yield the error reports of errored components."""
        for error in self.errors.values():
            yield error.report()

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write a page that shows the map, for a browser: one HTML file that needs nothing else.

        Parameters
        ----------
        path : str or os.PathLike, optional
            By default ``report.html`` in the map's directory. Links to the map's files are relative to it.

        Returns
        -------
        pathlib.Path
            Where it is.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        from htrun.page.build import write_page  # only now: it costs start-up time

        control = self._now()
        if control.has_ended:
            write_results(control)
        with control.guard():
            return write_page(control, None if path is None else Path(path))

    @property
    def memory_usage(self) -> list[int]:
        """The peak memory of each component in MB, 0 where it is not known yet."""
        peaks = [0] * len(self)
        control = self._now()
        for used in control.records.usage():
            peaks[used.component] = round(used.memory_mb)
        for start, stop, memory in control.job_memories():
            for component in range(start, stop):
                peaks[component] = max(peaks[component], memory)
        return peaks

    @property
    def runtime(self) -> list[timedelta]:
        """The processor time, user and system, that each component has taken; nothing where it is not known yet."""
        times = [timedelta()] * len(self)
        for used in self._now().records.usage():
            times[used.component] = timedelta(seconds=used.cpu_s)
        return times

    @property
    def local_data(self) -> int:
        """The number of bytes that the map takes on disk."""
        return self._now().local_data()

    # Acting

    def hold(self) -> None:
        """Let no component run that has not ended, before the map is released."""
        self._now().act("hold")

    def release(self) -> None:
        """Let held components run; see ``hold``."""
        self._now().act("release")

    def pause(self) -> None:
        """Stop the processes of components that run, which keep what they have, until the map is resumed."""
        self._now().act("pause")

    def resume(self) -> None:
        """Undo ``pause``."""
        self._now().act("resume")

    def vacate(self) -> None:
        """Take the components that run off their machines; they become idle again."""
        self._now().act("vacate")

    def set_memory(self, memory: int) -> None:
        """Request an amount of memory for each component, in MB; those that run see it when they start anew.

        Raises
        ------
        UsageError
            If it is no whole number from 1.
        """
        self._now().edit("request_memory", _amount("memory", memory))

    def set_disk(self, disk: int) -> None:
        """Request an amount of disk space for each component, in KB; those that run see it when they start anew.

        Raises
        ------
        UsageError
            If it is no whole number from 1.
        """
        self._now().edit("request_disk", _amount("disk", disk))

    def rerun(self, components: Iterable[int] | None = None) -> None:
        """Run components again from scratch, all of them by default, as they were submitted first.

        Raises
        ------
        IndexError
            If there is no such component.
        CannotRerunComponents
            If any of them has not ended.
        """
        self._now().rerun(components)

    def retag(self, tag: str) -> None:
        """Give the map a new tag; it is not transient any more.

        Raises
        ------
        InvalidTag, TagAlreadyExists
        CannotRetagMap
            If the map was made on the command line, and jobs write to its directory, which has the tag's name.
        """
        self._now().retag(tag)

    def remove(self, force: bool = False) -> None:
        """Stop the map and delete it with all its data.

        Parameters
        ----------
        force : bool
            Delete it even where its jobs cannot be stopped, as with a schedd that is gone.

        Raises
        ------
        EngineError
            If its jobs cannot be stopped; the map is left as it is.
        """
        if not self.exists:
            raise MapWasRemoved(self.tag)
        self._control.remove(force=force)


class Maps(tuple[Map, ...]):
    """Several maps, which notebooks show as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from htrun import notebook  # only now: it costs start-up time

        return notebook.maps_html([map_._now() for map_ in self if map_.exists])


class ComponentHolds(dict[int, "ComponentHold"]):
    """The holds of a map by component, which notebooks show as a table."""

    def _repr_html_(self) -> str:
        from htrun import notebook

        return notebook.holds_html(self.values())


def _amount(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise UsageError(f"{name}: {value!r} is no whole number from 1")
    return number
