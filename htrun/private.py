"""Directories that are a user's alone: what is in them gets executed, so nobody else may write there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from htrun.exceptions import NotPrivate

if TYPE_CHECKING:
    from pathlib import Path


def check(directory: Path) -> None:
    """Raise NotPrivate if somebody else owns a directory, or can write to it; one that is not there is nobody's.

    Root is no exception: it would execute what others have put there.
    """
    try:
        status = directory.stat()
    except OSError:
        return  # whoever needs it will say so
    if status.st_uid != os.geteuid():
        raise NotPrivate(directory, f"it belongs to {_user(status.st_uid)}, and you are {_user(os.geteuid())}")
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        who = "everybody" if mode & stat.S_IWOTH else "its group"
        raise NotPrivate(
            directory, f"{who} can write to it (mode {mode:04o}); if nobody has, 'chmod go-w {directory}' mends that"
        )


def make(directory: Path) -> None:
    """Make a directory, and those that it is in where there are none, that are private whatever the umask is."""
    if directory.is_dir():
        return
    if directory.parent != directory:
        make(directory.parent)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        if not directory.is_dir():  # or else another process was quicker
            raise
    else:
        directory.chmod(0o700)


def _user(uid: int) -> str:
    import pwd  # only now: it is for messages

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # such as in many containers
        return f"user {uid}"
