"""The directory that components run in: as new for each, whatever became of it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from htrun.runner.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    """Return one, and come back to where the tests are."""
    here = Path.cwd()
    yield Scratch(str(tmp_path / "work"), str(tmp_path))
    os.chdir(here)


@pytest.mark.parametrize("what", ["file", "file that is gone", "mode", "removed", "replaced"])
def test_it_is_seen_to_be_used(scratch: Scratch, what: str) -> None:
    """What is in it, was in it, or became of itself is seen, and all of it is gone when it is made anew."""
    scratch.enter()
    assert not scratch.is_used()
    if what.startswith("file"):
        Path("file").touch()
    if what == "file that is gone":
        Path("file").unlink()
    if what == "mode":
        Path(scratch.path).chmod(0o500)
    if what in ("removed", "replaced"):
        shutil.rmtree(scratch.path)
    if what == "replaced":
        Path(scratch.path).mkdir()
    assert scratch.is_used()
    scratch.renew()
    assert not scratch.is_used()
    scratch.enter()
    assert Path.cwd() == Path(scratch.path)
    Path("works").touch()


def test_it_is_there_though_something_has_removed_it(scratch: Scratch) -> None:
    """A component does not begin in a directory that what an earlier one has left running has removed."""
    shutil.rmtree(scratch.path)
    time.sleep(0.002)  # it is not looked at twice in a moment
    scratch.enter()
    Path("works").touch()
    assert os.listdir(scratch.path) == ["works"]


def test_it_is_entered_though_its_descriptor_was_closed(scratch: Scratch) -> None:
    """A function that closes all descriptors does not keep the next one from its directory."""
    os.close(scratch._fd)
    assert scratch.is_used()
    scratch.enter()
    assert Path.cwd() == Path(scratch.path)
    assert not scratch.is_used()
