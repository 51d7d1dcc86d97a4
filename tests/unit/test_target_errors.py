"""What is said to a target that cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from htrun.targets import load
from tests.unit.conftest import message, shipped

if TYPE_CHECKING:
    from tests.unit.conftest import Write

pytestmark = pytest.mark.usefixtures("import_state")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("", ["module:function or path/to/file.py:function"], id="empty"),
        pytest.param(":f", ["module:function or path/to/file.py:function"], id="function only"),
        pytest.param("scan.py", ["name the function as well: scan.py:f; it has f, g"], id="file only"),
        pytest.param("scan.py:", ["name the function as well: scan.py:f; it has f, g"], id="file and colon"),
        pytest.param("scan", ["name the function as well: scan:f; it has f, g"], id="module only"),
        pytest.param("math", ["name the function as well: math:FUNCTION"], id="built-in module only"),
        pytest.param("scan.f", ["no module named 'scan.f'", "did you mean scan:f?"], id="dot for colon"),
        pytest.param("scna.py:f", ["there is no file", "scna.py; did you mean scan.py?"], id="mistyped file"),
        pytest.param("pkg/mdo.py:f", ["there is no file", "did you mean pkg/mod.py?"], id="mistyped path"),
        pytest.param("nowhere/scan.py:f", ["there is no directory", "nowhere"], id="no directory"),
        pytest.param("pkg/mod:f", ["there is no file", "did you mean pkg/mod.py?"], id="no suffix"),
        pytest.param("./data.csv:f", ["is not a .py file", "path/to/file.py:function"], id="no Python file"),
        pytest.param("./sub:f", ["is a directory"], id="directory"),
        pytest.param("scann:f", ["no module named 'scann'", "did you mean scan:f?"], id="mistyped module"),
        pytest.param("pkg.:f", ["no module named 'pkg.'"], id="nothing behind the dot"),
        pytest.param("pkgg.mod:f", ["no module named 'pkgg.mod'"], id="mistyped package"),
        pytest.param("pkg.mdo:f", ["no module named 'pkg.mdo'", "did you mean pkg.mod:f?"], id="mistyped submodule"),
        pytest.param("code.plot:f", ["no module named 'code.plot'", "did you mean code/plot.py:f?"],
                     id="directory called as a standard module"),
        pytest.param("scan:ff", ["there is no 'ff' in", "scan.py; did you mean f?"], id="mistyped function"),
        pytest.param("scan:Box.statc", ["no 'Box.statc'", "did you mean Box.static?"], id="mistyped method"),
        pytest.param("scan:unlike", ["there is no 'unlike' in", "it has f, g, Box"], id="unlike any function"),
        pytest.param("scan:f()", ["there is no 'f()'"], id="parentheses"),
        pytest.param("random:f", ["there is no 'f' in", "type random.py:f"], id="hidden by a standard module"),
        pytest.param("scan:table", ["it is of type dict, and not a function", "it has f, g"], id="not callable"),
        pytest.param("scan:number", ["it is of type int, and not a function"], id="a number"),
        pytest.param("scan:slow", ["async function", "returns a coroutine", "asyncio.run()"], id="async function"),
        pytest.param("scan:slow_call", ["async function"], id="async call"),
        pytest.param("scan:items", ["generator function", "return a list"], id="generator function"),
        pytest.param("scan:slow_items", ["generator function", "return a list"], id="async generator function"),
    ],
)  # fmt: skip
def test_messages(write: Write, text: str, parts: list[str]) -> None:
    """What is wrong with a target is said, and what to do about it."""
    write(
        {
            "scan.py": """\
            from os.path import join
            def f(): pass
            def g(): pass
            def _hidden(): pass
            class Box:
                @staticmethod
                def static(): pass
            class Slow:
                async def __call__(self): pass
            table = {}
            number = 1
            async def slow(): pass
            slow_call = Slow()
            def items(): yield 1
            async def slow_items(): yield 1
            """,
            "pkg/__init__.py": "",
            "pkg/mod.py": "def f(): pass",
            "sub/x.py": "",
            "code/plot.py": "def f(): pass",
            "random.py": "def f(): pass",
            "data.csv": "",
        }
    )
    said = message(text)
    for part in parts:
        assert part in said


@pytest.mark.parametrize("text", ["scan.py:f", "scan:f"])
def test_failing_import(write: Write, text: str) -> None:
    """An exception at import is shown with the user's frames only, and with its cause."""
    project = write(
        {
            "scan.py": "import helper\ndef f(): pass",
            "helper.py": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('boom') from error",
        }
    )
    said = message(text)
    assert f'File "{project}/scan.py", line 1, in <module>\n    import helper' in said
    assert f'File "{project}/helper.py", line 4' in said
    assert "ZeroDivisionError: division by zero" in said
    assert said.endswith("ValueError: boom")
    assert "importlib" not in said
    assert "htrun" not in said.replace(str(project), "")


