"""Running only what has no good result yet: a map is carried on, or a new one takes its results over."""

from __future__ import annotations

import filecmp
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from htrun import words
from htrun.adoption import adopt
from htrun.control import MapControl
from htrun.creation import Built, MapRequest, building, check_place, place
from htrun.delivery import brings_packages
from htrun.exceptions import MapWasRemoved, RunDied, UsageError
from htrun.matches import match
from htrun.state import UNFINISHED, ComponentStatus
from htrun.store import MapDirectory, read_json
from htrun.submissions import marked
from htrun.tags import TagRegistry

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from htrun.config import Config
    from htrun.submissions import Ranges
    from htrun.transfers import FileTable

_AGAIN = (ComponentStatus.ERRORED, ComponentStatus.REMOVED)


class _Overtaken(Exception):
    """Another command has given the tag another map meanwhile, or run components of that again."""


class Resumed(NamedTuple):
    """A map that has been resumed.

    Attributes
    ----------
    map : MapControl
    there : int or None
        How many of its results were there already; None if there was no map to be resumed.
    had_failed : bool
        Whether anything had, where only that was to run.
    """

    map: MapControl
    there: int | None
    had_failed: bool = True


def resume(
    request: MapRequest,
    calls: Iterable[bytes],
    files: FileTable,
    settings: Config,
    say: Callable[[str], None],
    *,
    failed_only: bool = False,
) -> Resumed:
    """Let a map have the results of calls, running only those that the map of its tag has no good result of.

    Where nothing else is asked for than what that map is, it is carried on. Else a new one takes its results over, and
    its place: those of the calls that are the same (see ``match``), if the function's sources are the same. What still
    runs of them is waited for. Where another command was quicker, what it has made is looked at anew.

    Parameters
    ----------
    request : MapRequest
        With a tag, and ``overwrite``.
    calls, files, settings
        As ``create_map`` has them.
    say : callable
        Is told, in words, what takes its time and what is run anew.
    failed_only : bool
        Only if anything has errored, and then with the function as it is now: good results are kept whatever its
        sources were. The calls must be the same.

    Raises
    ------
    TagNotFound
        If nothing can have failed.
    HtrunError
        What ``create_map`` raises; the map is as it was then.
    """
    registry = TagRegistry(settings.tags)
    old = _find(request, registry, failed_only=failed_only)
    seen = {} if old is None else {old.directory.info["uid"]: len(old.directory.read_submissions())}
    with building(request, calls, files, settings) as built:
        while True:
            try:
                if old is None:
                    return Resumed(_place(request, built, settings, old), None)
                with old.guard():
                    return _resume(request, built, settings, old, seen, say, failed_only=failed_only)
            except (_Overtaken, MapWasRemoved):
                old = _find(request, registry, failed_only=failed_only)


def _find(request: MapRequest, registry: TagRegistry, *, failed_only: bool) -> MapControl | None:
    """Return the map of the tag; raise UsageError if one that is none of this registry's is in the way."""
    assert request.tag is not None
    path = request.path(request.tag)
    with registry.lock():  # so that nobody is just putting a map in its place
        found = registry.find(request.tag) or _find_moved(request.tag, path, registry)
        if found is None and failed_only:
            registry.get(request.tag)  # raises TagNotFound
        if found is None or found.path != path:
            check_place(path, overwrite=False)
        return None if found is None else MapControl(request.tag, found, registry)


