"""Looking after maps from Python: listing, loading and removing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htrun import overview
from htrun.control import MapControl
from htrun.exceptions import MapWasRemoved, TagNotFound
from htrun.logs import start_logging
from htrun.maps import Map, Maps
from htrun.settings import load as load_config
from htrun.tags import TagRegistry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from htrun.settings import Config


def load(tag: str) -> Map:
    """Return the map that has a tag; raise TagNotFound if there is none."""
    return Map.load(tag)


def get_tags(pattern: str | None = None) -> tuple[str, ...]:
    """Return the tags of all maps, or of those whose tag matches a glob-style pattern."""
    return TagRegistry(load_config().tags).tags(pattern)


def load_maps(pattern: str | None = None) -> tuple[Map, ...]:
    """Return all maps, or those whose tag matches a glob-style pattern; notebooks show them as a table."""
    return Maps(_load_all(get_tags(pattern)))


def _load_all(tags: Iterable[str]) -> Iterator[Map]:
    for tag in tags:
        try:
            yield Map.load(tag)
        except TagNotFound:
            continue  # it was removed just now


def remove(tag: str, not_exist_ok: bool = True) -> None:
    """Stop the map that has a tag, and delete it with all its data.

    Parameters
    ----------
    tag : str
    not_exist_ok : bool
        Whether it is no error if there is no such map.

    Raises
    ------
    TagNotFound
    EngineError
        If its jobs cannot be stopped; the map is left as it is.
    """
    try:
        map_ = Map.load(tag)
    except TagNotFound:
        if not not_exist_ok:
            raise
    else:
        map_.remove()


def clean(*, all: bool = False) -> list[str]:  # noqa: A002 (HTMap's signature)
    """Remove the maps whose tag was made up.

    Parameters
    ----------
    all : bool
        Remove all other maps too.

    Returns
    -------
    list of str
        The tags of what was removed.

    Raises
    ------
    EngineError
        If the jobs of a map cannot be stopped; it and those after it are left as they are.
    """
    config = load_config()
    start_logging(config)
    return [tag for tag in get_tags() if _remove(tag, config, transient_only=not all)]


def _remove(tag: str, config: Config, *, transient_only: bool) -> bool:
    """Remove a map if it is to be; tell whether it was."""
    try:
        map_ = MapControl.load(tag, config)
        if transient_only and not map_.is_transient:
            return False
        map_.remove()
    except (TagNotFound, MapWasRemoved):
        return False  # somebody else was quicker
    return True


def status(
    maps: Iterable[Map] | None = None,
    include_state: bool = True,
    include_meta: bool = True,
) -> str:
    """Return a table of maps as text, all of them by default; transient ones have a star before their tag.

    Parameters
    ----------
    maps : iterable of Map, optional
    include_state : bool
        Include how many components are in each status.
    include_meta : bool
        Include the data on disk, and the memory and the time that components took.
    """
    return overview.status_table(
        _rows(maps, state=include_state, meta=include_meta), state=include_state, meta=include_meta
    )


def status_json(
    maps: Iterable[Map] | None = None,
    include_state: bool = True,
    include_meta: bool = True,
    compact: bool = False,
) -> str:
    """Return the same as a JSON object of objects by tag, with sizes in bytes and times in seconds.

    Parameters
    ----------
    maps : iterable of Map, optional
    include_state, include_meta : bool
        See ``status``.
    compact : bool
        On one line, without spaces.
    """
    return overview.status_json(_rows(maps, state=include_state, meta=include_meta), compact=compact)


def status_csv(
    maps: Iterable[Map] | None = None,
    include_state: bool = True,
    include_meta: bool = True,
) -> str:
    """Return the same as CSV, with sizes in bytes and times in seconds.

    Parameters
    ----------
    maps : iterable of Map, optional
    include_state, include_meta : bool
        See ``status``.
    """
    return overview.status_csv(
        _rows(maps, state=include_state, meta=include_meta), state=include_state, meta=include_meta
    )


def _rows(maps: Iterable[Map] | None, *, state: bool, meta: bool) -> list[dict[str, Any]]:
    return [map_.status_row(state=state, meta=meta) for map_ in (load_maps() if maps is None else maps)]
