"""The delivery method packaged: the packages that a target needs go with it, and nobody has installed them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import htrun
from tests.behaviour.conftest import PATIENCE_S
from tests.behaviour.programs import run
from tests.behaviour.wheels import node_python, requirements, wheel

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

HERE = "{}.{}".format(*sys.version_info)
TARGET = """
    import sys
    import parcel

    def f(x):
        import importlib.metadata
        import subprocess
        import tiedup
        where = next(n for n, entry in enumerate(sys.path) if entry in parcel.__file__)
        before = [entry for entry in sys.path[:where] if "site-packages" in entry or "dist-packages" in entry]
        tool = subprocess.run(["parcel-tool", str(x)], capture_output=True, text=True).stdout
        return [x, parcel.VERSION, tiedup.VERSION, before, tool, importlib.metadata.version("parcel")]
"""


def parcel(shell: Shell) -> Path:
    """Write wheels of two packages, one of which needs the other, and a target that needs both."""
    shell.write("f.py", TARGET)
    wheel(shell.cwd / "wheels", "tiedup", "2.0")
    return wheel(shell.cwd / "wheels", "parcel", requires=["tiedup>=1"], scripts=True)


def outputs(shell: Shell) -> list[object]:
    """Return the outputs of the map ``t``."""
    return [row["output"] for row in shell.outputs()]


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_requirements_file_says_what_is_needed(shell: Shell, installer: str) -> None:
    """Packages of a requirements file, and what these need, are imported where a component runs, before installed ones."""
    parcel(shell)
    requirements(shell, "parcel")
    words = ["--requirements", "r.txt", *node_python(shell)]
    env = {"HTRUN_PACKAGED_INSTALLER": installer}
    rows = shell.run("f.py:f", [1, 2], *words, env=env)
    assert [row["output"] for row in rows] == [[n, "1.0", "2.0", [], f"tool of {n}\n", "1.0"] for n in (1, 2)]


def test_the_targets_own_file_says_what_is_needed(shell: Shell) -> None:
    """The metadata block of a script (PEP 723) comes before a pyproject.toml, and its relative places are the script's."""
    path = parcel(shell)
    other = shell.cwd / "wheels" / "tiedup-2.0-py3-none-any.whl"
    block = f'# /// script\n# requires-python = ">=3.8"\n# dependencies = [\n#   "parcel @ {path.as_uri()}",\n'
    block += f'#   "tiedup @ {other.as_uri()}",\n# ]\n# ///\n'
    shell.write("f.py", block.encode() + (shell.cwd / "f.py").read_bytes())
    shell.write("pyproject.toml", '[project]\nname = "x"\nversion = "1"\ndependencies = ["no-such-thing"]\n')
    rows = shell.run("f.py:f", [1], "--delivery", "packaged", *node_python(shell))
    assert rows[0]["output"][:3] == [1, "1.0", "2.0"]


def test_the_project_says_what_is_needed(shell: Shell) -> None:
    """Without a metadata block, the dependencies of the nearest project above the target count, from any directory."""
    path = parcel(shell)
    other = shell.cwd / "wheels" / "tiedup-2.0-py3-none-any.whl"
    wanted = json.dumps([f"parcel @ {path.as_uri()}", f"tiedup @ {other.as_uri()}"])
    shell.write("project/pyproject.toml", f'[project]\nname = "x"\nversion = "1"\ndependencies = {wanted}\n')
    shell.write("project/src/pyproject.toml", "[tool.other]\n")
    target = shell.write("project/src/f.py", TARGET)
    rows = shell.run(f"{target}:f", [1], "--delivery", "packaged", *node_python(shell))
    assert rows[0]["output"][:3] == [1, "1.0", "2.0"]


