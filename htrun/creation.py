"""The one path that makes maps."""

from __future__ import annotations

import contextlib
import errno
import getpass
import platform
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun import __version__, private
from htrun.columns import Columns
from htrun.control import MapControl
from htrun.delivery import Place, brings_packages, get_delivery
from htrun.exceptions import (
    EngineError,
    HtrunError,
    InvalidMapDirectory,
    UsageError,
    is_write_failure,
)
from htrun.input_files import InputFiles
from htrun.logs import get_logger
from htrun.options import MapOptions, resolve
from htrun.runner import wire
from htrun.runner.files import remove_tree
from htrun.store import DirectoryBuilder, MapDirectory, move_aside
from htrun.tags import TagRegistry, check_tag, make_up_tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from htrun.engines.base import Engine
    from htrun.functions import Function
    from htrun.settings import Config
    from htrun.targets import Target
    from htrun.transfers import FileTable

_BUSY_SECONDS = 0.3
_logger = get_logger(__name__)


@dataclass(frozen=True)
class MapRequest:
    """What is asked for.

    Attributes
    ----------
    target : Target or Function
    engine : Engine
    delivery : str
        The delivery method, as NAME or NAME:ARGUMENT.
    results : pathlib.Path
        The parent of the map's directory.
    named : bool
        Whether that directory has the name of the tag, which then cannot change while jobs write there.
    tag : str or None
        None for a made-up one, which makes the map transient.
    overwrite : bool
        Whether a map that has the tag is removed first.
    options : dict
        ``chunk_size``, ``workers``, ``max_failures``: None or missing where unset.
    map_options : MapOptions
        What is asked of the jobs.
    columns : Columns
        More variadic options, which fill while the calls are consumed; they take priority.
    """

    target: Target | Function
    engine: Engine
    delivery: str
    results: Path
    tag: str | None = None
    overwrite: bool = False
    named: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    map_options: MapOptions = field(default_factory=MapOptions)
    columns: Columns = field(default_factory=lambda: Columns({}))
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)

    def path(self, tag: str) -> Path:
        """Return the map's directory if it gets this tag."""
        return self.results / (tag if self.named else self.uid)


def check_request(request: MapRequest, settings: Config) -> None:
    """Raise InvalidTag, TagAlreadyExists or UsageError where a map cannot be made as asked; changes nothing."""
    if request.tag is None:
        return
    check_tag(request.tag)
    registry = TagRegistry(settings.tags)
    if not request.overwrite:
        registry.check_free(request.tag)
    try:
        _check_place(request.path(request.tag), overwrite=request.overwrite)
    except UsageError:
        if not request.overwrite:
            registry.check_free(request.tag)  # the map there may have been made just now, under this tag
        raise


def asked_options(request: MapRequest, settings: Config) -> MapOptions:
    """Return what is asked of the jobs, in the request and in the settings, but for what the inputs ask."""
    return MapOptions.merge(request.map_options, MapOptions(**settings.map_options))


def create_map(request: MapRequest, calls: Iterable[bytes], files: FileTable, settings: Config) -> MapControl:
    """Make a map and submit it.

    Parameters
    ----------
    request : MapRequest
    calls : iterable of bytes
        Encoded calls; consumed before anything is made to last, so what it raises leaves nothing behind.
    files : FileTable
        The files that the calls name; filled while they are consumed.
    settings : Config

    Returns
    -------
    MapControl

    Raises
    ------
    HtrunError
        What ``check_request`` raises, what ``calls`` raises, and EngineError; in any case there is no map then.
    """
    check_request(request, settings)
    made = _missing_parents(request.results)
    builder: DirectoryBuilder | None = None
    try:
        if not request.named:
            private.make(request.results)
        builder = DirectoryBuilder(request.results)
        asked = asked_options(request, settings)
        count = builder.write_calls(InputFiles(asked, files, Path.cwd()).attach(calls))
        options = resolve(MapOptions.merge(_columns(request, asked), asked), count, Path.cwd())
        urls = [file.path for file in files if file.is_remote]
        urls += options.remaps.check(count)
        request.engine.check_urls(list(dict.fromkeys(urls)), {*options.fixed, *options.variadic})
        builder.write_options(options.variadic)
        builder.write_remaps(options.remaps)
        builder.write_files({"id": entry.id, "path": str(entry.path), "given": entry.given} for entry in files)
        builder.write_sources(((source.path, source.name) for source in request.target.sources), request.target.made)
        return _place(request, builder, count, options.fixed, settings)
    except BaseException as error:  # Ctrl-C included
        if builder is not None:
            builder.discard()
        for directory in made:
            with contextlib.suppress(OSError):  # another map is in it by now
                directory.rmdir()
        if isinstance(error, OSError) and is_write_failure(error):
            raise OSError(error.errno, error.strerror, error.filename or str(request.results)) from error
        if isinstance(error, OSError):
            where = error.filename or request.results
            raise UsageError(f"cannot make the map: {where}: {error.strerror}") from error
        raise


