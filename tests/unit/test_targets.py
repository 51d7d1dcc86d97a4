"""What a target resolves to, what it says when it does not, and what is shipped for it."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from htrun import sources
from htrun.exceptions import TargetError
from htrun.runner import loading
from htrun.targets import Target, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Write = Callable[..., Path]

RUN_SHIPPED = """
import importlib.util, json, sys
loading_file, sources_dir, reference, arguments = sys.argv[1:]
spec = importlib.util.spec_from_file_location("loading", loading_file)
loading = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loading)
function = loading.load_function(json.loads(reference), sources_dir)
print(json.dumps(function(*json.loads(arguments))))
"""


@pytest.fixture(autouse=True)
def _import_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test the import system as it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)
    sys.path_importer_cache.clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory of installed packages, with one in it."""
    directory = tmp_path / "env" / "site-packages"
    directory.mkdir(parents=True)
    (directory / "installed_module.py").write_text("def f(): return 'installed'")
    monkeypatch.syspath_prepend(directory)
    return directory


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project directory, which is the current one."""
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def write(project: Path) -> Write:
    """Write files of the project, from their texts by name."""

    def write_files(files: dict[str, str], directory: Path = project) -> Path:
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return directory

    return write_files


def shipped(target: Target) -> list[str]:
    """Return the names of what is shipped."""
    return [source.name for source in target.sources]


def run_shipped(target: Target, directory: Path, *arguments: Any, python: str = sys.executable) -> Any:
    """Call a target in a fresh interpreter that has nothing but its sources."""
    for source in target.sources:
        copy = directory / source.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path, copy)
    directory.mkdir(exist_ok=True)
    done = subprocess.run(
        [python, "-I", "-S", "-c", RUN_SHIPPED, loading.__file__, str(directory), json.dumps(target.reference),
         json.dumps(arguments)],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def message(text: str, **options: Any) -> str:
    """Return what htrun says to a target that it cannot use."""
    with pytest.raises(TargetError) as caught:
        load(text, **options)
    assert caught.value.target == text
    return str(caught.value)


# What is typed


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("scan.py", "scan:f", id="module"),
        pytest.param("scan.py", "scan::f", id="module with two colons"),
        pytest.param("scan.py", "scan.py:f", id="file"),
        pytest.param("scan.py", "scan.py::f", id="file with two colons"),
        pytest.param("scan.py", "./scan.py:f", id="file in the current directory"),
        pytest.param("sub/scan.py", "sub/scan.py:f", id="file in a directory"),
        pytest.param("sub/scan.py", "sub/../sub/scan.py:f", id="path with dots"),
        pytest.param("sub/scan.py", "sub.scan:f", id="module of a namespace package"),
        pytest.param("my scan.py", "my scan.py:f", id="space in the name"),
        pytest.param("a:b.py", "a:b.py:f", id="colon in the name"),
        pytest.param("a:b/c.py", "a:b/c.py:f", id="colon in the directory"),
        pytest.param("größe.py", "größe.py:f", id="non-ASCII file"),
        pytest.param("größe.py", "größe:f", id="non-ASCII module"),
        pytest.param("-scan.py", "-scan.py:f", id="leading dash"),
        pytest.param("my-scan.py", "my-scan.py:f", id="dash in the name"),
        pytest.param("my-scan.py", "my-scan:f", id="module with a dash"),
        pytest.param("01_scan.py", "01_scan.py:f", id="leading digit"),
        pytest.param("a.b.py", "a.b.py:f", id="dot in the name"),
        pytest.param("class.py", "class.py:f", id="keyword"),
        pytest.param(".scan.py", ".scan.py:f", id="hidden file"),
        pytest.param("$(x);'\".py", "$(x);'\".py:f", id="shell characters"),
        pytest.param("pkg/__init__.py", "pkg:f", id="package"),
        pytest.param("pkg/__init__.py", "./pkg:f", id="directory of a package"),
        pytest.param("pkg/__init__.py", "pkg/__init__.py:f", id="__init__ file"),
        pytest.param("scan.py", "scan.py:Box.static", id="static method"),
        pytest.param("scan.py", "scan:Box.klass", id="class method"),
        pytest.param("scan.py", "scan:Box.Inner.static", id="static method of a nested class"),
    ],
)
def test_target_forms(write: Write, tmp_path: Path, file: str, text: str) -> None:
    """Each way to name a function finds it, and what is shipped for it runs elsewhere."""
    write({
        file: """\
            def f(x): return x + 1
            class Box:
                @staticmethod
                def static(x): return x + 1
                @classmethod
                def klass(cls, x): return x + 1
                class Inner:
                    @staticmethod
                    def static(x): return x + 1
            """
    })  # fmt: skip
    target = load(text)
    assert target.text == text
    assert target.function(1) == 2
    assert target.notes == ()
    assert {source.path.name for source in target.sources} == {Path(file).name}
    assert run_shipped(target, tmp_path / "node", 1) == 2


def test_absolute_path(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute path is found from anywhere, and imports from the directory that it lies in."""
    project = write({"scan.py": "import helper\ndef f(): return helper.X", "helper.py": "X = 3"})
    monkeypatch.chdir("/")
    target = load(f"{project}/scan.py:f")
    assert shipped(target) == ["helper.py", "scan.py"]
    assert run_shipped(target, tmp_path / "node") == 3


