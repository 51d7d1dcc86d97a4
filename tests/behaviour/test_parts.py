"""The real parts that other tests build on, each used by a plain job of HTCondor's, without htrun."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.parts import authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.parts.servers import S3, FileServer

    Job = Callable[..., str]

CODE = "import sys; print(*sys.version_info[:2], sep='.')"


@pytest.fixture
def job(condor_tool: Callable[..., str], tmp_path: Path) -> Iterator[Job]:
    """Return a function that runs one job, described by submit commands, and returns its standard output."""
    clusters = []

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
        clusters.append(condor_tool("condor_submit", "-terse", description).partition(".")[0])
        log = tmp_path / "log"
        until = time.monotonic() + 90
        while "Job terminated" not in log.read_text(encoding="utf-8"):
            assert "Job was held" not in log.read_text(encoding="utf-8"), log.read_text(encoding="utf-8")
            assert time.monotonic() < until, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        assert "return value 0" in log.read_text(encoding="utf-8"), (tmp_path / "err").read_text(encoding="utf-8")
        return (tmp_path / "out").read_text(encoding="utf-8")

    yield run
    left = condor_tool("condor_q", *clusters, "-af", "ClusterId").split()  # such as held ones
    if left:
        condor_tool("condor_rm", *left)


@pytest.mark.parametrize("version", ["3.9", "3.11", "3.13"])
def test_an_image_from_the_registry_runs(job: Job, docker_images: Mapping[str, str], version: str) -> None:
    """Docker runs an image, which has the Python of its name."""
    image = f"docker://{docker_images[version]}"
    assert job(f'python3 -c "{CODE}"', universe="container", container_image=image) == f"{version}\n"


def test_apptainer_runs_an_image_from_the_registry(job: Job, docker_images: Mapping[str, str], sif: Path) -> None:
    """Apptainer, which must believe the registry's certificate, runs an image where the job is said to want that.

    HTCondor prefers Docker for images from a registry. The fixture of an image file tells that Apptainer is there.
    """
    commands = {
        "universe": "container",
        "container_image": f"docker://{docker_images['3.9']}",
        "+WantDockerImage": "false",
        "+WantSIF": "true",
        "environment": f'"SSL_CERT_DIR={authority.directory()}"',
    }
    assert job(f'python3 -c "{CODE}"; test "$APPTAINER_CONTAINER"', **commands) == "3.9\n"


def test_an_image_file_runs(job: Job, sif: Path) -> None:
    """Apptainer runs an image file, with the Python in it."""
    assert job(f'python3 -c "{CODE}"', universe="container", container_image=sif) == "3.13\n"


@pytest.mark.parametrize("transfer", ["true", "false"])
def test_a_directory_runs(job: Job, sandbox: Path, transfer: str) -> None:
    """Apptainer runs an image that is a directory, brought to the job or where it is."""
    commands = {"universe": "container", "container_image": sandbox, "transfer_container": transfer}
    assert job(f'python3 -c "{CODE}"; echo $APPTAINER_NAME', **commands) == f"3.11\n{sandbox.name}\n"


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


def test_an_object_of_s3_is_an_input(job: Job, s3: S3) -> None:
    """An object is fetched, with the key that the submit commands name."""
    url = s3.put(s3.bucket("inputs"), "some/in.txt", b"from afar\n")
    assert job("cat in.txt", transfer_input_files=url, **s3.commands) == "from afar\n"


def test_an_output_becomes_an_object_of_s3(job: Job, s3: S3) -> None:
    """An output is stored as an object; HTCondor 25.14 then holds the job all the same, by a fault of its own.

    The request to sign URLs has no file name, which its shadow takes for one outside of the sandbox.
    """
    bucket = s3.bucket("outputs")
    remaps = f'"out.txt = {s3.url(bucket, "some/out.txt")}"'
    try:
        job("echo done > out.txt", transfer_output_files="out.txt", transfer_output_remaps=remaps, **s3.commands)
    except AssertionError as error:
        assert "Attempt to write to illegal sandbox path: \n" in str(error)  # noqa: PT017
    assert s3.get(bucket, "some/out.txt") == b"done\n"
    assert s3.keys(bucket) == ["some/out.txt"]