def _place(
    request: MapRequest, builder: DirectoryBuilder, count: int, submit: dict[str, str], settings: Config
) -> MapControl:
    """Give a map that has been built its tag and its place, and submit it."""
    registry = TagRegistry(settings.tags)
    while True:
        tag = request.tag or make_up_tag()
        # Nobody else makes or removes a map of this tag meanwhile, which would pull it from under the engine.
        with registry.lock_tag(tag):
            if request.tag is None and (registry.find(tag) is not None or request.path(tag).exists()):
                continue
            if request.engine.needs_delivery or brings_packages(request.delivery):
                place = Place(tag, builder.directory, request.path(tag), settings, request.target.file)
                builder.write_delivery(*get_delivery(request.delivery).prepare(place))
            replaced = _Replaced(request, tag, registry)
            map_: MapControl | None = None
            try:
                map_ = _claim(request, tag, builder, count, submit, registry, replaced)
                map_.engine.submit(map_.directory, ((0, count),))
            except BaseException as error:
                if map_ is not None:
                    try:
                        map_.stop_locked("its map could not be submitted")
                    except HtrunError:
                        if not replaced:
                            raise EngineError(
                                f"{error}; whether there are jobs now is not known: 'htrun wait {tag}' "
                                f"goes on when that is mended, 'htrun remove {tag}' gives up"
                            ) from error
                    map_.delete()
                replaced.put_back()
                raise
            replaced.remove()
            _logger.info("created map %s with %d components in %s", tag, count, map_.path)
            return map_


def _columns(request: MapRequest, asked: MapOptions) -> MapOptions:
    """Return the options from fields of the inputs, to be merged with the others."""
    options = MapOptions()
    options.update(request.columns.values)
    remaps = request.columns.remaps
    if remaps:
        fixed = asked.output_remaps if isinstance(asked.output_remaps, dict) else {}
        rows = zip(*remaps.values(), strict=True)
        options.output_remaps = [{**fixed, **dict(zip(remaps, row, strict=True))} for row in rows]
    return options


class _Replaced:
    """The maps that a new one replaces: the one that has the tag, and the one in its place.

    They are stopped at once, and moved aside until the new map has been submitted.
    """

    def __init__(self, request: MapRequest, tag: str, registry: TagRegistry) -> None:
        self._tag = tag
        self._registry = registry
        self._aside: dict[Path, Path] = {}
        self._entry: tuple[str, Path] | None = None
        self._paths: list[Path] = []
        if not request.overwrite:
            return
        self._entry = registry.entry(tag)
        for directory in (registry.find(tag), MapDirectory(request.path(tag))):
            if directory is not None and directory.info_file.exists():
                MapControl(tag, directory, registry).stop_locked("its map is replaced")
            if directory is not None:
                self._paths.append(directory.path)

    def __bool__(self) -> bool:
        return bool(self._aside)

    def move_aside(self) -> None:
        """Make room for the new map; the caller holds the registry's lock."""
        for path in self._paths:
            aside = move_aside(path)
            if aside is not None:
                self._aside[path] = aside

    def put_back(self) -> None:
        """Let everything be as it was, but for what was running."""
        with self._registry.lock():
            for path, aside in self._aside.items():
                aside.rename(path)
            if self._entry is not None:
                self._registry.set(self._tag, *self._entry)

    def remove(self) -> None:
        """Remove them for good."""
        for aside in self._aside.values():
            remove_tree(str(aside))


def _claim(
    request: MapRequest,
    tag: str,
    builder: DirectoryBuilder,
    count: int,
    submit: dict[str, str],
    registry: TagRegistry,
    replaced: _Replaced,
) -> MapControl:
    path = request.path(tag)
    with registry.lock():
        if not request.overwrite:
            registry.check_free(tag)
        _check_place(path, overwrite=request.overwrite)
        builder.write_info(
            {
                "format": wire.FORMAT,
                "uid": request.uid,
                "tag": tag,
                "transient": request.tag is None,
                "created": time.time(),
                "components": count,
                "engine": request.engine.name,
                "delivery": request.delivery,
                "target": {
                    "text": request.target.text,
                    "reference": request.target.reference,
                    "sources": {source.name: str(source.path) for source in request.target.sources},
                },
                "options": {name: value for name, value in {**request.options, "submit": submit}.items() if value},
                "user": _user(),
                "host": platform.node(),
                "directory": str(Path.cwd()),
                "command": sys.argv,
                "versions": {"htrun": __version__, "python": platform.python_version()},
            }
        )
        replaced.move_aside()
        registry.set(tag, request.uid, path)
        return MapControl(tag, _move(builder, path), registry)


def _move(builder: DirectoryBuilder, path: Path) -> MapDirectory:
    """Put a map in its place, where somebody who waits for a lock of an earlier map may just have made directories."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return builder.move_to(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _check_place(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError unless a map's directory can be made at ``path``."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        problem = _place_problem(path, overwrite=overwrite)
        if problem is None:
            return
        if time.monotonic() > deadline:
            raise UsageError(problem)
        time.sleep(0.01)  # it may be that somebody is just removing a map from there


def _place_problem(path: Path, *, overwrite: bool) -> str | None:
    advice = "choose another --tag or --results, or remove it"
    if path.is_symlink():
        return f"{path} is in the way: it is a symbolic link; {advice}"
    try:
        if next(path.iterdir(), None) is None:
            return None
        MapDirectory(path).info  # noqa: B018 (raises where it is no map)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return f"{path} is in the way: it is no directory; {advice}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    except InvalidMapDirectory:
        return f"{path} is in the way: it is not empty, and not a map of this version of htrun; {advice}"
    if not overwrite:
        return f"{path} holds a map already, registered in another HTRUN_DIR; --overwrite replaces it"
    return None


def _missing_parents(path: Path) -> list[Path]:
    """Return the directories that making ``path`` would make, the innermost first."""
    missing = []
    while not path.exists() and path != path.parent:
        missing.append(path)
        path = path.parent
    return missing


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        return "unknown"
