"""Functions of microseconds: batches of them are quick, and each component still stands alone."""

from __future__ import annotations

import collections
import json
from typing import TYPE_CHECKING

from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

COUNT = 2000


def recorded(shell: Shell) -> list[int]:
    """Return the components that have records, in no order; every line is a whole one."""
    files = shell.path().glob(".htrun/jobs/*/records.jsonl")
    return [json.loads(line)["component"] for file in files for line in file.read_bytes().splitlines()]


def test_components_that_kill_their_process_cost_no_other_its_result(shell: Shell) -> None:
    """Of quick components with deaths among them, all others have their outputs, and each has one record."""
    shell.write(
        "m.py",
        """
        import os, signal
        def f(x):
            if x % 100 == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            return 2 * x
        """,
    )
    chunks = [] if shell.engine == "local" else ["--chunk-size", COUNT // 2]
    rows = shell.run("m.py:f", range(COUNT), *chunks, code=1)
    assert [row["component"] for row in rows] == list(range(COUNT))
    for row in rows:
        if row["component"] % 100 == 7:
            assert row["error"]["type"] == "ProcessDied"
        else:
            assert row["output"] == 2 * row["component"]
    assert sorted(recorded(shell)) == list(range(COUNT))


def test_a_kill_of_the_supervisor_loses_no_finished_component(local: Shell) -> None:
    """When all processes are killed amid quick components, those that had finished are not run again."""
    local.write(
        "m.py",
        """
        import os, signal
        from pathlib import Path
        home = Path(os.environ["WHERE"])
        def f(x):
            with open(home / "ran", "a") as file:
                file.write(f"{x}\\n")
            if x == 1000 and not (home / "killed").exists():
                (home / "killed").touch()
                os.kill(os.getppid(), signal.SIGKILL)
                signal.pause()
            return 2 * x
        """,
    )
    where = {"WHERE": str(local.cwd)}
    calls = local.jsonl("calls.jsonl", range(COUNT))
    local("m.py:f", "--args", calls, "--tag", "t", "--workers", 2, "--detach", env=where)
    until(lambda: (local.cwd / "killed").exists() and not local.processes(), "the processes are gone")
    finished = set(recorded(local))
    assert 1000 not in finished
    local("wait", "t", env=where)
    assert [row["output"] for row in local.outputs()] == [2 * x for x in range(COUNT)]
    assert sorted(recorded(local)) == list(range(COUNT))
    ran = collections.Counter(map(int, (local.cwd / "ran").read_text().split()))
    assert {x for x, times in ran.items() if times > 1}.isdisjoint(finished)
    assert sum(ran.values()) <= COUNT + 2  # in each worker, the one that was running


def test_whatever_becomes_of_its_directory_the_next_component_finds_it_as_ever(shell: Shell) -> None:
    """A directory that was emptied, closed, replaced or given another time is a fresh one for the next component."""
    shell.write(
        "m.py",
        """
        import os, shutil
        def f(what):
            here = os.getcwd()
            state = [os.listdir(here), oct(os.stat(here).st_mode), os.path.basename(here)]
            old = os.stat(here)
            if what == "leave a file":
                open("a", "w").close()
            elif what == "empty it":
                open("a", "w").close()
                os.remove("a")
            elif what == "close it":
                os.chmod(here, 0o500)
            elif what == "replace it":
                shutil.rmtree(here)
                os.mkdir(here)
                open(os.path.join(here, "a"), "w").close()
            elif what == "remove it":
                shutil.rmtree(here)
            elif what == "time it":
                os.utime(here)
            return state
        """,
    )
    deeds = ["nothing", "leave a file", "empty it", "close it", "replace it", "remove it", "time it", "nothing"]
    rows = shell.run("m.py:f", [deed for deed in deeds for _ in range(2)], "--chunk-size", 2 * len(deeds))
    states = [row["output"] for row in rows]
    assert states == [states[0]] * len(states)
    assert states[0][0] == []


def test_what_is_printed_is_its_components_however_it_gets_there(shell: Shell) -> None:
    """Output by a reopened stream, a copied descriptor or a program is kept, by component, between quick ones."""
    shell.write(
        "m.py",
        """
        import os, subprocess
        def f(x):
            if x % 10 == 1:
                print(x)
            elif x % 10 == 3:
                with open("/dev/stdout", "w") as file:
                    file.write(f"{x}\\n")
            elif x % 10 == 5:
                os.write(os.dup(1), f"{x}\\n".encode())
            elif x % 10 == 7:
                subprocess.run(["echo", str(x)], check=True)
            elif x % 10 == 9:
                os.close(1)
        """,
    )
    rows = shell.run("m.py:f", range(40), "--chunk-size", 40)
    assert {row["status"] for row in rows} == {"COMPLETED"}
    printed = [shell("stdout", "t", x).stdout for x in range(10, 20)]
    assert printed == [f"{x}\n" if x % 10 in (1, 3, 5, 7) else "" for x in range(10, 20)]
