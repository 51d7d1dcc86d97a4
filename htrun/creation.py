"""The one path that makes maps."""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from htrun import __version__, history, private, sizing
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
from htrun.filestate import state
from htrun.input_files import InputFiles
from htrun.logs import get_logger
from htrun.options import TRANSFER, MapOptions, is_in_place, resolve
from htrun.policy import AUTO
from htrun.replacing import Replacement
from htrun.runner import wire
from htrun.store import DirectoryBuilder, MapDirectory
from htrun.tags import TagRegistry, check_tag, make_up_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from htrun.engines.base import Engine
    from htrun.functions import Function
    from htrun.settings import Config
    from htrun.submissions import Ranges
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
        ``workers``, ``max_failures``: None or missing where unset.
    map_options : MapOptions
        What is asked of the jobs.
    columns : Columns
        More variadic options, which fill while the calls are consumed; they take priority.
    followed : bool
        Whether the map will be watched to its end by who makes it.
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
    followed: bool = False
    uid: str = field(default_factory=lambda: os.urandom(16).hex())

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
        check_place(request.path(request.tag), overwrite=request.overwrite)
    except UsageError:
        if not request.overwrite:
            registry.check_free(request.tag)  # the map there may have been made just now, under this tag
        raise


def asked_options(request: MapRequest, settings: Config) -> MapOptions:
    """Return what is asked of the jobs, in the request and in the settings, but for what the inputs ask."""
    return _settled_options(request, settings)[0]


def chosen_requests(request: MapRequest, settings: Config) -> list[str]:
    """Return in words what jobs ask for where that was to be found out, and why."""
    return _settled_options(request, settings)[1]


def _settled_options(request: MapRequest, settings: Config) -> tuple[MapOptions, list[str]]:
    options = MapOptions.merge(request.map_options, MapOptions(**settings.map_options))
    if not sizing.is_auto(options):
        return options, []
    known = history.recall(settings, request.target)
    return options, sizing.settle(options, known, request.target.text)


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
    with building(request, calls, files, settings) as built:
        return place(request, built, settings)


class Built(NamedTuple):
    """A map that has been built beside its place.

    Attributes
    ----------
    builder : DirectoryBuilder
    components : int
        How many there are.
    options : dict
        What ``map.json`` says of the options.
    """

    builder: DirectoryBuilder
    components: int
    options: dict[str, Any]


@contextlib.contextmanager
def building(request: MapRequest, calls: Iterable[bytes], files: FileTable, settings: Config) -> Iterator[Built]:
    """Build a map, which is removed at the end unless it has got its place; see ``create_map``."""
    made = _missing_parents(request.results)
    builder: DirectoryBuilder | None = None
    try:
        if not request.named:
            private.make(request.results)
        builder = DirectoryBuilder(request.results)
        asked, chosen = _settled_options(request, settings)
        for note in chosen:
            _logger.info("%s", note)
        count = builder.write_calls(InputFiles(asked, files, Path.cwd()).attach(calls))
        options = resolve(MapOptions.merge(_columns(request, asked), asked), count, Path.cwd())
        urls = [file.path for file in files if file.is_remote]
        urls += options.remaps.check(count)
        request.engine.check_urls(list(dict.fromkeys(urls)), {*options.fixed, *options.variadic})
        if is_in_place(options.fixed):
            _check_in_place(request, {**options.fixed, **options.variadic}, urls)
        builder.write_options(options.variadic)
        builder.write_remaps(options.remaps)
        builder.write_files(
            {"id": file.id, "path": str(file.path), "given": file.given, "state": state(file.path)} for file in files
        )
        builder.write_sources(((source.path, source.name) for source in request.target.sources), request.target.made)
        said = {**request.options, **asked.policy, "submit": options.fixed}
        yield Built(builder, count, {name: value for name, value in said.items() if value and value != AUTO})
        builder.discard()
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


