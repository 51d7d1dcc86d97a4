"""What the detached process of a local map does: the work, and then the result files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from htrun.engines.local.process import supervising, tell
from htrun.engines.local.work import work
from htrun.exceptions import HtrunError
from htrun.export import write_results
from htrun.runner.failures import is_no_space
from htrun.store import MapDirectory
from htrun.view import MapView


def listen() -> None:
    """Run the map in the directory that standard input names to its end; do nothing if that names none."""
    told = b""
    while not told.endswith(b"\0"):  # not up to its end: what the target has forked on import may hold it open
        block = os.read(0, 65536)
        if not block:
            return
        told += block
    path = os.fsdecode(told[:-1])
    tell(MapDirectory(Path(path)))
    main(path)


def main(path: str) -> None:
    """Run the map in the directory ``path`` to its end."""
    directory = MapDirectory(Path(path))
    try:
        with supervising(directory):
            if work(directory):
                directory = MapDirectory(Path(path))  # it may have another tag by now
                map_ = MapView(directory.info["tag"], directory)
                map_.refresh()
                write_results(map_)
    except HtrunError as error:
        sys.exit(str(error))
    except OSError as error:
        if not is_no_space(error):
            raise
        sys.exit(f"there is no space left on the disk of {path}")