def test_functions_of_python_bring_packages_too(api: Shell) -> None:
    """A function that Python maps finds the packages of a requirements file, and its results are of their classes."""
    wheel(
        api.cwd / "wheels", "boxes", boxes__py="", **{"boxed.py": "class Box:\n    def __init__(self, n): self.n = n\n"}
    )
    requirements(api, "boxes")
    script = """
        import sys
        import htrun

        htrun.settings["DELIVERY_METHOD"] = "packaged:r.txt"
        options = htrun.MapOptions(custom_options={}, **({"environment": sys.argv[1]} if sys.argv[1] else {}))

        def f(n):
            import boxed
            return boxed.Box(n)

        map = htrun.map(f, [1, 2], map_options=options, tag="t")
        print([(type(box).__module__, box.n) for box in map])
    """
    words = node_python(api)
    assert run(api, script, words[1].partition("=")[2] if words else "") == "[('boxed', 1), ('boxed', 2)]\n"


def test_nothing_is_resolved_twice(local: Shell) -> None:
    """Requirements that are as they were are not resolved again; those of a file that they name are, when it changes."""
    parcel(local)
    requirements(local, "-r more.txt")
    local.write("more.txt", "parcel\n")
    local.jsonl("in", [1])
    words = [
        "f.py:f",
        "--args",
        "in",
        "--input-format",
        "jsonl",
        "--requirements",
        "r.txt",
        "--tag",
        "t",
        "--overwrite",
    ]
    assert "resolving the packages of r.txt" in local(*words).stderr
    assert "resolving" not in local(*words).stderr
    local.write("more.txt", "parcel\ntiedup<2\n")
    wheel(local.cwd / "wheels", "tiedup", "1.5")
    assert "resolving" in local(*words).stderr
    assert outputs(local)[0][2] == "1.5"
    assert len(list((local.home / "registry/packages").glob("*/packages.zip"))) == 2
    # The same lock by another name is not installed again.
    local.write("again.txt", (local.cwd / "r.txt").read_bytes() + b"# the same\n")
    said = local(*[word.replace("r.txt", "again.txt") for word in words]).stderr
    assert "resolving" in said
    assert "installing" not in said


def test_commands_at_the_same_time_install_once(local: Shell) -> None:
    """Of commands that need the same packages at the same time, one installs them, and all have them."""
    parcel(local)
    requirements(local, "parcel")
    started = [
        local.start("f.py:f", "--args", local.jsonl("in", [1]), "--input-format", "jsonl", "--requirements", "r.txt")
        for _ in range(3)
    ]
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert sum("installing 2 packages" in text for text in said) == 1


def test_a_damaged_cache_is_mended(local: Shell) -> None:
    """Packages of which somebody has deleted a part are installed again."""
    parcel(local)
    requirements(local, "parcel")
    local.run("f.py:f", [1], "--requirements", "r.txt")
    shutil.rmtree(next((local.home / "registry/packages").glob("*/site-packages")))
    local.run("f.py:f", [1], "--requirements", "r.txt", "--overwrite")


def test_a_function_of_a_package_that_comes_along(shell: Shell) -> None:
    """The target itself may be in a package that is not installed here."""
    wheel(shell.cwd / "wheels", "parcel", **{"parcel.py": "def f(x): return 2 * x\n"})
    requirements(shell, "parcel")
    assert shell.run("parcel:f", [4], "--requirements", "r.txt", *node_python(shell))[0]["output"] == 8


def test_packages_do_not_hide_the_standard_library(shell: Shell) -> None:
    """Of a package by the name of a standard module, and one by htrun's, the node takes no notice."""
    other = {"enum.py": "raise RuntimeError('enum')\n", "htrun/__init__.py": "raise RuntimeError('htrun')\n"}
    wheel(shell.cwd / "wheels", "parcel", **other)
    requirements(shell, "parcel")
    shell.write("f.py", "import enum\nimport htrun\nimport parcel\n\ndef f():\n    return parcel.VERSION\n")
    assert shell.run("f.py:f", None, "--requirements", "r.txt", *node_python(shell))[0]["output"] == "1.0"


def test_a_package_of_this_machine_is_taken_as_it_is_now(local: Shell) -> None:
    """A wheel that a requirement names by its path is installed anew when it has changed."""
    local.write("f.py", "import parcel\n\ndef f():\n    return parcel.VERSION\n")
    wheel(local.cwd, "parcel")
    local.write("r.txt", "./parcel-1.0-py3-none-any.whl\n")
    assert local.run("f.py:f", None, "--requirements", "r.txt")[0]["output"] == "1.0"
    wheel(local.cwd, "parcel", **{"parcel.py": "VERSION = 'changed'\n"})
    assert local.run("f.py:f", None, "--requirements", "r.txt", "--overwrite")[0]["output"] == "changed"


