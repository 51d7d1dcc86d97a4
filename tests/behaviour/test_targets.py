"""What is named on the command line, and what of the user's project comes along with it."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.behaviour.conftest import Shell

    Shared = Callable[..., tuple[Shell, Any]]

FORMS = [
    "double.py:f",
    "double.py::f",
    "./double.py:f",
    "double:f",
    "double::f",
    "double:Class.static",
    "double.py:Class.made",
    "double.py:instance",
    "double.py:partial",
    "double.py:wrapped",
    "double.py:lambda_",
    "scripts/deep/double.py:f",
    "package:f",
    "package.inner:f",
    "package/inner.py:f",
    "package/inner.py::f",
    "package.sub.deeper:f",
    "namespace.inner:f",
    "main_guard.py:f",
    "no-identifier.py:f",
    "1st.py:f",
    "json.py:f",
]
DOUBLE = """
import functools

def f(x):
    return 2 * x

class Class:
    def __init__(self, x):
        self.x = x

    @staticmethod
    def static(x):
        return 2 * x

    @classmethod
    def made(cls, x):
        return cls(2 * x).x

    def __call__(self, x):
        return self.x * x

def decorate(function):
    @functools.wraps(function)
    def inner(*args):
        return 2 * function(*args)
    return inner

@decorate
def wrapped(x):
    return x

instance = Class(2)
partial = functools.partial(lambda factor, x: factor * x, 2)
lambda_ = lambda x: 2 * x
"""


@pytest.fixture
def project(local: Shell) -> Shell:
    """Return a place with modules and packages that all have a function f."""
    for name in ("double.py", "scripts/deep/double.py", "no-identifier.py", "1st.py", "json.py", "namespace/inner.py"):
        local.write(name, DOUBLE)
    local.write("package/__init__.py", "from .inner import f\nfactor = 2\n")
    local.write("package/inner.py", "def f(x):\n    from . import factor\n    return factor * x\n")
    local.write("package/sub/__init__.py", "")
    local.write("package/sub/deeper.py", "from ..inner import f\n")
    local.write(
        "main_guard.py", "def f(x):\n    return 2 * x\n\nif __name__ == '__main__':\n    raise SystemExit(f(3))\n"
    )
    return local


@pytest.mark.parametrize("target", FORMS)
def test_a_function_can_be_named_in_each_form(project: Shell, target: str) -> None:
    """A module or a file, with one colon or two, names its functions and whatever else in it can be called."""
    assert [row["output"] for row in project.run(target, [21])] == [42]


def test_paths_may_lead_elsewhere(project: Shell, tmp_path: Path) -> None:
    """The file of a target can be named absolutely, through ``..``, and through a symbolic link."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "link.py").symlink_to(project.cwd / "double.py")
    for tag, target in (("abs", project.cwd / "double.py"), ("up", "../work/double.py"), ("link", "link.py")):
        project(f"{target}:f", "--tag", tag, "--args", "-", input="4\n", cwd=other)
        rows = (other / "results" / tag / "outputs.jsonl").read_text()
        assert '"output":8}' in rows


@pytest.mark.parametrize(
    ("target", "calls", "output"), [("math:hypot", [[3, 4]], 5.0), ("os.path:basename", ["a/b"], "b")]
)
def test_functions_of_the_standard_library_are_targets(
    local: Shell, target: str, calls: list[Any], output: Any
) -> None:
    """A function that is installed anyway is a target as well."""
    assert local.run(target, calls)[0]["output"] == output


def test_the_current_directory_comes_before_installed_packages(local: Shell) -> None:
    """A module of the user's wins over an installed one of the same name, here and where it runs."""
    local.write("tabulate.py", "def f():\n    return 'the user\\'s own'\n")
    local.write("m.py", "import tabulate\n\ndef g():\n    return tabulate.f()\n")
    assert local.run("m.py:g")[0]["output"] == "the user's own"


