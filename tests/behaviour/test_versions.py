"""Execute nodes with another Python than the one that submits."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import pytest

import htrun
from tests.behaviour.programs import run
from tests.behaviour.wheels import requirements, wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.behaviour.conftest import Shell

HERE = "{}.{}".format(*sys.version_info)
VERSIONS = ["3.9", "3.11", "3.13"]
OTHER = "3.9" if HERE != "3.9" else "3.13"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_source_target_runs_in_another_python(condor: Shell, docker_images: Mapping[str, str], version: str) -> None:
    """A target of a project, its modules, files and results travel between this Python and one in a container."""
    condor.write("tools/__init__.py", "from dataclasses import dataclass\n\n@dataclass\nclass Size:\n    bytes: int\n")
    condor.write(
        "f.py",
        """
        import sys
        from pathlib import Path
        from tools import Size

        def f(path: Path, n: int):
            if n:
                raise ValueError(f"{n}")
            return list(sys.version_info[:2]), path.name, Size(len(path.read_text()))
        """,
    )
    condor.write("data.txt", "four")
    calls = [{"path": "data.txt", "n": 0}, {"path": "data.txt", "n": 1}]
    words = ["--delivery", "assume", "-o", f"container_image=docker://{docker_images[version]}"]
    condor("f.py:f", "--tag", "t", "--args", condor.jsonl("in.jsonl", calls), *words, code=1)
    rows = condor.outputs()
    assert rows[0]["output"] == [[3, int(version[2:])], "data.txt", {"bytes": 4}]
    assert rows[1]["error"] == {"type": "ValueError", "message": "1"}
    assert condor.errors()[0]["error"]["frames"][0]["source"][-1].endswith('raise ValueError(f"{n}")')


@pytest.mark.parametrize("engine", ["htcondor"], indirect=True)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pickled_function_in_another_python(
    api: Shell, docker_images: Mapping[str, str], version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function whose byte code the Python in a container cannot run is an error that says so, and what to do."""
    monkeypatch.setenv("HTRUN_DELIVERY", "assume")
    options = htrun.MapOptions(container_image=f"docker://{docker_images[version]}")
    map_ = htrun.map(lambda x: x + 1, [1], map_options=options)
    map_.wait(timeout=60, errors_ok=True)
    if version == HERE:
        assert list(map_) == [2]
    else:
        check(map_.get_err(0).exception_msg, version)


def check(message: str, version: str) -> None:
    """Check that a message says which Python has made what, which one is there, and what to do."""
    assert f"with its byte code by Python {platform.python_version()}, which Python {version}." in message
    assert f"let Python {HERE} run there, as with --delivery shared or docker:python:{HERE}" in message
    assert "FILE.py:FUNCTION" in message


def test_a_pickled_argument_in_another_python(condor: Shell, docker_images: Mapping[str, str]) -> None:
    """An argument with byte code is the error of its component alone; what needs none runs."""
    script = """
        import operator
        import sys
        import htrun

        htrun.settings["DELIVERY_METHOD"] = "assume"
        options = htrun.MapOptions(container_image=sys.argv[1])
        one = htrun.map(lambda x: x, [1], tag="one", map_options=options)
        two = htrun.map(operator.itemgetter(0), [[5], [lambda: 1]], tag="two", map_options=options)
        for map in one, two:
            map.wait(timeout=60, errors_ok=True)
        print(two[0])
        print(one.get_err(0).exception_msg)
        print(two.get_err(1).exception_msg)
    """
    value = run(condor, script, f"docker://{docker_images[OTHER]}").splitlines()
    assert value[0] == "5"
    check(value[1], OTHER)
    check(value[2], OTHER)


def test_packages_for_another_python_than_the_nodes(condor: Shell, docker_images: Mapping[str, str]) -> None:
    """Where the node's Python is of another version than the packages, each component says so, and what to do."""
    wheel(condor.cwd / "wheels", "parcel")
    requirements(condor, "parcel")
    condor.write("f.py", "import parcel\n\ndef f(x):\n    return x\n")
    condor.jsonl("in.jsonl", [1, 2])
    words = ["--args", "in.jsonl", "--requirements", "r.txt", "--chunk-size", "2"]
    words += ["-o", f"container_image=docker://{docker_images[OTHER]}"]
    done = condor("f.py:f", "--tag", "t", *words, code=1)
    errors = [row["error"] for row in condor.errors()]
    assert [error["type"] for error in errors] == ["WrongPython"] * 2
    assert f"for Python {HERE}, and here is Python {OTHER}." in errors[0]["message"]
    assert f"run htrun with Python {OTHER}" in errors[0]["message"]
    assert "2 errored" in done.stderr.splitlines()[-1]


def test_packages_in_a_container(condor: Shell, docker_images: Mapping[str, str]) -> None:
    """A container that has nothing but the same Python will do, for packages with a compiled part too."""
    if HERE not in VERSIONS:
        pytest.skip(f"there is no image of Python {HERE}")
    condor.write("r.txt", "MarkupSafe>=2\n")
    condor.write("f.py", "import markupsafe._speedups as fast\n\ndef f():\n    return fast.__file__\n")
    words = ["--requirements", "r.txt", "-o", f"container_image=docker://{docker_images[HERE]}"]
    assert condor.run("f.py:f", None, *words)[0]["output"].endswith(".so")


@pytest.mark.parametrize("engine", ["htcondor"], indirect=True)
def test_a_pool_without_the_python_of_the_packages(api: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all machines say which Python they have, and none has that of the packages, nothing is submitted."""
    monkeypatch.setattr("htrun.delivery.packaged._MINOR", "3.2")
    api.write("pyproject.toml", '[project]\nname = "x"\nversion = "1"\n')
    monkeypatch.setenv("HTRUN_DELIVERY", "packaged")
    said = rf"no machine of the pool has Python 3\.2, .* they have {platform.python_version()} \(1\): run htrun with"
    with pytest.raises(htrun.exceptions.EngineError, match=said):
        htrun.map(abs, [1], tag="t")
    assert not htrun.get_tags()
