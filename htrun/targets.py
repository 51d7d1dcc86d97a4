"""What is named on the command line: finding it, importing it, and the sources that it needs elsewhere."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import os
import re
import sys
import traceback
import unicodedata
from dataclasses import dataclass
from importlib.machinery import PathFinder
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.binding import refusal_of
from htrun.exceptions import TargetError
from htrun.runner import loading
from htrun.sources import STANDARD_NAMES, Module, Resolver, Source, closure, is_installed, is_standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

__all__ = ["Source", "Target", "load"]

_FORM = "a target is module:function or path/to/file.py:function"


@dataclass(frozen=True)
class Target:
    """A function that was named on the command line.

    Attributes
    ----------
    text : str
        The target as it was typed.
    reference : dict
        What `htrun.runner.loading.load_function` imports it by: ``module``, ``qualname`` and ``file``, which is None
        where the module is imported by its own name.
    function : callable
    sources : tuple of Source
        What has to be shipped, sorted by name; nothing for functions of installed packages.
    notes : tuple of str
        What the user should be told; usually nothing.
    file : pathlib.Path or None
        The file that its module was found in, if it was.
    """

    text: str
    reference: dict[str, str | None]
    function: Callable[..., Any]
    sources: tuple[Source, ...]
    notes: tuple[str, ...]
    file: Path | None = None

    @property
    def made(self) -> dict[str, bytes]:
        """Files to put beside the sources that are not copied: none."""
        return {}


@dataclass(frozen=True)
class _Place:
    """Where a target's module is, and what it is imported as.

    `modules` is empty if that is its own name; otherwise it holds the packages that it lies in, and itself.
    """

    module: str
    file: Path | None
    modules: tuple[Module, ...] = ()


def load(
    text: str, directory: Path | None = None, before_import: Callable[[Path | None], object] | None = None
) -> Target:
    """Import the function that a text names, and find the sources that it needs.

    Parameters
    ----------
    text : str
        ``module:function`` or ``path/to/file.py:function``; ``::`` will do, and so will ``Class.method``.
    directory : pathlib.Path, optional
        What paths are relative to and what modules are imported from first; the current directory by default.
    before_import : callable, optional
        Is given the file of the module, if there is one, and may make more packages importable.

    Returns
    -------
    Target

    Raises
    ------
    TargetError
        There is no such file, module or function, its code fails when it is imported, or it is nothing to call.
    """
    directory = Path(os.path.abspath(directory or ""))  # noqa: PTH100 (Path.absolute keeps the dots of "../scan.py")
    where, qualname = _split(text)
    if not where:
        raise TargetError(text, _FORM)
    roots, file = [directory], None
    if where.endswith(".py") or os.sep in where or where in (".", ".."):
        try:
            file = _find_file(text, where, directory)
        except OSError as error:
            raise TargetError(text, f"cannot read {error.filename}: {error.strerror}") from error
        # The last is where Python would look, which follows a link to the script.
        roots = [_dotted_name(file)[0], directory, *([file.resolve().parent] if file.is_symlink() else ())]
    _make_importable(roots)
    resolver = Resolver()
    place = _place(file, resolver) if file is not None else _find_module(where, resolver)
    if before_import is not None:
        before_import(place.file)
        resolver = Resolver()
        place = _place(file, resolver) if file is not None else _find_module(where, resolver)
    if not qualname:
        raise TargetError(text, _no_function(where, place, directory, resolver))
    for known in place.modules:
        resolver.add(known)

    module, function = _import_function(text, place, qualname, roots, resolver)
    refusal = refusal_of(function)
    if refusal:
        raise TargetError(text, refusal + ("" if callable(function) else _suggest(qualname, module)))
    try:
        files, notes = closure(resolver.find(place.module), resolver)
    except OSError as error:
        raise TargetError(text, f"cannot read {error.filename}, which it imports: {error.strerror}") from error
    shipped = place.modules[-1].shipped if place.modules else None
    if shipped and place.file is not None and place.file.name != "__init__.py":
        # Also under the name it is given here: processes that the function starts import it, and they know no file.
        files.setdefault(str(Path(shipped).with_name(place.module.rpartition(".")[2] + ".py")), place.file)
    sources = tuple(Source(path, name) for name, path in sorted(files.items()))
    return Target(
        text, {"module": place.module, "qualname": qualname, "file": shipped}, function, sources, notes, place.file
    )


def _split(text: str) -> tuple[str, str]:
    """Return the module or path, and the name in it, which is empty if none is given."""
    where, colon, name = text.rpartition(":")
    if not colon or name.endswith(".py") or os.sep in name:
        where, name = text, ""
    # Python's names are in this form whatever the source has; what is typed need not be.
    return where.removesuffix(":"), unicodedata.normalize("NFKC", name)


# Finding the module


def _find_file(text: str, where: str, directory: Path) -> Path:
    path = Path(os.path.abspath(directory / where))  # noqa: PTH100 (symbolic links stay)
    if path.is_dir() and (path / "__init__.py").is_file():
        path /= "__init__.py"
    if path.suffix == ".py" and path.is_file():
        return path
    if path.is_dir():
        raise TargetError(text, f"{path} is a directory; {_FORM}")
    if path.is_file():
        raise TargetError(text, f"{path} is not a .py file; {_FORM}")
    if not path.parent.is_dir():
        raise TargetError(text, f"there is no directory {path.parent}")
    scripts = [name for name in _listing(path.parent) if name.endswith(".py")]
    hint = _did_you_mean(path.name, scripts, os.path.join(os.path.dirname(where), ""))
    raise TargetError(text, f"there is no file {path}{hint}")


def _listing(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _dotted_name(file: Path) -> tuple[Path, list[str]]:
    """Return the directory that a file is imported from, and the parts of the name that it has there."""
    names = [] if file.name == "__init__.py" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name:
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, names or [file.stem]


def _make_importable(roots: list[Path]) -> None:
    """Put directories on `sys.path`, behind the standard library and before everything else.

    Before everything else, as with ``python script.py`` and ``python -m pytest``: the user's ``utils`` wins over an
    installed one. Behind the standard library, unlike these: a user's ``random.py`` would break whatever imports
    ``random`` afterwards, in htrun too, and users who never import it by that name could not tell why. So what is
    shipped has no name of a standard module either, and can come first on the node.
    """
    first = [entry for entry in sys.path if is_standard(entry)]
    first += [str(root) for root in roots if str(root) not in first]
    sys.path[:] = first + [entry for entry in sys.path if entry not in first]
    for root in roots:
        sys.path_importer_cache.pop(str(root), None)  # files may be newer than what was seen before


def _find_module(name: str, resolver: Resolver) -> _Place:
    module = resolver.find(name)
    file = module.file if module is not None else None
    if module is None or file is None or not module.in_project or ".".join(_dotted_name(file)[1]) != name:
        return _Place(name, file)
    return _place(file, resolver)


def _place(file: Path, resolver: Resolver) -> _Place:
    """Decide what a file is imported as: its own name, or one made up where that is impossible or means another."""
    root, names = _dotted_name(file)
    single = file.parent == root
    top_file = file if single else root / names[0] / "__init__.py"
    top = resolver.find(names[0])
    taken = (
        names[0] in STANDARD_NAMES
        or _is_loaded(names[0], top_file)
        or (single and _is_installed(names[0], top_file))
        or (names[0].isidentifier() and (top is None or top.file != top_file))
    )
    made_up = [name if name.isidentifier() else _make_up(name) for name in names]
    if taken:
        made_up[0] = _make_up(names[0])
    elif made_up == names and getattr(resolver.find(".".join(names)), "file", None) != file:
        made_up[-1] = _make_up(names[-1])  # a package of the same name beside it comes first
    if made_up == names:
        return _Place(".".join(names), file)

    modules = []
    for depth in range(1, len(names) + 1):
        path = file if depth == len(names) else root.joinpath(*names[:depth], "__init__.py")
        locations = (str(path.parent),) if path.name == "__init__.py" and not single else None
        shipped = path.relative_to(root).as_posix()
        if taken:
            shipped = f"{made_up[0]}.py" if single else made_up[0] + shipped[len(names[0]) :]
        modules.append(Module(".".join(made_up[:depth]), path, shipped, locations))
    return _Place(modules[-1].name, file, tuple(modules))


def _make_up(name: str) -> str:
    return "htrun_target_" + re.sub(r"\W", "_", name)


def _is_loaded(name: str, file: Path) -> bool:
    """Whether another module of this name has been imported."""
    module = sys.modules.get(name)
    return module is not None and getattr(module, "__file__", None) != str(file)


def _is_installed(name: str, file: Path) -> bool:
    """Whether another module of this name is installed."""
    spec = PathFinder.find_spec(name, [entry for entry in sys.path if is_installed(entry)])
    return spec is not None and spec.loader is not None and spec.origin != str(file)


# Importing


def _import_function(
    text: str, place: _Place, qualname: str, roots: list[Path], resolver: Resolver
) -> tuple[ModuleType, Any]:
    """Import the module, and return it and what is called `qualname` in it."""
    try:
        with _stdout_to_stderr(), _same_directory(), _no_arguments(place), _without_namesakes(resolver):
            module = loading.import_module(place.module, str(place.file) if place.modules else None)
            with contextlib.suppress(AttributeError):
                return module, attrgetter(qualname)(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        missing = str(error.name) if isinstance(error, ModuleNotFoundError) else ""
        if missing and f"{place.module}.".startswith(f"{missing}.") and resolver.find(place.module) is None:
            raise TargetError(text, _no_module(place.module, qualname, roots[0], resolver)) from error
        raise TargetError(text, _failed_import(error, roots)) from error
    raise TargetError(text, _no_attribute(module, qualname, roots[0]))


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send what is printed to stderr, by C code and child processes too: stdout carries data."""
    saved = None
    _flush_stdout()
    with contextlib.suppress(OSError):  # one of the two is closed
        saved = os.dup(1)
        os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _flush_stdout()
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)