def test_syntax_error(write: Write) -> None:
    """A syntax error is shown as Python shows it."""
    project = write({"scan.py": "def f():\n    return (1 +\n"})
    said = message("scan.py:f")
    assert f'File "{project}/scan.py", line 2' in said
    assert "return (1 +" in said
    assert "^" in said
    assert "SyntaxError: " in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("raise SystemExit(3)", id="SystemExit"),
        pytest.param("import sys; sys.exit(3)", id="sys.exit"),
        pytest.param("import argparse; argparse.ArgumentParser().parse_args(['x'])", id="command-line parser"),
    ],
)
def test_exit_at_import(write: Write, code: str) -> None:
    """A script that exits when it is imported is told where its main part belongs."""
    write({"scan.py": f"def f(): pass\n{code}"})
    said = message("scan.py:f")
    assert "SystemExit" in said
    assert 'if __name__ == "__main__":' in said


def test_other_base_exceptions(write: Write) -> None:
    """Exceptions outside of Exception are reported as well."""
    write({"scan.py": "class Stop(BaseException): pass\nraise Stop('now')"})
    assert "Stop: now" in message("scan.py:f")


def test_interrupt_at_import(write: Write) -> None:
    """Ctrl-C during the import is no error of the target."""
    write({"scan.py": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load("scan.py:f")


@pytest.mark.parametrize("text", ["scan.py:f", "scan:f", "pkg.scan:f", "my-scan.py:f"])
def test_missing_import_inside(write: Write, text: str) -> None:
    """A package missing inside the target is not taken for the target."""
    code = "import nothere_at_all\ndef f(): pass"
    write({"scan.py": code, "my-scan.py": code, "pkg/__init__.py": "", "pkg/scan.py": code})
    said = message(text)
    assert "import nothere_at_all" in said
    assert f"'nothere_at_all' is not installed for {sys.executable}" in said
    assert "no module named" not in said


@pytest.mark.parametrize("code", ["from statistics import ours", "import statistics as s; s.ours", "import code.plot"])
def test_import_hidden_by_a_standard_module(write: Write, code: str) -> None:
    """Who has a module called as a standard one is told why it is not imported."""
    project = write({"scan.py": f"{code}\ndef f(): pass", "statistics.py": "ours = 1", "code/plot.py": ""})
    said = message("scan.py:f")
    assert "is a module of the standard library" in said
    assert f"which {project / ('code' if 'code' in code else 'statistics.py')} does not replace: rename it" in said


def test_lazy_import_hidden_by_a_standard_module(write: Write) -> None:
    """A function that will get a standard module where it may mean its own gives a note."""
    project = write({"scan.py": "def f():\n    import statistics", "statistics.py": "ours = 1"})
    target = load("scan.py:f")
    assert shipped(target) == ["scan.py"]
    assert target.notes == (
        f"'import statistics' in {project}/scan.py gives the standard library's module, not {project}/statistics.py",
    )


def test_output_at_import(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    """What is printed at import goes to stderr, by child processes too, and stdout works afterwards."""
    write(
        {
            "scan.py": """\
            import os, subprocess, sys
            print("printed")
            sys.__stdout__.write("to the original\\n")
            os.write(1, b"to the descriptor\\n")
            subprocess.run(["echo", "by a child"])
            def f(): pass
            """
        }
    )
    sys.stdout.write("before\n")
    load("scan.py:f")
    sys.stdout.write("after\n")
    captured = capfd.readouterr()
    assert captured.out == "before\nafter\n"
    for text in ("printed", "to the original", "to the descriptor", "by a child"):
        assert text in captured.err


def test_leaving_the_directory_at_import(write: Write) -> None:
    """A script that changes the current directory when it is imported does not change it for htrun."""
    project = write({"scan.py": "import os\nos.chdir('/')\ndef f(): pass"})
    load("scan.py:f")
    assert Path.cwd() == project
