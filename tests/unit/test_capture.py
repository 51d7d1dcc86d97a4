"""What components print, where there is no space for it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# A limit stands for the space on a disk. What does not fit stays in the stream, as it does on a full disk.
PROGRAM = """
    import contextlib, os, resource, sys
    from htrun.runner.capture import Capture

    capture = Capture(sys.argv[1], sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    with contextlib.suppress(OSError):
        print("x" * 10_000)
    {between}
    capture.settle()
    capture.append("0\\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print("mine")
    (start, stop), _ = capture.settle()
    capture.append("%d %d\\n" % (start, stop))
"""


def printed(tmp_path: Path, between: str = "pass") -> bytes:
    """Return what the second of two components is said to have printed."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = "\n".join(line[4:] for line in PROGRAM.format(between=between).splitlines())
    subprocess.run([sys.executable, "-c", code, str(tmp_path), str(scratch)], check=True)
    start, stop = map(int, (tmp_path / "records.jsonl").read_text().splitlines()[1].split())
    return (tmp_path / "stdout").read_bytes()[start:stop]


def test_what_was_not_written_is_not_taken_for_the_next_ones(tmp_path: Path) -> None:
    """What there was no space for goes to nobody."""
    assert printed(tmp_path) == b"mine\n"


def test_what_was_not_written_to_a_descriptor_that_was_closed(tmp_path: Path) -> None:
    """Nor what a function could not print since it had closed the descriptor."""
    assert printed(tmp_path, "os.close(1)") == b"mine\n"
