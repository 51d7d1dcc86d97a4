"""The one path that makes maps."""

from __future__ import annotations

import contextlib
import getpass
import platform
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun import __version__
from htrun.exceptions import EngineError, InvalidMapDirectory, TagAlreadyExists, UsageError
from htrun.maps import Map
from htrun.runner import wire
from htrun.store import MapBuilder, MapDirectory, remove_directory
from htrun.tags import TagRegistry, check_tag, make_up_tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from htrun.engines.base import Engine
    from htrun.settings import Settings
    from htrun.targets import Target
    from htrun.transfers import FileTable


@dataclass(frozen=True)
class MapRequest:
    """What is asked for.

    Attributes
    ----------
    target : Target
    engine : Engine
    delivery : str
        The name of the delivery method.
    results : pathlib.Path
        The parent of the map's directory.
    tag : str or None
        None for a made-up one, which makes the map transient.
    overwrite : bool
        Whether a map that has the tag is removed first.
    options : dict
        ``chunk_size``, ``workers``, ``max_failures``: None or missing where unset.
    """

    target: Target
    engine: Engine
    delivery: str
    results: Path
    tag: str | None = None
    overwrite: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def check_request(request: MapRequest, settings: Settings) -> None:
    """Raise InvalidTag, TagAlreadyExists or UsageError where a map cannot be made as asked; changes nothing."""
    if request.tag is None:
        return
    check_tag(request.tag)
    if not request.overwrite:
        TagRegistry(settings.tags).check_free(request.tag)
    _check_place(request.results / request.tag, overwrite=request.overwrite)


def create_map(request: MapRequest, calls: Iterable[bytes], files: FileTable, settings: Settings) -> Map:
    """Make a map and submit it.

    Parameters
    ----------
    request : MapRequest
    calls : iterable of bytes
        Encoded calls; consumed before anything is made to last, so what it raises leaves nothing behind.
    files : FileTable
        The files that the calls name; filled while they are consumed.
    settings : Settings

    Returns
    -------
    Map

    Raises
    ------
    HtrunError
        What ``check_request`` raises, what ``calls`` raises, and EngineError; in any case there is no map then.
    """
    check_request(request, settings)
    made = _missing_parents(request.results)
    builder: MapBuilder | None = None
    try:
        builder = MapBuilder(request.results)
        count = builder.write_calls(calls)
        builder.write_files({"id": entry.id, "path": str(entry.path), "given": entry.given} for entry in files)
        builder.write_sources((source.path, source.name) for source in request.target.sources)
        map_ = _claim(request, builder, count, settings)
    except BaseException as error:
        if builder is not None:
            builder.discard()
        _remove_empty(made)
        if isinstance(error, OSError):
            where = error.filename or request.results
            raise UsageError(f"cannot make the map's directory: {where}: {error.strerror}") from error
        raise
    try:
        map_.engine.submit(map_.directory, ((0, count),))
    except BaseException as error:  # Ctrl-C included
        map_.remove(force=True)
        _remove_empty(made)
        if isinstance(error, OSError):
            raise EngineError(f"cannot submit: {error}") from error
        raise
    return map_


def _remove_empty(directories: Iterable[Path]) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):  # another map is in it by now
            directory.rmdir()


def _claim(request: MapRequest, builder: MapBuilder, count: int, settings: Settings) -> Map:
    registry = TagRegistry(settings.tags)
    replaced = _stop_old(request, registry) if request.overwrite else set()
    uid = uuid.uuid4().hex
    with registry.lock():
        tag = request.tag
        while tag is None or (request.tag is None and (registry.find(tag) or (request.results / tag).exists())):
            tag = make_up_tag()
        path = request.results / tag
        old = registry.find(tag)
        if old is not None and old.info["uid"] not in replaced:
            raise TagAlreadyExists(tag, old.path)
        _check_place(path, overwrite=request.overwrite)
        builder.write_info(
            {
                "format": wire.FORMAT,
                "uid": uid,
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
                "options": {name: value for name, value in request.options.items() if value},
                "user": _user(),
                "host": platform.node(),
                "directory": str(Path.cwd()),
                "command": sys.argv,
                "versions": versions(),
            }
        )
        if old is not None:
            remove_directory(old.path)
        if request.overwrite:
            remove_directory(path)
        registry.set(tag, uid, path)
        directory = builder.move_to(path)
    return Map(tag, directory, registry)


def _stop_old(request: MapRequest, registry: TagRegistry) -> set[str]:
    """Stop the maps that are to be replaced; return their uids."""
    assert request.tag is not None, "a made-up tag replaces nothing"
    uids = set()
    registered = registry.find(request.tag)
    for directory in (registered, MapDirectory(request.results / request.tag)):
        if directory is not None and directory.info_file.exists() and directory.info["uid"] not in uids:
            Map(request.tag, directory, registry).stop()
            uids.add(directory.info["uid"])
    return uids


def _check_place(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError unless a map's directory can be made at ``path``."""
    try:
        if next(path.iterdir(), None) is None:
            return
    except FileNotFoundError:
        if path.is_symlink():
            raise UsageError(f"{path} is a symbolic link that leads nowhere: remove it first") from None
        return
    except NotADirectoryError:
        raise UsageError(f"{path} is in the way: it is no directory; choose another --tag or --results") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if path.is_symlink():
        raise UsageError(f"{path} is in the way: it is a symbolic link; choose another --tag or --results")
    try:
        MapDirectory(path).info  # noqa: B018 (raises where it is no map)
    except InvalidMapDirectory as error:
        raise UsageError(
            f"{path} is in the way: it is not empty, and not a map of this version of htrun; "
            "choose another --tag or --results, or remove it"
        ) from error
    if not overwrite:
        raise UsageError(f"{path} holds a map already, registered in another HTRUN_DIR; --overwrite replaces it")


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


def versions() -> dict[str, str]:
    """Return the versions of htrun and Python."""
    return {"htrun": __version__, "python": platform.python_version()}
