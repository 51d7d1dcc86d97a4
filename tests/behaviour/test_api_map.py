"""The map in Python: a sequence of outputs, waiting, iterators, states, errors, what components have printed."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import htrun
from htrun.exceptions import (
    ExpectedError,
    MapComponentError,
    MapComponentHeld,
    OutputNotFound,
    TimeoutError,
)
from tests.behaviour.gates import Gates

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

NOTHING: list[Any] = [0, timedelta(), 0.1, timedelta(milliseconds=100)]


def double(x: int) -> int:
    """Print something to both streams, and leave a file."""
    import sys

    print("out", x)
    print("err", x, file=sys.stderr)
    return 2 * x


def test_a_map_is_a_sequence_of_its_outputs(api: Shell) -> None:
    """Length, membership, indices from both ends, slices, iteration, ``count`` and ``index`` are those of a list."""
    m = htrun.map(double, range(4))
    assert m.is_transient
    m.wait(timeout=60)
    assert len(m) == 4
    assert m.components == (0, 1, 2, 3)
    assert list(m) == [0, 2, 4, 6]
    assert list(reversed(m)) == [6, 4, 2, 0]
    assert 4 in m
    assert 5 not in m
    assert (m[0], m[-1], m[-4], m[1:3], m[::-1], m[9:]) == (0, 6, 0, [2, 4], [6, 4, 2, 0], [])
    assert (m.count(2), m.index(6)) == (1, 3)
    for index in (4, -5):
        for sequence in (m, m.stdout, m.stderr, m.output_files):
            with pytest.raises(IndexError):
                sequence[index]
    for get in (m.get, m.get_err, m.stdout.get):
        with pytest.raises(IndexError):
            get(4)
    with pytest.raises(ValueError):
        m.index(5)
    assert m.is_done
    assert not m.is_active
    assert [m.stdout[0], m.stdout[-1], m.stderr.get(1, timeout=1)] == ["out 0\n", "out 3\n", "err 1\n"]
    assert m.stdout[1:3] == ["out 1\n", "out 2\n"]
    assert (len(m.stderr), list(m.stderr)) == (4, [f"err {x}\n" for x in range(4)])
    assert "out 2\n" in m.stdout
    assert repr(m) == f"Map(tag = {m.tag})"
    assert list(m.iter_inputs()) == [((x,), {}) for x in range(4)]
    assert list(m.iter_with_inputs()) == [(((x,), {}), 2 * x) for x in range(4)]
    assert sorted(m.iter_as_available()) == [0, 2, 4, 6]
    assert sorted(m.iter_as_available_with_inputs()) == [(((x,), {}), 2 * x) for x in range(4)]
    with pytest.raises(ExpectedError):
        m.get_err(0)
    assert m.errors == {}
    assert list(m.error_reports()) == []
    assert m.holds == {}
    assert [seconds >= timedelta() for seconds in m.runtime] == [True] * 4
    assert all(isinstance(megabytes, int) and megabytes > 0 for megabytes in m.memory_usage)
    assert m.local_data > 1000
    assert m.status() == f"Map {m.tag} (4 components): HELD = 0 | ERRORED = 0 | IDLE = 0 | RUNNING = 0 | COMPLETED = 4"


def test_nothing_is_there_before_its_time(api: Shell, capfd: pytest.CaptureFixture[str]) -> None:
    """Without waiting, or after too long a wait, there are errors for what is not there, and what is there is given."""
    gates = Gates(api)
    m = gates.map
    gates.let_go(0)
    assert m.get(0, timeout=60) == 0
    for timeout in NOTHING:
        for ask in (m.wait, lambda timeout: m.get(1, timeout), lambda timeout: m.stdout.get(1, timeout)):
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                ask(timeout)
            assert time.monotonic() - started < 5
        for iterate in (m.iter, m.iter_with_inputs):
            iterator = iterate(timeout=timeout)
            next(iterator)
            with pytest.raises(TimeoutError):
                next(iterator)
        outputs = m.iter_as_available(timeout=timeout)
        assert next(outputs) == 0
        with pytest.raises(TimeoutError):
            next(outputs)
        pairs = m.iter_as_available_with_inputs(timeout=timeout)
        assert next(pairs) == (((str(api.home), 0), {}), 0)
        with pytest.raises(TimeoutError):
            next(pairs)
    for sequence in (m, m.stdout, m.stderr, m.output_files):
        with pytest.raises(OutputNotFound):
            sequence[1]
    with pytest.raises(FileNotFoundError):
        m.stdout[1]
    with pytest.raises(TimeoutError):
        m.get_err(1, timeout=0.1)
    assert (m[0], m.stdout[0], m.get(0, timeout=0)) == (0, "printed by 0\n", 0)
    assert not m.is_done
    assert m.is_active
    with pytest.raises(TimeoutError):
        m.wait(0.1, show_progress_bar=True)
    assert "1/3" in capfd.readouterr().err
    gates.wait_for(1)
    groups = m.components_by_status()
    assert groups[htrun.ComponentStatus.COMPLETED] == (0,)
    assert 1 in groups[htrun.JobStatus.RUNNING]
    assert groups[htrun.ComponentStatus.REMOVED] == ()
    gates.check()


def test_errors_while_others_run(api: Shell) -> None:
    """A failed component has its error and its report at once, and ``wait`` and ``get`` raise it."""
    gates = Gates(api)
    m = gates.map
    gates.fail(0)
    gates.let_go(0)
    with pytest.raises(MapComponentError, match="failure of 0"):
        m.wait(timeout=60)
    assert list(m.errors) == [0]
    (report,) = m.error_reports()
    for part in ("failure of 0", "ValueError", "component 0 of map t", "gated", "number = 0"):
        assert part in report
    error = m.get_err(0)
    assert (error.map, error.component, error.exception_msg) == (m, 0, "ValueError: failure of 0")
    assert isinstance(error, htrun.ComponentError)
    assert error.report() == report
    assert error.stack_summary[-1].name == "gated"
    assert error.python_info[0]
    assert error.node_info[0]
    assert error.scratch_dir_contents == []
    for ask in (lambda: m.get(0), lambda: m[0], lambda: list(m.iter_as_available(timeout=60))):
        with pytest.raises(MapComponentError, match="failure of 0"):
            ask()
    assert m.stdout[0] == "printed by 0\n"
    with pytest.raises(TimeoutError):
        m.wait(timeout=0.3, errors_ok=True)
    gates.let_go()
    m.wait(timeout=60, errors_ok=True)
    assert gates.statuses == ["ERRORED", "COMPLETED", "COMPLETED"]
    assert not m.is_active
    assert not m.is_done
    assert (m[1], m[2]) == (10, 20)


DEATHS: dict[str, tuple[Callable[[int], Any], str]] = {
    "signal": (lambda _: os.kill(os.getpid(), signal.SIGTERM), "SIGTERM"),
    "kill": (lambda _: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"),
    "exit": (lambda _: os._exit(7), "7"),
    "exit 0": (lambda _: os._exit(0), "0"),
    "abort": (lambda _: os.abort(), "SIGABRT"),
    "sys.exit": (lambda _: exit("enough"), "enough"),
}


def test_however_a_component_dies_its_report_says_how(api: Shell) -> None:
    """A component that ends its process by a signal or an exit has an error report that names it."""
    functions = [function for function, _ in DEATHS.values()]
    m = htrun.map(lambda which: functions[which](which), range(len(DEATHS)))
    m.wait(timeout=120, errors_ok=True)
    reports = dict(enumerate(m.error_reports()))
    assert len(reports) == len(DEATHS)
    for number, (name, (_, word)) in enumerate(DEATHS.items()):
        assert word in reports[number], name
        assert word in m.get_err(number).exception_msg, name


def test_outputs_of_any_kind_come_back(api: Shell) -> None:
    """None, large ones, types of Python's own, files and what cannot be JSON are what they were."""

    def make(kind: str) -> Any:
        import datetime
        import decimal

        kinds: dict[str, Any] = {
            "none": None,
            "big": b"\xff" * 3_000_000,
            "text": "ä" * 2_000_000,
            "tuple": (1, {2, 3}, {(4, 5): 6j}),
            "number": decimal.Decimal("0.1"),
            "time": datetime.timedelta(1),
            "function": lambda: 42,
            "nan": float("inf"),
        }
        return kinds[kind]

    names = ["none", "big", "text", "tuple", "number", "time", "nan"]
    m = htrun.map(make, [*names, "function"])
    m.wait(timeout=120)
    assert m[:-1] == [make(name) for name in names]
    assert m[-1]() == 42
    assert None in m


