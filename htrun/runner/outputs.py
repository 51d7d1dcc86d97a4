"""Output files: from where a component has put them to names of ours, under which any batch system transfers them."""

from __future__ import annotations

import errno
import os
import stat

from . import wire
from .files import grant, remove_tree, walk

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any


def take(
    base: str,
    directory: str,
    component: int,
    remaps: Mapping[str, str],
    send: Callable[[str, str], None],
) -> tuple[list[list[Any]], Exception | None]:
    """Take what a component has handed over.

    Parameters
    ----------
    base : str
        Where the files are, in a directory that is emptied.
    directory : str
        The job directory. Files are moved to its top, as ``file.<component>.<number>``: HTCondor transfers what is new
        at the top by itself, and no name of a user's ever has to be written in one of its lists.
    component : int
    remaps : mapping of str to str
        Where outputs go that do not come back, by their names.
    send : callable
        Called with the path of such a one, and where it goes. One for which it raises comes back with the others.

    Returns
    -------
    rows : list of list
        What each file was called: ``["f", name, number]``, ``["l", name, target]`` of a symbolic link, and
        ``["d", name]`` of a directory that is empty.
    problem : Exception or None
        The first that `send` has raised.
    """
    staged = os.path.join(base, wire.OUTPUTS)
    problem: Exception | None = None
    try:
        for name, destination in remaps.items():
            path = find(staged, name)
            if path is None:
                continue
            try:
                _make_readable(path)
                send(path, destination)
            except Exception as error:
                problem = problem or error
                continue
            remove_tree(path)  # what was sent may have been copied
            _remove_empty(os.path.dirname(path), staged)
        rows: list[list[Any]] = []
        for kind, name in _walk(staged):
            path = os.path.join(staged, name)
            if kind == "l":
                rows.append(["l", name, os.readlink(path)])
            elif kind == "d":
                rows.append(["d", name])
            else:
                _make_readable(path)
                os.replace(path, os.path.join(directory, "%s%d.%d" % (wire.OUTPUT_FILE, component, len(rows))))
                rows.append(["f", name, len(rows)])
        return rows, problem
    finally:
        for name in os.listdir(staged):  # removing the directory itself can take as long as all the rest
            remove_tree(os.path.join(staged, name))


def drop(base: str, directory: str, component: int) -> None:
    """Delete what a component has handed over, be it taken already: it is tried again."""
    staged = os.path.join(base, wire.OUTPUTS)
    for name in os.listdir(staged):
        remove_tree(os.path.join(staged, name))
    taken = "%s%d." % (wire.OUTPUT_FILE, component)
    for entry in os.scandir(directory):
        if entry.name.startswith(taken):
            os.unlink(entry.path)


def _make_readable(path: str) -> None:
    """Let files be sent that their owner could not read: a batch system holds the whole job for one of them."""
    if not os.path.isdir(path):
        grant(path, stat.S_IRUSR)
        return
    for root, _, names in walk(path):
        for name in names:
            if os.path.isfile(os.path.join(root, name)):
                grant(os.path.join(root, name), stat.S_IRUSR)


def _remove_empty(directory: str, top: str) -> None:
    while directory != top and not os.listdir(directory):
        os.rmdir(directory)
        directory = os.path.dirname(directory)


def refuse_directory(path: str) -> None:
    """Raise IsADirectoryError of an output that is to be sent to a URL, if it is one."""
    if os.path.isdir(path):
        text = "a directory cannot be sent to a URL, name its files in output_remaps"
        raise IsADirectoryError(errno.EISDIR, text, os.path.basename(path))


def find(staged: str, name: str) -> str | None:
    """Return the path of an output, by its path below ``staged`` or else by its name alone; None if there is none."""
    path = os.path.normpath(os.path.join(staged, name))
    if path.startswith(os.path.join(staged, "")) and os.path.exists(path):
        return path
    for root, directories, names in os.walk(staged):
        directories.sort()
        if name in names or name in directories:
            return os.path.join(root, name)
    return None


def _walk(staged: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the relative path of all that is below a directory, but for pipes and the like."""
    for root, directories, names in walk(staged):
        directories.sort()
        where = os.path.relpath(root, staged)
        prefix = "" if where == os.curdir else where + os.sep
        if prefix and not directories and not names:
            yield "d", where
        for name in directories + sorted(names):
            path = os.path.join(root, name)
            if os.path.islink(path):
                yield "l", prefix + name
            elif os.path.isfile(path):
                yield "f", prefix + name
