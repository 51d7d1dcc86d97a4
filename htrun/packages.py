"""Packages that are taken along to execute nodes: resolved and installed once, in a cache.

``<HTRUN_DIR>/packages/`` has

- ``<hash>/``, where the hash is that of the lock, and of this Python and platform. In it are ``requirements.lock``,
  ``site-packages/`` with what it says, and ``packages.zip``, that directory packed. It appears whole or not at all.
- ``requests/<hash>``, where the hash is that of what was asked for: the hash of its lock. While it is there, nothing
  is resolved again.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from filelock import FileLock

from htrun import private, words
from htrun.exceptions import UsageError
from htrun.logs import get_logger
from htrun.runner import wire
from htrun.runner.files import remove_tree
from htrun.store import atomic_write, make_temporary, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from htrun.requirements import Requirements

INSTALLERS = ("auto", "uv", "pip")
_FORMAT = "1"
_LOCK = "requirements.lock"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that equal contents make equal files
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The current directory must not be importable there: a user's random.py would break pip.
_RUN_PIP = (
    "import runpy, sys; sys.path = [entry for entry in sys.path if entry]; "
    "runpy.run_module('pip', run_name='__main__', alter_sys=True)"
)
_logger = get_logger(__name__)


class Packages(NamedTuple):
    """Packages that are installed in the cache.

    Attributes
    ----------
    path : pathlib.Path
        The directory of their lock's.
    """

    path: Path

    @property
    def directory(self) -> Path:
        """Where they can be imported from; the name counts as one of installed packages, see ``sources``."""
        return self.path / "site-packages"

    @property
    def archive(self) -> Path:
        """The same as one file."""
        return self.path / wire.PACKAGES_ARCHIVE

    @property
    def size(self) -> int:
        """How many bytes they take when they are unpacked."""
        with zipfile.ZipFile(self.archive) as packed:
            return sum(info.file_size for info in packed.infolist())


def provide(
    requirements: Requirements, cache: Path, installer: str = "auto", say: Callable[[str], object] = _logger.info
) -> Packages:
    """Return the packages that are required, which are resolved and installed if they have not been.

    Parameters
    ----------
    requirements : Requirements
    cache : pathlib.Path
    installer : str
        ``uv``, ``pip``, or ``auto`` for the first of them that is there.
    say : callable
        Is told what takes its time.

    Raises
    ------
    UsageError
        If they cannot be resolved or installed; with what uv or pip says.
    """
    texts, local = requirements.contents
    request = _hash(texts, str(requirements.folder), local)
    requests = cache / "requests"
    private.make(requests)
    private.check(cache)
    with FileLock(requests / f"{request}.lock"):
        known = _known(cache, requests / request)
        if known is not None:
            return known
        tool = _installer(installer)
        say(f"resolving the packages of {requirements.origin} with {tool.name}")
        with tempfile.TemporaryDirectory() as work:
            asked = requirements.file or Path(work, "requirements.txt")
            if requirements.file is None:
                asked.write_text(requirements.text, encoding="utf-8", errors="surrogateescape")
            run = _Run(asked, Path(work), requirements)
            lock = tool.lock(run) if requirements.text.strip() else ""
            found = Packages(cache / _hash(lock, local))
            with FileLock(requests / f"{found.path.name}.lock"):
                if not _is_whole(found):
                    pins = re.findall(r"(?m)^[^#\s-].*?(?:==| @ |$)", lock)
                    say(f"installing {words.count(len(pins), 'package')}")
                    _install(found, tool, run, lock)
        with atomic_write(requests / request) as file:
            file.write(found.path.name.encode())
        return found


def _hash(*parts: str) -> str:
    """Return the hash of texts, for this Python and platform."""
    python = (sys.implementation.cache_tag, sysconfig.get_config_var("SOABI"), sysconfig.get_platform())
    data = json.dumps([_FORMAT, *python, *parts])
    return hashlib.sha256(data.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _known(cache: Path, request: Path) -> Packages | None:
    try:
        found = Packages(cache / request.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return found if _is_whole(found) else None


def _is_whole(packages: Packages) -> bool:
    """Tell whether nobody has deleted the half of it."""
    return packages.archive.is_file() and packages.directory.is_dir()


def _install(packages: Packages, tool: _Installer, run: _Run, lock: str) -> None:
    """Install into the cache; the caller holds the lock of these packages."""
    cache = packages.path.parent
    made = Packages(make_temporary(cache))
    sweep(cache)
    try:
        made.directory.mkdir()
        if lock:
            tool.install(run, lock, made.directory)
        _tidy(made.directory)
        _pack(made.directory, made.archive)
        (made.path / _LOCK).write_text(lock, encoding="utf-8")
        made.path.chmod(0o755)
        remove_tree(str(packages.path))
        made.path.rename(packages.path)
    finally:
        remove_tree(str(made.path))
    _logger.info("installed the packages of %s in %s", run.requirements.origin, packages.path)


def _tidy(directory: Path) -> None:
    """Remove what is of no use elsewhere, and compile the rest: jobs start sooner, and the version is to be the same.

    Of the programs, those in Python begin with the path of this one.
    """
    for entry in directory.iterdir():
        if entry.is_file() and entry.name.startswith("."):
            entry.unlink()
    programs = directory / "bin"
    for program in programs.iterdir() if programs.is_dir() else ():
        with program.open("rb") as file:
            if re.match(rb"#!.*python", file.readline(500)):
                program.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's code
        compileall.compile_dir(
            directory,
            quiet=2,
            maxlevels=100,
            stripdir=str(directory),
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def _pack(directory: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in _files(directory):
            info = zipfile.ZipInfo(path.relative_to(directory).as_posix(), _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if os.access(path, os.X_OK) else 0o100644) << 16
            with path.open("rb") as source, packed.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)


def _files(directory: Path) -> Iterator[Path]:
    for root, directories, names in os.walk(directory, followlinks=True):
        directories.sort()
        yield from (Path(root, name) for name in sorted(names))


class _Run(NamedTuple):
    """What an installer works on.

    Attributes
    ----------
    asked : pathlib.Path
        The requirements as a file.
    work : pathlib.Path
        An empty directory.
    requirements : Requirements
    """

    asked: Path
    work: Path
    requirements: Requirements

    def __call__(self, doing: str, *command: str | Path) -> None:
        """Run a command where relative paths mean what they do in the requirements; raise UsageError if it fails."""
        ours = {"NO_COLOR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}
        done = subprocess.run(
            command,
            cwd=self.requirements.folder,
            env={**os.environ, **ours},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            said = _COLOUR.sub("", (done.stderr.strip() or done.stdout.strip()).decode("utf-8", "replace"))
            raise UsageError(f"the packages of {self.requirements.origin} cannot be {doing}:\n{said}")


class _Installer(Protocol):
    """A program that resolves and installs packages.

    What is installed is what was asked for at first, with the lock as constraints: so options such as indexes, and
    paths, mean the same in both steps.
    """

    name: str

    def lock(self, run: _Run) -> str:
        """Return exact versions, with hashes where there are any, as the text of a requirements file."""
        ...

    def install(self, run: _Run, lock: str, directory: Path) -> None:
        """Install these into a directory."""
        ...


class _Uv:
    name = "uv"

    def __init__(self, program: str) -> None:
        self._program = program

    def lock(self, run: _Run) -> str:
        lock = run.work / _LOCK
        run(
            "resolved",
            *(self._program, "pip", "compile", "--quiet", "--python", sys.executable),
            *("--generate-hashes", "--no-header", "--no-annotate", "--output-file", lock, run.asked),
        )
        return lock.read_text(encoding="utf-8")

    def install(self, run: _Run, lock: str, directory: Path) -> None:
        run(
            "installed",
            *(self._program, "pip", "install", "--quiet", "--python", sys.executable),
            *("--target", directory, "--requirement", run.asked, "--constraint", _constraints(run, lock)),
        )


class _Pip:
    name = "pip"
    _command = (sys.executable, "-c", _RUN_PIP, "install", "--quiet")

    def lock(self, run: _Run) -> str:
        report = run.work / "report.json"
        run(
            "resolved",
            *self._command,
            *("--dry-run", "--ignore-installed", "--report", report, "--requirement", run.asked),
        )
        lines = []
        for item in json.loads(report.read_bytes())["install"]:
            name, version = item["metadata"]["name"], item["metadata"]["version"]
            place = item["download_info"]
            hashes = place.get("archive_info", {}).get("hashes", {})
            pin = f"{name} @ {place['url']}" if item.get("is_direct") else f"{name}=={version}"
            lines.append(pin + "".join(f" --hash={kind}:{value}" for kind, value in sorted(hashes.items())) + "\n")
        return "".join(sorted(lines, key=str.lower))

    def install(self, run: _Run, lock: str, directory: Path) -> None:
        # With hashes in constraints pip would want them in the requirements as well.
        constraints = _constraints(run, re.sub(r"\s*(\\\n)?\s*--hash=\S+", "", lock))
        run(
            "installed",
            *self._command,
            *("--no-compile", "--target", directory, "--requirement", run.asked, "--constraint", constraints),
        )


def _constraints(run: _Run, lock: str) -> Path:
    """Return a file with what of a lock is a version: paths and URLs are exact as they were asked for."""
    path = run.work / "constraints.txt"
    entries = re.split(r"(?<!\\)\n", lock)
    path.write_text("".join(f"{entry}\n" for entry in entries if re.match(r"[\w.-]+==", entry)), encoding="utf-8")
    return path


def _installer(name: str) -> _Installer:
    """Return uv or pip; raises UsageError where there is none."""
    if name not in INSTALLERS:
        raise UsageError(f"PACKAGED.INSTALLER is to be one of {', '.join(INSTALLERS)}, not {name!r}")
    if name in ("auto", "uv"):
        # The wheel of uv puts it beside this Python, which need not be on the PATH.
        program = shutil.which("uv") or shutil.which("uv", path=sysconfig.get_path("scripts"))
        if program:
            return _Uv(program)
    if name in ("auto", "pip") and importlib.util.find_spec("pip") is not None:
        return _Pip()
    wanted = "uv or pip" if name == "auto" else name
    raise UsageError(
        f"there is no {wanted} to install packages with: "
        + (
            f"'{sys.executable} -m ensurepip' installs pip"
            if name == "pip"
            else "install uv, https://docs.astral.sh/uv"
        )
    )
