"""A standalone Python: a copy of the one that runs the tests, with htrun and what that needs installed in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from re import match

SYSTEM = ("/usr", "/usr/local")
LEFT_OUT = shutil.ignore_patterns(
    "site-packages", "dist-packages", "test", "tests", "idlelib", "config-*", "*.a", "pkgs", "envs", "__pycache__"
)


def make(directory: Path) -> Path:
    """Make one in a directory that is not there yet and return its interpreter."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    if str(base) in SYSTEM:  # there it is not alone
        (directory / "bin").mkdir(parents=True)
        shutil.copy2(os.path.realpath(sys.executable), directory / "bin" / version)
        shutil.copytree(os.path.dirname(os.__file__), directory / "lib" / version, ignore=LEFT_OUT)
        library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME") or "")
        if sysconfig.get_config_var("Py_ENABLE_SHARED") and library.is_file():
            shutil.copy2(library, directory / "lib")
    else:
        shutil.copytree(base, directory, symlinks=True, ignore=LEFT_OUT)
    python = directory / "bin" / version
    link = directory / "bin/python3"
    if not link.exists():
        link.symlink_to(version)
    packages = site_packages(python)
    packages.mkdir(parents=True)
    for name in needed("htrun"):
        install(distribution(name), packages)
    return python


def site_packages(python: Path) -> Path:
    """Return where packages are installed for an interpreter."""
    code = "import site; print(site.getsitepackages()[-1])"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


def needed(name: str) -> set[str]:
    """Return the names of a distribution and of those that it needs here, directly or not."""
    names, new = set[str](), {name}
    while new:
        one = new.pop()
        names.add(one)
        for requirement in distribution(one).requires or ():
            found = match(r"[\w.-]+", requirement)
            if found and "extra ==" not in requirement and found[0] not in names and is_installed(found[0]):
                new.add(found[0])
    return names


def is_installed(name: str) -> bool:
    """Return whether there is a distribution of a name."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def install(installed: Distribution, packages: Path) -> None:
    """Copy a distribution as it is installed here; one that is installed in place stays so."""
    for file in installed.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)