@contextlib.contextmanager
def _same_directory() -> Iterator[None]:
    """Come back to the current directory: some scripts begin by leaving it, and results belong there."""
    before = os.getcwd()  # noqa: PTH109 (a text, as it is put back)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _no_arguments(place: _Place) -> Iterator[None]:
    """Hide htrun's arguments from what is a program as well, and looks for its own."""
    before = sys.argv
    sys.argv = [str(place.file or place.module)]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _without_namesakes(resolver: Resolver) -> Iterator[None]:
    """Hide installed modules that htrun has imported, and that the user has own modules of the same name as."""
    hidden = {}
    for name, module in list(sys.modules.items()):
        if is_installed(getattr(module, "__file__", None) or ""):
            own = resolver.find(name.partition(".")[0])
            if own is not None and own.in_project:
                hidden[name] = sys.modules.pop(name)
    try:
        yield
    finally:
        sys.modules.update(hidden)


def _flush_stdout() -> None:
    for stream in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None, broken or closed
            stream.flush()  # type: ignore[union-attr]


# Messages


def _did_you_mean(name: str, candidates: Iterable[str], prefix: str = "", suffix: str = "") -> str:
    close = difflib.get_close_matches(name, sorted(set(candidates)), n=3)
    return f"; did you mean {' or '.join(prefix + match + suffix for match in close)}?" if close else ""


