"""Output files: from the job directories, where jobs bring them, to where users want them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.runner import wire
from htrun.transfers import shown
from htrun.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from htrun.records import Record
    from htrun.store import MapDirectory

_OF_NAMES = frozenset(
    {errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP}
    | {errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY}
)
"""The errors that come of what things are called, which a record says, and not of where they are to be put."""


def place(directory: MapDirectory, component: int, record: Record) -> list[str]:
    """Move the output files of a component to ``files/<component>/`` in the map's directory, unless they are there.

    Those that ``output_remaps`` send elsewhere on this machine are moved there. Another process may be doing the same,
    and this one may be killed: what lies in the job directory is moved, what does not has been.

    Returns
    -------
    list of str
        What could not be moved elsewhere, and so is in the map's directory, or could not be put there either.

    Raises
    ------
    OSError
        If nothing can be put there.
    """
    rows = _safe(record.files())
    prefix = f"{wire.OUTPUT_FILE}{component}."
    first = next((row[2] for row in rows if row[0] == "f"), None)
    target = directory.output_files / str(component)
    if first is None:
        if not rows or target.is_dir():
            return []
    elif not os.path.exists(record.directory / f"{prefix}{first}"):  # noqa: PTH110 (a Path raises if that is too long)
        return []
    target.mkdir(parents=True, exist_ok=True)
    elsewhere = dict(_elsewhere([row[1] for row in rows], directory.remaps(component)))
    problems = []
    for kind, name, *more in reversed(rows):  # the first one last: it is what tells whether all is done
        source = record.directory / f"{prefix}{more[0]}" if kind == "f" else None
        if name in elsewhere:
            path, root = elsewhere[name]
            try:
                _place(kind, path, root, source, more)
                continue
            except (OSError, ValueError) as error:
                text = f"{shown(name)} could not be moved to {shown(str(path))}: {_why(error)}; it is in {target}"
                problems.append(f"component {component}: {text}")
        try:
            _place(kind, target / name, target, source, more)
        except (OSError, ValueError) as error:  # the latter of what cannot be a name at all
            if isinstance(error, OSError) and error.errno not in _OF_NAMES:
                raise
            problems.append(f"component {component}: {shown(name)} could not be put in {target}: {_why(error)}")
    return problems


def _why(error: OSError | ValueError) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)


def _place(kind: str, path: Path, root: Path, source: Path | None, more: list[Any]) -> None:
    """Put something below ``root``, and nowhere else: links that a component has left are not followed."""
    way = path.parent
    while way.is_relative_to(root) and way != root:
        if way.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, f"{way} is a symbolic link, which might lead anywhere", str(path))
        way = way.parent
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "d":
        path.mkdir(exist_ok=True)
    elif kind == "l":
        with contextlib.suppress(FileExistsError):
            path.symlink_to(more[0])
    elif source is not None and source.exists():
        with contextlib.suppress(FileNotFoundError):
            move(source, path)


def move(source: Path, target: Path) -> None:
    """Move a file, in the place of one that is there, or a directory, into one that is there; raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir() or source.is_symlink():
        try:
            source.replace(target)
        except OSError:
            if target.is_dir():
                raise
            _copy(source, target)  # on another file system
            source.unlink(missing_ok=True)
        return
    target.mkdir(exist_ok=True)
    for entry in source.iterdir():
        move(entry, target / entry.name)
    source.rmdir()


def _copy(source: Path, target: Path) -> None:
    """Copy a file, which is at its target as a whole or not at all."""
    fd, part = tempfile.mkstemp(prefix=".htrun-", dir=target.parent)
    os.close(fd)
    try:
        if source.is_symlink():
            os.unlink(part)  # noqa: PTH108
        shutil.copy2(source, part, follow_symlinks=False)
        os.replace(part, target)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)  # noqa: PTH108
        raise


def _elsewhere(names: list[str], remaps: Mapping[str, str]) -> Iterator[tuple[str, tuple[Path, Path]]]:
    """Yield where outputs go that go elsewhere on this machine, and the destination that this is, or is below.

    See ``runner.outputs.find`` for what names mean.
    """
    for remap, destination in remaps.items():
        if is_url(destination):
            continue
        paths = {path for name in names for path in (Path(name), *Path(name).parents)}
        roots = [Path(remap)] if Path(remap) in paths else sorted(path for path in paths if path.name == remap)
        for name in names:
            if roots and Path(name).is_relative_to(roots[0]):
                yield name, (Path(destination) / Path(name).relative_to(roots[0]), Path(destination))


def _safe(rows: list[list[Any]]) -> list[list[Any]]:
    """Return the rows that lead nowhere else, as all do unless a node has tampered with its records."""
    rows = [row for row in rows if isinstance(row, list) and row[:1] in (["f"], ["l"], ["d"])]
    links = {str(row[1]) for row in rows if row[0] == "l" and len(row) > 1}

    def is_safe(kind: Any, name: Any = None, *more: Any) -> bool:
        known = kind == "d" or (len(more) == 1 and isinstance(more[0], {"f": int, "l": str}.get(kind, ())))
        if not known or not isinstance(name, str) or "\0" in name:
            return False
        path = Path(name)
        return path.parts != () and not (
            path.is_absolute() or os.pardir in path.parts or not links.isdisjoint(map(str, path.parents))
        )

    return [row for row in rows if is_safe(*row)]
