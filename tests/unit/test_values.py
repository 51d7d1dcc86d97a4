"""Outputs on the wire: JSON where it gives back the same value, pickle otherwise, with a form to export."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.runner import values

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ANYTHING = st.recursive(
    PLAIN | st.floats() | st.binary() | st.datetimes() | st.decimals() | st.complex_numbers() | st.uuids(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | st.text())
        | st.dictionaries(st.integers() | st.text() | st.booleans() | st.none(), inner)
    ),
)


def same(a: Any, b: Any) -> bool:
    """Tell whether two values agree in their types as well, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(map(repr, a)) == list(map(repr, b)) and all(map(same, a.values(), b.values()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b) if isinstance(a, float | complex) else bool(a == b)


@given(PLAIN)
def test_plain_values_travel_as_json(value: Any) -> None:
    """What JSON can hold is not pickled, and comes back as it was."""
    encoded = values.encode(value)
    assert encoded.pickle is None
    assert encoded.json is not None
    assert "\n" not in encoded.json
    assert same(json.loads(encoded.json.encode("utf-8")), value)


@given(ANYTHING)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    """Whatever the value is, one of its forms on the wire gives it back, types included; its JSON is strict."""
    encoded = values.encode(value)
    if encoded.pickle is not None:
        back = pickle.loads(encoded.pickle)
        assert "nan" in repr(value).lower() or same(back, value)
    else:
        assert encoded.json is not None
        assert same(json.loads(encoded.json), value)
    if encoded.json is not None:

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        json.loads(encoded.json, parse_constant=refuse)


@dataclasses.dataclass
class Point:
    """Holds two numbers."""

    x: float
    y: Any


@pytest.mark.parametrize(
    ("value", "exported", "nonfinite"),
    [
        ((1, 2), [1, 2], 0),
        (math.nan, None, 1),
        ([1.5, -math.inf, {"a": math.nan}], [1.5, None, {"a": None}], 2),
        ({1: "a", None: "b", False: "c", (1, 2): "d"}, {"1": "a", "null": "b", "false": "c", "(1, 2)": "d"}, 0),
        (Point(1.0, {2, 1}), {"x": 1.0, "y": [1, 2]}, 0),
        (b"\x00\xff", "AP8=", 0),
    ],
)
def test_the_form_that_is_exported(value: Any, exported: Any, nonfinite: int) -> None:
    """What is pickled has a form in strict JSON as well, in which NaN and infinities are null and counted."""
    encoded = values.encode(value)
    assert encoded.pickle is not None
    assert json.loads(str(encoded.json)) == exported
    assert encoded.nonfinite == nonfinite


def test_what_has_no_json_form_says_why() -> None:
    """A value without a JSON form says which part of it, and has its repr."""
    encoded = values.encode({"a": [Point(1.0, (1).__add__)]})
    assert encoded.json is None
    assert encoded.reason is not None
    assert "the output['a'][0].y" in encoded.reason
    assert encoded.repr is not None
    assert encoded.repr.startswith("{'a': [Point(")


def test_keys_that_would_become_the_same_text() -> None:
    """A dict of which JSON could hold a part only has no JSON form: nothing is lost in silence."""
    encoded = values.encode({1: "a", "1": "b"})
    assert encoded.json is None
    assert encoded.reason == "the output has two keys that are both '1' in JSON"


def test_what_cannot_be_pickled_is_an_error() -> None:
    """A value that cannot be pickled either is an error that names its type."""
    with pytest.raises(TypeError, match=r"the return value, of type _thread\.lock, cannot be pickled"):
        values.encode(threading.Lock())


def test_a_value_that_contains_itself() -> None:
    """A list that contains itself is pickled, and has no JSON form."""
    value: list[Any] = []
    value.append(value)
    encoded = values.encode(value)
    assert encoded.pickle is not None
    assert encoded.json is None
