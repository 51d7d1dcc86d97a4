"""Functions and arguments that exist in memory only: how they travel, and what of the user's project goes with them."""

from __future__ import annotations

import base64
import dis
import functools
import io
import json
import linecache
import operator
import os
import sys
from collections import ChainMap
from contextlib import suppress
from functools import cached_property
from threading import RLock
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import cloudpickle

import htrun
from htrun.binding import refusal_of
from htrun.exceptions import UsageError
from htrun.runner.calls import PATH_KEY
from htrun.runner.values import is_exact
from htrun.sources import Resolver, Source, closure, is_installed, is_standard
from htrun.transfers import Landing, OnWire, TransferPath, escape, to_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from htrun.transfers import FileTable

_FILE = "function.pickle"
_pickling = RLock()
"""Held while something is pickled: what cloudpickle is told of modules counts for all threads."""
_EXACT = (str, int, float, bool, type(None))


class Function:
    """A function, pickled; what ``targets.Target`` is for one that was named on the command line.

    Functions travel by value, those of the user's own modules too: so a script or notebook need not be imported, and
    run, on the node. Classes travel by reference where they can, so that what comes back is of the class that is known
    here; the sources of their modules go with them. Functions that cannot travel by value, since they use a lock of
    their module's, do as classes do.

    Parameters
    ----------
    function : callable

    Attributes
    ----------
    function : callable
    text : str
        Its name.
    reference : dict
        See ``htrun.runner.loading.load_function``.
    file : None
        It is in no file that counts.

    Raises
    ------
    UsageError
        If it is nothing to call, or cannot be pickled.
    """

    file: Path | None = None

    def __init__(self, function: Callable[..., Any]) -> None:
        refusal = refusal_of(function)
        if refusal:
            raise UsageError(f"{function!r} cannot be mapped: {refusal}")
        self.function = function
        name = getattr(function, "__qualname__", None) or type(function).__qualname__
        self.text = f"{getattr(function, '__module__', None) or type(function).__module__}:{name}"
        self.reference: dict[str, str | None] = {
            "module": self.text.partition(":")[0],
            "qualname": name.rpartition(".<locals>.")[2],
            "file": None,
            "pickle": _FILE,
        }
        self._resolver = Resolver()
        self._modules: set[str] = set()
        self._files: set[str] = set()
        self._pickle = self._dumps(function, None)

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The user's modules that the function, and whatever was pickled after it, needs."""
        files: dict[str, Any] = {}
        for name in sorted(self._modules):
            module = self._resolver.find(name)
            if module is not None and module.in_project:
                try:
                    files.update(closure(module, self._resolver)[0])
                except OSError as error:
                    raise UsageError(f"cannot read {error.filename}, which is needed: {error.strerror}") from error
        return tuple(Source(path, name) for name, path in sorted(files.items()))

    @property
    def made(self) -> dict[str, bytes]:
        """The files to put beside the sources: the pickle, and the text around the function for error reports."""
        lines = {name: "".join(linecache.getlines(name)) for name in sorted(self._files)}
        text = json.dumps({name: text for name, text in lines.items() if text}, ensure_ascii=False)
        return {_FILE: self._pickle, f"{_FILE}.lines": text.encode("utf-8", "surrogateescape")}

    def encode(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], files: FileTable, taken: Iterable[str] = ()
    ) -> bytes:
        """Return a call for the wire, as JSON where JSON gives back exactly these arguments, and as pickle otherwise.

        Every TransferPath in the arguments, at any depth, becomes a file to bring along.

        Parameters
        ----------
        args : sequence
        kwargs : mapping
        files : FileTable
            The files are added here.
        taken : iterable of str
            The names in the scratch directory that other files of the component have.
        """
        landing = Landing(taken)

        def bring(path: TransferPath) -> str:
            return landing.place(files.find(os.path.abspath(path.path), str(path)))  # noqa: PTH100 (links stay)

        call = self._encode(args, kwargs, bring)
        brought = landing.files()
        return b"%b\t%b" % (call, _json(brought)) if brought else call

    def _encode(self, args: Sequence[Any], kwargs: Mapping[str, Any], bring: Callable[[TransferPath], str]) -> bytes:
        call: Any = list(args) if args or not kwargs else dict(kwargs)
        with suppress(RecursionError, ValueError, _NotPlain):  # nested too deeply, a cycle, an integer of many digits
            if not (args and kwargs):
                return _json(to_wire(call, None) if is_exact(call) else _plain(call, bring))
        return _json(base64.b64encode(self._dumps((list(args), dict(kwargs)), bring)).decode("ascii"))

    def _dumps(self, value: Any, bring: Callable[[TransferPath], str] | None) -> bytes:
        try:
            return self._dumps_as(value, bring)
        except UsageError:
            raise
        except Exception as error:
            # There may be a lock beside a function, say: where its module is imported, that is there as well.
            with suppress(Exception):
                return self._dumps_as(value, bring, by_reference=True)
            what = f"the function {self.text}" if bring is None else "an argument"
            raise UsageError(f"{what} cannot be pickled: {type(error).__name__}: {error}") from error

    def _dumps_as(
        self, value: Any, bring: Callable[[TransferPath], str] | None, *, by_reference: bool = False
    ) -> bytes:
        stream = io.BytesIO()
        pickler = _Pickler(stream, self._resolver, bring, by_reference=by_reference)
        with _pickling:
            try:
                pickler.dump(value)
            finally:
                pickler.forget()
        self._modules |= pickler.modules - pickler.scripts
        self._files |= pickler.files
        return stream.getvalue()


class Wrapper:
    """What stands for a function of the user's here, and is that function itself where it is loaded."""

    func: Callable[..., Any]