def test_directory_argument(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths and modules are looked for from the directory that is given."""
    project = write({"scan.py": "def f(): return 1", "sub/other.py": "def f(): return 2"})
    monkeypatch.chdir("/")
    assert load("scan:f", project).function() == 1
    assert load("sub/other.py:f", project).function() == 2


def test_decomposed_characters(write: Write) -> None:
    """A function's name may be typed with combining characters, as some systems do."""
    write({"scan.py": "def gr\u00f6\u00dfe(): return 1"})
    assert load("scan:gro\u0308\u00dfe").function() == 1


@pytest.mark.parametrize(
    ("text", "module", "argument", "result"),
    [
        pytest.param("math:sqrt", "math", 9, 3.0, id="built in"),
        pytest.param("os.path:basename", "os.path", "a/b", "b", id="not a submodule"),
        pytest.param("json:dumps", "json", [1], "[1]", id="standard package"),
        pytest.param("click:unstyle", "click", "x", "x", id="installed"),
    ],
)
def test_nothing_to_ship(project: Path, text: str, module: str, argument: Any, result: Any) -> None:
    """Functions that the node has itself are named only."""
    target = load(text)
    assert target.reference == {"module": module, "qualname": text.split(":")[1], "file": None}
    assert target.sources == ()
    assert target.function(argument) == result


def test_a_class_is_a_function(write: Write) -> None:
    """Whatever can be called can be a target."""
    write({"scan.py": "from functools import partial\nclass C: pass\np = partial(int, base=2)\nl = lambda: 1\n"})
    assert load("scan:C").function().__class__.__name__ == "C"
    assert load("scan:p").function("11") == 3
    assert load("scan:l").function() == 1


# What the module is called


@pytest.mark.parametrize(
    ("file", "module", "shipped_file", "names"),
    [
        pytest.param("scan.py", "scan", None, ["scan.py"], id="own name"),
        pytest.param("sub/scan.py", "scan", None, ["scan.py"], id="first directory without __init__"),
        pytest.param("my-scan.py", "htrun_target_my_scan", "my-scan.py", ["htrun_target_my_scan.py", "my-scan.py"],
                     id="no identifier"),
        pytest.param("a.b.py", "htrun_target_a_b", "a.b.py", ["a.b.py", "htrun_target_a_b.py"], id="dots"),
        *(
            pytest.param(f"{name}.py", f"htrun_target_{name}", f"htrun_target_{name}.py", [f"htrun_target_{name}.py"],
                         id=f"name of {kind}")
            for name, kind in {
                "random": "a standard module", "types": "one used at start", "test": "a standard package",
                "time": "a built-in module", "__main__": "the main program", "click": "an installed package in use",
                "installed_module": "an installed one", "conftest_taken": "a module in sys.modules",
            }.items()
        ),
    ],
)  # fmt: skip
def test_module_names(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    installed: Path,
    file: str,
    module: str,
    shipped_file: str | None,
    names: list[str],
) -> None:
    """A module has its own name unless that is none or means another module, which stays untouched."""
    monkeypatch.setitem(sys.modules, "conftest_taken", type(sys)("conftest_taken"))
    write({file: "def f(): return __name__"})
    name = Path(file).stem
    before = sys.modules.get(name)
    target = load(f"{file}:f")
    assert target.reference == {"module": module, "qualname": "f", "file": shipped_file}
    assert shipped(target) == names
    assert target.function() == module
    assert sys.modules[module].__file__ == str(Path(file).absolute())
    if module != name:
        assert sys.modules.get(name) is before


def test_file_in_a_package(write: Write, tmp_path: Path) -> None:
    """A file in a package is imported as its module, so that relative imports work."""
    write(
        {
            "src/pkg/__init__.py": "",
            "src/pkg/sub/__init__.py": "",
            "src/pkg/sub/scan.py": "from ..tools import g\ndef f(x): return g(x)",
            "src/pkg/tools.py": "import beside\ndef g(x): return x + beside.ONE",
            "src/beside.py": "ONE = 1",
        }
    )
    target = load("src/pkg/sub/scan.py:f")
    assert target.reference == {"module": "pkg.sub.scan", "qualname": "f", "file": None}
    assert shipped(target) == [
        "beside.py", "pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/scan.py", "pkg/tools.py",
    ]  # fmt: skip
    assert run_shipped(target, tmp_path / "node", 1) == 2


@pytest.mark.parametrize(
    ("folder", "stem", "module", "file"),
    [
        pytest.param(
            "code", "scan", "htrun_target_code.scan", "htrun_target_code/scan.py", id="name of a standard module"
        ),
        pytest.param("my-code", "scan", "htrun_target_my_code.scan", "my-code/scan.py", id="package is no identifier"),
        pytest.param("pkg", "01_scan", "pkg.htrun_target_01_scan", "pkg/01_scan.py", id="module is no identifier"),
        pytest.param("v1.0", "1.scan", "htrun_target_v1_0.htrun_target_1_scan", "v1.0/1.scan.py", id="both have dots"),
    ],
)
def test_awkward_packages(write: Write, tmp_path: Path, folder: str, stem: str, module: str, file: str) -> None:
    """Relative imports work in packages whose names cannot be imported, too."""
    write({
        f"{folder}/__init__.py": "BASE = 1",
        f"{folder}/{stem}.py": "from . import BASE\nfrom .tools import g\ndef f(x): return g(x) + BASE",
        f"{folder}/tools.py": "def g(x):\n    from . import lazy\n    import outside\n    return x",
        f"{folder}/lazy.py": "",
        "outside.py": "",
    })  # fmt: skip
    target = load(f"{folder}/{stem}.py:f")
    assert target.reference == {"module": module, "qualname": "f", "file": file}
    assert "outside.py" in shipped(target)
    assert target.function(1) == 2
    assert run_shipped(target, tmp_path / "node", 1) == 2


def test_package_beside_its_namesake(write: Write, tmp_path: Path) -> None:
    """A file that a package of the same name hides is the target all the same."""
    write({"scan.py": "def f(): return 'file'", "scan/__init__.py": "def f(): return 'package'"})
    assert load("scan.py:f").function() == "file"
    assert run_shipped(load("scan.py:f"), tmp_path / "node") == "file"
    assert load("scan:f").function() == "package"


def test_made_up_names_serve_two_files(write: Write) -> None:
    """Two files whose made-up names agree are not taken for each other."""
    write({"a-b.py": "def f(): return 1", "a.b.py": "def f(): return 2"})
    assert [load("a-b.py:f").function(), load("a.b.py:f").function(), load("a-b.py:f").function()] == [1, 2, 1]


def test_made_up_name_in_child_processes(write: Write, tmp_path: Path) -> None:
    """Processes that the function starts can import its module by the name that it was given."""
    write(
        {
            "01_scan.py": """\
            import multiprocessing

            def g(x): return x + 1

            def f(x):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    return pool.map(g, [x])
            """
        }
    )
    driver = tmp_path / "driver.py"
    driver.write_text("if __name__ == '__main__':\n    " + "    ".join(RUN_SHIPPED.strip().splitlines(keepends=True)))
    target = load("01_scan.py:f")
    for source in target.sources:
        shutil.copyfile(source.path, tmp_path / source.name)
    command = [sys.executable, "-I", driver, loading.__file__, str(tmp_path), json.dumps(target.reference), "[1]"]
    assert json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout) == [2]


