"""Making maps from Python: ``map`` and its like."""

from __future__ import annotations

import builtins
import functools
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from htrun.choices import choose_delivery, usual_engine
from htrun.creation import MapRequest, asked_options, check_request, create_map
from htrun.delivery import import_packages
from htrun.exceptions import EmptyMap, EngineError, NoMapYet, UsageError
from htrun.functions import Function, Wrapper
from htrun.input_files import InputFiles
from htrun.logs import get_logger, start_logging
from htrun.maps import Map
from htrun.options import MapOptions, inherited_options
from htrun.settings import load
from htrun.transfers import FileTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from typing_extensions import Self

_logger = get_logger(__name__)
Call = tuple["Iterable[Any]", "Mapping[str, Any]"]


def map(  # noqa: A001 (the name HTMap's users know)
    func: Callable[..., Any],
    args: Iterable[Any],
    map_options: MapOptions | None = None,
    tag: str | None = None,
    quiet: bool = False,
) -> Map:
    """Map a function of one argument over inputs.

    Parameters
    ----------
    func : callable
        Any function: lambdas, closures and those of notebooks too.
    args : iterable
        What to call it with, consumed once and lazily; of any type that can be pickled.
    map_options : MapOptions, optional
    tag : str, optional
        The name of the map; made up by default, which makes the map transient.
    quiet : bool
        Do not tell the tag in an interactive session.

    Returns
    -------
    Map

    Raises
    ------
    EmptyMap
        If there are no inputs.
    InvalidTag, TagAlreadyExists
    MisalignedInputData
        If a variadic option has another length than the inputs.
    UsageError
        If the function or an input cannot be pickled.
    EngineError
        If the map cannot be submitted.
    """
    return _create(func, (((arg,), {}) for arg in args), map_options, tag, quiet=quiet)


def starmap(
    func: Callable[..., Any],
    args: Iterable[tuple[Any, ...]] | None = None,
    kwargs: Iterable[dict[str, Any]] | None = None,
    map_options: MapOptions | None = None,
    tag: str | None = None,
    quiet: bool = False,
) -> Map:
    """Map a function over aligned tuples of arguments and dicts of keyword arguments; otherwise as ``map`` does.

    Where one of the two ends before the other, the calls that are left have no arguments of its kind.
    """
    calls = itertools.zip_longest(() if args is None else args, () if kwargs is None else kwargs)
    filled = ((() if a is None else a, {} if k is None else k) for a, k in calls)
    return _create(func, filled, map_options, tag, quiet=quiet)


def build_map(func: Callable[..., Any], map_options: MapOptions | None = None, tag: str | None = None) -> MapBuilder:
    """Return a builder, which gathers calls and makes a map of them."""
    return MapBuilder(func, map_options, tag)


