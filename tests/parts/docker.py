"""Docker as an ordinary user has it, and a registry of images, without which HTCondor runs none.

The registry has a certificate of our authority's, since Apptainer fetches images by HTTPS alone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from filelock import FileLock

from tests.parts import authority, dockerd, pythons
from tests.parts.daemon import Daemon
from tests.parts.errors import PartError
from tests.pool.prefix import cache_dir
from tests.tools.debian import PackageError, PrivateApt, unpack

REGISTRY_CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: "{directory}/images"}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: "{pem}", key: "{pem}"}}}}
"""


@dataclass(frozen=True)
class Docker:
    """A Docker daemon that answers: the client program, and where the daemon is unless the client knows."""

    program: str
    host: str | None = None

    def __call__(self, *words: str, stdin: int | None = subprocess.DEVNULL) -> str:
        """Run the client and return what it prints, or raise an error with the last line of its complaint."""
        env = {**os.environ, "DOCKER_HOST": self.host} if self.host else None
        try:
            done = subprocess.run(
                [self.program, *words], env=env, stdin=stdin, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise PartError(f"{self.program}: {error.strerror}") from error
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[-1:]
            raise PartError(f"docker {words[0]}: {' '.join(said) or f'exit code {done.returncode}'}")
        return done.stdout.strip()


def find() -> Docker:
    """Return the Docker that root has started for our tests, or else the one that this user may use.

    Raises
    ------
    PartError
        If there is none.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(dockerd.FETCHED / "usr/bin")])
    program = shutil.which("docker", path=path)
    if program is None:
        raise PartError("Docker is not installed")
    ours = dockerd.socket_path(pwd.getpwuid(os.getuid()).pw_name)
    docker = Docker(program, f"unix://{ours}" if dockerd.answers(ours) else os.environ.get("DOCKER_HOST"))
    docker("version", "--format", "{{.Server.Version}}")
    return docker


class Images(Mapping[str, str]):
    """Images that hold a Python and nothing else, by its version; each is made when it is first asked for."""

    def __init__(self, docker: Docker) -> None:
        self.docker = docker
        self.registry = start_registry()

    def __getitem__(self, version: str) -> str:
        """Return the name of an image, without ``docker://``."""
        root = pythons.root(version)
        name = f"{self.registry}/python:{version}"
        with FileLock(cache_dir() / "registry.lock"):
            if not in_registry(self.registry, version):
                command = ["tar", "-c", "-C", str(root), "--owner=0", "--group=0", "--numeric-owner", "."]
                with subprocess.Popen(command, stdout=subprocess.PIPE) as packed:
                    assert packed.stdout is not None
                    self.docker("import", "-", name, stdin=packed.stdout.fileno())
                self.docker("push", "--quiet", name)
        return name

    def __iter__(self) -> Iterator[str]:
        """Return the versions that there are."""
        return iter(pythons.SUITES)

    def __len__(self) -> int:
        """Return how many versions there are."""
        return len(pythons.SUITES)


def registry_daemon() -> Daemon:
    """Return the registry, whether it runs or not."""
    return Daemon(cache_dir() / f"registry-{pythons.RECIPE}")


def start_registry() -> str:
    """Return the address of our registry of images, started unless it runs."""
    daemon = registry_daemon()
    daemon.directory.mkdir(parents=True, exist_ok=True)
    kept = daemon.directory / "address"
    with FileLock(cache_dir() / "registry.lock"):
        if daemon.pid is not None and kept.exists() and responds(address := kept.read_text(encoding="utf-8")):
            return address
        daemon.stop()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        address = f"localhost:{port}"  # Docker believes registries on this machine, whatever their certificate
        config, pem = daemon.directory / "config.yml", authority.server_pem()
        config.write_text(REGISTRY_CONFIG.format(directory=daemon.directory, port=port, pem=pem), encoding="utf-8")
        daemon.start([registry_program(), "serve", config], lambda: responds(address), os.environ)
        kept.write_text(address, encoding="utf-8")
    return address


def registry_program() -> str:
    """Return the registry's program: the machine's, or Debian's package unpacked into the cache."""
    found = shutil.which("docker-registry")
    if found is not None:
        return found
    directory = cache_dir() / "docker-registry"
    if not directory.exists():
        work = cache_dir() / "docker-registry-building"
        shutil.rmtree(work, ignore_errors=True)
        try:
            apt = PrivateApt(work / "apt")
            apt.update()
            unpack(apt.download("docker-registry", dependencies=False), work / "program")
        except PackageError as error:
            raise PartError(f"docker-registry could not be fetched: {error}") from error
        (work / "program").rename(directory)
        shutil.rmtree(work)
    return str(directory / "usr/bin/docker-registry")


def responds(address: str, path: str = "") -> bool:
    """Return whether a registry has what a path of its API stands for."""
    request = urllib.request.Request(f"https://{address}/v2/{path}")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    context = ssl.create_default_context(cafile=authority.certificate())
    # What is on this machine is reached without a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def in_registry(address: str, version: str) -> bool:
    """Return whether the registry has the image of a version."""
    return responds(address, f"python/manifests/{version}")
