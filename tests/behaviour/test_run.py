"""The main job: a function mapped over the lines of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell


def test_a_function_is_called_once_for_each_line(shell: Shell) -> None:
    """A function is called once for each line, and ``outputs.jsonl`` holds an object a component in input order."""
    shell.write("m.py", "def double(x):\n    return x * 2\n")
    assert shell.run("m.py:double", [1, "ab", [[3]]]) == [
        {"component": 0, "status": "COMPLETED", "output": 2},
        {"component": 1, "status": "COMPLETED", "output": "abab"},
        {"component": 2, "status": "COMPLETED", "output": [3, 3]},
    ]
    assert shell.errors() == []
