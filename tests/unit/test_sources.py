"""What is shipped for a target, and that it is enough where it runs."""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from htrun import sources
from htrun.runner import loading
from htrun.targets import load
from tests.unit.conftest import message, run_shipped, shipped

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Write

pytestmark = pytest.mark.usefixtures("import_state")


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
