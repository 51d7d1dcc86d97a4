"""Attempts that have failed: what is counted, and what is known of them by other processes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from htrun.policy import shown
from htrun.runner import wire
from htrun.runner.attempts import Attempts
from htrun.sickness import sick_machines

if TYPE_CHECKING:
    from pathlib import Path

ERROR = {"type": "ValueError", "message": "no\nluck " + "x" * 1000, "frames": []}


def noted(attempts: Attempts, directory: Path, component: int) -> dict[str, Any]:
    """Return what a record would say of attempts before."""
    result: dict[str, Any] = json.loads("{" + attempts.note(str(directory), component)[1:] + "}")
    return result


def test_attempts_are_counted_up_to_the_last(tmp_path: Path) -> None:
    """Each component has as many attempts as were asked for, and its own number of them."""
    attempts = Attempts(2, node="here")
    for number in (1, 2):
        assert attempts.number(7) == number
        assert attempts.are_left(7)
        attempts.fail(str(tmp_path), 7, ERROR, (0, 3), (0, 0))
    assert attempts.number(7) == 3
    assert not attempts.are_left(7)
    assert attempts.number(8) == 1
    assert attempts.note(str(tmp_path), 8) == ""
    first, second = noted(attempts, tmp_path, 7)["failures"]
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert (first["type"], first["node"], first["stdout"]) == ("ValueError", "here", [0, 3])
    assert first["message"].startswith("no luck xxx")
    assert len(first["message"]) == 200


def test_another_process_knows_of_them(tmp_path: Path) -> None:
    """What a killed process has noted counts for the next one, but not the half of a line that it has left."""
    Attempts(2).fail(str(tmp_path), 7, ERROR)
    path = tmp_path / wire.ATTEMPTS
    path.write_bytes(path.read_bytes() + b'{"component": 8, "att')
    attempts = Attempts(2)
    assert attempts.read(str(tmp_path)) == {7}
    assert attempts.read(str(tmp_path)) == set()
    attempts.fail(str(tmp_path), 8, ERROR)
    assert (attempts.number(7), attempts.number(8)) == (2, 2)
    assert attempts.have_failed(range(8, 10))
    assert not attempts.have_failed(range(9, 20))
    attempts.forget(range(10))
    assert attempts.number(7) == 1
    assert attempts.are_left(7)


def test_a_job_that_starts_again_counts_on(tmp_path: Path) -> None:
    """Starts of the job are attempts, those of its own that have failed are not counted twice."""
    Attempts(3, first=1).fail(str(tmp_path), 7, ERROR)
    attempts = Attempts(3, first=2)
    attempts.read(str(tmp_path))
    assert attempts.number(7) == 2
    attempts.fail(str(tmp_path), 7, ERROR)
    assert attempts.number(7) == 3
    attempts.resume(7)
    assert attempts.number(7) == 4


def test_what_was_printed_elsewhere_is_not_referred_to(tmp_path: Path) -> None:
    """A record speaks of what attempts have printed only where that is in the files beside it."""
    attempts = Attempts(2)
    attempts.fail(str(tmp_path), 7, ERROR, (0, 3), (0, 0))
    (other := tmp_path / "other").mkdir()
    assert "stdout" in noted(attempts, tmp_path, 7)["failures"][0]
    assert "stdout" not in noted(attempts, other, 7)["failures"][0]


def test_without_retries_nothing_is_read(tmp_path: Path) -> None:
    """A map without retries looks for no file."""
    Attempts(1).fail(str(tmp_path), 7, ERROR)
    attempts = Attempts(0)
    assert attempts.read(str(tmp_path)) == set()
    assert not attempts.are_left(7)


@pytest.mark.parametrize(
    ("failed_on", "status", "ended_on", "sick"),
    [
        (["a"], "COMPLETED", "b", ["a"]),
        (["a", "a"], "COMPLETED", "b", ["a"]),
        (["a"], "COMPLETED", "a", []),
        (["a", "b"], "COMPLETED", "c", []),
        (["a"], "ERRORED", "b", []),
        ([], "COMPLETED", "b", []),
    ],
)
def test_which_machine_is_to_blame(failed_on: list[str], status: str, ended_on: str, sick: list[str]) -> None:
    """It is one where a component has failed, and that has completed at once on another."""
    failures = [{"node": node} for node in failed_on]
    data = {"component": 3, "status": status, "machine": ended_on}
    record: Any = SimpleNamespace(data=data, failures=lambda: failures)
    assert sick_machines([record]) == dict.fromkeys(sick, (3, ended_on))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300.0, "5m"), (90.0, "90s"), (0.5, "0.5s"), (7200.0, "2h"), (86400.0, "1d"), (1e6, "1000000s")],
)
def test_a_timeout_is_shown_as_it_can_be_given(seconds: float, text: str) -> None:
    """A header shows a time-out in the largest unit that it is a multiple of."""
    assert shown("timeout", seconds) == f"timeout = {text}"
