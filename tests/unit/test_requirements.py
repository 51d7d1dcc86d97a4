"""Which packages a target needs, and what of the machine's decides on that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from htrun import requirements
from htrun.exceptions import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "line",
    [
        "-r more/more.txt",
        "-rmore/more.txt",
        "--requirement=more/more.txt  # all",
        "-c more/more.txt",
        "--constraint more/more.txt",
    ],
)
def test_files_that_a_file_names(tmp_path: Path, line: str) -> None:
    """The text of further files, relative to the one that names them, counts with that of the first."""
    write(tmp_path, {"r.txt": f"six\n{line}\n", "more/more.txt": "-r last.txt\n", "more/last.txt": "attrs\n"})
    texts, local = requirements.find(str(tmp_path / "r.txt"), None).contents
    assert texts.splitlines()[-1] == "attrs"
    assert not local


@pytest.mark.parametrize(
    "line",
    [
        "./pkg-1-py3-none-any.whl",
        "pkg-1-py3-none-any.whl[extra] ; python_version > '3'",
        "pkg @ file://{folder}/pkg-1-py3-none-any.whl",
        "{folder}/pkg-1-py3-none-any.whl --hash=sha256:0",
        "--find-links .",
        "-f file://{folder}",
        "./",
    ],
)
def test_places_on_this_machine(tmp_path: Path, line: str) -> None:
    """A wheel, or a directory, that is named by its path counts as it is now."""
    write(tmp_path, {"r.txt": line.format(folder=tmp_path) + "\n", "pkg-1-py3-none-any.whl": "one"})
    before = requirements.find(str(tmp_path / "r.txt"), None).contents
    assert "pkg-1-py3-none-any.whl" in before[1]
    os.utime(tmp_path / "pkg-1-py3-none-any.whl", (5, 5))
    assert requirements.find(str(tmp_path / "r.txt"), None).contents != before


@pytest.mark.parametrize(
    "line",
    [
        "pkg",
        "pkg==1 \\\n  --hash=sha256:0",
        "pkg @ https://example.org/pkg.whl",
        "--index-url https://example.org/a",
        "# ./pkg",
    ],
)
def test_what_is_elsewhere(tmp_path: Path, line: str) -> None:
    """Names and URLs are not looked for on this machine, even if there are files of such names."""
    write(tmp_path, {"r.txt": line + "\n", "pkg/setup.py": ""})
    assert requirements.find(str(tmp_path / "r.txt"), None).contents[1] == ""


def test_what_building_leaves_does_not_count(tmp_path: Path) -> None:
    """A directory that is a package counts by its sources, not by what building it puts there."""
    write(tmp_path, {"pkg/setup.py": "", "r.txt": "./pkg\n"})
    before = requirements.find(str(tmp_path / "r.txt"), None).contents
    write(tmp_path, {"pkg/build/lib/x.py": "", "pkg/pkg.egg-info/PKG-INFO": "", "pkg/.git/index": ""})
    assert requirements.find(str(tmp_path / "r.txt"), None).contents == before


@pytest.mark.parametrize(
    ("text", "dependencies"),
    [
        ('# /// script\n# dependencies = ["a", "b>1"]\n# ///\nimport a\n', "a\nb>1\n"),
        ("#!/usr/bin/env python3\n\n# /// script\n#\n# ///\n", ""),
        ('# /// other\n# x = 1\n# ///\n\n# /// script\n# dependencies = [\n#   "a",\n# ]\n# [tool.uv]\n# ///\n', "a\n"),
    ],
)
def test_metadata_blocks(tmp_path: Path, text: str, dependencies: str) -> None:
    """The block of the type script is read as PEP 723 says, and others are passed over."""
    write(tmp_path, {"f.py": text})
    assert requirements.find(None, tmp_path / "f.py").text == dependencies


def test_metadata_that_is_no_toml(tmp_path: Path) -> None:
    """What is wrong with a block is told with the line of the script."""
    write(tmp_path, {"f.py": "import a\n# /// script\n# dependencies = []\n# x = = 1\n# ///\n"})
    with pytest.raises(UsageError, match=r"f\.py:4: it is not TOML"):
        requirements.find(None, tmp_path / "f.py")


def test_projects_of_installed_targets_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a target in an installed package, the project is that of the current directory, not the environment's."""
    table = '[project]\nname = "x"\ndependencies = ["{}"]\n'
    write(tmp_path, {"a/pyproject.toml": table.format("theirs"), "a/lib/site-packages/m.py": ""})
    write(tmp_path, {"b/pyproject.toml": table.format("ours")})
    monkeypatch.chdir(tmp_path / "b")
    assert requirements.find(None, tmp_path / "a/lib/site-packages/m.py").text == "ours\n"


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files by their names."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
