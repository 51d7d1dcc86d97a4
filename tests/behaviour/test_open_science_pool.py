"""The settings that docs/howto/open-science-pool.md gives, as far as a submit description can be checked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

PAGE = Path(__file__).parents[2] / "docs/howto/open-science-pool.md"


@pytest.fixture
def osp(condor: Shell) -> Shell:
    """Return a place with the page's settings."""
    (block,) = re.findall(r":caption: htrun.toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (condor.home / ".htrunrc").write_text(block, encoding="utf-8")
    return condor


def job_of(osp: Shell, condor_tool: Callable[..., str], *words: object) -> dict[str, str]:
    """Return the job ad that condor_submit makes of a map's submit description."""
    osp("math:sqrt", "--args", osp.jsonl("in.jsonl", [1]), "--tag", "t", "--detach", *words)
    description = osp.path() / ".htrun/submit.0.sub"
    copy = osp.write("copy.sub", description.read_text(encoding="utf-8") + "htrun_job = 0\nqueue\n")
    text = condor_tool("condor_submit", "-dry-run", "-", copy)
    return dict(re.findall(r"^(\w+)\s*=\s*(.*)$", text, re.MULTILINE))


def test_the_settings_make_a_job_for_the_ospool(osp: Shell, condor_tool: Callable[..., str]) -> None:
    """The job is in the container universe, with an image from OSDF, a project, and no need for shared files."""
    job = {name.lower(): value for name, value in job_of(osp, condor_tool).items()}
    assert job["projectname"] == '"YOUR_PROJECT"'
    assert job["wantcontainer"] == "true"
    assert job["containerimage"] == '"fit-v1.sif"'
    assert "osdf:///ospool/ap40/data/YOU/fit-v1.sif" in job["transferinput"]
    assert job["shouldtransferfiles"] == '"YES"'
    assert "TARGET.HasSIF" in job["requirements"]
    assert '"osdf"' in job["requirements"]
    assert job["requestmemory"] == "1024"
    assert job["requestdisk"] == "2097152"


def test_a_docker_image_does_without_preparation(osp: Shell, condor_tool: Callable[..., str]) -> None:
    """A docker image on the command line takes the place of the one in the settings."""
    job = {n.lower(): v for n, v in job_of(osp, condor_tool, "--delivery", "docker:python:3.12").items()}
    assert job["containerimage"] == '"docker://python:3.12"'
    assert "TARGET.HasDockerURL" in job["requirements"]


def test_inputs_come_from_osdf(osp: Shell, condor_tool: Callable[..., str]) -> None:
    """An input file may be an address of OSDF, which the job itself fetches."""
    address = "osdf:///ospool/ap40/data/YOU/reference.tar.gz"
    osp("math:sqrt", "--args", osp.jsonl("in.jsonl", [1]), "--tag", "t", "--detach", "--input-file", address)
    uid = json.loads((osp.path() / ".htrun/map.json").read_text(encoding="utf-8"))["uid"]
    constraint = f'HtrunMap == "{uid}"'
    assert address in condor_tool("condor_q", "-constraint", constraint, "-af", "TransferInput")
