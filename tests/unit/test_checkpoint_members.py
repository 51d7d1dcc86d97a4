"""Checkpoints that were tampered with: nothing of them is put outside of the scratch directory."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from htrun.runner.hooks import restore

if TYPE_CHECKING:
    from pathlib import Path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return a member of an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 4 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "members",
    [
        [member("../out")],
        [member("a/../../out")],
        [member("%s/out")],
        [member("link", tarfile.SYMTYPE, "%s"), member("link/out")],
        [member("link", tarfile.SYMTYPE, ".."), member("link/out")],
        [member("hard", tarfile.LNKTYPE, "../mine")],
        [member("hard", tarfile.LNKTYPE, "%s/mine")],
        [member("device", tarfile.CHRTYPE)],
    ],
    ids=lambda members: members[-1].name,
)
def test_nothing_leads_out_of_scratch(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    """Names with `..`, absolute ones, those through links, links to other files, and devices are refused."""
    (tmp_path / "mine").write_text("mine")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with tarfile.open(tmp_path / "checkpoint", "w") as tar:
        for info in members:
            info.name, info.linkname = (text.replace("%s", str(tmp_path)) for text in (info.name, info.linkname))
            tar.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(OSError, match="leads out of the scratch directory"):
        restore(str(tmp_path / "checkpoint"), str(scratch))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "mine", "scratch"]
    assert (tmp_path / "mine").stat().st_nlink == 1


def test_links_of_the_component_itself_are_kept(tmp_path: Path) -> None:
    """A link that leads elsewhere is one of the component's own, which it gets back as it was; so are hard links."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with tarfile.open(tmp_path / "checkpoint", "w") as tar:
        tar.addfile(member("data", tarfile.SYMTYPE, "/data"))
        tar.addfile(member("one"), io.BytesIO(b"text"))
        tar.addfile(member("two", tarfile.LNKTYPE, "one"))
    restore(str(tmp_path / "checkpoint"), str(scratch))
    assert (scratch / "data").readlink().as_posix() == "/data"
    assert (scratch / "two").read_text() == "text"
