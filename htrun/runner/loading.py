"""Importing a target by its reference: the same code where it is typed and where it runs."""

from __future__ import annotations

import importlib
import importlib.util  # which running a zip file imports anyway
import os
import sys
from operator import attrgetter

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any


pickled_files: set[str] = set()
"""The files, or cells of notebooks, that functions from pickles were written in."""


def load_function(
    reference: Mapping[str, str | None], sources_dir: str, python: str | None = None
) -> Callable[..., Any]:
    """Import a target from the directory that its sources were brought to.

    Parameters
    ----------
    reference : mapping
        ``module`` and ``qualname`` of the function; ``file``, relative to `sources_dir`, is set where the module
        cannot be imported by a name of its own. Or ``pickle``: the file there that holds a function which exists in
        memory only.
    sources_dir : str
    python : str, optional
        The version of the Python that has made the pickle.

    Returns
    -------
    callable

    Raises
    ------
    Exception
        Whatever the user's code raises while it is imported, ImportError and AttributeError among them.
    """
    directory = os.path.join(os.getcwd(), sources_dir)
    if directory not in sys.path:
        # First, as Python places a script's directory. It shadows no standard module, since nothing is shipped under
        # the name of one (see htrun.targets), and wins where only this node's Python has a module of that name.
        sys.path.insert(0, directory)
        sys.path_importer_cache.pop(directory, None)
    file = reference["file"]
    # As for a script without arguments, so that what is a program as well finds none that are not its own.
    sys.argv = [os.path.join(directory, file or str(reference["module"]).replace(".", os.sep) + ".py")]
    if reference.get("pickle"):
        return _unpickle(os.path.join(directory, str(reference["pickle"])), python)
    module = import_module(str(reference["module"]), os.path.join(directory, file) if file else None)
    function: Callable[..., Any] = attrgetter(str(reference["qualname"]))(module)
    return function


def _unpickle(path: str, python: str | None) -> Callable[..., Any]:
    """Load a function from its pickle, and the lines of its source for error reports."""
    import json
    import linecache

    from .pythons import MOVE, unpickler

    with open(path + ".lines", encoding="utf-8", errors="surrogateescape") as file:
        for name, text in json.load(file).items():
            lines = text.splitlines(keepends=True)
            linecache.cache[name] = (len(text), None, lines, name)  # without a time it is never looked for on the disk
            pickled_files.add(name)
    with open(path, "rb") as pickled:
        function: Callable[..., Any] = unpickler(python, MOVE)(pickled).load()
    return function


def import_module(name: str, file: str | None = None) -> ModuleType:
    """Import a module, by its name or from a file.

    Parameters
    ----------
    name : str
        The dotted name; with `file`, the one that the module is given.
    file : str, optional
        Absolute path. The packages that `name` lies in are loaded from the ``__init__.py`` files beside and above it,
        so that relative imports work whatever the packages are called.

    Returns
    -------
    module

    Raises
    ------
    Exception
        Whatever the module raises.
    """
    if file is None:
        return importlib.import_module(name)
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == file:
        return loaded

    folder, base = os.path.split(file)
    parent, _, leaf = name.rpartition(".")
    if parent:
        above = os.path.dirname(folder) if base == "__init__.py" else folder
        import_module(parent, os.path.join(above, "__init__.py"))

    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file", name=name, path=file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    if parent:
        setattr(sys.modules[parent], leaf, module)
    return sys.modules[name]
