"""The delivery method ``transplant``, with a real standalone Python that is not there any more when jobs run."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.parts import standalone

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell
    from tests.conftest import Once
    from tests.parts.servers import FileServer


@pytest.fixture
def mover(condor: Shell, once: Once) -> Shell:
    """Return a place where commands run with a standalone Python, which has a package that is nowhere else."""
    original, _ = once("standalone", lambda path: str(standalone.make(path / "python")))
    shutil.copytree(original / "python", condor.home / "python", symlinks=True, copy_function=os.link)
    python = condor.home / "python/bin/python3"
    (standalone.site_packages(python) / "carried.py").write_text("NAME = 'carried'\n")
    condor.write("m.py", "import sys\n\ndef f():\n    import carried\n    return [sys.prefix, carried.NAME]\n")
    return replace(condor, command=(python, "-m", "htrun"))


def hide(shell: Shell) -> None:
    """Move away what was packed."""
    (shell.home / "python").rename(shell.home / "hidden")


def test_a_transplant_runs_where_there_is_no_such_python(condor: Shell, mover: Shell) -> None:
    """Components run with the packed Python at another path, also again when the transplant has been removed."""
    done = mover("m.py:f", "--tag", "t", "--delivery", "transplant", "--detach")
    assert "packing" in done.stderr
    hide(mover)
    condor("wait", "t")
    (row,) = condor.outputs()
    prefix, name = row["output"]
    assert name == "carried"
    assert str(condor.home) not in prefix
    shown = condor("transplants", "info").stdout
    assert shown.startswith("0: ")
    assert "click==" in shown
    condor("transplants", "remove", "0")
    condor("rerun", "map", "t")
    condor("wait", "t")
    assert condor.outputs()[0]["output"][1] == "carried"


def test_a_transplant_is_packed_once(mover: Shell) -> None:
    """The second map takes what the first one has packed."""
    words = ("m.py:f", "--delivery", "transplant", "--detach")
    assert "packing" in mover(*words).stderr
    assert "packing" not in mover(*words).stderr


def test_a_transplant_may_be_fetched_from_elsewhere(condor: Shell, mover: Shell, http_server: FileServer) -> None:
    """With ALTERNATE_INPUT_PATH jobs fetch it from a URL, and with ASSUME_EXISTS any Python of htrun's can ask for it."""
    mover("m.py:f", "--tag", "first", "--delivery", "transplant")
    (archive,) = condor.home.glob("registry/transplants/*/python.tar.gz")
    shutil.move(archive, http_server.directory / "moved.tgz")
    shutil.rmtree(archive.parent)
    hide(mover)
    condor("set", "TRANSPLANT.ALTERNATE_INPUT_PATH", f"{http_server.url}/moved.tgz")
    condor("set", "TRANSPLANT.ASSUME_EXISTS", "true")
    (row,) = condor.run("m.py:f", None, "--delivery", "transplant")
    assert row["output"][1] == "carried"
    assert not list(condor.home.glob("registry/transplants/*/*"))


def test_assumed_transplants_that_are_not_there(mover: Shell) -> None:
    """With ASSUME_EXISTS alone nothing is packed, and it is told what is missing."""
    mover("set", "TRANSPLANT.ASSUME_EXISTS", "true")
    done = mover("m.py:f", "--delivery", "transplant", code=4)
    assert "there is no transplant in " in done.stderr
    assert "ALTERNATE_INPUT_PATH" in done.stderr
    assert not (mover.cwd / "results").exists()


def test_the_request_for_disk_counts_what_is_unpacked(mover: Shell) -> None:
    """Jobs ask for room for the archive and for what is in it, unless the user asks for something else."""
    (mover.cwd / "x.py").write_text("def f():\n    pass\n")
    for words, wanted in ((), "TransferInputSizeMB"), (("--request-disk", "3GB"), "request_disk = 3GB"):
        mover("x.py:f", "--tag", "t", "--overwrite", "--delivery", "transplant", *words)
        (description,) = mover.path().glob(".htrun/submit.*.sub")
        (line,) = [line for line in description.read_text().splitlines() if line.startswith("request_disk")]
        assert wanted in line
