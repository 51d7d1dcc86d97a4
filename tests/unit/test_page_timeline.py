"""How a report tells what a map did over time."""

from __future__ import annotations

import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.page.timeline import BINS, _add_load, _past_holds, _Scale
from htrun.state import EventKind, JobEvent

PLACES = st.floats(min_value=0, max_value=BINS)


@given(st.lists(st.tuples(PLACES, PLACES).map(sorted), max_size=10))
def test_load_adds_up(spans: list[list[float]]) -> None:
    """What has run is in the bins in which it ran, and all of it."""
    load = array.array("d", bytes(8 * BINS))
    for start, stop in spans:
        _add_load(load, start, stop)
    assert sum(load) == pytest.approx(sum(stop - start for start, stop in spans))
    for number, some in enumerate(load):
        there = sum(max(0.0, min(stop, number + 1) - max(start, number)) for start, stop in spans)
        assert some == pytest.approx(there, abs=1e-9)


def test_moments_in_bins() -> None:
    """A moment is over at the end of the bin that it is in; what is outside counts as the nearest that is not."""
    scale = _Scale(1000.0, 1000.0 + 2 * BINS)
    assert [scale.after(moment) for moment in (0.0, 1000.0, 1001.0, 1002.0, 1003.0, 9999.0)] == [
        0,
        0,
        0,
        0,
        1,
        BINS - 1,
    ]
    assert [scale.bin(moment) for moment in (0.0, 1001.0, 1002.0, 9999.0)] == [0, 0, 1, BINS - 1]


def test_holds_that_are_over() -> None:
    """A job that was held is told with its components, from its first hold to whatever came then."""
    events = [
        JobEvent(0, EventKind.SUBMIT, 1.0, components=((0, 5), (7, 9))),
        JobEvent(0, EventKind.HELD, 2.0, reason="a"),
        JobEvent(1, EventKind.HELD, 3.0, reason="it still is"),
        JobEvent(0, EventKind.IMAGE_SIZE, 3.5),
        JobEvent(0, EventKind.RELEASED, 4.0),
        JobEvent(0, EventKind.EXECUTE, 5.0),
    ]
    assert list(_past_holds(events)) == [(2.0, 4.0, 7)]
