"""The outputs of a map as the calls of another one."""

from __future__ import annotations

import base64
import io
import os
import pickle
from functools import partial
from itertools import groupby
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from htrun import words
from htrun.binding import Binding
from htrun.control import MapControl
from htrun.encoder import Encoder, dumps
from htrun.exceptions import InvalidOutputStatus, TagNotFound, UsageError
from htrun.inputs import jsonl_calls
from htrun.runner import pythons
from htrun.runner.values import is_exact
from htrun.state import ComponentStatus
from htrun.transfers import shown
from htrun.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from htrun.encoder import InputsOptions
    from htrun.records import Record
    from htrun.settings import Config
    from htrun.transfers import FileTable

COMPLETED = "completed"
"""What follows the tag where components without a result are to be left out."""


def read_outputs(
    source: str,
    function: Callable[..., Any],
    options: InputsOptions,
    files: FileTable,
    settings: Config,
) -> Iterator[bytes]:
    """Do as ``inputs.read`` does, with what the components of a map have returned as the calls, in their order.

    An output that JSON holds exactly is the call that it would be as a line of JSONL. Others travel on as the pickles
    that they are, and are not loaded here: a dict is keyword arguments, a list or a tuple positional ones, anything
    else one argument. A file that an output names is one that its component has handed over.

    Parameters
    ----------
    source : str
        ``@TAG``, of a map whose components have all completed, or ``@TAG:completed``.
    function, options, files
        As ``inputs.read`` has them.
    settings : Config

    Raises
    ------
    TagNotFound
    UsageError
        At once, if the map still runs, or has components without a result that are not to be left out.
    """
    tag, colon, part = source.removeprefix("@").partition(":")
    if colon and part != COMPLETED:
        raise UsageError(f"--args {source}: say @TAG for all outputs of a map, or @TAG:{COMPLETED}")
    try:
        map_ = MapControl.load(tag, settings)
    except TagNotFound as error:
        if Path(source).exists():
            raise UsageError(f"--args {source}: {error}; for the file of this name, say ./{source}") from None
        raise
    map_.refresh()
    if map_.is_active:
        raise UsageError(f"the map {tag!r} still runs: 'htrun wait {tag}' waits for its outputs")
    completed = list(map_.components_with(ComponentStatus.COMPLETED))
    if len(completed) < len(map_) and not colon:
        counts = map_.counts().items()
        others = [f"{number:,} {status}" for status, number in counts if number and status != ComponentStatus.COMPLETED]
        raise UsageError(
            f"the map {tag!r} has {words.count(len(map_) - len(completed), 'component')} without an output "
            f"({', '.join(others)}): --args @{tag}:{COMPLETED} takes the outputs that there are"
        )
    binding = Binding(function, options.transfer, detect=options.detect)
    encoder = Encoder(f"@{tag}", binding, files, map_.path, options, unit="component")
    return encoder.checked(_calls(map_, completed, encoder))


def _calls(map_: MapControl, components: list[int], encoder: Encoder) -> Iterator[bytes]:
    def outputs() -> Iterator[tuple[int, Record]]:
        for component, record in zip(components, map_.records.walk(components), strict=True):
            if record is None:
                raise InvalidOutputStatus(f"the record of component {component} of {map_.tag!r} cannot be read")
            handed_over = map_.directory.output_files / str(component)
            encoder.locate = partial(_locate, handed_over)
            yield component, record

    def json_lines(of_kind: Iterable[tuple[int, Record]]) -> Iterator[tuple[int, bytes]]:
        for component, record in of_kind:
            yield component, record.output_json() or dumps(record.value())  # the latter to say what is wrong with it

    with map_.guard():
        for is_pickled, of_kind in groupby(outputs(), key=lambda output: output[1].is_pickled):
            if is_pickled:
                for component, record in of_kind:
                    yield from _pickled_call(component, record, encoder)
            else:
                yield from jsonl_calls(json_lines(of_kind), encoder)


def _locate(directory: Path, name: str) -> str:
    """Return the path of a file that a component has handed over, and of no other: the machine that ran it says which.

    Nor do links lead out of there, which are brought along as what they lead to.
    """
    path = os.path.join(directory, name)
    if is_url(name):
        return path
    try:
        known = Path(path).exists() and all(map(partial(_is_within, directory.resolve()), _with_all_in_it(path)))
    except ValueError:  # no file can have this name
        known = False
    if not known:
        raise UsageError(f"the component has not handed over a file of this name: {shown(name)}")
    return path


