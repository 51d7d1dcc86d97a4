"""The geometry of the charts of a report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.page.charts import MEMORY, TIME, histogram, levels_chart, load_path, nice, seconds_text, time_ticks
from htrun.page.timeline import BINS, NodeTime, Timeline
from htrun.state import ComponentStatus


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (0.00025, "250 µs"),
        (0.25, "250 ms"),
        (1.234, "1.23 s"),
        (119.9, "120 s"),
        (150, "2.5 min"),
        (9000, "2.5 h"),
        (10**6, "11.6 d"),
    ],
)
def test_times_as_text(seconds: float, text: str) -> None:
    """A time has three digits, and the unit that fits."""
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "texts"),
    [
        (0.003, ["0", "0.5 ms", "1 ms", "1.5 ms", "2 ms", "2.5 ms"]),
        (9.0, ["0", "2 s", "4 s", "6 s", "8 s"]),
        (200.0, ["0", "1 min", "2 min", "3 min"]),
        (5 * 3600.0, ["0", "1 h", "2 h", "3 h", "4 h"]),
        (20 * 86400.0, ["0", "5 d", "10 d", "15 d"]),
    ],
)
def test_ticks_of_time(seconds: float, texts: list[str]) -> None:
    """They are as people count time, all in one unit, and none is at the very end."""
    ticks = list(time_ticks(seconds))
    assert [tick.text for tick in ticks] == texts
    assert all(0 <= tick.at <= 94 for tick in ticks)


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_nice_numbers(least: float) -> None:
    """They are not smaller than asked for, and not much larger."""
    assert least * 0.999 <= nice(least) <= 5.01 * least


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1, max_size=50), st.floats(min_value=0, max_value=1e10))
def test_each_value_is_counted_once(values: list[float], asked: float) -> None:
    """Whatever is shown, all values are in some bar, and all of it is within the chart."""
    for quantity in (TIME, MEMORY):
        chart = histogram(values, quantity, {"requested": ("requested", asked)}, 4)
        assert sum(int(row[2].replace(",", "")) for row in chart.rows) == len(values)
        assert len(chart.bars) <= 80
        for bar in chart.bars:
            assert -0.01 <= bar.x <= bar.x + bar.width <= 100.01
            assert 0 <= bar.y <= bar.y + bar.height <= chart.height + 1e-6
        assert 0 <= chart.marks[0].x <= 100
        assert chart.marks[0].is_beyond == (asked > max([*values, min(asked, 3 * max(values))]))


def test_wide_spreads_are_logarithmic() -> None:
    """Where times differ by powers of ten, these have equal distances, and the values in between are told apart."""
    chart = histogram([10.0**power for power in range(-3, 4)], TIME, {}, 0)
    assert chart.is_logarithmic
    assert [tick.text for tick in chart.x_ticks][:2] == ["1 ms", "100 ms"]
    assert len(chart.bars) == 7
    assert not histogram([1.0, 2.0, 3.0], TIME, {}, 0).is_logarithmic
    assert not histogram([0.0, 1.0, 1000.0], TIME, {}, 0).is_logarithmic, "nothing has no logarithm"


def test_levels_are_stacked() -> None:
    """The bars of a moment are on each other, from the bottom to the top, and as high as there are components."""
    levels = {
        ComponentStatus.COMPLETED: [number // 12 for number in range(BINS)],
        ComponentStatus.IDLE: [10 - number // 12 for number in range(BINS)],
    }
    chart = levels_chart(Timeline(0.0, 60.0, levels, []))
    for moment in range(0, BINS, 7):
        x = 100 * (moment + 0.5) / BINS
        there = sorted((bar for bar in chart.bars if bar.x <= x < bar.x + bar.width), key=lambda bar: -bar.y)
        assert [bar.kind for bar in there] == ["COMPLETED", "IDLE"][moment < 12 :]
        assert sum(bar.height for bar in there) == pytest.approx(chart.height)
    assert chart.columns == ["After", "Completed", "Idle"]
    assert chart.rows[-1] == ("60 s", "9", "1")
    assert chart.hovers[60].text == "after 30.5 s: 5 completed, 5 idle"


def test_the_path_of_a_load() -> None:
    """It has a step for each change, from one side to the other."""
    node = NodeTime("a")
    node.load[10] = 2.0
    assert load_path(node, 2.0) == "M0 22V22H10V0H11V22H120V22Z"
