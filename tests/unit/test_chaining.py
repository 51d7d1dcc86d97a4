"""Pickled outputs as calls: which arguments they are, and that nothing of them is executed on the way."""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.binding import Binding
from htrun.chaining import _Outline, _pickled_call
from htrun.encoder import Encoder, InputsOptions
from htrun.exceptions import BadInputs
from htrun.records import Record
from htrun.runner.calls import decode_call
from htrun.runner.values import encode
from htrun.transfers import FileTable

if TYPE_CHECKING:
    from collections.abc import Callable

LOADED: list[int] = []


def take(*args: Any, **kwargs: Any) -> None:
    """Take anything."""


def take_files(*args: Any, path: Path = Path()) -> None:
    """Take a file."""


def load(number: int) -> int:
    """Note that this was called."""
    LOADED.append(number)
    return number


class Loud:
    """Notes when it is unpickled, with all that pickles can call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return load, (1,), {"state": load}, iter([1]), iter([(1, 2)])


def call(pickled: bytes, function: Callable[..., Any] = take) -> bytes:
    """Return the call that a pickled output is; raise BadInputs."""
    line = b'{"component":0,"status":"COMPLETED","pickle":"%b"}' % base64.b64encode(pickled)
    encoder = Encoder("@t", Binding(function), FileTable(), Path("/nowhere"), InputsOptions(), unit="component")
    (encoded,) = encoder.checked(_pickled_call(0, Record(line, Path()), encoder))
    return encoded


def arguments(value: Any, function: Callable[..., Any] = take, **options: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return what a function is called with of an output."""
    pickled = pickle.dumps(value, **{"protocol": 5, **options})
    return decode_call(call(pickled, function), "/scratch")


@pytest.mark.parametrize(
    ("value", "args", "kwargs"),
    [
        ((), [], {}),
        ((1, (2,)), [1, (2,)], {}),
        ([{1}, 2], [{1}, 2], {}),
        ({"x": (1,)}, [], {"x": (1,)}),
        ({1: 2}, [{1: 2}], {}),
        ({"x": 1, 2: 3}, [{"x": 1, 2: 3}], {}),
        (b"b", [b"b"], {}),
        (OrderedDict(x=1), [OrderedDict(x=1)], {}),
        (Fraction(1, 3), [Fraction(1, 3)], {}),
        ([(1,), "x" * 100_000, b"y" * 200_000, (2,)], [(1,), "x" * 100_000, b"y" * 200_000, (2,)], {}),
        ({"a": [(1,)] * 3, "b": {"c": PurePosixPath("d")}}, [], {"a": [(1,)] * 3, "b": {"c": PurePosixPath("d")}}),
    ],
    ids=repr,
)
def test_outputs_are_arguments(value: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """A dict by text is keyword arguments, a list or tuple positional ones, all else one: whichever pickler it was."""
    for protocol in (2, 4, 5):
        assert arguments(value, protocol=protocol) == (args, kwargs)
    assert decode_call(call(cloudpickle.dumps(value, protocol=5)), "/scratch") == (args, kwargs)


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(plain, lambda v: st.lists(v) | st.tuples(v, v) | st.dictionaries(plain, v) | st.frozensets(plain))


@given(values)
def test_values_stay_what_they_are(value: Any) -> None:
    """Whatever it is, the pickle within a call is loaded as the same."""
    pickled = encode(value).pickle
    if pickled is not None:
        args, kwargs = decode_call(call(pickled), "/scratch")
        by_name = type(value) is dict and all(type(key) is str for key in value)
        assert (args, kwargs) == (
            ([], value) if by_name else (list(value) if type(value) in (list, tuple) else [value], {})
        )


def test_what_is_the_same_object_stays_so() -> None:
    """References within an output survive, cycles too."""
    shared = [(1,)]
    cycle: list[Any] = [shared, shared]
    cycle.append(cycle)
    args, _ = arguments(cycle)
    assert args[0] is args[1]
    assert args[2][2] is args[2]
    assert arguments(cycle, take_files)[0][2][0] == shared


def test_nothing_is_executed() -> None:
    """What unpickling would call is not called here, and is where the function runs."""
    encoded = call(pickle.dumps((Loud(), [Loud()], {Loud(): Loud()})))
    assert LOADED == []
    with pytest.raises(Exception, match="attribute"):  # an int takes no items
        decode_call(encoded, "/scratch")
    assert LOADED == [1]


def test_paths_are_known() -> None:
    """Those of pathlib are, so that they can be files to bring along."""
    assert _Outline(io.BytesIO(pickle.dumps([Path("a/b"), PurePosixPath("c")]))).load() == [
        PurePosixPath("a/b"),
        PurePosixPath("c"),
    ]
    with pytest.raises(BadInputs, match="component 0: no such file: a"):
        call(pickle.dumps({"path": Path("a")}), take_files)


@pytest.mark.parametrize("pickled", [b"", b"nonsense", pickle.dumps((1, 2))[:-1], b"\x80\x05Pid\n.", b"\x80\x05h\x01."])
def test_what_is_damaged_is_told(pickled: bytes) -> None:
    """A pickle that is none is what is wrong with its component."""
    with pytest.raises(BadInputs, match="@t: component 0: its output cannot be read"):
        call(pickled)


def test_byte_code_of_another_python_is_refused() -> None:
    """It would crash, and is told by the component."""
    line = json.dumps({"python": "3.1.4", "pickle": base64.b64encode(cloudpickle.dumps(lambda: 1)).decode()}).encode()
    encoder = Encoder("@t", Binding(take), FileTable(), Path(), InputsOptions(), unit="component")
    with pytest.raises(BadInputs, match="component 3: its output has byte code of Python 3"):
        list(encoder.checked(_pickled_call(3, Record(line.replace(b', "pickle', b',"pickle'), Path()), encoder)))