def _with_all_in_it(path: str) -> Iterator[str]:
    yield path
    for directory, directories, files in os.walk(path):
        yield from (os.path.join(directory, name) for name in (*directories, *files))


def _is_within(directory: Path, path: str) -> bool:
    return Path(path).resolve().is_relative_to(directory)


# Pickled outputs


class _Unknown:
    """Stands for an object of any class, while a pickle is looked through of which nothing is to be executed."""

    def __new__(cls, *_: object, **__: object) -> _Unknown:  # noqa: PYI034 (whatever it is called on)
        return object.__new__(_Unknown)

    def __call__(self, *_: object, **__: object) -> _Unknown:
        return self

    __setstate__ = __setitem__ = append = extend = add = __call__


class _Outline(pickle.Unpickler):
    """Loads a pickle without importing or calling anything: of its objects only built-in ones and paths are known."""

    makes_code = False

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "pathlib" and name in ("PosixPath", "PurePosixPath"):
            return PurePath
        self.makes_code |= module == "cloudpickle.cloudpickle"
        return _Unknown


def _pickled_call(component: int, record: Record, encoder: Encoder) -> Iterator[bytes]:
    """Yield the call that a pickled output is, unless something is wrong with it, which is reported."""
    pickled = record.pickled()
    assert pickled is not None, "it is pickled"
    outline = _Outline(io.BytesIO(pickled))
    try:
        value = outline.load()
    except Exception as error:  # noqa: BLE001 (as pickle says of itself)
        encoder.report(component, f"its output cannot be read: {type(error).__name__}: {error}")
        return
    python = record.data.get("python")
    if outline.makes_code and pythons.differs(python):
        encoder.report(component, f"its output has byte code of Python {python}, which no other Python runs")
        return
    by_name = type(value) is dict and all(type(key) is str for key in value)
    arguments = value if by_name else list(value) if type(value) in (list, tuple) else [value]
    binding = encoder.binding
    if by_name:
        problems = binding.keyword_problems(tuple(name for name in arguments if name not in encoder.not_passed))
    else:
        problems = binding.position_problems(len(arguments))
    for problem in problems:
        encoder.report(component, problem)
    if problems:
        return
    line = _with_names(arguments) if binding.has_converters else None
    if line is not None:
        yield from jsonl_calls([(component, line)], encoder)
        return
    if encoder.columns is not None and (not encoder.take_options(component, dict(arguments) if by_name else [])):
        return
    if by_name and encoder.not_passed:
        encoder.report(component, "its output has no JSON form, so that no option can be taken out of it")
        return
    yield dumps(base64.b64encode(_embed(pickled, value, by_name=by_name)).decode("ascii"))


def _with_names(arguments: Any) -> bytes | None:
    """Return arguments as a line of JSON, if nothing but paths keeps JSON from holding them, which are files there."""
    try:
        named = _named(arguments)
        return dumps(named) if is_exact(named) else None
    except (RecursionError, ValueError):  # nested too deeply, a cycle, or an integer of too many digits
        return None


def _named(value: Any) -> Any:
    """Return a value with the texts of paths in their places."""
    if isinstance(value, PurePath):
        return str(value)
    if type(value) is list:
        return [_named(item) for item in value]
    return {key: _named(item) for key, item in value.items()} if type(value) is dict else value


def _embed(pickled: bytes, value: Any, *, by_name: bool) -> bytes:
    """Return the pickle of ``(args, kwargs)`` around one of an output, which stays as it is.

    A pickle is a program for a stack machine, whose last instruction, STOP, takes the value from the stack. In its
    place, so that frames keep their lengths, comes an instruction that goes on with the value.
    """
    begin, body = pickled[:2], pickled[2:-1]  # the first of which is the protocol
    if by_name:
        return begin + pickle.EMPTY_LIST + body + pickle.TUPLE2 + pickle.STOP
    if type(value) in (list, tuple):
        return begin + body + pickle.EMPTY_DICT + pickle.TUPLE2 + pickle.STOP
    return begin + pickle.EMPTY_LIST + body + pickle.APPEND + pickle.EMPTY_DICT + pickle.TUPLE2 + pickle.STOP
