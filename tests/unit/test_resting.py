"""Resting between two looks at a local run, which ends when the run does."""

from __future__ import annotations

import os
import sys
import time
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

import pytest

from htrun.engines.local.process import is_alive, rest
from htrun.store import DirectoryBuilder, MapDirectory

if TYPE_CHECKING:
    from pathlib import Path

LONG_S = 60.0
SUPERVISE = """
    import sys
    from pathlib import Path
    from htrun.engines.local.process import identify, supervising
    from htrun.store import MapDirectory

    directory = MapDirectory(Path(sys.argv[1]))
    with supervising(directory):
        identify(directory)
        print("there", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> MapDirectory:
    """Return the directory of a map."""
    builder = DirectoryBuilder(tmp_path)
    builder.write_calls([b"[]"])
    builder.write_info({"format": 1, "components": 1, "uid": "u", "tag": "t", "engine": "local", "options": {}})
    return builder.move_to(tmp_path / "t")


@pytest.mark.parametrize("tells", [True, False])
def test_the_end_of_a_run_ends_a_rest(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch, tells: bool) -> None:
    """Whether the system tells of the end of a process or not, nobody rests for much longer."""
    if not tells:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    code = "\n".join(line[4:] for line in SUPERVISE.splitlines())
    with Popen([sys.executable, "-c", code, str(directory.path)], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        rest(directory, 0.05)
        assert is_alive(directory)
        began = time.monotonic()
        process.stdin.close()
        rest(directory, LONG_S)
        assert not is_alive(directory)
        assert time.monotonic() - began < LONG_S / 2


def test_there_is_no_rest_where_nothing_runs(directory: MapDirectory) -> None:
    """Of a map that no process works on the end is seen at once."""
    began = time.monotonic()
    rest(directory, LONG_S)
    assert time.monotonic() - began < LONG_S / 2
