"""The modules of the user's own project that a target needs, found by reading imports and never by importing."""

from __future__ import annotations

import ast
import errno
import os
import sys
import warnings
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILES = 2_000  # what is shipped on suspicion only, a directory
MAX_BYTES = 50_000_000
MAX_ENTRIES = 100_000  # directory entries looked at; a data directory may hold millions

STANDARD_NAMES = sys.stdlib_module_names | {"test"}  # Python's own tests are installed with it, but not in its list
_STDLIB = os.path.dirname(os.__file__)
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "dist-packages"}

# Functions that import what they are given the name of, and those whose argument says little about what is imported.
_BY_NAME = {"import_module", "__import__", "find_spec", "run_module"}
_BY_OTHER = {"spec_from_file_location", "run_path", "iter_modules", "walk_packages", "resolve_name"}
_IMPORTERS = _BY_NAME | _BY_OTHER
_IMPORTERS_IN_TEXT = tuple(name.encode() for name in _IMPORTERS)


@dataclass(frozen=True)
class Source:
    """One file to ship.

    Attributes
    ----------
    path : pathlib.Path
        Where it is here.
    name : str
        POSIX path relative to the directory that it will be imported from, e.g. ``pkg/sub.py``.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Module:
    """A module that Python would find.

    Attributes
    ----------
    name : str
    file : pathlib.Path or None
        None for namespace packages, and for what is built in.
    shipped : str
        The name of its source; ends in a slash for namespace packages.
    locations : tuple of str or None
        Where its submodules are looked for; None if it is no package.
    """

    name: str
    file: Path | None
    shipped: str
    locations: tuple[str, ...] | None = None

    @property
    def package(self) -> str:
        """The package that its relative imports start from; empty if there is none."""
        return self.name if self.locations is not None else self.name.rpartition(".")[0]

    @property
    def in_project(self) -> bool:
        """Whether it is the user's own: neither Python's, nor installed, nor htrun's."""
        if self.file is None or self.name.partition(".")[0] == "htrun":
            return False
        return not is_standard(str(self.file)) and not is_installed(str(self.file))

    @property
    def root(self) -> Path | None:
        """The directory that its top-level name is imported from."""
        return self.file.parents[self.shipped.count("/")] if self.file else None


def is_standard(path: str) -> bool:
    """Whether a path lies in the standard library."""
    inside = path == _STDLIB or path.startswith(_STDLIB + os.sep) or f"{os.sep}lib-dynload" in path
    return inside and not is_installed(path)


def is_installed(path: str) -> bool:
    """Whether a path lies where packages are installed to."""
    return f"{os.sep}site-packages{os.sep}" in path + os.sep or f"{os.sep}dist-packages{os.sep}" in path + os.sep


class Resolver:
    """Finds modules as Python would at the present ``sys.path``, without importing any."""

    def __init__(self) -> None:
        self._known: dict[str, Module | None] = {}

    def add(self, module: Module) -> None:
        """Make a module known that Python would not find under that name."""
        self._known[module.name] = module

    def find(self, name: str) -> Module | None:
        """Return the module of a dotted name, None if there is none."""
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    def _look_up(self, name: str) -> Module | None:
        parent_name, _, leaf = name.rpartition(".")
        parent = self.find(parent_name) if parent_name else None
        if not leaf or (parent_name and (parent is None or parent.locations is None)):
            return None
        found = _find_spec(name, list(parent.locations or ()) if parent else None)
        if found is None:
            return None
        file, locations = found
        folder = parent.shipped.rpartition("/")[0] + "/" if parent else ""
        ending = file.name if file and locations is not None else "".join(file.suffixes) if file else ""
        return Module(name, file, folder + leaf + ("" if locations is None else "/") + ending, locations)


def _find_spec(name: str, path: list[str] | None) -> tuple[Path | None, tuple[str, ...] | None] | None:
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is None:
            continue
        try:
            # Given the whole name, PathFinder fails for namespace packages inside those that are not imported.
            spec = find_spec(name.rpartition(".")[2] if finder is PathFinder else name, path)
            if spec is not None:
                file = Path(spec.origin) if spec.has_location and spec.origin else None
                locations = spec.submodule_search_locations
                return file if file and file.is_file() else None, None if locations is None else tuple(locations)
        except Exception:  # noqa: BLE001, S112 (finders are other people's code)
            continue
    return None


