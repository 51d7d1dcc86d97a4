"""What the tests of targets share: a project to import from, and calling a target from its sources alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from htrun.exceptions import TargetError
from htrun.runner import loading
from htrun.targets import Target, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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


@pytest.fixture
def import_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
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
