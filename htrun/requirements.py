"""Which packages a target needs: from a requirements file, from the target's own file, or from pyproject.toml."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from htrun.exceptions import UsageError
from htrun.layers import parse_toml
from htrun.sources import is_installed

if TYPE_CHECKING:
    from collections.abc import Iterator

# As PEP 723 has it.
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_OPTION = re.compile(r"(-[a-z]|--[a-z-]+)(?:\s+|=|(?<=^-[a-z]))(.+)")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz")
_MADE = ("build", "dist", "__pycache__")  # what building a package may leave in its directory


@dataclass(frozen=True)
class Requirements:
    """What is to be installed.

    Attributes
    ----------
    origin : str
        Where that is said, for messages.
    folder : pathlib.Path
        What relative paths in it are relative to.
    text : str
        In the form of a requirements file.
    file : pathlib.Path or None
        The requirements file, where it is one.
    """

    origin: str
    folder: Path
    text: str
    file: Path | None = None

    @cached_property
    def contents(self) -> tuple[str, str]:
        """All that decides what is installed: the text with that of further files, and which files of this machine.

        Raises
        ------
        UsageError
            If one of the files cannot be read, or something in it cannot travel.
        """
        texts, local = [self.text], [""]
        for kind, value in _entries(self.text, self.file or self.folder / "requirements.txt"):
            if kind == "file":
                texts.append(value)
            else:
                path = self.folder / value
                local += _fingerprint(path)
        return "\n".join(texts), "\n".join(local)


def find(argument: str | None, target: Path | None) -> Requirements:
    """Return what a target needs.

    Parameters
    ----------
    argument : str or None
        The path of a requirements file, if one was named.
    target : pathlib.Path or None
        The file of the target, if it has one.

    Raises
    ------
    UsageError
        If that is said nowhere, or cannot be read, or is for another version of Python.
    """
    if argument is not None:
        file = Path(argument).expanduser().absolute()
        return Requirements(argument, file.parent, _read(file), file)
    if target is not None and target.suffix == ".py":
        metadata = _inline(_read(target), target)
        if metadata is not None:
            return _from_table(metadata, str(target), target.parent)
    folder = target.parent if target is not None and not is_installed(str(target)) else Path.cwd()
    for path in (parent / "pyproject.toml" for parent in (folder, *folder.parents)):
        if path.is_file():
            project = parse_toml(_read(path), str(path)).get("project")
            if isinstance(project, dict):
                if "dependencies" in project.get("dynamic", ()):
                    raise UsageError(
                        f"{path}: its dependencies are dynamic, known to its build system only: "
                        "name a file with them, --requirements FILE"
                    )
                return _from_table(project, str(path), path.parent)
    inline = f"'# /// script' in {target}" if target is not None else "'# /// script' in the file of a target"
    raise UsageError(
        "the delivery method packaged has to know which packages: say so with --requirements FILE (or packaged:FILE), "
        f"in a metadata block {inline} (PEP 723), or in [project] dependencies of a pyproject.toml in {folder} or above"
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except FileNotFoundError:
        raise UsageError(f"there is no requirements file {path}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}, which says what packages are needed: {error.strerror}") from None


def _inline(text: str, path: Path) -> dict[str, Any] | None:
    """Return the metadata in a script (PEP 723), None if there is none."""
    blocks = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if not blocks:
        return None
    if len(blocks) > 1:
        raise UsageError(f"{path}: there are {len(blocks)} metadata blocks '# /// script', and there is to be one")
    content = "\n".join(line[2:] if line.startswith("# ") else line[1:] for line in blocks[0]["content"].splitlines())
    # As many lines before it as in the script, so that messages tell the right one.
    return parse_toml("\n" * (text.count("\n", 0, blocks[0].start()) + 1) + content, str(path))


def _from_table(table: dict[str, Any], origin: str, folder: Path) -> Requirements:
    wanted, python = table.get("dependencies", []), table.get("requires-python")
    if not isinstance(wanted, list) or not all(isinstance(item, str) for item in wanted):
        raise UsageError(f"{origin}: dependencies are to be a list of texts, not {wanted!r}")
    if python is not None:
        _check_python(str(python), origin)
    return Requirements(origin, folder, "".join(f"{item}\n" for item in wanted))


def _check_python(python: str, origin: str) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(python).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        raise UsageError(f"{origin}: requires-python is no version specifier: {python!r}") from None
    if not fits:
        raise UsageError(
            f"{origin}: it requires Python {python}, and this is {platform.python_version()} ({sys.executable}): "
            "run htrun with a Python that it allows"
        )


def _entries(text: str, path: Path) -> Iterator[tuple[str, str]]:
    """Yield what a requirements file brings in: the text of a further ``file``, the name of a ``path``."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        entry = re.sub(r"(^|\s)#.*", "", line).strip()
        option = _OPTION.fullmatch(entry)
        if option is None:
            name = _local_path(entry)
            if name:
                yield "path", name
        elif option[1] in ("-r", "--requirement", "-c", "--constraint"):
            if "://" not in option[2]:
                further = path.parent / option[2].strip()
                inner = _read(further)
                yield "file", inner
                yield from _entries(inner, further)
        elif option[1] in ("-f", "--find-links"):
            yield "path", _without_scheme(option[2].strip())
        elif option[1] in ("-e", "--editable"):
            raise UsageError(
                f"{path}: an editable package stays where it is, and cannot travel: leave the {option[1]} out"
            )


def _local_path(entry: str) -> str | None:
    """Return the path that a requirement is, None if it is the name of a package or a URL."""
    place = entry.partition(" @ ")[2] or entry
    place = _without_scheme(re.split(r"\s*;|\s", place.strip(), maxsplit=1)[0])
    place = re.sub(r"\[[^]]*\]$", "", place)
    is_path = "://" not in place and (os.sep in place or place.startswith(".") or place.endswith(_ARCHIVES))
    return place if is_path else None


def _without_scheme(place: str) -> str:
    return unquote(urlsplit(place).path) if place.startswith("file:") else place


def _fingerprint(path: Path) -> Iterator[str]:
    """Yield what changes when a file or directory does."""
    if path.is_dir():
        for root, directories, names in os.walk(path):
            directories[:] = sorted(
                name
                for name in directories
                if not name.startswith(".") and not name.endswith(".egg-info") and name not in _MADE
            )
            for name in sorted(names):
                yield from _fingerprint(Path(root, name))
        return
    try:
        status = path.stat()
    except OSError:
        return  # what installs it says so better
    yield f"{path} {status.st_mtime_ns} {status.st_size}"
