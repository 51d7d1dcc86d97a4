"""Run make targets as an ordinary user, since HTCondor takes no jobs from root.

``python3 -m tests.tools.as_user TARGET...`` runs them in place for an ordinary user. For root it copies the work
tree to the home of the user that HTRUN_TEST_USER names (by default `htrun`, made if missing) and runs them there as
that user; the environment that they install stays there for the next run.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from tests.parts import dockerd
from tests.parts.errors import PartError

ROOT = Path(__file__).resolve().parents[2]
COPY = "htrun-checkout"
KEPT = (".venv", ".*_cache", ".hypothesis")
STOP = "pool-end"  # the target that ends what stays up between test runs
NOT_COPIED = {".git", ".venv", "results", "__pycache__"}
# What belongs to root or to the make that runs this, and would mislead the user's own.
NOT_PASSED = ("XDG_", "MAKE", "MFLAGS", "VIRTUAL_ENV", "PYENV", "PYTHONPATH", "PYTHONHOME", "CONDOR_CONFIG", "TMPDIR")


def main(targets: list[str]) -> int:
    """Run the targets and return make's exit code."""
    if os.geteuid() != 0:
        os.execvp("make", ["make", "--no-print-directory", *targets])
    name = os.environ.get("HTRUN_TEST_USER", "htrun")
    try:
        return run_as(user(name), targets)
    except KeyboardInterrupt:
        return 130
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"error: root cannot run this as the user {name}: {error}\n")
        return 1


def user(name: str) -> pwd.struct_passwd:
    """Return an ordinary user, made if missing."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        sys.stderr.write(f"making the user {name}\n")
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
        program = shutil.which("useradd", path=path) or "useradd"
        subprocess.run([program, "--create-home", "--shell", "/bin/sh", name], check=True)
        return pwd.getpwnam(name)


def run_as(who: pwd.struct_passwd, targets: list[str]) -> int:
    """Copy the work tree to a user's home, run make there as that user and return its exit code."""
    home = Path(who.pw_dir)
    groups = os.getgrouplist(who.pw_name, who.pw_gid)
    env = environment(who)

    def start(
        command: list[str], cwd: Path, stdin: int | IO[bytes] | None = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=cwd, env=env, stdin=stdin, user=who.pw_uid, group=who.pw_gid, extra_groups=groups
        )

    lock = os.open(home / f".{COPY}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    copy = home / COPY
    kept = [word for pattern in KEPT for word in ("!", "-name", pattern)]
    clean = ["find", COPY, "-mindepth", "1", "-maxdepth", "1", *kept, "-exec", "rm", "-rf", "{}", "+"]
    for command in (["mkdir", "-p", COPY], clean):
        wait(start(command, home))
    # Root only reads, and only the user writes below the user's home.
    with subprocess.Popen(
        ["tar", "-c", "--null", "--no-recursion", "-T", "-"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as packed:
        unpacking = start(["tar", "-x"], copy, packed.stdout)
        assert packed.stdin is not None
        packed.stdin.write(b"".join(os.fsencode(path) + b"\0" for path in work_tree()))
        packed.stdin.close()
        wait(unpacking)
    wait(packed)
    if STOP not in targets:
        try:
            dockerd.start(who)
        except PartError as error:
            sys.stderr.write(f"{error}: tests that need Docker will fail\n")
    sys.stderr.write(f"running make {' '.join(targets)} as the user {who.pw_name} in {copy}\n")
    code = start(["make", "--no-print-directory", *targets], copy, None).wait()
    if STOP in targets and dockerd.stop(who):
        sys.stderr.write("stopped Docker\n")
    return code


def wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process, and raise an error if it fails."""
    code = process.wait()
    if code != 0:
        raise subprocess.CalledProcessError(code, process.args)


def environment(who: pwd.struct_passwd) -> dict[str, str]:
    """Return the environment variables for a user: root's own, but for what only root can use."""
    root_home = pwd.getpwuid(0).pw_dir
    hidden = (root_home, os.environ.get("VIRTUAL_ENV") or root_home)
    path = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if not part.startswith(hidden)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(NOT_PASSED)}
    kept.setdefault("HTRUN_TEST_REQUIRE_PARTS", "1")  # root can start them all
    names = {"HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name, "SHELL": who.pw_shell}
    return {**kept, **names, "PATH": os.pathsep.join(path) or os.defpath}


def work_tree() -> list[str]:
    """Return the files of the checkout that git tracks or would, every file where git cannot tell."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError:
        done = None
    if done is not None and done.returncode == 0:
        names = {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
        return sorted(name for name in names if os.path.lexists(ROOT / name))
    found = []
    for directory, subdirectories, files in os.walk(ROOT):
        subdirectories[:] = [name for name in subdirectories if name not in NOT_COPIED]
        found += [os.path.relpath(Path(directory) / name, ROOT) for name in files]
    return sorted(found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
