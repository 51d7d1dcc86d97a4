"""The single file that runs on an execute node: the runner, the packages it needs and the user's sources in one zip."""

from __future__ import annotations

import json
import py_compile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import htrun.runner
from htrun.options import is_in_place
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
code = main()
sys.stderr.flush()
os._exit(code)  # tidying up what an interpreter has would be a good part of a short job
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that equal contents make equal files


def write_bundle(directory: MapDirectory, path: Path) -> None:
    """Write the runner for a map's jobs to ``path``."""
    import cloudpickle  # its files are copied, so the submit side's version is the node's
    import htchirp

    runner = Path(htrun.runner.__file__).parent
    files = {f"htrun/runner/{file.name}": file for file in sorted(runner.glob("*.py"))}
    files["htrun/__init__.py"] = runner / "node.py"
    files["htrun/exceptions.py"] = runner.parent / "exceptions.py"  # which the user's modules may import
    for package in (cloudpickle, htchirp):
        files |= {
            f"{package.__name__}/{file.name}": file for file in sorted(Path(package.__file__).parent.glob("*.py"))
        }
    sources = {file.relative_to(directory.sources).as_posix(): file for file in directory.source_files()}
    options = directory.info.get("options", {})
    job = {
        "reference": directory.info["target"]["reference"],
        "sources": list(sources),
        "python": directory.info.get("versions", {}).get("python"),
        "max_failures": options.get("max_failures", 0),
        "retries": options.get("retries", 0),
        "timeout": options.get("timeout"),
        "in_place": is_in_place(options.get("submit", {})),
        **directory.delivered["runner"],
    }
    contents = {"__main__.py": _MAIN.encode(), wire.JOB: json.dumps(job).encode()}
    for name, file in files.items():
        contents[name] = file.read_bytes()
        if not name.startswith(("htchirp/", "htrun/exceptions")):  # which jobs need late, if at all
            contents[f"{name}c"] = _compiled(name, file)
    contents |= {f"{wire.SOURCES}/{name}": file.read_bytes() for name, file in sources.items()}
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, data in contents.items():
            # What each job loads is not compressed: that costs more time than sending some more kilobytes.
            method = zipfile.ZIP_STORED if name.endswith(".pyc") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, method)


def _compiled(name: str, file: Path) -> bytes:
    """Return a module's byte code, which a node of the same Python starts from sooner; others pass it over."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "module.pyc"
        py_compile.compile(
            str(file),
            str(target),
            dfile=name,
            optimize=2,  # without docstrings
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        return target.read_bytes()