class _NotPlain(Exception):
    """A value that is not all JSON and files."""


def _plain(value: Any, bring: Callable[[TransferPath], str]) -> Any:
    """Return a value of lists, dicts, scalars and TransferPaths in the form of ``runner.calls``; raises _NotPlain."""
    kind = type(value)
    if kind is TransferPath:
        return OnWire({PATH_KEY: bring(value)})
    if kind is list:
        return [_plain(item, bring) for item in value]
    if kind is dict and all(type(key) is str for key in value):
        return escape({key: _plain(item, bring) for key, item in value.items()})
    if kind in _EXACT and is_exact(value):
        return value
    raise _NotPlain


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


_FUNCTIONS, _ALL = "functions", "functions and classes"
"""What of a module of the user's travels by value."""


def _makes_maps(module: ModuleType) -> bool:
    """Tell whether a module uses htrun: it is a script, a notebook or a test, and not to be imported on a node."""
    return any(
        str(value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")).partition(".")[0]
        == "htrun"
        for value in vars(module).values()
    )


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    """Reduce code as cloudpickle does, but for the name of its file: tracebacks show that."""
    make, values = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return make, tuple(code.co_filename if value == "<dynamic-code>" else value for value in values)


_CACHED = type(functools.cache(len))


def _reduce_cached(function: Any) -> tuple[Any, ...]:
    """Reduce a function with ``functools.cache`` or ``lru_cache``, without what is in its cache, to one by value."""
    parameters = function.cache_parameters()
    info = functools._CacheInfo
    return _CACHED, (function.__wrapped__, parameters["maxsize"], parameters["typed"], info), vars(function)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles functions of the user's modules by value, and notes which modules are needed where it is loaded.

    With ``by_reference``, only those of modules that cannot be imported there travel by value.
    """

    dispatch_table: ClassVar[Any] = ChainMap({CodeType: _reduce_code}, cloudpickle.Pickler.dispatch_table)

    def __init__(
        self,
        stream: io.BytesIO,
        resolver: Resolver,
        bring: Callable[[TransferPath], str] | None = None,
        *,
        by_reference: bool = False,
    ) -> None:
        super().__init__(stream, protocol=5)  # the newest that Python 3.8 reads
        self.modules: set[str] = set()
        self.files: set[str] = set()
        self._resolver = resolver
        self._bring = bring
        self._by_reference = by_reference
        self._by_value: dict[ModuleType, str] = {}

    def persistent_id(self, obj: Any) -> str | None:
        """Return where a file lands."""
        return self._bring(obj) if self._bring is not None and type(obj) is TransferPath else None

    def reducer_override(self, obj: Any) -> Any:
        """Decide how a function, a class or a module is pickled.

        Of htrun only what ``htrun.runner.node`` has is known on a node, by its public name.
        """
        if isinstance(obj, Wrapper):
            return operator.itemgetter(0), ((obj.func,),)
        if isinstance(obj, TransferPath):  # that comes with the function, and so brings no file along
            return TransferPath, (str(obj),)
        if isinstance(obj, FunctionType | type) and str(obj.__module__).startswith("htrun."):
            name = str(obj.__name__)
            if getattr(htrun, name, None) is obj:
                return getattr, (htrun, name)
        if isinstance(obj, ModuleType):
            self.modules.add(obj.__name__)
            if obj in self._by_value:
                return self._without_registration(obj, obj)
        elif isinstance(obj, _CACHED):
            module = sys.modules.get(str(obj.__module__))
            if module is not None:
                self._register(module)
            if module is None or module.__name__ in {"__main__", *cloudpickle.list_registry_pickle_by_value()}:
                return _reduce_cached(obj)
            self.modules.add(module.__name__)
        elif isinstance(obj, FunctionType | type):
            name = str(obj.__module__)
            self.modules.add(name)
            module = sys.modules.get(name)
            if module is not None and name != "__main__":
                self._register(module)
                if isinstance(obj, type) and self._by_value.get(module) is _FUNCTIONS:
                    return self._without_registration(module, obj)
            if isinstance(obj, FunctionType):
                if name == "__main__" or module in self._by_value:
                    self.files.add(obj.__code__.co_filename)
                self.modules.update(_imported(obj.__code__))
        return super().reducer_override(obj)

    def _register(self, module: ModuleType) -> None:
        """Let cloudpickle pickle what a module of the user's defines by value."""
        if module in self._by_value or module.__name__ in cloudpickle.list_registry_pickle_by_value():
            return
        file = getattr(module, "__file__", None)
        if file is None or is_standard(file) or is_installed(file) or module.__name__.partition(".")[0] == "htrun":
            return
        found = self._resolver.find(module.__name__)
        whole = found is None or found.file is None or str(found.file) != file or _makes_maps(module)
        if self._by_reference and not whole:
            return
        cloudpickle.register_pickle_by_value(module)
        self._by_value[module] = _ALL if whole else _FUNCTIONS

    def _without_registration(self, module: ModuleType, value: Any) -> Any:
        """Pickle something as if its module were any other."""
        cloudpickle.unregister_pickle_by_value(module)
        try:
            return super().reducer_override(value)
        finally:
            cloudpickle.register_pickle_by_value(module)

    @property
    def scripts(self) -> set[str]:
        """The modules that travel by value as a whole, and so are not imported where it is loaded."""
        return {module.__name__ for module, what in self._by_value.items() if what is _ALL}

    def forget(self) -> None:
        """Let cloudpickle be as it was."""
        for module in self._by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _imported(code: CodeType) -> Iterator[str]:
    """Yield the modules that a function imports when it is called."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported(constant)
