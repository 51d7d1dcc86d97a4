"""Fixtures of the real parts; a test whose part is missing is skipped, or fails where parts are required."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.parts import apptainer, browser, docker, servers
from tests.parts.errors import PartError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.parts.servers import S3, FileServer
    from tests.pool.pool import Pool


def required() -> bool:
    """Return whether a missing part is a failure: HTRUN_TEST_REQUIRE_PARTS says so, else CI does."""
    by_default = "1" if os.environ.get("CI") == "true" else "0"
    return os.environ.get("HTRUN_TEST_REQUIRE_PARTS", by_default) == "1"


@contextmanager
def needed(what: str, *, only_in_ci: bool = False) -> Iterator[None]:
    """Turn the lack of a part into a skip or a failure of the test."""
    try:
        yield
    except PartError as error:
        reason = f"no {what}: {error}"
    else:
        return
    if os.environ.get("CI") == "true" if only_in_ci else required():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Needed(docker.Images):
    """Images one of which may turn out to be missing."""

    def __getitem__(self, version: str) -> str:
        """Return the name of an image, without ``docker://``."""
        with needed(f"Docker image with Python {version}"):
            return super().__getitem__(version)
        raise AssertionError


@pytest.fixture(scope="session")
def docker_images(pool: Pool) -> Mapping[str, str]:
    """Return names of images with plain Pythons, by version, in a registry that the pool's Docker knows."""
    with needed("Docker"):
        return Needed(docker.find())
    raise AssertionError


@pytest.fixture(scope="session")
def sif(pool: Pool) -> Path:
    """Return an image file for Apptainer with a plain Python 3.13."""
    with needed("Apptainer"):
        return apptainer.image("3.13", "sif")
    raise AssertionError


@pytest.fixture(scope="session")
def sandbox(pool: Pool) -> Path:
    """Return a directory that is an image for Apptainer, with a plain Python 3.11.

    HTCondor can transfer it, since no links to directories are in it: Debian's packages of that Python need none.
    """
    with needed("Apptainer"):
        return apptainer.image("3.11", "sandbox")
    raise AssertionError


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """Return an S3 server of this test process's own, whose certificate the pool believes."""
    with needed("S3 server"), servers.s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Return a browser that shows its pages to nobody; CI installs it (.ci/run)."""
    with needed("browser", only_in_ci=True), browser.start() as started:
        yield started


@pytest.fixture
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """Return a server, for HTTP, of an empty directory."""
    with servers.file_server(tmp_path_factory.mktemp("http")) as server:
        yield server


@pytest.fixture
def https_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """Return a server, for HTTPS, of an empty directory; the pool believes its certificate."""
    with servers.file_server(tmp_path_factory.mktemp("https"), tls=True) as server:
        yield server