def _find_moved(tag: str, path: Path, registry: TagRegistry) -> MapDirectory | None:
    """Register the map of a tag anew if it is where the tag's is to be now, such as in a project that was moved."""
    directory = MapDirectory(path)
    try:
        uid = str(read_json(directory.info_file)["uid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if uid not in (known for known, _ in registry.entries(tag)):
        return None
    registry.set(tag, uid, path)
    return directory


def _place(
    request: MapRequest,
    built: Built,
    settings: Config,
    old: MapControl | None,
    adopt: Callable[[MapDirectory], Ranges] | None = None,
) -> MapControl:
    """Do as ``place`` does; raise _Overtaken if the map of the tag is not any more what was looked at."""
    registry = TagRegistry(settings.tags)

    def confirm() -> None:
        assert request.tag is not None
        if not _is_still(old, registry.find(request.tag)):
            raise _Overtaken

    return place(request, built, settings, adopt, confirm=confirm)


def _is_still(old: MapControl | None, found: MapDirectory | None) -> bool:
    """Tell whether the map of the tag is the one that was looked at, with nothing submitted since."""
    if old is None or found is None:
        return old is None and found is None
    return found.path == old.path and old.is_there() and len(found.read_submissions()) == old.submissions


def _resume(
    request: MapRequest,
    built: Built,
    settings: Config,
    old: MapControl,
    seen: Mapping[str, int],
    say: Callable[[str], None],
    *,
    failed_only: bool,
) -> Resumed:
    old.refresh()
    new = built.builder.directory
    changed = _changed(old.directory, new, request)
    same = all(_same_file(old.directory, new, name) for name in ("calls", "files_table", "remaps_file"))
    if failed_only:
        if not same:
            raise UsageError(
                f"--lf runs again what has failed of the map {old.tag!r}, but the inputs are others now: "
                "--resume runs those that are new or have changed"
            )
        if old.is_active:
            raise UsageError(f"the map {old.tag!r} still runs: 'htrun wait {old.tag}' waits for what fails")
        if not old.errored:
            return Resumed(old, _completed(old), had_failed=False)
        if changed:
            say(f"good results stay, though the function is another one now: {', '.join(changed)}")
    elif changed:
        say(f"all components run anew, for the function is not that of the map {old.tag!r}: {', '.join(changed)}")
        return Resumed(_place(request, built, settings, old), 0)
    if same and old.path == request.path(old.tag):
        there = _completed(old)
        if there == len(old):
            old.carry_on()
            if not old.directory.outputs_file.exists():
                old.directory.run_file.unlink(missing_ok=True)  # so that all of them are written once more
            return Resumed(old, there)
        if not changed and _same_options(old.directory, built, request):
            if old.is_active and not old.engine.outlives_interrupt:
                say(f"the map {old.tag!r} runs already: this follows it, and Ctrl-C stops it")
            _carry_on(old, seen.get(old.directory.info["uid"], 0))
            return Resumed(old, there)
    taken = _match(old, new, built.components, say)
    there = 0

    def take(directory: MapDirectory) -> Ranges:
        nonlocal there
        old.refresh()
        for component, source in enumerate(taken):
            if source >= 0 and old.status_of(source) is not ComponentStatus.COMPLETED:
                taken[component] = -1
        adopt(old.records, old.directory, directory, taken)
        left = bytearray(source < 0 for source in taken)
        there = left.count(0)
        return marked(left)

    return Resumed(_place(request, built, settings, old, take), there)


def _completed(map_: MapControl) -> int:
    return map_.counts()[ComponentStatus.COMPLETED]


def _same_file(old: MapDirectory, new: MapDirectory, name: str) -> bool:
    paths = [getattr(directory, name) for directory in (old, new)]
    there = [path.exists() for path in paths]
    return filecmp.cmp(paths[0], paths[1], shallow=False) if all(there) else not any(there)


def _same_options(old: MapDirectory, built: Built, request: MapRequest) -> bool:
    """Tell whether components would be submitted as those of the earlier map were; packages are not looked into."""
    asked = {"options": built.options, "engine": request.engine.name, "delivery": request.delivery}
    return (
        all(old.info[name] == value for name, value in asked.items())
        and not brings_packages(request.delivery)
        and _same_file(old, built.builder.directory, "options_file")
    )


def _changed(old: MapDirectory, new: MapDirectory, request: MapRequest) -> list[str]:
    """Return which parts of the function are not what they were, in words."""
    before, now = ({path.relative_to(d.sources): path for path in d.source_files()} for d in (old, new))
    both = [name for name in now if name in before]
    changed = [f"{name} has changed" for name in both if not filecmp.cmp(before[name], now[name], shallow=False)]
    changed += [f"{name} is new" for name in now if name not in before]
    changed += [f"{name} is not needed any more" for name in before if name not in now]
    if not changed and old.info["target"]["reference"] != request.target.reference:
        changed.append(f"it was {old.info['target']['text']}")
    return changed


def _carry_on(map_: MapControl, seen: int) -> None:
    """Let everything run that has no good result, in the map as it is.

    What has failed is not run again if another command has done so since a number of submissions was seen.
    """
    map_.carry_on()
    counts = map_.counts()
    if counts[ComponentStatus.SUSPENDED] or (map_.unfinished and not map_.engine.is_working(map_.directory)):
        map_.act("resume")
    if counts[ComponentStatus.HELD]:
        map_.act("release")
    map_.rerun(_failed(map_, seen))


def _failed(map_: MapControl, seen: int) -> Iterator[int]:
    """Yield what has failed by the time that this is first asked, and was not submitted since."""
    anew = bytearray(len(map_))
    for submission in map_.directory.read_submissions()[seen:]:
        for start, stop in submission.components:
            anew[start:stop] = b"\1" * (stop - start)
    yield from (component for component in map_.components_with(*_AGAIN) if not anew[component])


def _match(old: MapControl, new: MapDirectory, components: int, say: Callable[[str], None]) -> array[int]:
    """Find the results that are there, or will be once what still runs has ended, which is waited for."""
    active = old.is_active
    marks = [_marks(old, (ComponentStatus.COMPLETED,)), _marks(old, UNFINISHED if active else ())]
    taken = match(old.directory, new, components, *marks)
    if not active:
        return taken
    wanted = [source for source in taken if source >= 0 and old.status_of(source) in UNFINISHED]
    if wanted:
        say(f"waiting for {words.count(len(wanted), 'component')} of the map {old.tag!r} that still run or wait")
        with suppress(RunDied):
            for _ in old.watch():
                if not any(old.status_of(source) in UNFINISHED for source in wanted):
                    break
    return taken


def _marks(map_: MapControl, statuses: Iterable[ComponentStatus]) -> bytearray:
    marks = bytearray(len(map_))
    for component in map_.components_with(*statuses):
        marks[component] = 1
    return marks