def test_output_files(api: Shell) -> None:
    """Each component has a directory of its own for its output files, once it has ended."""
    gates = Gates(api, number=2)
    with pytest.raises(FileNotFoundError):
        gates.map.output_files[1]
    gates.let_go(0)
    gates.let_go(1)
    first, second = gates.map.output_files
    assert (first.name, second.name) == ("0", "1")
    assert first.parent == second.parent == gates.map.path / "files"
    assert gates.map.output_files.get(1, timeout=1) == second


def test_a_hold_ends_waiting(api: Shell) -> None:
    """``wait``, ``get`` and the iterators raise at a held component; with ``holds_ok`` waiting ends with the others."""
    gates = Gates(api)
    m = gates.map
    gates.let_go(0)
    assert m.get(0, timeout=60) == 0
    m.hold()
    asks: list[Callable[[], Any]] = [
        lambda: m.wait(60),
        lambda: m.get(1),
        lambda: m[1],
        lambda: m.get_err(1),
        lambda: m.stdout.get(1),
        lambda: list(m.iter(60)),
        lambda: list(m.iter_as_available(60)),
    ]
    gates.wait_status("HELD", 1, 2)
    for ask in asks:
        with pytest.raises(MapComponentHeld, match="is held"):
            ask()
    m.wait(timeout=60, holds_ok=True)
    assert gates.statuses == ["COMPLETED", "HELD", "HELD"]
    assert list(m.holds) == [1, 2]
    hold = m.holds[1]
    assert isinstance(hold, htrun.ComponentHold)
    assert hold.code == 1
    assert hold.reason in m.hold_report()
    assert "Hold Reason" in m.hold_report()
    assert m.is_active
    m.release()
    gates.check()
    assert m.holds == {}


def test_waiting_ends_when_nothing_can_move(api: Shell) -> None:
    """Waiting, in Python and by command, ends with components that are completed, errored and held."""
    gates = Gates(api)
    gates.fail(1)
    gates.let_go(0, 1)
    gates.wait_status("COMPLETED", 0)
    gates.wait_status("ERRORED", 1)
    gates.map.hold()
    gates.map.wait(timeout=60, holds_ok=True, errors_ok=True)
    assert gates.statuses == ["COMPLETED", "ERRORED", "HELD"]
    with pytest.raises(MapComponentHeld):
        gates.map.wait(timeout=60, errors_ok=True)
    with pytest.raises(MapComponentError):
        gates.map.wait(timeout=60, holds_ok=True)
    assert "1 errored, 1 held, 1 completed" in api("wait", "t", code=1).stderr
