"""What comes along with a directory, and removing one whatever is in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from htrun.runner.files import left_out, remove_tree

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_left_out(tmp_path: Path) -> None:
    """Files, directories and links to them come along; what leads nowhere or back, pipes and maps do not."""
    (tmp_path / "file").write_text("")
    (tmp_path / "directory" / ".htrun").mkdir(parents=True)
    (tmp_path / "map" / ".htrun").mkdir(parents=True)
    (tmp_path / "map" / ".htrun" / "map.json").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name, target in {
        "to file": "file",
        "to directory": "directory",
        "nowhere": "none",
        "self": ".",
        "up": "..",
    }.items():
        (tmp_path / name).symlink_to(target)
    names = os.listdir(tmp_path)
    assert sorted(set(names) - set(left_out(str(tmp_path), names))) == ["directory", "file", "to directory", "to file"]


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    """Directories that hold links to each other are followed once around, and not for ever."""
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "to").symlink_to(f"../{other}")
    assert left_out(str(tmp_path), ["a", "b"]) == []
    assert left_out(str(tmp_path / "a"), ["to"]) == []
    assert left_out(str(tmp_path / "a" / "to"), ["to"]) == ["to"]


def test_directories_that_nobody_may_enter_are_removed(tmp_path: Path) -> None:
    """A tree is removed although directories in it may be neither listed nor written to; links are not followed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    tree = tmp_path / "tree"
    for number in range(6):
        (tree / f"{number}" / "deep" / "deeper").mkdir(parents=True)
        (tree / f"{number}" / "deep" / "file").write_text("")
    (tree / "link").symlink_to(outside)
    for number in range(6):
        (tree / f"{number}" / "deep").chmod(0)
        (tree / f"{number}").chmod(0)
    tree.chmod(0o500)
    remove_tree(str(tree))
    assert not tree.exists()
    assert (outside / "kept").exists()