def test_a_map_keeps_its_packages(shell: Shell) -> None:
    """Components run again with the packages of their map when the cache is cleared, and what they came from is gone."""
    parcel(shell)
    requirements(shell, "parcel")
    shell.run("f.py:f", [1, 2], "--requirements", "r.txt", *node_python(shell))
    shutil.rmtree(shell.home / "registry" / "packages")
    shutil.rmtree(shell.cwd / "wheels")
    shell("rerun", "components", "t", "1")
    shell("wait", "t")
    assert [row[:2] for row in outputs(shell)] == [[1, "1.0"], [2, "1.0"]]


@pytest.mark.parametrize(
    ("words", "files", "said"),
    [
        ([], {}, "--requirements FILE (or packaged:FILE), in a metadata block '# /// script' in"),
        (["--requirements", "none.txt"], {}, "there is no requirements file"),
        (["--requirements", "r.txt"], {"r.txt": "no-such-package-anywhere-1\n"}, "no-such-package-anywhere-1"),
        (["--requirements", "r.txt"], {"r.txt": "-e .\n"}, "an editable package stays where it is"),
        (["--requirements", "r.txt"], {"r.txt": "-r s.txt\n"}, "s.txt"),
        ([], {"pyproject.toml": "[project]\ndynamic = ['dependencies']\n"}, "its dependencies are dynamic"),
        ([], {"pyproject.toml": "[project]\ndependencies = 'six'\n"}, "are to be a list of texts, not 'six'"),
        ([], {"pyproject.toml": "[project]\nrequires-python = '<3.2'\n"}, "it requires Python <3.2, and this is"),
        ([], {"pyproject.toml": "[project]\nrequires-python = 'new'\n"}, "no version specifier: 'new'"),
        ([], {"f.py": "# /// script\n# dependencies = [\n# ///\n"}, "f.py:2: it is not TOML"),
        ([], {"f.py": 2 * "# /// script\n# dependencies = []\n# ///\n\n"}, "there are 2 metadata blocks"),
    ],
)
@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_what_is_wrong_with_requirements(
    local: Shell, words: list[str], files: dict[str, str], said: str, installer: str
) -> None:
    """Requirements that are not there, cannot be met or cannot travel are told, and make no map."""
    local.write("f.py", "def f(): pass\n")
    for name, text in files.items():
        local.write(name, text)
    env = {"HTRUN_PACKAGED_INSTALLER": installer, "UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}
    done = local("f.py:f", "--delivery", "packaged", *words, code=4, env=env)
    assert said in done.stderr
    assert not (local.cwd / "results").exists()


def test_requirements_are_for_one_delivery_method(local: Shell) -> None:
    """--requirements together with another delivery method is a usage error."""
    done = local("math:sqrt", "--requirements", "r.txt", "--delivery", "shared", code=4)
    assert "--requirements is for the delivery method packaged, not for shared" in done.stderr


def test_a_project_that_needs_nothing(shell: Shell) -> None:
    """No packages at all are packages too."""
    shell.write("f.py", "# /// script\n# dependencies = []\n# ///\ndef f(): return 1\n")
    assert shell.run("f.py:f", None, "--delivery", "packaged", *node_python(shell))[0]["output"] == 1


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_compiled_packages_of_the_registry(shell: Shell, installer: str) -> None:
    """A package with a compiled part comes from the real registry, and is imported where a component runs."""
    shell.write("r.txt", "MarkupSafe>=2\n")
    shell.write(
        "f.py", "import markupsafe._speedups as fast\n\ndef f(x):\n    return [type(fast).__name__, fast.__file__]\n"
    )
    words = ["--requirements", "r.txt", *node_python(shell)]
    output = shell.run("f.py:f", ["<"], *words, env={"HTRUN_PACKAGED_INSTALLER": installer})[0]["output"]
    assert output[1].endswith(".so")
    assert str(Path(htrun.__file__).parents[1]) not in output[1]
