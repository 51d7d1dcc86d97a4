"""Make `.venv` with htrun and its development tools, from a machine that may have neither pip nor python3-venv.

``python3 -m tests.tools.venv`` in the checkout does nothing when `.venv` is up to date.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tools.debian import PackageError, fetch_file

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / "htrun-set-up.json"
OLDEST = (3, 10)
SYSTEM_PYTHON = Path("/usr/bin/python3")


class SetUpError(Exception):
    """The environment could not be made; the message says what to do."""


def main() -> int:
    """Bring `.venv` up to date and return an exit code."""
    try:
        set_up()
    except SetUpError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def set_up() -> None:
    """Make the environment where there is none for this interpreter, install where pyproject.toml changed."""
    python = interpreter()
    try:
        found = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    activated = Path(sys.prefix).resolve() == VENV.resolve()
    made_from = f"{python} {version(python)} {VENV}"
    if activated:  # then this is its own interpreter, not the one that it was made with
        made_from = found.get("python", made_from)
    wanted = {"python": made_from, "project": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()}
    usable = works(VENV / "bin/python", "import pip")
    if activated and not usable:
        message = f"{VENV} has no pip: deactivate it and try again"
        raise SetUpError(message)
    if usable and found == wanted:
        return
    # A .venv without our stamp may be the developer's own: it is used if it works, not thrown away.
    if not usable or found.get("python", made_from) != made_from:
        sys.stderr.write(f"making {VENV} with {python}\n")
        shutil.rmtree(VENV, ignore_errors=True)
        create(python)
    STAMP.unlink(missing_ok=True)
    sys.stderr.write("installing htrun and its development tools\n")
    run(
        [VENV / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", f"{ROOT}[dev]"],
        "pip could not install htrun: its own message is above",
    )
    STAMP.write_text(json.dumps(wanted), encoding="utf-8")


def interpreter() -> Path:
    """Return the interpreter to use: the one that runs this, or the system's where only root may run that one."""
    mine = Path(sys.executable)
    if os.geteuid() == 0 and not for_everyone(mine) and version(SYSTEM_PYTHON) >= OLDEST:
        return SYSTEM_PYTHON
    return mine


def for_everyone(program: Path) -> bool:
    """Return whether every user may execute a program and reach its directory."""
    real = program.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (real, *real.parents))


def version(python: Path) -> tuple[int, ...]:
    """Return an interpreter's major and minor version, empty if it does not run."""
    try:
        code = "import sys; print(*sys.version_info[:2])"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ()
    return tuple(int(number) for number in done.stdout.split())


def works(python: Path, code: str) -> bool:
    """Return whether an interpreter runs a line of code without an error."""
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def create(python: Path) -> None:
    """Make the environment with pip in it; pip comes from Debian's package, uninstalled, where Python lacks it."""
    if not works(python, "import venv"):
        message = f"{python} has no module venv: install your distribution's complete Python, then try again"
        raise SetUpError(message)
    if works(python, "import ensurepip"):
        run([python, "-m", "venv", VENV], "the virtual environment could not be made")
        return
    advice = f"{python} cannot make environments with pip: install your distribution's package python3-venv"
    if shutil.which("apt-get") is None or not python.resolve().is_relative_to("/usr/bin"):
        raise SetUpError(advice)
    sys.stderr.write("fetching pip from the package python3-pip-whl\n")
    with tempfile.TemporaryDirectory() as directory:
        try:
            wheel = fetch_file("python3-pip-whl", "usr/share/python-wheels/pip-*.whl", Path(directory))
        except PackageError as error:
            message = f"{advice} ({error})"
            raise SetUpError(message) from error
        run([python, "-m", "venv", "--without-pip", VENV], advice)
        run([VENV / "bin/python", wheel / "pip", "install", "--quiet", "--no-index", wheel], advice)


def run(command: list[str | Path], advice: str) -> None:
    """Run a command in the open, or raise an error that gives the advice."""
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode != 0:
        raise SetUpError(advice)


if __name__ == "__main__":
    raise SystemExit(main())
