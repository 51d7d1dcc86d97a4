"""What all tests share: the fixture `pool`, and things that are made once for all test processes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import settings

# Test modules are imported without a package (--import-mode=importlib), but the pool's tooling is one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.parts.fixtures import chromium, docker_images, http_server, https_server, s3, sandbox, sif
from tests.pool.fixtures import pool

if TYPE_CHECKING:
    from collections.abc import Callable

    Once = Callable[[str, Callable[[Path], Any]], tuple[Path, Any]]

__all__ = ["chromium", "docker_images", "http_server", "https_server", "once", "pool", "s3", "sandbox", "sif"]

settings.register_profile("htrun", deadline=None)  # a busy machine is no failure
settings.load_profile("htrun")


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Return a function that makes something in a directory of its own, once for all processes of pytest-xdist.

    It takes a name and what makes the thing there, and returns the directory and what the maker returned, as JSON
    gives it back. What fails is not tried again.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"

    def make(name: str, maker: Callable[[Path], Any]) -> tuple[Path, Any]:
        directory = root / name
        root.mkdir(exist_ok=True)
        done = root / f"{name}.json"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                directory.mkdir()
                try:
                    made = {"result": maker(directory)}
                except BaseException as error:
                    done.write_text(json.dumps({"failure": f"{error}"}), encoding="utf-8")
                    raise
                done.write_text(json.dumps(made), encoding="utf-8")
            made = json.loads(done.read_text(encoding="utf-8"))
        if "failure" in made:
            pytest.fail(f"{name}: {made['failure']}", pytrace=False)
        return directory, made["result"]

    return make
