"""Get the peers, as far as they can be had, into the environment that runs ``python -m benchmarks.install``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.tools.debian import PackageError, fetch_file


def main() -> None:
    """Install the libraries with pip, and GNU parallel from Debian's package unless there is one."""
    requirements = Path(__file__).with_name("requirements.txt")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
    if subprocess.run(pip, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode != 0:
        sys.stderr.write("the peers from PyPI cannot be installed: those that are missing are left out\n")
    programs = Path(sys.executable).parent
    if shutil.which("parallel") is None and not (programs / "parallel").exists():
        try:
            fetch_file("parallel", "usr/bin/parallel", programs)  # a single Perl script
        except PackageError as error:
            sys.stderr.write(f"GNU parallel cannot be had, and is left out: {error}\n")


if __name__ == "__main__":
    main()
