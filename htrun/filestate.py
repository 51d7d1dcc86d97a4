"""What tells whether a file has changed, without reading it: what ``make`` and ``rsync`` go by."""

from __future__ import annotations

import hashlib
import os

from htrun.runner.files import left_out
from htrun.urls import is_url


def state(path: str) -> str:
    """Return a text that is another one when a file, or something in a directory, has changed.

    It is made of sizes and times of modification; of a URL, and of what is not there, nothing is known.
    """
    if is_url(path):
        return ""
    try:
        if not os.path.isdir(path):  # noqa: PTH112 (no Path for each of a million files)
            return _state(path)
        parts = hashlib.blake2b(digest_size=16)
        for root, directories, names in os.walk(path, followlinks=True):
            skipped = set(left_out(root, [*directories, *names]))
            directories[:] = sorted(name for name in directories if name not in skipped)
            for name in directories:
                parts.update(os.fsencode(os.path.join(root, name)) + b"/\0")
            for name in sorted(names):
                if name not in skipped:
                    file = os.path.join(root, name)
                    parts.update(os.fsencode(file) + b"\0" + _state(file).encode() + b"\0")
        return parts.hexdigest()
    except OSError:
        return ""


def _state(path: str) -> str:
    status = os.stat(path)  # noqa: PTH116
    return f"{status.st_size} {status.st_mtime_ns}"