class MapBuilder:
    """Gathers calls in a ``with`` block, and makes a map of them at its end; not if the block raises.

    Parameters
    ----------
    func : callable
    map_options : MapOptions, optional
    tag : str, optional
    """

    def __init__(self, func: Callable[..., Any], map_options: MapOptions | None = None, tag: str | None = None) -> None:
        self.func = func
        self.map_options = _checked(map_options)
        self.tag = tag
        self._calls: list[Call] = []
        self._map: Map | None = None

    def __repr__(self) -> str:
        return f"MapBuilder(func = {self.func}, map_options = {self.map_options or {}})"

    def __call__(self, /, *args: Any, **kwargs: Any) -> None:
        """Add a call."""
        self._calls.append((args, kwargs))

    def __len__(self) -> int:
        return len(self._calls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._map = _create(self.func, self._calls, self.map_options, self.tag, quiet=False)

    @property
    def map(self) -> Map:
        """The map; raises NoMapYet before the block has ended."""
        if self._map is None:
            raise NoMapYet("there is no map yet: it is made at the end of the with block")
        return self._map


@overload
def mapped(map_options: Callable[..., Any]) -> MappedFunction: ...
@overload
def mapped(map_options: MapOptions | None = None) -> Callable[[Callable[..., Any]], MappedFunction]: ...
def mapped(map_options: MapOptions | Callable[..., Any] | None = None) -> Any:
    """Turn a function into a MappedFunction; a decorator, to be used as ``@mapped`` or ``@mapped(map_options=...)``."""
    if callable(map_options):
        return MappedFunction(map_options)
    return lambda func: MappedFunction(func, map_options)


class MappedFunction(Wrapper):
    """A function that can be called as it is, and mapped; maps inherit its options.

    Parameters
    ----------
    func : callable
    map_options : MapOptions, optional
    """

    def __init__(self, func: Callable[..., Any], map_options: MapOptions | None = None) -> None:
        self.func = func
        options = _checked(map_options)
        self.map_options = MapOptions() if options is None else options
        functools.update_wrapper(self, func)

    def __repr__(self) -> str:
        return f"MappedFunction(func = {self.func}, map_options = {self.map_options})"

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        return self.func(*args, **kwargs)

    def map(self, args: Iterable[Any], tag: str | None = None, map_options: MapOptions | None = None) -> Map:
        """Do as ``htrun.map`` does."""
        return map(self, args, map_options, tag)

    def starmap(
        self,
        args: Iterable[tuple[Any, ...]] | None = None,
        kwargs: Iterable[dict[str, Any]] | None = None,
        tag: str | None = None,
        map_options: MapOptions | None = None,
    ) -> Map:
        """Do as ``htrun.starmap`` does."""
        return starmap(self, args, kwargs, map_options, tag)

    def build_map(self, tag: str | None = None, map_options: MapOptions | None = None) -> MapBuilder:
        """Do as ``htrun.build_map`` does."""
        return build_map(self, map_options, tag)


def _create(
    func: Callable[..., Any], calls: Iterable[Call], map_options: MapOptions | None, tag: str | None, *, quiet: bool
) -> Map:
    config = load()
    start_logging(config)
    engine, _ = usual_engine(config)
    reason = engine.why_not()
    if reason is not None:
        raise EngineError(f"engine {engine.name}: {reason}")
    delivery, _ = choose_delivery(None, engine, config)
    import_packages(delivery, None, config, _logger.info)
    options = _checked(map_options)
    given = [] if options is None else [options]
    function = Function(func.func if isinstance(func, MappedFunction) else func)
    request = MapRequest(
        target=function,
        engine=engine,
        delivery=delivery,
        results=config.directory / "maps",
        tag=tag,
        named=False,
        map_options=MapOptions.merge(*given, *inherited_options(func)),
    )
    check_request(request, config)
    files = FileTable(must_exist=False)  # a component is held for lack of a file, and released when it is there
    input_files = InputFiles(asked_options(request, config), files, Path.cwd())

    def encoded() -> Iterator[bytes]:
        component = -1
        for component, (args, kwargs) in enumerate(calls):
            try:
                call = function.encode(tuple(args), kwargs, files, input_files.names(component))
            except UsageError as error:
                raise UsageError(f"component {component}: {error}") from error
            yield call
        if component < 0:
            raise EmptyMap("there are no inputs, so there is nothing to map over")

    map_ = Map.of(create_map(request, encoded(), files, config))
    if not quiet and _is_interactive():
        print(f"Created map {map_.tag} with {len(map_)} components")  # noqa: T201 (as HTMap does)
    return map_


def _checked(map_options: MapOptions | None) -> MapOptions | None:
    if map_options is None or isinstance(map_options, MapOptions):
        return map_options
    kind = type(map_options).__name__
    hint = ": give MapOptions(**options)" if isinstance(map_options, dict) else ""
    raise UsageError(f"map_options are an object of MapOptions, not of type {kind}{hint}")


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or hasattr(builtins, "__IPYTHON__")
