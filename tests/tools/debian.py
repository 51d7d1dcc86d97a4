"""Debian packages without root: apt with private state downloads and verifies them, dpkg-deb unpacks them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Stanza = dict[str, str]


class PackageError(Exception):
    """Packages could not be had; the message is one line."""


def run(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return what a command prints, or raise an error that quotes the last line it complained with."""
    try:
        done = subprocess.run(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        message = f"{command[0]}: {error.strerror}"
        raise PackageError(message) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        errors = [line for line in said if line.startswith("E: ")] or said[-1:]
        message = f"{shlex.join(map(str, command[:2]))}: {errors[0]}"
        raise PackageError(message)
    return done.stdout


def os_release() -> dict[str, str]:
    """Return the fields of os-release(5), empty where there is none."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key: "".join(shlex.split(value)) for key, _, value in pairs}


def own_source(etc: Path = Path("/etc/apt")) -> Stanza:
    """Return the source that the machine's distribution itself comes from, as a deb822 stanza."""
    release = os_release()
    name, codename = release.get("ID", "debian"), release.get("VERSION_CODENAME", "")
    suites = {codename, "stable", "oldstable", "testing", "unstable", "sid"} - {""}

    def likeness(stanza: Stanza) -> tuple[bool, ...]:
        # Other vendors use the same suite names for archives of their own.
        uri = stanza["URIs"].split()[0].rstrip("/")
        signed = f"{name}-archive-" in stanza.get("Signed-By", "")
        return uri.endswith(f"/{name}"), signed, name in uri, codename in stanza["Suites"].split()

    found = [
        stanza
        for stanza in sources(etc)
        if suites & set(stanza["Suites"].split()) and "main" in stanza.get("Components", "").split()
    ]
    if not found:
        message = f"no source of {release.get('PRETTY_NAME', 'this system')} found in {etc}/sources.list*"
        raise PackageError(message)
    return max(found, key=likeness)


def sources(etc: Path) -> Iterable[Stanza]:
    """Yield every enabled binary package source of an apt configuration directory, as deb822 stanzas."""
    parts = etc / "sources.list.d"
    for path in [etc / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            continue
        found = parse_deb822(text) if path.suffix == ".sources" else parse_one_line(text)
        for stanza in found:
            enabled = stanza.get("Enabled", "yes").lower() not in ("no", "false", "0")
            if enabled and "deb" in stanza.get("Types", "").split() and {"URIs", "Suites"} <= stanza.keys():
                yield stanza


def parse_deb822(text: str) -> list[Stanza]:
    """Return the stanzas of a `.sources` file, continuation lines included."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    blocks = re.split(r"\n[ \t]*\n", "\n".join(lines))
    fields = re.compile(r"^([^\s:]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
    return [dict(fields.findall(block)) for block in blocks if block.strip()]


def parse_one_line(text: str) -> list[Stanza]:
    """Return the stanzas that the lines of a `sources.list` stand for."""
    stanzas = []
    for line in text.splitlines():
        entry = re.match(r"\s*(deb)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if entry:
            kind, options, uri, suite, components = entry.groups()
            stanza = {"Types": kind, "URIs": uri, "Suites": suite, "Components": components.strip()}
            for option in (options or "").split():
                key, _, value = option.partition("=")
                stanza["-".join(word.capitalize() for word in key.split("-"))] = value.replace(",", " ")
            stanzas.append(stanza)
    return stanzas


def write_deb822(stanza: Stanza) -> str:
    """Return a stanza as the text of a `.sources` file."""
    return "".join(f"{key}: {value}\n" for key, value in stanza.items())


class PrivateApt:
    """An apt whose lists, cache and idea of what is installed lie in a directory of their own.

    Parameters
    ----------
    root : Path
        Directory for apt's state; made if missing.
    source : dict, optional
        The only package source to use; by default those of the machine.
    installed : iterable of str
        Packages that count as installed, so that they are not downloaded as dependencies.
    """

    def __init__(self, root: Path, source: Stanza | None = None, installed: Iterable[str] = ()) -> None:
        self.root = root
        for name in ("lists/partial", "cache/archives/partial", "parts", "preferences"):
            (root / name).mkdir(parents=True, exist_ok=True)
        settings = {
            "Dir::State": root,
            "Dir::State::lists": root / "lists",
            "Dir::State::status": root / "status",
            "Dir::Cache": root / "cache",
            "Dir::Log": root,
            "Dir::Etc::main": root / "none",
            "Dir::Etc::parts": root / "parts",
            "Dir::Etc::preferences": root / "none",
            "Dir::Etc::preferencesparts": root / "preferences",
            "APT::Get::AllowUnauthenticated": "false",
            "APT::Get::List-Cleanup": "false",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "APT::Update::Error-Mode": "any",
            "Acquire::AllowInsecureRepositories": "false",
            # A testing suite's Release may be past its date while it is the newest there is.
            "Acquire::Check-Valid-Until": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "true",
        }
        if source is not None:
            (root / "private.sources").write_text(write_deb822(source), encoding="utf-8")
            settings["Dir::Etc::sourcelist"] = root / "private.sources"
            settings["Dir::Etc::sourceparts"] = root / "parts"
        # How to reach the archive (proxies, certificates) stays the machine's; its hooks and pins do not.
        reach = [line for line in run(["apt-config", "dump"]).splitlines() if line.startswith("Acquire::")]
        own = [f'{key} "{value}";' for key, value in settings.items()]
        (root / "apt.conf").write_text("\n".join([*reach, *own, ""]), encoding="utf-8")
        entry = "Package: {}\nStatus: install ok installed\nVersion: 99999:1\nArchitecture: {}\nMulti-Arch: allowed\n\n"
        machine = run(["dpkg", "--print-architecture"]).strip()
        status = "".join(entry.format(name, machine) for name in installed)
        (root / "status").write_text(status, encoding="utf-8")
        self.env = {**os.environ, "APT_CONFIG": str(root / "apt.conf"), "LC_ALL": "C"}

    def update(self) -> None:
        """Fetch the package lists."""
        run(["apt-get", "update"], env=self.env)

    def candidate(self, package: str) -> str | None:
        """Return the version that an installation would take, None where there is no such package."""
        found = re.search(r"Candidate: (\S+)", run(["apt-cache", "policy", package], env=self.env))
        return None if found is None or found[1] == "(none)" else found[1]

    def download(self, *packages: str, dependencies: bool = True) -> list[Path]:
        """Return the verified files of packages and, unless told otherwise, of all that they depend on."""
        if not dependencies:
            run(["apt-get", "download", *packages], env=self.env, cwd=self.root)
            return sorted(self.root.glob("*.deb"))
        run(["apt-get", "install", "--download-only", "--yes", *packages], env=self.env)
        return sorted((self.root / "cache/archives").glob("*.deb"))


def unpack(packages: Iterable[Path], prefix: Path) -> None:
    """Unpack package files into one directory."""
    prefix.mkdir(parents=True, exist_ok=True)
    for package in packages:
        run(["dpkg-deb", "--extract", package, prefix])


def fetch_file(package: str, pattern: str, target: Path) -> Path:
    """Return a copy, in the directory `target`, of the one file of a package that matches `pattern`."""
    with tempfile.TemporaryDirectory() as directory:
        apt = PrivateApt(Path(directory) / "apt")
        apt.update()
        unpack(apt.download(package, dependencies=False), Path(directory) / "files")
        for found in (Path(directory) / "files").glob(pattern):
            return Path(shutil.copy(found, target))
    message = f"the package {package} has no file {pattern}"
    raise PackageError(message)