def place(
    request: MapRequest,
    built: Built,
    settings: Config,
    adopt: Callable[[MapDirectory], Ranges] | None = None,
    *,
    confirm: Callable[[], None] | None = None,
) -> MapControl:
    """Give a map that has been built its tag and its place, and submit it; see ``create_map``.

    Parameters
    ----------
    request : MapRequest
    built : Built
    settings : Config
    adopt : callable, optional
        Called with the directory when nobody else can change the map that is replaced any more, to take its results
        over; returns the components that are left to submit.
    confirm : callable, optional
        Called before that, when nobody else can replace that map any more and it still runs. What it raises leaves
        everything as it is, so that this may be called again.
    """
    registry = TagRegistry(settings.tags)
    builder = built.builder
    while True:
        tag = request.tag or make_up_tag()
        # Nobody else makes or removes a map of this tag meanwhile, which would pull it from under the engine.
        with registry.lock_tag(tag):
            path = request.path(tag)
            if request.tag is None and (registry.find(tag) is not None or path.exists()):
                continue
            if confirm is not None:
                confirm()
            if request.engine.needs_delivery or brings_packages(request.delivery):
                bundle = f"../../{wire.BUNDLE}" if is_in_place(built.options.get("submit", {})) else wire.BUNDLE
                where = Place(tag, builder.directory, path, settings, request.target.file, bundle)
                builder.write_delivery(*get_delivery(request.delivery).prepare(where))
            replaced = Replacement(tag, request.uid, path, registry, wanted=request.overwrite)
            map_: MapControl | None = None
            try:
                left: Ranges = ((0, built.components),) if adopt is None else adopt(builder.directory)
                map_ = _claim(request, tag, built, settings, replaced)
                if left:
                    map_.engine.submit(map_.directory, left, followed=request.followed)
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
                replaced.put_back()
                raise
            replaced.remove()
            _logger.info("created map %s with %d components in %s", tag, built.components, map_.path)
            return map_


def _check_in_place(request: MapRequest, options: Collection[str], urls: Sequence[str]) -> None:
    """Raise UsageError where what jobs need does not lie on a shared file system."""
    if not request.engine.needs_delivery:
        return
    if not getattr(get_delivery(request.delivery), "works_in_place", False):
        raise UsageError(
            f"{TRANSFER}=NO goes with the delivery methods shared and assume only: what {request.delivery} brings to "
            "the nodes has to be transferred"
        )
    images = [name for name in ("container_image", "docker_image") if name in options]
    if images:
        raise UsageError(f"{TRANSFER}=NO does not go with {images[0]}: files have to be transferred into a container")
    if urls:
        raise UsageError(f"{TRANSFER}=NO does not go with URLs, which HTCondor's file transfer sees to: {urls[0]}")


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


def _claim(
    request: MapRequest,
    tag: str,
    built: Built,
    settings: Config,
    replaced: Replacement,
) -> MapControl:
    path = request.path(tag)
    registry = TagRegistry(settings.tags)
    with registry.lock():
        if not request.overwrite:
            registry.check_free(tag)
        check_place(path, overwrite=request.overwrite)
        built.builder.write_info(
            {
                "format": wire.FORMAT,
                "uid": request.uid,
                "tag": tag,
                "transient": request.tag is None,
                "created": time.time(),
                "components": built.components,
                "engine": request.engine.name,
                "delivery": request.delivery,
                "target": {
                    "text": request.target.text,
                    "reference": request.target.reference,
                    "sources": {source.name: str(source.path) for source in request.target.sources},
                },
                "options": built.options,
                "history": history.identify(settings, request.target),
                "user": _user(),
                "host": os.uname().nodename,
                "directory": str(Path.cwd()),
                "command": sys.argv,
                "versions": {"htrun": __version__, "python": sys.version.partition(" ")[0]},
            }
        )
        replaced.make_room()
        return MapControl(tag, _move(built.builder, path), registry)


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


def check_place(path: Path, *, overwrite: bool) -> None:
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
