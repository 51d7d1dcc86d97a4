"""What is misspelt is told with what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("statsu", "'htrun status'"),
        ("edit memry scan 1", "'memory'"),
        ("status --fromat json", "'--format'"),
        ("m.py:simulat", "simulate"),
        ("n.py:simulate", "m.py"),
        ("errors scna", "scan"),
        ("m.py:simulate --args @scna", "scan"),
        ("m.py:simulate --args inptus.csv", "inputs.csv"),
        ("m.py:simulate --args inputs.csv", "'steps'"),
        ("m.py:simulate --scan stps=1", "'steps'"),
        ("m.py:simulate --scan steps=1,memory=2 -o request_memory=@memroy", "'memory'"),
        ("m.py:simulate --scan steps=1 --transfer step", "'steps'"),
        ("m.py:simulate --engine locla", "'local'"),
        ("m.py:simulate --delivery shraed", "'shared'"),
        ("set ENGIEN local", "ENGINE"),
        ("components scan --status eror", "'ERRORED'"),
        ("path scan:outptus", "'outputs'"),
    ],
)
def test_what_was_meant_is_told(local: Shell, words: str, meant: str) -> None:
    """Commands, options, functions, files, tags, columns, parameters, engines, settings, statuses, parts of maps."""
    local.write("m.py", "def simulate(steps):\n    return steps\n")
    local.write("inputs.csv", "step\n1\n")
    if "sc" in words.replace("--scan", ""):
        local("m.py:simulate", "--scan", "steps=1", "--tag", "scan", "-q")
    said = local(*words.split(), code=4).stderr.lower()
    assert "did you mean" in said
    assert said.partition("did you mean")[2].strip().startswith(meant.lower())