@pytest.mark.parametrize("name", ["installed_module", "click", "click.testing"])
def test_user_modules_win_over_installed_ones(write: Write, installed: Path, tmp_path: Path, name: str) -> None:
    """A module of the project is imported although an installed one has its name, loaded by htrun or not."""
    before = importlib.import_module(name) if "click" in name else None
    file = f"{name.replace('.', '/')}.py" if "." in name else f"{name}/__init__.py"
    write({"scan.py": f"import {name}\ndef f(): return {name}.OURS", "click/__init__.py": "", file: "OURS = 1"})
    target = load("scan.py:f")
    assert file in shipped(target)
    assert run_shipped(target, tmp_path / "node") == 1
    assert before is None or sys.modules[name] is before


@pytest.mark.parametrize("text", ["scan.py:f", "random.py:f", "scan:f"])
def test_standard_modules_stay(write: Write, tmp_path: Path, text: str) -> None:
    """A user's random.py breaks neither htrun's process nor the runner's."""
    write(
        {
            "random.py": "def f():\n    import tempfile\n    return tempfile.gettempdir()",
            "scan.py": "import tempfile\ndef f(): return tempfile.gettempdir()",
        }
    )
    code = f"""
import sys, json
sys.modules.pop("random", None)
from htrun.targets import load
target = load({text!r})
assert target.function()
import random, tempfile
random.choice, tempfile.gettempdir()
from dataclasses import asdict
print(json.dumps([target.reference, [(str(s.path), s.name) for s in target.sources]]))
"""
    repository = Path(sources.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[0] = {str(repository)!r}\n{code}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    target = load(text)
    assert json.loads(done.stdout)[0] == target.reference
    assert "random.py" not in shipped(target)
    assert run_shipped(target, tmp_path / "node")


# What goes wrong


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


# The closure


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("import helper", id="import"),
        pytest.param("import helper as h", id="import as"),
        pytest.param("import json, helper", id="second of two"),
        pytest.param("from helper import name", id="from"),
        pytest.param("from helper import *", id="star"),
        pytest.param("def g():\n    import helper", id="in a function"),
        pytest.param("async def g():\n    async with x:\n        import helper", id="in an async function"),
        pytest.param("class C:\n    def m(self):\n        import helper", id="in a method"),
        pytest.param("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helper", id="for type checking"),
        pytest.param("try:\n    import nothere\nexcept ImportError:\n    import helper", id="in an except clause"),
        pytest.param("try:\n    pass\nfinally:\n    import helper", id="in a finally clause"),
        pytest.param("if 1:\n    pass\nelif 2:\n    pass\nelse:\n    import helper", id="in an else clause"),
        pytest.param("def g(x):\n    match x:\n        case 1:\n            import helper", id="in a match"),
        pytest.param("import importlib\ndef g(): importlib.import_module('helper')", id="import_module"),
        pytest.param(
            "from importlib import import_module\ndef g(): return import_module('helper')", id="bare import_module"
        ),
        pytest.param("from importlib import import_module as i\ndef g(): i('helper')", id="renamed import_module"),
        pytest.param("import importlib\ndef g(): importlib.import_module(name='helper')", id="keyword"),
        pytest.param("def g(): [__import__('helper')]", id="__import__"),
    ],
)
def test_imports_found(write: Write, statement: str) -> None:
    """A module is shipped whichever way a constant name of it is imported; its neighbours are not, nor is data."""
    write({
        "scan.py": f"{statement}\ndef f(): pass",
        "helper.py": "import deeper\nname = 1",
        "deeper.py": "import scan",
        "unused.py": "",
        "deeper.csv": "",
    })  # fmt: skip
    target = load("scan.py:f")
    assert shipped(target) == ["deeper.py", "helper.py", "scan.py"]
    assert target.notes == ()


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("import pkg", id="import"),
        pytest.param("import pkg.sub.mod", id="import of a submodule"),
        pytest.param("from pkg import sub", id="submodule by from"),
        pytest.param("from pkg import attribute", id="attribute by from"),
        pytest.param("from pkg.sub import mod", id="nested submodule by from"),
    ],
)
def test_whole_packages(write: Write, statement: str) -> None:
    """All Python files of a regular package are shipped, but only imports of reachable ones lead out of it."""
    write(
        {
            "scan.py": f"def f():\n    {statement}",
            "pkg/__init__.py": "attribute = 1",
            "pkg/sub/__init__.py": "",
            "pkg/sub/mod.py": "",
            "pkg/plugin.py": "import beside_plugin",
            "pkg/scripts/run-me.py": "",
            "pkg/table.csv": "",
            "pkg/.hidden/x.py": "",
            "pkg/__pycache__/x.py": "",
            "pkg/.#plugin.py": "",
            "beside_plugin.py": "",
        }
    )
    assert shipped(load("scan.py:f")) == [
        "pkg/__init__.py", "pkg/plugin.py", "pkg/scripts/run-me.py", "pkg/sub/__init__.py", "pkg/sub/mod.py", "scan.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("from . import other", id="from the package"),
        pytest.param("from .other import name", id="from a sibling"),
        pytest.param("from ..tools import name", id="from a parent"),
        pytest.param("from ... import outermost", id="from a grandparent"),
        pytest.param(
            "import importlib\nimportlib.import_module('.other', __package__)", id="import_module in __package__"
        ),
        pytest.param(
            "import importlib\nimportlib.import_module('..tools', package='top.pkg.sub')", id="constant package"
        ),
    ],
)
def test_relative_imports_are_followed(write: Write, tmp_path: Path, statement: str) -> None:
    """What modules that are imported by relative names import is shipped."""
    reached = "import outside\nname = 1"
    write(
        {
            "top/__init__.py": "",
            "top/outermost.py": reached,
            "top/pkg/__init__.py": "",
            "top/pkg/tools.py": reached,
            "top/pkg/sub/__init__.py": "",
            "top/pkg/sub/scan.py": f"{statement}\ndef f(): return 1",
            "top/pkg/sub/other.py": reached,
            "outside.py": "",
        }
    )
    target = load("top.pkg.sub.scan:f")
    assert "outside.py" in shipped(target)
    assert run_shipped(target, tmp_path / "node") == 1