def _no_function(where: str, place: _Place, directory: Path, resolver: Resolver) -> str:
    if place.file is None and resolver.find(where) is None:
        return _no_module(where, "FUNCTION", directory, resolver)
    functions = _functions(place.file)
    listing = f"; it has {', '.join(functions)}" if functions else ""
    return f"name the function as well: {where}:{functions[0] if functions else 'FUNCTION'}{listing}"


def _functions(file: Path | None) -> list[str]:
    """Return the public functions that a file defines, without importing it."""
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        body = ast.parse(file.read_bytes()).body if file is not None and file.suffix == ".py" else []
        return [node.name for node in body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"]
    return []


def function_names(where: str) -> list[str]:
    """Return the functions of a file or a module, as a target names it, without importing it; empty if it is none."""
    where = where.removesuffix(":")
    if where.endswith(".py") or os.sep in where:
        return _functions(Path(where).expanduser())
    _make_importable([Path.cwd()])
    found = Resolver().find(where)
    return _functions(found.file if found is not None else None)


def _no_module(name: str, qualname: str, directory: Path, resolver: Resolver) -> str:
    parent, _, leaf = name.rpartition(".")
    package = resolver.find(parent) if parent else None
    folders = [Path(path) for path in (package and package.locations) or ()] if parent else [directory]
    modules = [
        entry.removesuffix(".py") for folder in folders for entry in _listing(folder) if _is_module(folder, entry)
    ]
    hint = _did_you_mean(leaf, modules, f"{parent}." if parent else "", f":{qualname}")
    path = f"{name.replace('.', os.sep)}.py"
    if (directory / path).is_file():  # its package's name is taken by another
        hint = f"; did you mean {path}:{qualname}?"
    elif package is not None and package.locations is None:
        hint = f"; did you mean {parent}:{leaf}?"
    return f"there is no module named {name!r} in {directory} or among the installed packages{hint}"


def _is_module(folder: Path, entry: str) -> bool:
    return (entry.endswith(".py") and entry != "__init__.py") or (folder / entry / "__init__.py").is_file()


def _failed_import(error: BaseException, roots: list[Path]) -> str:
    """Return the user's part of a traceback, and what to do about it where that is known."""
    report = traceback.TracebackException.from_exception(error)
    _shorten(report)
    whole = report.stack or report.__cause__ or report.__context__  # a syntax error says itself where it is
    message = "importing it fails:\n" + "".join(report.format() if whole else report.format_exception_only()).rstrip()
    asked = error.name if isinstance(error, ImportError) else getattr(getattr(error, "obj", None), "__name__", None)
    name = (asked or "").partition(".")[0]
    if isinstance(error, SystemExit):
        message += "\nIt exits when it is imported: put what only a script does below 'if __name__ == \"__main__\":'."
    elif name in STANDARD_NAMES:
        for own in (path for root in roots for path in (root / f"{name}.py", root / name) if path.exists()):
            return f"{message}\n{name!r} is a module of the standard library, which {own} does not replace: rename it."
    elif isinstance(error, ModuleNotFoundError):
        message += f"\n{error.name!r} is not installed for {sys.executable}, nor is it in {roots[0]}."
    return message


def _shorten(report: traceback.TracebackException) -> None:
    """Leave out the frames of the import system and of htrun."""
    ours = (os.path.dirname(__file__) + os.sep, os.path.dirname(importlib.__file__) + os.sep, "<frozen importlib")
    report.stack[:] = [frame for frame in report.stack if not frame.filename.startswith(ours)]
    for other in (report.__cause__, report.__context__, *(getattr(report, "exceptions", None) or ())):
        if other is not None:
            _shorten(other)


def _no_attribute(module: Any, qualname: str, directory: Path) -> str:
    owner, title = module, str(getattr(module, "__file__", None) or f"the module {module.__name__}")
    prefix = ""
    for name in qualname.split("."):
        if not hasattr(owner, name):
            break
        owner, prefix = getattr(owner, name), f"{prefix}{name}."
    message = f"there is no {(prefix + name)!r} in {title}{_suggest(name, owner, prefix)}"
    own = directory / f"{module.__name__}.py"
    if module.__name__ in STANDARD_NAMES and own.is_file():
        message += f"; for the one in {own}, type {own.name}:{qualname}"
    return message


def _suggest(name: str, owner: Any, prefix: str = "") -> str:
    """Return what there is to call in a module or a class: the names close to a mistyped one, or else the first few."""
    members = {
        member: value
        for member, value in getattr(owner, "__dict__", {}).items()
        if not member.startswith("_") and (callable(value) or isinstance(value, classmethod))
    }
    close = _did_you_mean(name, members, prefix)
    if close:
        return close
    home = getattr(owner, "__module__", None) or owner.__name__  # a class's, or the module itself: not what it imports
    own = [prefix + member for member, value in members.items() if getattr(value, "__module__", home) == home]
    return f"; it has {', '.join(own[:10])}{', ...' if len(own) > 10 else ''}" if own else ""
