"""A map takes the place of another one: whenever the process ends, the tag has one of the two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from htrun import tags
from htrun.replacing import Replacement
from htrun.store import DirectoryBuilder
from htrun.tags import TagRegistry

if TYPE_CHECKING:
    from collections.abc import Callable


class Killed(BaseException):
    """Stands for the end of the process."""


class Clock:
    """Ends the process before its nth change of names on the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 1000
        monkeypatch.setattr(Path, "rename", self._count(Path.rename))
        monkeypatch.setattr(tags, "write_json", self._count(tags.write_json))
        monkeypatch.setattr(TagRegistry, "forget", self._count(TagRegistry.forget))

    def _count(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if not self.left:
                raise Killed
            self.left -= 1
            return do(*args, **kwargs)

        return counted


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return what ends the process."""
    return Clock(monkeypatch)


def build(parent: Path, uid: str) -> DirectoryBuilder:
    """Return a map that has been built."""
    builder = DirectoryBuilder(parent)
    builder.write_info({"format": 1, "components": 0, "uid": uid, "engine": "local", "tag": "t"})
    return builder


def replace(registry: TagRegistry, path: Path, uid: str, *, fails: bool) -> None:
    """Replace the map of the tag by a new one, which cannot be submitted if it fails."""
    replaced = Replacement("t", uid, path, registry, wanted=True)
    builder = build(path.parent, uid)
    with registry.lock():
        replaced.make_room()
        builder.move_to(path)
    if fails:
        replaced.put_back()
    else:
        replaced.remove()


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("steps", range(9))
def test_the_tag_always_has_a_map(tmp_path: Path, clock: Clock, steps: int, *, fails: bool, elsewhere: bool) -> None:
    """It has the old one or the new one at every moment, and another replacement succeeds and tidies up."""
    registry = TagRegistry(tmp_path / "home/tags")
    place, before = tmp_path / "t", tmp_path / ("other" if elsewhere else "t")
    build(tmp_path, "old").move_to(before)
    with registry.lock():
        registry.set("t", "old", before)
    clock.left = steps
    try:
        replace(registry, place, "new", fails=fails)
        ended = True
    except Killed:
        ended = False
    clock.left = 1000
    found = registry.find("t")
    assert found is not None
    assert found.info["uid"] in ("old", "new")
    assert registry.tags() == ("t",)
    if ended:
        assert found.info["uid"] == ("old" if fails else "new")
        assert found.path == (before if fails else place)
        assert len(registry.entries("t")) == 1
    replace(registry, place, "third", fails=False)
    found = registry.find("t")
    assert found is not None
    assert (found.info["uid"], found.path) == ("third", place)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".htrun-old-")] == []
