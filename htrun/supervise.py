"""What the detached process of a local map does: the work, and then the result files."""

from __future__ import annotations

import sys
from pathlib import Path

from htrun.control import MapControl
from htrun.engines.local import supervising, work
from htrun.exceptions import HtrunError
from htrun.export import write_results
from htrun.runner.failures import is_no_space
from htrun.store import MapDirectory
from htrun.tags import TagRegistry


def main(path: str, tags: str) -> None:
    """Run the map in the directory ``path`` to its end; its tag is registered in ``tags``."""
    directory = MapDirectory(Path(path))
    try:
        with supervising(directory):
            if work(directory):
                map_ = MapControl(directory.info["tag"], directory, TagRegistry(Path(tags)))
                map_.refresh()
                write_results(map_)
    except HtrunError as error:
        sys.exit(str(error))
    except OSError as error:
        if not is_no_space(error):
            raise
        sys.exit(f"there is no space left on the disk of {path}")
