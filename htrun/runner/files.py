"""What comes along with a directory, and removing one whatever is in it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from . import wire

if TYPE_CHECKING:
    from collections.abc import Iterable


def left_out(directory: str, names: Iterable[str]) -> list[str]:
    """Return what does not come along with a directory.

    These are links that lead nowhere or back to where they are, pipes and the like, and maps: the one that is being
    made must not be copied into itself.
    """
    real = os.path.realpath(directory)

    def leads_back(target: str) -> bool:
        way = directory
        while way != os.path.dirname(way):  # what was followed to here, through links or not
            if os.path.realpath(way) == target:
                return True
            way = os.path.dirname(way)
        return os.path.join(real, "").startswith(os.path.join(target, ""))

    def comes(path: str) -> bool:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return False
        if not stat.S_ISDIR(mode):
            return stat.S_ISREG(mode)
        if os.path.islink(path) and leads_back(os.path.realpath(path)):
            return False
        return not os.path.exists(os.path.join(path, wire.INNER, wire.INFO))

    return [name for name in names if not comes(os.path.join(directory, name))]


def remove_tree(path: str) -> None:
    """Remove a file, or a directory with all that is in it, be it a directory that nobody may enter, if it is there."""
    import shutil

    if not os.path.isdir(path) or os.path.islink(path):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        return
    try:
        shutil.rmtree(path)
    except OSError:
        _unlock(path)
        shutil.rmtree(path, ignore_errors=True)


def _unlock(path: str) -> None:
    """Let directories be listed and emptied by their owner."""
    try:
        os.chmod(path, 0o700)
    except OSError:
        return
    for root, directories, _ in os.walk(path):
        for name in directories:
            directory = os.path.join(root, name)
            if not os.path.islink(directory):
                try:
                    os.chmod(directory, 0o700)
                except OSError:
                    pass
