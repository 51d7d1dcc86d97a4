"""What comes along with a directory, copying it, and removing one whatever is in it."""

from __future__ import annotations

import os
import stat

from . import wire

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def left_out(directory: str, names: Iterable[str]) -> list[str]:
    """Return what does not come along with a directory.

    These are links that lead nowhere or back to where they are, pipes and the like, and maps: the one that is being
    made must not be copied into itself.
    """

    def comes(path: str) -> bool:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return False
        if not stat.S_ISDIR(mode):
            return stat.S_ISREG(mode)
        if os.path.islink(path) and leads_back(directory, path):
            return False
        return not os.path.exists(os.path.join(path, wire.INNER, wire.INFO))

    return [name for name in names if not comes(os.path.join(directory, name))]


def leads_back(directory: str, link: str) -> bool:
    """Tell whether a symbolic link in a directory leads to that directory, or to one that it is in."""
    target = os.path.realpath(link)
    way = directory
    while way != os.path.dirname(way):  # what was followed to here, through links or not
        if os.path.realpath(way) == target:
            return True
        way = os.path.dirname(way)
    return is_within(os.path.realpath(directory), target)


def is_within(path: str, directory: str) -> bool:
    """Tell whether a path is that of a directory or of something below it; both are real paths."""
    return os.path.join(path, "").startswith(os.path.join(directory, ""))


def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Do as ``os.walk`` does, in directories that their owner could not list or empty before."""
    grant(top, stat.S_IRWXU)
    for root, directories, names in os.walk(top):
        for name in directories:
            path = os.path.join(root, name)
            if not os.path.islink(path):
                grant(path, stat.S_IRWXU)
        yield root, directories, names


def grant(path: str, mode: int) -> None:
    """Let the owner of a file or directory do what the bits of ``mode`` say, if that is this user."""
    try:
        has = stat.S_IMODE(os.stat(path).st_mode)
        if has & mode != mode:
            os.chmod(path, has | mode)
    except OSError:
        pass  # it is somebody else's, or gone


def copy_directory(source: str, target: str, *, contents: bool) -> None:
    """Copy a directory to where nothing is yet, or what is in it into a directory that may be there."""
    import shutil

    if not contents:
        shutil.copytree(source, target, ignore=left_out)
        return
    os.makedirs(target, exist_ok=True)
    names = os.listdir(source)
    skipped = set(left_out(source, names))
    for name in names:
        path, copy = os.path.join(source, name), os.path.join(target, name)
        if os.path.isdir(path) and name not in skipped:
            shutil.copytree(path, copy, ignore=left_out, dirs_exist_ok=True)
        elif name not in skipped:
            shutil.copy2(path, copy)


def remove_tree(path: str) -> None:
    """Remove a file, or a directory with all that is in it, be it a directory that nobody may enter, if it is there."""
    if not os.path.isdir(path) or os.path.islink(path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        return
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)
        os.rmdir(path)
        return
    except OSError:
        import shutil  # only now: most scratch directories hold less, and jobs end sooner
    try:
        shutil.rmtree(path)
    except OSError:
        for _ in walk(path):  # which lets each directory be emptied
            pass
        shutil.rmtree(path, ignore_errors=True)