def test_star_import_follows_all(write: Write) -> None:
    """Submodules that a star import brings in by __all__ are followed."""
    write({
        "scan.py": "from pkg import *\ndef f(): return sub.X",
        "pkg/__init__.py": "__all__ = ['sub']",
        "pkg/sub.py": "from outside import X",
        "outside.py": "X = 1",
    })  # fmt: skip
    assert "outside.py" in shipped(load("scan.py:f"))


def test_namespace_packages(write: Write, tmp_path: Path) -> None:
    """Of packages without __init__ the modules that are reached are shipped, and regular packages inside as a whole."""
    write({
        "scan.py": "import ns.deep.mod\nfrom ns import other\nimport ns.pkg\n"
                   "def f(): return ns.deep.mod.X + other.X + ns.pkg.X",
        "ns/deep/mod.py": "X = 1",
        "ns/deep/unused.py": "",
        "ns/other.py": "X = 2",
        "ns/pkg/__init__.py": "X = 3",
        "ns/pkg/more.py": "",
    })  # fmt: skip
    target = load("scan.py:f")
    assert shipped(target) == ["ns/deep/mod.py", "ns/other.py", "ns/pkg/__init__.py", "ns/pkg/more.py", "scan.py"]
    assert run_shipped(target, tmp_path / "node") == 6