def closure(target: Module | None, resolver: Resolver) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Find the files of the user's project that a module needs.

    Followed are the imports anywhere in the module and in what they lead to. Of a regular package all Python files are
    taken, since plugins and the like are imported by computed names; where a file imports by computed names itself,
    all that could be imported from its root directory is taken too, if that is not too much.

    Parameters
    ----------
    target : Module or None
    resolver : Resolver

    Returns
    -------
    files : dict
        From the names of the sources to where they are.
    notes : tuple of str
        What the user should know.

    Raises
    ------
    OSError
        A file cannot be read; ``filename`` says which.
    """
    if target is None:
        return {}, ()
    found = _Closure(resolver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns about the same lines when it imports them
        found.follow(target)
    return found.files, tuple(found.notes)


class _Closure:
    """The files and notes found so far."""

    def __init__(self, resolver: Resolver) -> None:
        self.files: dict[str, Path] = {}
        self.notes: dict[str, None] = {}
        self._resolver = resolver

    def follow(self, target: Module) -> None:
        """Add a module and all that it leads to."""
        pending, seen = [target.name], set[str]()
        guessed: dict[Path, Path] = {}
        while pending:
            name = pending.pop()
            if name in seen or not name:
                continue
            seen.add(name)
            parent_name = name.rpartition(".")[0]
            pending.append(parent_name)
            module = self._resolver.find(name)
            if module is None or module.file is None or module.root is None or not module.in_project:
                continue
            _check_readable(module.file)
            self.files[module.shipped] = module.file
            parent = self._resolver.find(parent_name) if parent_name else None
            if module.locations is not None and (parent is None or parent.file is None):
                self._add_package(module)
            if module.file.suffix == ".py":
                imports = _Imports(module, _read(module.file))
                pending.extend(imports.names)
                if imports.computed:
                    guessed.setdefault(module.root, module.file)
                self._note_shadowed(module.file, module.root, imports.names, target)
        for root, file in guessed.items():
            self._add_root(root, file)

    def _add_package(self, package: Module) -> None:
        try:
            for location in package.locations or ():
                for name, path in _Walk(strict=True).files(location, package.shipped.rpartition("/")[0]):
                    _check_readable(path)
                    self.files.setdefault(name, path)
        except _TooMuchError:
            self.notes[
                f"the package {package.name} ({package.file}) holds more than {MAX_ENTRIES:,} files: only the modules "
                "that import statements lead to are shipped"
            ] = None

    def _add_root(self, root: Path, because: Path) -> None:
        found: dict[str, Path] = {}
        size = 0
        try:
            for name, path in self._importable(root):
                if name not in self.files and os.access(path, os.R_OK):
                    found[name] = path
                    size += path.stat().st_size
                    if len(found) > MAX_FILES or size > MAX_BYTES:
                        raise _TooMuchError
        except _TooMuchError:
            self.notes[
                f"{because} imports modules by names that are known only when it runs, and {root} holds too much to "
                f"ship all of it (the limit is {MAX_FILES:,} Python files, {MAX_BYTES // 10**6} MB): what it needs is "
                "shipped if there are import statements for it too, e.g. below 'if False:'"
            ] = None
        else:
            self.files.update(found)

    def _importable(self, root: Path) -> Iterator[tuple[str, Path]]:
        """Yield the Python files that names which start at `root` lead to."""
        walk, above = _Walk(strict=False), (os.path.realpath(root),)
        for entry in walk.entries(str(root)):
            stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122 (a Path per entry costs more than the work)
            is_folder = stem.isidentifier() and not suffix and entry.is_dir() and not walk.skips(entry, above)
            module = self._resolver.find(stem) if is_folder or (suffix == ".py" and "." not in stem) else None
            if module is None or (module.file is not None and not module.in_project):
                continue
            if is_folder and entry.path in (module.locations or ()):
                yield from walk.files(entry.path, stem, above)
            elif module.file == root / entry.name:
                yield entry.name, module.file

    def _note_shadowed(self, file: Path, root: Path, names: list[str], target: Module) -> None:
        for top in sorted({name.partition(".")[0] for name in names} & STANDARD_NAMES):
            own, module = root / f"{top}.py", self._resolver.find(top)
            if own != target.file and own.is_file() and (module is None or module.file != own):
                self.notes[f"'import {top}' in {file} gives the standard library's module, not {own}"] = None


class _TooMuchError(Exception):
    """More files than anybody means to ship."""


class _Walk:
    """Finds Python files below directories, and gives up where there is no end to them."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict  # whether a directory that cannot be read is an error
        self._left = MAX_ENTRIES

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                listing = []
                for entry in entries:
                    self._left -= 1
                    if self._left < 0:
                        raise _TooMuchError
                    if not entry.name.startswith("."):
                        listing.append(entry)
                return sorted(listing, key=lambda entry: entry.name)
        except PermissionError:
            if self._strict:
                raise
            return []

    def skips(self, entry: os.DirEntry[str], above: tuple[str, ...] = ()) -> bool:
        """Whether a directory has nothing to import, or not of the user's own."""
        if entry.name in _SKIPPED or Path(entry.path, "pyvenv.cfg").exists():
            return True
        linked = entry.is_symlink()
        if linked or entry.name == "results":  # links to data, and the maps of earlier runs, are no packages
            return not Path(entry.path, "__init__.py").exists() or (linked and os.path.realpath(entry.path) in above)
        return False

    def files(self, folder: str, prefix: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, Path]]:
        above = (*above, os.path.realpath(folder))
        for entry in self.entries(folder):
            name = f"{prefix}/{entry.name}"
            if entry.is_dir():
                if not self.skips(entry, above):
                    yield from self.files(entry.path, name, above)
            elif entry.name.endswith(".py") and entry.is_file():
                yield name, Path(entry.path)


