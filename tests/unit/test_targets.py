"""What a target resolves to, and what its module is called."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from htrun import sources
from htrun.runner import loading
from htrun.targets import load
from tests.unit.conftest import RUN_SHIPPED, run_shipped, shipped

if TYPE_CHECKING:
    from tests.unit.conftest import Write

pytestmark = pytest.mark.usefixtures("import_state")


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
