"""What a function has changed of a worker's process is put back."""

from __future__ import annotations

import ctypes
import os

import pytest

from htrun.runner.process import ProcessState


@pytest.mark.parametrize("seconds", [[0.002], [0.0001] * 300])
def test_changes_past_python(seconds: list[float]) -> None:
    """What a library has changed is put back after a function that took a millisecond, or after many quick ones."""
    state = ProcessState(free=b"X")
    before = os.umask(0o022)
    try:
        ctypes.CDLL(None).umask(before ^ 0o055)
        for each in seconds:
            state.restore(each)
        after = os.umask(before)
        assert after == before
    finally:
        os.umask(before)