def _check_readable(path: Path) -> None:
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        error.filename = str(path)  # missing where opening worked and reading did not
        raise


class _Imports:
    """What a file imports.

    Attributes
    ----------
    names : list of str
        Dotted names, some of which may be attributes rather than modules.
    computed : bool
        Whether it also imports by names that reading it does not tell.
    """

    def __init__(self, module: Module, source: bytes) -> None:
        self.names: list[str] = []
        self.computed = False
        self._module = module
        self._importers = {name: name for name in _IMPORTERS}
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return  # Python will say so if it is ever imported
        for statement in _statements(tree):
            self._read_statement(statement)
        if any(name in source for name in _IMPORTERS_IN_TEXT):  # spares most files the walk through all expressions
            self._read_calls(tree)

    def _read_statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import):
            self.names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            base = self._absolute("." * statement.level + (statement.module or ""), self._module.package)
            self.names += [base, *(f"{base}.{alias.name}" for alias in statement.names)] if base else []
            self._importers.update((a.asname, a.name) for a in statement.names if a.asname and a.name in _IMPORTERS)
        elif isinstance(statement, ast.Assign | ast.AugAssign) and self._module.locations is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                # 'from package import *' imports the submodules among these.
                names = [node.value for node in ast.walk(statement.value) if isinstance(node, ast.Constant)]
                self.names += [f"{self._module.package}.{name}" for name in names if isinstance(name, str)]

    def _read_calls(self, tree: ast.Module) -> None:
        mentions = understood = 0
        for node in ast.walk(tree):
            if isinstance(node, ast.Name | ast.Attribute):
                mentions += _last_name(node) in self._importers
            elif isinstance(node, ast.Call) and self._importers.get(_last_name(node.func)) in _BY_NAME:
                name = self._constant_name(node)
                if name is not None:
                    understood += 1
                    self.names.append(name)
        self.computed = mentions > understood

    def _constant_name(self, call: ast.Call) -> str | None:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        given.update(zip(("name", "package"), call.args, strict=False))
        name, anchor = given.get("name", given.get("mod_name")), given.get("package")
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
            return None
        if not name.value.startswith("."):
            return name.value
        if isinstance(anchor, ast.Constant):
            return self._absolute(name.value, str(anchor.value))
        known = {"__package__": self._module.package, "__name__": self._module.name}
        return self._absolute(name.value, known[anchor.id]) if getattr(anchor, "id", "") in known else None  # type: ignore[union-attr]

    @staticmethod
    def _absolute(name: str, package: str) -> str | None:
        """Return the full form of a name with leading dots, None if they lead out of all packages."""
        tail = name.lstrip(".")
        level = len(name) - len(tail)
        if level == 0:
            return name
        parts = package.split(".") if package else []
        if level > len(parts):
            return None
        return ".".join([*parts[: len(parts) - level + 1], *([tail] if tail else [])])


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield all statements; several times as fast as ast.walk, which looks at each expression too."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt):
            yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            pending.extend(getattr(node, field, ()))
