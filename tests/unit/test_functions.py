"""How functions and arguments that exist in memory only travel."""

from __future__ import annotations

import base64
import json
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from htrun.exceptions import UsageError
from htrun.functions import Function
from htrun.transfers import FileTable

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
import threading

begun = threading.Event()
go_on = threading.Event()

def function(x):
    return x

class Value:
    pass

class Slow:
    def __reduce__(self):
        begun.set()
        go_on.wait(1)
        return int, ("1",)
"""


def test_pickling_in_two_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a thread pickles something of a module, another one pickles what is of the same module as it would alone."""
    (tmp_path / "of_two_threads.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module("of_two_threads")
    try:
        alone = pickled(Function(module.function), module.Value())
        slow = Function(module.function)
        thread = threading.Thread(target=pickled, args=(slow, (module.function, module.Slow())))
        thread.start()
        assert module.begun.wait(10)
        meanwhile = pickled(Function(module.function), module.Value())
        module.go_on.set()
        thread.join()
        assert meanwhile == alone
    finally:
        del sys.modules["of_two_threads"]


def pickled(function: Function, value: object) -> bytes:
    """Return the pickle of a call."""
    return base64.b64decode(json.loads(function.encode((value,), {}, FileTable())))


async def coroutine(x: int) -> int:
    """Be something that returns no result."""
    return x


@pytest.mark.parametrize(
    ("function", "why"), [(3, "not a function"), (coroutine, "async"), (lambda x: (yield x), "list")]
)
def test_what_cannot_be_mapped(function: Any, why: str) -> None:
    """What returns no result that could be sent back is refused before anything is made."""
    with pytest.raises(UsageError, match=why):
        Function(function)
