"""The Pythons that this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from glob import glob
from pathlib import Path


@cache
def pythons() -> dict[str, str]:
    """Return this Python, and the others from 3.8 on that are on the PATH or were installed by pyenv, by version."""
    installed = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    pyenv = os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"
    installed += sorted(map(Path, glob(f"{pyenv}/versions/*/bin")))  # another user's is passed over
    found = {"{}.{}".format(*sys.version_info): sys.executable}
    for minor in range(8, 20):
        for path in (folder / f"python3.{minor}" for folder in installed):
            if f"3.{minor}" not in found and os.access(path, os.X_OK) and runs(path):
                found[f"3.{minor}"] = str(path)
    return found


def runs(python: Path) -> bool:
    """Tell whether a Python runs: pyenv has programs of such names that do not."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