def test_namespace_package_in_two_roots(write: Write, project: Path, tmp_path: Path) -> None:
    """The parts of a namespace package come together from where they are."""
    write({"scan.py": "from ns import a, b\ndef f(): return a.X + b.X", "ns/a.py": "X = 1"})
    write({"ns/b.py": "X = 2"}, tmp_path / "elsewhere")
    sys.path.append(str(tmp_path / "elsewhere"))
    target = load("scan.py:f")
    assert shipped(target) == ["ns/a.py", "ns/b.py", "scan.py"]
    assert run_shipped(target, tmp_path / "node") == 3


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import importlib\ndef f(name): return importlib.import_module(name).X", id="import_module"),
        pytest.param("from importlib import import_module as i\ndef f(name): return i(name).X", id="renamed"),
        pytest.param("def f(name): return __import__(name).X", id="__import__"),
        pytest.param("from importlib import *\ndef f(*names): return list(map(import_module, names))[0].X", id="map"),
        pytest.param("import runpy\ndef f(name): return runpy.run_module(name)['X']", id="runpy"),
        pytest.param("import pkgutil as p\ndef f(name): return p.iter_modules() and __import__(name).X", id="pkgutil"),
    ],
)  # fmt: skip
def test_computed_imports(write: Write, tmp_path: Path, code: str) -> None:
    """A file that computes what it imports is shipped with all that can be imported beside it."""
    write(
        {
            "scan.py": code,
            "plugin.py": "X = 1",
            "regular/__init__.py": "",
            "regular/sub/mod.py": "",
            "namespace/mod.py": "",
            "random.py": "",
            "table.csv": "",
            "venv/pyvenv.cfg": "",
            "venv/lib/python3/site-packages/installed.py": "",
            "env/pyvenv.cfg": "",
            "env/mod.py": "",
            "node_modules/x.py": "",
            "results/tag/x.py": "",
            "site-packages/x.py": "",
            ".hidden/x.py": "",
            "__pycache__/x.py": "",
            "not-importable/x.py": "",
            "htrun/__init__.py": "",
            "plugin/shadowed.py": "",
        }
    )
    target = load("scan.py:f")
    assert shipped(target) == [
        "namespace/mod.py", "plugin.py", "regular/__init__.py", "regular/sub/mod.py", "scan.py",
    ]  # fmt: skip
    assert target.notes == ()
    assert run_shipped(target, tmp_path / "node", "plugin") == 1


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import importlib\nimportlib.import_module('json')", id="constant name"),
        pytest.param("from importlib.util import find_spec\nfind_spec('torch')", id="look for an optional package"),
        pytest.param("from importlib.metadata import version\nversion(__name__ and 'click')", id="versions"),
        pytest.param("import importlib, json\nimportlib.reload(json)", id="reload"),
        pytest.param("# import_module(name)", id="comment"),
    ],
)
def test_no_computed_imports(write: Write, code: str) -> None:
    """Harmless uses of importlib do not make a file drag its neighbours along."""
    write({"scan.py": f"{code}\ndef f(): pass", "plugin.py": ""})
    assert shipped(load("scan.py:f")) == ["scan.py"]


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        pytest.param("MAX_FILES", 5, id="files"),
        pytest.param("MAX_BYTES", 100, id="bytes"),
        pytest.param("MAX_ENTRIES", 9, id="entries"),
    ],
)
def test_too_much_for_computed_imports(
    write: Write, project: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """Beyond the bound only what import statements name is shipped, and a note says so."""
    write({"scan.py": "import plugin0\ndef f(name): return __import__(name)"})
    write({f"plugin{number}.py": "# 20 characters long" for number in range(10)})
    monkeypatch.setattr(sources, limit, value)
    target = load("scan.py:f")
    assert shipped(target) == ["plugin0.py", "scan.py"]
    [note] = target.notes
    assert str(project / "scan.py") in note
    assert "import statements" in note


def test_huge_package(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a package that holds a mountain of data only the modules that are reached are shipped, and a note says so."""
    write({"scan.py": "import pkg.mod\ndef f(): pass", "pkg/__init__.py": "", "pkg/mod.py": ""})
    write({f"pkg/data/{number}.csv": "" for number in range(10)})
    monkeypatch.setattr(sources, "MAX_ENTRIES", 9)
    target = load("scan.py:f")
    assert shipped(target) == ["pkg/__init__.py", "pkg/mod.py", "scan.py"]
    assert "import statements" in target.notes[0]


def test_installed_modules_stay(write: Write, installed: Path, tmp_path: Path) -> None:
    """Neither installed packages nor the standard library nor htrun are shipped, nor what they import."""
    write({"third_party.py": "import beside"}, installed)
    write({"dist_party/__init__.py": ""}, tmp_path / "dist-packages")
    sys.path.append(str(tmp_path / "dist-packages"))
    write(
        {
            "scan.py": "import json, os.path, click, htrun.exceptions, third_party, dist_party\ndef f(): pass",
            "beside.py": "",
        }
    )
    assert shipped(load("scan.py:f")) == ["scan.py"]


def test_python_path_is_project(write: Write, tmp_path: Path) -> None:
    """Modules in other directories of the module search path are shipped."""
    write({"scan.py": "import lib\nimport pkg.mod\ndef f(): return lib.X + pkg.mod.X"})
    write({"lib.py": "X = 1", "unused.py": ""}, tmp_path / "one")
    write({"pkg/__init__.py": "", "pkg/mod.py": "X = 2"}, tmp_path / "two")
    sys.path += [str(tmp_path / "one"), str(tmp_path / "two")]
    target = load("scan:f")
    assert shipped(target) == ["lib.py", "pkg/__init__.py", "pkg/mod.py", "scan.py"]
    assert run_shipped(target, tmp_path / "node") == 3


def test_script_extends_the_path(write: Write, tmp_path: Path) -> None:
    """What a script finds because it extends the search path itself is shipped, too."""
    write({
        "bin/scan.py": "import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), '..', 'lib'))\n"
                       "import helper\ndef f():\n    import lazy\n    return helper.X + lazy.X",
        "lib/helper.py": "X = 1",
        "lib/lazy.py": "X = 2",
    })  # fmt: skip
    target = load("bin/scan.py:f")
    assert shipped(target) == ["helper.py", "lazy.py", "scan.py"]
    assert run_shipped(target, tmp_path / "node") == 3


def test_first_root_wins(write: Write, tmp_path: Path) -> None:
    """Of modules with the same name the first is shipped: beside the target, in the current directory, elsewhere."""
    write({"sub/scan.py": "import a, b, c\ndef f(): return a.X + b.X + c.X", "sub/a.py": "X = 'sub '"})
    write({"a.py": "X = 'current '", "b.py": "X = 'current '"})
    write({"a.py": "X = 'path '", "b.py": "X = 'path '", "c.py": "X = 'path '"}, tmp_path / "path")
    sys.path.insert(0, str(tmp_path / "path"))
    target = load("sub/scan.py:f")
    assert target.function() == "sub current path "
    assert run_shipped(target, tmp_path / "node") == "sub current path "


def test_editable_finder(write: Write, tmp_path: Path) -> None:
    """Packages that a finder of an editable installation maps to elsewhere are shipped under their names."""
    write({"__init__.py": "from . import tool", "tool.py": "X = 1"}, tmp_path / "checkout" / "lib")

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
            if name != "mapped":
                return None
            return importlib.util.spec_from_file_location(name, tmp_path / "checkout" / "lib" / "__init__.py")

    class Broken:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
            if sys.modules.get("scan_done"):
                raise RuntimeError
            return None

    write({"scan.py": "import sys, mapped\nsys.modules['scan_done'] = sys\ndef f(): return mapped.tool.X"})
    sys.meta_path[:] = [Broken, *sys.meta_path, Finder]  # type: ignore[list-item]
    try:
        target = load("scan.py:f")
    finally:
        sys.meta_path[:] = sys.meta_path[1:-1]
    assert shipped(target) == ["mapped/__init__.py", "mapped/tool.py", "scan.py"]
    assert run_shipped(target, tmp_path / "node") == 1


def test_broken_file(write: Write) -> None:
    """A file that does not parse is shipped, in case it is never imported, and not followed."""
    write({"scan.py": "def f():\n    import broken", "broken.py": "import other\nthis is no Python", "other.py": ""})
    assert shipped(load("scan.py:f")) == ["broken.py", "scan.py"]


def test_warnings_are_not_repeated(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    """Reading sources warns of nothing that importing them warns of."""
    write({"scan.py": "def f():\n    import helper", "helper.py": r"X = '\d'"})
    assert shipped(load("scan.py:f")) == ["helper.py", "scan.py"]
    assert capfd.readouterr() == ("", "")


def test_declared_encoding(write: Write, project: Path) -> None:
    """Sources in other encodings are read as Python reads them."""
    (project / "scan.py").write_bytes("# coding: latin-1\n'\xe9'\nimport helper\ndef f(): pass".encode("latin-1"))
    write({"helper.py": ""})
    assert shipped(load("scan.py:f")) == ["helper.py", "scan.py"]


def test_compiled_extension(write: Write, project: Path, tmp_path: Path) -> None:
    """A compiled module of the project is shipped when it is imported."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    write({"scan.py": "def f():\n    import fast, pkg", "pkg/__init__.py": "def f():\n    from . import quick"})
    write({f"{name}{suffix}": "" for name in ("fast", "slow", "pkg/quick", "pkg/unused")})
    assert shipped(load("scan.py:f")) == [f"fast{suffix}", "pkg/__init__.py", f"pkg/quick{suffix}", "scan.py"]


def test_symbolic_links(write: Write, project: Path, tmp_path: Path) -> None:
    """Linked packages are shipped, linked data directories are not, and loops end."""
    write({"scan.py": "import pkg\ndef f(name): return __import__(name)", "pkg/__init__.py": "", "pkg/mod.py": ""})
    write({"__init__.py": "", "x.py": ""}, tmp_path / "common")
    write({"y.py": ""}, tmp_path / "data")
    (project / "pkg" / "common").symlink_to(tmp_path / "common")
    (project / "pkg" / "data").symlink_to(tmp_path / "data")
    (project / "pkg" / "loop").symlink_to(project / "pkg")
    (project / "again").symlink_to(project)
    (project / "pkg" / "broken.py").symlink_to(project / "nowhere.py")
    assert shipped(load("scan.py:f")) == [
        "pkg/__init__.py", "pkg/common/__init__.py", "pkg/common/x.py", "pkg/mod.py", "scan.py",
    ]  # fmt: skip


def test_linked_script(write: Write, project: Path, tmp_path: Path) -> None:
    """A link to a script imports what lies beside the script, as Python does."""
    write({"scan.py": "import helper\ndef f(): return helper.X", "helper.py": "X = 1"}, tmp_path / "tools")
    (project / "mine.py").symlink_to(tmp_path / "tools" / "scan.py")
    target = load("mine.py:f")
    assert shipped(target) == ["helper.py", "mine.py"]
    assert run_shipped(target, tmp_path / "node") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize(
    ("code", "file"),
    [("import secret", "secret.py"), ("import pkg", "pkg/unreached.py"), ("import pkg", "pkg/sub/x.py")],
)
def test_unreadable_file(write: Write, project: Path, code: str, file: str) -> None:
    """A file that cannot be read and has to be shipped is an error that names it."""
    write({"scan.py": f"def f():\n    {code}", "secret.py": "", "pkg/__init__.py": "", "pkg/unreached.py": "",
           "pkg/sub/x.py": ""})  # fmt: skip
    locked = (project / file).parent if "sub" in file else project / file
    locked.chmod(0)
    try:
        said = message("scan.py:f")
    finally:
        locked.chmod(0o700)
    assert f"cannot read {locked}" in said
    assert "Permission denied" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("locked", ["sub", "sub/scan.py"])
def test_unreadable_target(write: Write, project: Path, locked: str) -> None:
    """A target that cannot be read is said to be so."""
    write({"sub/scan.py": ""})
    (project / locked).chmod(0)
    try:
        said = message("sub/scan.py:f")
    finally:
        (project / locked).chmod(0o700)
    assert "Permission denied" in said
    assert f"{project}/sub/scan.py" in said


def test_failing_disk(write: Write, project: Path) -> None:
    """A file that can be opened but not read is an error that names it."""
    write({"scan.py": "def f():\n    import helper"})
    (project / "helper.py").symlink_to("/proc/self/mem")
    if not (project / "helper.py").is_file():
        pytest.skip("no /proc")
    assert f"cannot read {project}/helper.py" in message("scan.py:f")


def test_sources_are_absolute(write: Write, project: Path) -> None:
    """Sources say where they are whatever becomes the current directory."""
    write({"sub/scan.py": "import helper\ndef f(): pass", "sub/helper.py": ""})
    assert [source.path for source in load("sub/scan.py:f").sources] == [
        project / "sub/helper.py",
        project / "sub/scan.py",
    ]


def test_a_thousand_modules(write: Write) -> None:
    """Of a large project the sources are found in little time."""
    body = "".join(
        f"\ndef g{number}(a, b=1):\n    c = [a + i for i in range(b)]\n    return sum(c)\n" for number in range(15)
    )
    write({f"m{number}.py": f"import json, os, numpy\nimport m{number + 1}\n{body}" for number in range(1000)})
    write({"m1000.py": "", "scan.py": "def f():\n    import m0"})
    start = time.process_time()  # what else the machine does is not counted
    target = load("scan.py:f")
    elapsed = time.process_time() - start
    assert len(target.sources) == 1002
    assert elapsed < 3  # about one, in most runs


# On the node


def test_sources_directory_is_added_once(write: Write, project: Path) -> None:
    """Loading again neither imports again nor lengthens the search path."""
    write({"shipped_scan.py": "def f(): return 1"})
    reference = {"module": "shipped_scan", "qualname": "f", "file": None}
    first = loading.load_function(reference, str(project))
    path = list(sys.path)
    assert loading.load_function(reference, str(project)) is first
    assert sys.path == path


@pytest.mark.parametrize("file", [None, "broken.py"])
def test_failed_import_leaves_nothing(write: Write, project: Path, file: str | None) -> None:
    """A module that fails to import is not there afterwards, so that the next attempt fails alike."""
    write({"broken.py": "1 / 0"})
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            loading.load_function({"module": "broken", "qualname": "f", "file": file}, str(project))
    assert "broken" not in sys.modules


def test_loading_a_file_that_is_no_module(write: Write, project: Path) -> None:
    """A file that Python cannot import is an ImportError."""
    write({"scan.txt": ""})
    with pytest.raises(ImportError, match="not a Python file"):
        loading.load_function({"module": "scan", "qualname": "f", "file": "scan.txt"}, str(project))