def run_project(shell: Shell) -> None:
    """Run a function that imports its own project's modules in every way."""
    shell.write(
        "src/app/main.py",
        """
        import importlib, json, multiprocessing, os, sys
        from concurrent.futures import ProcessPoolExecutor
        from pathlib import Path

        import helper
        from app.top import TOP
        from . import sibling
        from .sub.leaf import leaf

        def imported_at_the_top():
            return [helper.VALUE, TOP, sibling.VALUE, leaf()]

        def imported_inside():
            from app import late
            import other.module
            from .sub import cousin
            return [late.VALUE, other.module.VALUE, cousin.VALUE]

        def imported_by_computed_name():
            modules = [importlib.import_module(f"app.plugins.{name}") for name in ("red", "green")]
            return [module.COLOR for module in modules]

        def imported_by_a_module_that_is_imported():
            return helper.chain()

        def imported_where_a_type_checker_looks_only():
            from app import typed
            return typed.f()

        def imported_in_a_process():
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                return list(pool.map(sibling.square, [1, 2, 3]))

        def data_beside_it():
            here = Path(__file__).parent
            return sorted(p.name for p in here.rglob("*") if p.suffix in (".txt", ".csv"))

        def place():
            return __file__

        def modules_beside_it():
            return sorted(p.name for p in Path(__file__).parent.rglob("*.py"))

        def act(what):
            return globals()[what]()
        """,
    )
    shell.write("src/app/__init__.py", "")
    shell.write("src/app/top.py", "TOP = 'top'\n")
    shell.write("src/app/sibling.py", "VALUE = 'sibling'\n\ndef square(x):\n    return x * x\n")
    shell.write("src/app/late.py", "VALUE = 'late'\n")
    shell.write(
        "src/app/typed.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere\n\ndef f():\n    return 1\n",
    )
    shell.write("src/app/sub/__init__.py", "from . import leaf as leaf_module\n")
    shell.write("src/app/sub/leaf.py", "def leaf():\n    return 'leaf'\n")
    shell.write("src/app/sub/cousin.py", "VALUE = 'cousin'\n")
    shell.write("src/app/plugins/__init__.py", "")
    shell.write("src/app/plugins/red.py", "COLOR = 'red'\n")
    shell.write("src/app/plugins/green.py", "COLOR = 'green'\n")
    shell.write("src/app/data.txt", "data")
    shell.write("src/app/sub/more.csv", "data")
    shell.write("src/helper.py", "VALUE = 'helper'\n\ndef chain():\n    import chained\n    return chained.VALUE\n")
    shell.write("src/chained.py", "VALUE = 'chained'\n")
    shell.write("src/other/module.py", "VALUE = 'other'\n")
    names = [name for name, _ in IMPORTS] + ["data_beside_it", "place"]
    shell("src/app/main.py:act", "--args", shell.jsonl("in.jsonl", names), "--tag", "t", "--chunk-size", 100)


IMPORTS = [
    ("imported_at_the_top", ["helper", "top", "sibling", "leaf"]),
    ("imported_inside", ["late", "other", "cousin"]),
    ("imported_by_computed_name", ["red", "green"]),
    ("imported_by_a_module_that_is_imported", "chained"),
    ("imported_where_a_type_checker_looks_only", 1),
    ("imported_in_a_process", [1, 4, 9]),
]


@pytest.mark.parametrize("number", range(len(IMPORTS)), ids=[name for name, _ in IMPORTS])
def test_what_is_imported_from_the_project_arrives(shared: Shared, number: int) -> None:
    """What the function imports from its own project is there where it runs, however and whenever it is imported."""
    shell, _ = shared("project", run_project)
    assert shell.outputs()[number]["output"] == IMPORTS[number][1]


def test_data_files_do_not_arrive_by_themselves(shared: Shared) -> None:
    """The function runs from a copy of its sources, and data files beside them are not in it."""
    shell, _ = shared("project", run_project)
    found, place = (row["output"] for row in shell.outputs()[len(IMPORTS) :])
    assert found == []
    assert place != str(shell.cwd / "src/app/main.py")


ODD_NAMES = [
    "with space.py",
    "it's.py",
    'quo"te.py',
    "comma,semi;colon.py",
    "$(macro)$$(x).py",
    "a=b.py",
    "-dash.py",
    "ünï☃.py",
    "per%cent&amp.py",
    "dots.in.name.py",
    "import.py",
    "htrun.py",
    "_.py",
]


def test_scripts_may_have_any_name(shell: Shell) -> None:
    """Scripts whose names are no module's names, or the names of other modules, run like any other."""
    for number, name in enumerate(ODD_NAMES):
        shell.write(name, f"def f(x):\n    return [x, {number}, __name__ != '__main__']\n")
        shell(f"./{name}:f", "--args", "-", "--tag", f"t{number}", "--detach", input="5\n")
    shell("wait", "--all")
    outputs = {name: shell.outputs(f"t{number}")[0].get("output") for number, name in enumerate(ODD_NAMES)}
    assert outputs == {name: [5, number, True] for number, name in enumerate(ODD_NAMES)}


def test_a_script_with_a_line_break_in_its_name_runs(local: Shell) -> None:
    """Even a line break in the name of a script is nothing but a character."""
    local.write("line\nbreak.py", "def f(x):\n    return x\n")
    assert local.run("line\nbreak.py:f", [1])[0]["output"] == 1


