"""Output files: from the job directories, where jobs bring them, to where users find them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.runner import wire

if TYPE_CHECKING:
    from htrun.records import Record
    from htrun.store import MapDirectory


def place(directory: MapDirectory, component: int, record: Record) -> None:
    """Move the output files of a component to ``files/<component>/`` in the map's directory, unless they are there.

    Another process may be doing the same, and this one may be killed: what lies in the job directory is moved, what
    does not has been.
    """
    rows = [row for row in record.files() if _is_safe(row[1])]
    prefix = f"{wire.OUTPUT_FILE}{component}."
    first = next((row[2] for row in rows if row[0] == "f"), None)
    target = directory.output_files / str(component)
    if first is None:
        if not rows or target.is_dir():
            return
    elif not (record.directory / f"{prefix}{first}").exists():
        return
    target.mkdir(parents=True, exist_ok=True)
    for kind, name, *more in reversed(rows):  # the first one last: it is what tells whether all is done
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "d":
            path.mkdir(exist_ok=True)
        elif kind == "l":
            with contextlib.suppress(FileExistsError):
                path.symlink_to(more[0])
        else:
            with contextlib.suppress(FileNotFoundError):
                (record.directory / f"{prefix}{more[0]}").replace(path)


def _is_safe(name: Any) -> bool:
    """Tell whether a name leads nowhere else, as none does unless records were tampered with."""
    return isinstance(name, str) and not Path(name).is_absolute() and os.pardir not in Path(name).parts
