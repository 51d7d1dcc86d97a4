"""Parameter scans: what their texts mean, and what is said of those that mean nothing."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.exceptions import UsageError
from htrun.scans import lines, parse


def calls(*texts: str, paired: bool = False) -> list[dict[str, Any]]:
    """Return the calls of a scan."""
    return [json.loads(line) for line in lines(parse(texts), paired=paired)]


def values(text: str) -> list[Any]:
    """Return the values of the only parameter of a scan."""
    return [value for call in calls(f"x={text}") for value in call.values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1:4", [1, 2, 3, 4], id="both ends are included"),
        pytest.param("1:10:4", [1, 5, 9], id="the end is not passed"),
        pytest.param("3:1:-1", [3, 2, 1], id="downwards"),
        pytest.param("5:5", [5], id="a range of one"),
        pytest.param("-2:0", [-2, -1, 0], id="negative"),
        pytest.param("0:0.3:0.1", [0.0, 0.1, 0.2, 0.3], id="decimals"),
        pytest.param("1e-3:3e-3:1e-3", [0.001, 0.002, 0.003], id="powers"),
        pytest.param("1.0:3", [1.0, 2.0, 3.0], id="one decimal makes all of them"),
        pytest.param(
            "12345678901234567890:12345678901234567891", [12345678901234567890, 12345678901234567891], id="big"
        ),
        pytest.param("[a,b]", ["a", "b"], id="words"),
        pytest.param("[ a b , c ]", ["a b", "c"], id="spaces around and in words"),
        pytest.param('["a,b","]",""]', ["a,b", "]", ""], id="text in quotes"),
        pytest.param("[1,1.0,true,null,1e5,-0.5]", [1, 1.0, True, None, 1e5, -0.5], id="as JSON reads them"),
        pytest.param("[1:3,10,x,20:30:5]", [1, 2, 3, 10, "x", 20, 25, 30], id="ranges in a list"),
        pytest.param('[[1,2],{"a":[3]}]', [[1, 2], {"a": [3]}], id="arrays and objects"),
        pytest.param('{"a": "b,c"}', [{"a": "b,c"}], id="an object alone"),
        pytest.param("fast", ["fast"], id="a constant"),
        pytest.param(
            "[https://host/a,2024-01-01,10k,ä]", ["https://host/a", "2024-01-01", "10k", "ä"], id="more words"
        ),
    ],
)
def test_values(text: str, expected: list[Any]) -> None:
    """Ranges, lists and constants give the values that they say, of JSON's types."""
    assert [(type(v), v) for v in values(text)] == [(type(v), v) for v in expected]


def test_all_combinations_are_called() -> None:
    """The last parameter changes first, wherever it was given."""
    expected = [{"x": x, "y": y, "z": 5} for x, y in itertools.product((1, 2), "ab")]
    assert calls("x=1:2,y=[a,b],z=5") == calls("x=1:2", " y = [ a , b ] , z = 5") == expected


def test_values_can_be_paired() -> None:
    """Pairs go with what is constant; without anything else there is one call."""
    assert calls("x=1:2,y=[a,b],z=5", paired=True) == [{"x": 1, "y": "a", "z": 5}, {"x": 2, "y": "b", "z": 5}]
    assert calls("z=5", paired=True) == [{"z": 5}]
    with pytest.raises(UsageError, match="x has 3, y has 1"):
        calls("x=1:3,y=[a],z=5", paired=True)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "NAME=VALUES is expected here"),
        ("x", 1, "NAME=VALUES is expected here"),
        ("x=1,", 5, "NAME=VALUES is expected here"),
        ("x=", 3, "a value is missing"),
        ("x=[1,", 6, "a value is missing"),
        ("x=[]", 3, "x has no values"),
        ("x=[1", 3, "this [ is never closed"),
        ("x=1:", 3, "a number is missing"),
        ("x=1:1o", 5, "'1o' in the range 1:1o is no number"),
        ("x=1:.5", 5, "say 0.5"),
        ("x=1:2:3:4", 3, "START:STOP or START:STOP:STEP"),
        ("x=10:1", 3, "is empty; did you mean 10:1:-1?"),
        ("x=1:10:-2", 3, "is empty; did you mean 1:10:2?"),
        ("x=1:2:0", 3, "is 0"),
        ("x=[a,.5]", 6, "say 0.5"),
        ("x=007", 3, "say 7"),
        ("x=None", 3, "say null"),
        ("x=True", 3, "say true"),
        ("x=-inf", 3, "say -Infinity"),
        ("x='a'", 3, "text takes double quotes"),
        ('x="a', 3, "unterminated string"),
        ("x={a:1}", 4, "has to be JSON"),
        ("x=[[a]]", 5, "has to be JSON"),
        ("x=1 y=2", 6, "a comma before the next NAME=VALUES is missing"),
        ("x=[1:3]z", 8, "expected here: a comma"),
        ("x=a]", 4, "expected here: a comma"),
        ("x=a[b", 4, "takes double quotes"),
        ("x=1,x=2", 5, "x is there twice"),
        ("x=1:1e9999", 5, "out of reach"),
        ("x=12:30:aa", 9, "text with a colon takes double quotes"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, column: int, message: str) -> None:
    """An error has the column in the text, and what to write instead."""
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        calls(text)
    assert str(caught.value).startswith(f"--scan: column {column} of ")


@given(st.integers(-1000, 1000), st.integers(0, 50), st.integers(1, 1000), st.integers(1, 12))
def test_no_error_adds_up(start: int, steps: int, step: int, digits: int) -> None:
    """Each value of a range is the float that is nearest to the decimal, and the last one is the end."""

    def spell(number: int) -> str:
        text = str(abs(number)).zfill(digits + 1)
        return f"{'-' if number < 0 else ''}{text[:-digits]}.{text[-digits:]}"

    wanted = [start + i * step for i in range(steps + 1)]
    assert values(f"{spell(start)}:{spell(wanted[-1])}:{spell(step)}") == [float(spell(n)) for n in wanted]


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
        ),
        min_size=1,
    )
)
def test_json_is_taken_as_it_is(expected: list[Any]) -> None:
    """Any JSON can be in a list."""
    assert values(json.dumps(expected)) == expected


def test_ranges_are_not_spelt_out() -> None:
    """Nothing is in memory but the call at hand."""
    first = next(lines(parse(["x=1:1000000000000,y=0:1:1e-12"])))
    assert json.loads(first) == {"x": 1, "y": 0.0}
