"""What is executed is written by nobody else: who may write to the directories that htrun uses."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import htrun
from htrun.exceptions import NotPrivate
from htrun.store import MapDirectory
from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.behaviour.conftest import Shell

NOBODY = 65534


@pytest.fixture(params=[0o000, 0o002, 0o077])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def somebody_elses(directory: Path) -> Path:
    """Return a directory that is not this user's: a new one where root can give it away, else one of root's."""
    if os.geteuid():
        return Path("/usr")
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    return directory


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("before", [None, 0o755])
def test_directories_are_private_whatever_the_umask(local: Shell, before: int | None) -> None:
    """HTRUN_DIR, what is in it, and maps made with any umask are open to their user only; one that is there stays so."""
    local.write("m.py", "def f(x):\n    return x\n")
    local.jsonl("in.jsonl", [1]).chmod(0o600)
    (local.cwd / "m.py").chmod(0o600)
    (local.cwd / "results").mkdir()
    (local.cwd / "results").chmod(0o755)
    registry = local.home / "registry"
    if before is not None:
        registry.mkdir()
        registry.chmod(before)
    local("m.py:f", "--args", "in.jsonl", "--tag", "t")
    assert mode(registry) == (before or 0o700)
    until((registry / "logs").exists, "something was logged")
    places = [*(path for path in registry.iterdir() if path.is_dir()), local.path(), local.path() / ".htrun"]
    assert {str(place.relative_to(local.home)): mode(place) for place in places if mode(place) != 0o700} == {}


def test_maps_from_python_are_private(api: Shell) -> None:
    """A map made from Python is in directories that are open to their user only."""
    before = os.umask(0)
    try:
        map_ = htrun.map(abs, [1], tag="t")
    finally:
        os.umask(before)
    registry = api.home / "registry"
    assert [mode(path) for path in (registry, registry / "maps", map_.path)] == [0o700] * 3


@pytest.mark.parametrize("bits", [0o775, 0o757, 0o1777])
def test_a_registry_that_others_can_write_to_is_refused(local: Shell, bits: int) -> None:
    """Every command says what is wrong with HTRUN_DIR and what to do; one that others can only read is used."""
    local.write("m.py", "def f(x):\n    return x\n")
    calls = local.jsonl("in.jsonl", [1])
    registry = local.home / "registry"
    registry.mkdir()
    registry.chmod(bits)
    for words in (["m.py:f", "--args", calls], ["status"], ["tags"], ["collect", "t"]):
        err = local(*words, code=4).stderr
        assert f"chmod go-w {registry}" in err
    assert list(registry.iterdir()) == []
    registry.chmod(0o755)
    local("m.py:f", "--args", calls, "--tag", "t")
    assert mode(registry) == 0o755
    assert mode(registry / "tags") == 0o700
    (registry / "tags").chmod(0o770)
    assert f"chmod go-w {registry / 'tags'}" in local("collect", "t", code=4).stderr


def test_a_registry_of_somebody_else_is_refused(local: Shell) -> None:
    """Another user's HTRUN_DIR is refused, be it root who asks, and it is said whose it is."""
    theirs = somebody_elses(local.home / "theirs")
    err = local("status", code=4, env={"HTRUN_DIR": str(theirs)}).stderr
    assert f"{theirs} is not used" in err
    assert f"it belongs to {theirs.owner()}" in err


@pytest.mark.parametrize("place", [".", ".htrun"])
def test_a_map_that_others_can_write_to_is_refused(local: Shell, place: str) -> None:
    """Such a map is used by no command, and by Python neither; `status` says so and shows the others."""
    local.write("m.py", "def f(x):\n    return x\n")
    calls = local.jsonl("in.jsonl", [1])
    local("m.py:f", "--args", calls, "--tag", "t")
    local("m.py:f", "--args", calls, "--tag", "other")
    directory = local.path() / place
    directory.chmod(0o770)
    said = f"its group can write to it (mode 0770); if nobody has, 'chmod go-w {directory}'"
    for words in (["collect", "t"], ["wait", "t"], ["status", "t"], ["rerun", "map", "t"], ["remove", "t"]):
        assert said in local(*words, code=4).stderr
    done = local("status")
    assert said in done.stderr
    assert "other" in done.stdout
    assert said in local("m.py:f", "--args", calls, "--tag", "t", "--overwrite", code=4).stderr
    directory.chmod(0o755)
    assert local("collect", "t", "--values").stdout == "1\n"
    directory.chmod(0o775)
    local("remove", "t", "--force")
    assert not local.path().exists()


def test_a_map_of_somebody_else_is_refused(local: Shell) -> None:
    """What a tag leads to is not used if it is another user's, and it is said whose."""
    theirs = somebody_elses(local.home / "theirs")
    (local.home / "registry/tags").mkdir(parents=True, mode=0o700)
    if not os.geteuid():
        (theirs / ".htrun").mkdir()
        (theirs / ".htrun/map.json").write_text('{"uid": "x", "format": 1}')
        (local.home / "registry/tags/t").write_text(json.dumps({"uid": "x", "path": str(theirs)}))
        assert f"it belongs to {theirs.owner()}" in local("collect", "t", code=4).stderr
    with pytest.raises(NotPrivate, match=f"it belongs to {theirs.owner()}"):
        _ = MapDirectory(theirs).info


def test_what_works_on_a_map_can_be_reached_by_its_user_only(local: Shell) -> None:
    """The process of a map listens on no socket, and its files are below a directory that only its user may enter."""
    local.write("m.py", "import time\n\ndef f(x):\n    time.sleep(600)\n")
    local("m.py:f", "--args", local.jsonl("in.jsonl", [1]), "--tag", "t", "--detach")
    processes = until(local.processes, "the map runs")
    links = []
    for pid in processes:
        links += [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()]
    assert [link for link in links if link.startswith("socket:")] == []
    assert mode(local.path() / ".htrun") == 0o700
    outside = [link for link in links if link.startswith("/") and not link.startswith(("/dev/", str(local.home)))]
    assert [link for link in outside if Path(link).exists() and mode(Path(link)) & 0o022] == []
