"""The single file that runs on an execute node: the runner, cloudpickle and the user's sources in one zip."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import htrun.runner
from htrun.runner import wire
from htrun.store import atomic_write

if TYPE_CHECKING:
    from htrun.store import MapDirectory

# In the syntax of any Python, so that an old one can say what is wrong instead of showing a syntax error.
_MAIN = """\
import os, sys
if sys.version_info < (3, 8):
    sys.exit("htrun needs Python 3.8 or newer on the execute node, this is %s at %s" % (
        ".".join(map(str, sys.version_info[:3])), sys.executable))
sys.path[0] = os.path.abspath(sys.path[0])  # before 3.9 it is relative, and components run elsewhere
from htrun.runner.main import main
sys.exit(main())
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that equal contents make equal files


def write_bundle(directory: MapDirectory, path: Path) -> None:
    """Write the runner for a map's jobs to ``path``."""
    import cloudpickle  # its files are copied, so the submit side's version is the node's

    runner = Path(htrun.runner.__file__).parent
    pickler = Path(cloudpickle.__file__).parent
    files = {f"htrun/runner/{file.name}": file for file in sorted(runner.glob("*.py"))}
    files["htrun/__init__.py"] = runner / "node.py"
    files |= {f"cloudpickle/{file.name}": file for file in sorted(pickler.glob("*.py"))}
    for file in sorted(directory.sources.rglob("*")):
        if file.is_file():
            files[f"{wire.SOURCES}/{file.relative_to(directory.sources).as_posix()}"] = file
    job = {"reference": directory.info["target"]["reference"]}
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _MAIN)
        archive.writestr(zipfile.ZipInfo(wire.JOB, _EPOCH), json.dumps(job))
        for name, file in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read_bytes())
