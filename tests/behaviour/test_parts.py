"""The real parts that other tests build on, each used by a plain job of HTCondor's, without htrun."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.parts.servers import S3, FileServer

    Job = Callable[..., str]

CODE = "import sys; print(*sys.version_info[:2], sep='.')"


@pytest.fixture
def job(condor_tool: Callable[..., str], tmp_path: Path) -> Job:
    """Return a function that runs one job, described by submit commands, and returns its standard output."""

    def run(script: str, **commands: object) -> str:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)
        given = {
            "executable": program,
            "output": tmp_path / "out",
            "error": tmp_path / "err",
            "log": tmp_path / "log",
            "should_transfer_files": "yes",
            "request_cpus": 1,
            "request_memory": 100,
            **commands,
        }
        description = tmp_path / "job.sub"
        lines = [f"{name} = {value}" for name, value in given.items()]
        description.write_text("\n".join([*lines, "queue", ""]), encoding="utf-8")
        condor_tool("condor_submit", description)
        log = tmp_path / "log"
        until = time.monotonic() + 30
        while "Job terminated" not in log.read_text(encoding="utf-8"):
            assert "Job was held" not in log.read_text(encoding="utf-8"), log.read_text(encoding="utf-8")
            assert time.monotonic() < until, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        assert "return value 0" in log.read_text(encoding="utf-8"), (tmp_path / "err").read_text(encoding="utf-8")
        return (tmp_path / "out").read_text(encoding="utf-8")

    return run


@pytest.mark.parametrize("version", ["3.9", "3.11", "3.13"])
def test_an_image_from_the_registry_runs(job: Job, docker_images: Mapping[str, str], version: str) -> None:
    """Docker runs an image, which has the Python of its name."""
    image = f"docker://{docker_images[version]}"
    assert job(f'python3 -c "{CODE}"', universe="container", container_image=image) == f"{version}\n"


@pytest.mark.parametrize("kind", ["sif", "sandbox"])
def test_an_image_of_apptainer_runs(job: Job, request: pytest.FixtureRequest, kind: str) -> None:
    """Apptainer runs an image file and a directory, with the Python in it."""
    image = request.getfixturevalue(kind)
    assert job(f'python3 -c "{CODE}"', universe="container", container_image=image) == "3.13\n"


@pytest.mark.parametrize("kind", ["http_server", "https_server"])
def test_files_come_and_go_by_http(job: Job, request: pytest.FixtureRequest, kind: str) -> None:
    """The URL of an input is fetched, and an output is put where a remap says."""
    server: FileServer = request.getfixturevalue(kind)
    (server.directory / "in.txt").write_text("from afar\n", encoding="utf-8")
    commands = {
        "transfer_input_files": f"{server.url}/in.txt",
        "transfer_output_files": "out.txt",
        "transfer_output_remaps": f'"out.txt = {server.url}/out.txt"',
    }
    assert job("cat in.txt; tr a-z A-Z < in.txt > out.txt", **commands) == "from afar\n"
    assert (server.directory / "out.txt").read_text(encoding="utf-8") == "FROM AFAR\n"


def test_files_come_and_go_by_s3(job: Job, s3: S3) -> None:
    """An object is an input, and an output becomes one, with the key that the job names."""
    bucket = s3.bucket("parts")
    commands = {
        "transfer_input_files": s3.put(bucket, "in.txt", b"from afar\n"),
        "transfer_output_files": "out.txt",
        "transfer_output_remaps": f'"out.txt = {s3.url(bucket, "some/out.txt")}"',
        "aws_access_key_id_file": s3.access_key_id_file,
        "aws_secret_access_key_file": s3.secret_access_key_file,
    }
    assert job("cat in.txt; tr a-z A-Z < in.txt > out.txt", **commands) == "from afar\n"
    assert s3.get(bucket, "some/out.txt") == b"FROM AFAR\n"
    assert s3.keys(bucket) == ["in.txt", "some/out.txt"]
