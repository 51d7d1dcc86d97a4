"""Packages that tests make: tiny ones, with no network and no builds."""

from __future__ import annotations

import sys
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.behaviour.conftest import Shell


def wheel(
    folder: Path, name: str, version: str = "1.0", *, requires: Iterable[str] = (), scripts: bool = False, **files: str
) -> Path:
    """Write a wheel with a module of its name, which has a VERSION, and return its path."""
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}.py": f"VERSION = {version!r}\n",
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {other}\n" for other in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        contents[f"{name}-{version}.data/scripts/{name}-tool"] = "#!/bin/sh\necho tool of $1\n"
        contents[f"{name}-{version}.data/scripts/{name}-script"] = "#!python\nprint('script')\n"
    contents[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*contents, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in contents.items():
            entry = zipfile.ZipInfo(file)
            entry.external_attr = (0o100755 if "/scripts/" in file else 0o100644) << 16
            archive.writestr(entry, text)
    return path


def requirements(shell: Shell, *lines: str, name: str = "r.txt") -> Path:
    """Write a requirements file that knows the wheels in ``wheels`` only."""
    (shell.cwd / "wheels").mkdir(exist_ok=True)
    return shell.write(name, "\n".join(["--no-index", "--find-links wheels", *lines, ""]).encode())


def node_python(shell: Shell, python: str = sys.executable) -> list[str]:
    """Return the options with which jobs find a Python under the name of ``python3``, on the pool."""
    if shell.engine == "local":
        return []
    folder = shell.home / "node"
    if not folder.exists():
        folder.mkdir()
        program = folder / "python3"
        program.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
        program.chmod(0o755)
        shell.home.chmod(0o755)
    return ["-o", f'environment="PATH={folder}:/usr/bin:/bin"']