BAD_TARGETS = {
    "no such file": ("nowhere.py:f", r"no file"),
    "no such file but one like it": ("duoble.py:f", r"did you mean double\.py"),
    "no such module": ("nowhere:f", r"no module"),
    "no such function": ("double.py:g_", "g_"),
    "a misspelt function": ("double.py:wraped", "did you mean.*wrapped"),
    "not callable": ("double.py:NUMBER", "int"),
    "a misspelt module": ("doubel:f", "did you mean.*double"),
    "a directory": ("scripts:f", "scripts"),
    "not python": ("notes.txt:f", "notes.txt"),
    "no function": ("double.py", "name the function"),
    "no function after the colon": ("double.py:", "name the function"),
    "async": ("double.py:co", "async"),
    "a generator": ("double.py:gen", "generator"),
    "neither": ("what", "neither a command nor a target"),
    "a misspelt command": ("colect", "did you mean 'htrun collect'"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_a_target_that_cannot_be_used_is_an_error_in_words(project: Shell, case: str) -> None:
    """What cannot be called is refused with exit code 4, says why, and leaves nothing behind."""
    target, message = BAD_TARGETS[case]
    with (project.cwd / "double.py").open("a") as file:
        file.write("\nNUMBER = 3\nasync def co(x):\n    pass\ndef gen(x):\n    yield x\n")
    project.write("notes.txt", "notes")
    before = sorted(os.listdir(project.cwd))
    done = project(target, "--args", "-", input="1\n", code=4)
    assert done.stdout == ""
    assert re.search(message, done.stderr), done.stderr
    assert [name for name in sorted(os.listdir(project.cwd)) if name != "__pycache__"] == before
    assert project("tags").stdout == ""


def test_an_import_that_fails_shows_the_users_frames(local: Shell) -> None:
    """A target that fails when it is imported is refused with its own traceback, shortened to the user's frames."""
    local.write("broken.py", "import helper_of_broken\n\ndef f(x):\n    return x\n")
    local.write("helper_of_broken.py", "def g():\n    return 1 / 0\n\ng()\n")
    err = local("broken.py:f", code=4).stderr
    assert "ZeroDivisionError: division by zero" in err
    for part in ("broken.py", "line 1", "helper_of_broken.py", "line 4", "return 1 / 0"):
        assert part in err
    assert "site-packages" not in err
    assert "importlib" not in err
    assert "htrun/" not in err.replace(str(local.home), "")
    local.write("syntax.py", "def f(x:\n    return x\n")
    err = local("syntax.py:f", code=4).stderr
    assert "SyntaxError" in err
    assert "syntax.py" in err
    local.write("missing.py", "import not_installed_anywhere\n")
    assert "not_installed_anywhere" in local("missing.py:f", code=4).stderr
    local.write("leaves.py", "import sys\nsys.exit(0)\n")
    assert "SystemExit" in local("leaves.py:f", code=4).stderr


def test_what_a_module_prints_when_it_is_imported_is_no_data(local: Shell) -> None:
    """What a module prints while htrun imports it goes to stderr, so that a pipeline gets data only."""
    local.write("m.py", "import os\nprint('loud')\nos.system('echo louder')\n\ndef f(x):\n    return x\n")
    done = local("m.py:f", "--args", "-", "--stdout", input="1\n")
    assert done.stdout == '{"component":0,"status":"COMPLETED","output":1}\n'
    assert "loud\n" in done.stderr
    assert "louder\n" in done.stderr


def test_an_edit_after_the_start_changes_nothing(shell: Shell) -> None:
    """The sources are those of when the map was started: editing them afterwards changes no component of it."""
    shell.write("m.py", "import time\n\ndef f(x):\n    time.sleep(0.5)\n    import n\n    return n.VALUE\n")
    shell.write("n.py", "VALUE = 'before'\n")
    shell("m.py:f", "--args", shell.jsonl("in.jsonl", [1, 2, 3]), "--tag", "t", "--detach", "--chunk-size", 3)
    shell.write("n.py", "VALUE = 'after'\n")
    shell.write("m.py", "def f(x):\n    return 'after'\n")
    shell("wait", "t")
    assert [row["output"] for row in shell.outputs()] == ["before"] * 3


def test_delivery_shared_runs_the_submitting_interpreter(condor: Shell) -> None:
    """With the delivery ``shared`` the interpreter is the one that htrun itself runs on, packages included."""
    condor.write("m.py", "import sys\n\ndef f():\n    import click\n    return [sys.executable, click.__name__]\n")
    (row,) = condor.run("m.py:f", None, "--delivery", "shared")
    executable, package = row["output"]
    assert os.path.samefile(executable, sys.executable)
    assert executable.startswith(os.path.dirname(sys.executable))
    assert package == "click"


def test_delivery_assume_runs_the_nodes_own_python(condor: Shell) -> None:
    """With the delivery ``assume`` nothing is needed on the node but a python3 on the PATH, not even htrun."""
    condor.write(
        "m.py",
        """
        import sys
        from pathlib import Path

        def f(path: Path):
            try:
                import click
            except ImportError:
                click = None
            print(path.read_text())
            return [sys.executable, click is None, (lambda: 3), 1j]
        """,
    )
    condor.write("data.txt", "some data")
    condor("m.py:f", "--args", "-", "--tag", "t", "--delivery", "assume", input='"data.txt"\n')
    row = parse_repr(condor)
    assert "python3" in row
    assert os.path.dirname(sys.executable) not in row
    assert condor("stdout", "t", 0).stdout == "some data\n"
    done = condor("m.py:f", "--args", "-", "--delivery", "nonsense", code=4, input="1\n")
    assert "auto, assume, docker, packaged, shared, singularity, transplant" in done.stderr


def parse_repr(shell: Shell) -> str:
    """Return the output of the only component as its ``repr()``: a lambda has no JSON form."""
    return shell("collect", "t", "--default", "repr", "--values").stdout
