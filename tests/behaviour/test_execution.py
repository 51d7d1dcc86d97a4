"""The execution report: where and how a component ran, on each engine."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING

import htrun

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

SOURCE = """\
    import time
    from pathlib import Path

    import htrun

    def f(path: Path, seconds=0):
        time.sleep(max(seconds, 0))
        Path("made by it").write_text("12345")
        Path("out.txt").write_text("out")
        htrun.transfer_output_files("out.txt")
        if seconds < 0:
            raise ValueError
        return path.read_text()
    """


def facts(shell: Shell, *words: object) -> dict[str, str]:
    """Return what ``htrun components -v`` says of the only component that it shows, by the names of the facts."""
    lines = shell("components", "t", "-v", *words).lines
    assert re.match(r"\d+ [A-Z]+ \S+ attempt 1 ", lines[0])
    return {line.split()[0]: line.strip().partition(" ")[2].strip() for line in lines[1:]}


def test_how_a_component_was_executed(shell: Shell) -> None:
    """The report has the Python, its packages after a while, the files before and after, and how long transfers took."""
    shell.write("m.py", SOURCE)
    shell.write("in.txt", "1234567")
    shell.run("m.py:f", [["in.txt", 2.1]])
    found = facts(shell)
    assert found["python"].startswith(platform.python_version())
    assert "cloudpickle==" in found["packages"]
    assert found["before"] == "in.txt (7 bytes)"
    assert "in.txt (7 bytes)" in found["after"]
    assert "'made by it' (5 bytes)" in found["after"]
    assert found["files"] == "out.txt"
    assert re.fullmatch(r"in \d+\.\d\ds( and \d+\.\d\ds on the node)?, out .*s( .*)?", found["transfers"])
    assert re.match(r"\d{4}-", found["started"])
    assert (" on the node" in found["transfers"]) == (shell.engine == "htcondor")


def test_little_is_said_of_little(shell: Shell) -> None:
    """Packages are gathered of what takes long or fails only; a component without files has none in its report."""
    shell.write("m.py", "def f(n):\n    return 1 / n\n")
    shell.run("m.py:f", [1, 0], code=1)
    assert (
        {"started", "python"}
        <= facts(shell, "--status", "completed").keys()
        <= {"started", "python", "transfers"}
        | {
            "platform",
            "packages",
        }
    )
    assert "cloudpickle==" in facts(shell, "--status", "errored")["packages"]


def test_the_error_report(shell: Shell) -> None:
    """The report of an error has the files before and after the call."""
    shell.write("m.py", SOURCE)
    shell.write("in.txt", "1234567")
    done = shell("m.py:f", "--args", shell.jsonl("c.jsonl", [["in.txt", -1]]), "--tag", "t", code=1)
    assert "Files in the scratch directory before the call" in done.stderr
    assert "Files in the scratch directory after the call" in done.stderr
    before, _, after = done.stderr.partition("after the call")
    assert "7  in.txt" in before
    assert "7  in.txt" in after
    assert "5  made by it" not in before
    assert "5  made by it" in after


def test_files_that_are_the_same_after_the_call_are_shown_once(shell: Shell) -> None:
    """The report of an error has them in the order of their names, so that what went wrong stays in sight."""
    shell.write("m.py", "def f(paths: list):\n    return 1 / 0\n")
    names = [f"{letter}.txt" for letter in "dbaceghf"]
    for name in names:
        shell.write(name, "1234567")
    inputs = shell.jsonl("c.jsonl", [{"paths": names}])
    done = shell("m.py:f", "--args", inputs, "--transfer", "paths", "--tag", "t", code=1)
    _, _, after = done.stderr.partition("Files in the scratch directory before the call and after it")
    assert re.findall(r"7  (\w)\.txt", after) == list("abcdefgh")
    assert "in the scratch directory" not in after


def test_the_error_report_in_python(api: Shell) -> None:
    """The report of a ComponentError has the files before the call, the packages, and how long transfers took."""
    path = api.write("in.txt", "1234567")

    def fail(path: object) -> None:
        raise ValueError(path)

    m = htrun.map(fail, [htrun.TransferPath(path)])
    report = m.get_err(0, timeout=120).report()
    assert "Scratch directory contents before the call were\n  in.txt\n" in report
    assert "cloudpickle==" in report
    assert "Transfers took in 0.0" in report
