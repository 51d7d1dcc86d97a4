"""Checkpoints: what is vacated, killed or lost goes on from its last one, on each engine."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import htrun
from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

COUNTING = """\
    import os, time
    from pathlib import Path

    import htrun

    def count(n):
        home = Path({home!r})
        assert os.environ["HTRUN_ON_EXECUTE"] == "1"
        assert os.environ["HTRUN_COMPONENT"] == str(n)
        state = Path("state/deep.txt")
        state.parent.mkdir(exist_ok=True)
        step = int(state.read_text()) if state.exists() else 0
        with open(home / f"starts-{{n}}", "a") as log:
            log.write(f"{{step}}\\n")
        (home / f"pid-{{n}}").write_text(str(os.getpid()))
        if n == 1:
            while step < 5:
                step += 1
                state.write_text(str(step))
                htrun.checkpoint("state")
                (home / f"step-{{n}}").write_text(str(step))
                while step == 3 and not (home / "gate").exists():
                    time.sleep(0.02)
        return [n, step]
    """


class Counting:
    """Three components, of which the one in the middle waits after its third checkpoint."""

    def __init__(self, shell: Shell, size: int = 3, *options: str) -> None:
        self.shell = shell
        shell.write("m.py", COUNTING.format(home=str(shell.home)))
        shell.jsonl("c.jsonl", [0, 1, 2])
        words = ["m.py:count", "--args", "c.jsonl", "--tag", "t", "--chunk-size", size, "--workers", 1, *options]
        shell(*words, "--detach")
        until(lambda: self.read("step-1") == "3", "the third checkpoint is saved")

    def read(self, name: str) -> str:
        """Return what the function has written for us."""
        path = self.shell.home / name
        return path.read_text() if path.exists() else ""

    def starts(self, component: int) -> list[str]:
        """Return what step each start of a component has begun at."""
        return self.read(f"starts-{component}").split()

    def let_go_and_check(self, starts: tuple[int, ...] = (2,)) -> None:
        """Let the function come to its end, and see that nothing but what was lost has run again."""
        (self.shell.home / "gate").touch()
        self.shell("wait", "t")
        assert [row["output"] for row in self.shell.outputs()] == [[0, 0], [1, 5], [2, 0]]
        assert self.starts(0) == ["0"]
        assert self.starts(1) in [["0", *["3"] * (number - 1)] for number in starts]
        assert self.starts(2) == ["0"]
        assert not checkpoints(self.shell)


def checkpoints(shell: Shell) -> list[Path]:
    """Return the checkpoints that have been left in the map's directory."""
    return list(shell.path().glob(".htrun/**/checkpoint.*"))


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def starter(pid: int) -> int:
    """Return the condor_starter above a process."""
    while Path(f"/proc/{pid}/comm").read_text().strip() != "condor_starter":
        pid = parent(pid)
    return pid


def test_a_vacated_component_goes_on(shell: Shell) -> None:
    """Vacating puts the component back to its last checkpoint, and its finished neighbour is not run again."""
    counting = Counting(shell)
    shell("vacate", "t")
    until(lambda: len(counting.starts(1)) == 2, "the component has started again")
    counting.let_go_and_check()


def test_a_killed_process_goes_on(shell: Shell) -> None:
    """A component whose process is killed goes on from its last checkpoint."""
    counting = Counting(shell)
    os.kill(int(counting.read("pid-1")), signal.SIGKILL)
    until(lambda: len(counting.starts(1)) == 2, "the component has started again")
    counting.let_go_and_check()


def test_a_lost_machine_is_made_up_for(condor: Shell) -> None:
    """A component whose starter is killed goes on from its last checkpoint; its finished neighbour is not run again."""
    counting = Counting(condor)
    worker = int(counting.read("pid-1"))
    orphans = [Path(f"/proc/{pid}") for pid in (worker, parent(worker))]
    os.kill(starter(worker), signal.SIGKILL)
    until(lambda: len(counting.starts(1)) >= 2, "the component has started again", 120)
    # HTCondor kills what is left of the job, one process after the other: it may start the component once more before,
    # and it would go on with the next one.
    until(lambda: not any(orphan.exists() for orphan in orphans), "nothing is left of the job", 120)
    counting.let_go_and_check(starts=(2, 3))


def test_a_killed_job_goes_on(condor: Shell) -> None:
    """A job whose own process is killed runs again, and its component goes on from its last checkpoint."""
    counting = Counting(condor)
    os.kill(parent(int(counting.read("pid-1"))), signal.SIGKILL)
    until(lambda: len(counting.starts(1)) == 2, "the component has started again")
    counting.let_go_and_check()


def test_a_job_that_is_killed_each_time(condor: Shell) -> None:
    """A job that is killed again and again ends; the user's own word on retries comes before ours."""
    condor.write(
        "m.py",
        f"""\
        import os, signal

        def f():
            with open({str(condor.home / "starts")!r}, "a") as log:
                log.write(".")
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    condor.run("m.py:f", None, code=1)
    assert "killed by signal 9" in condor.errors()[0]["error"]["message"]
    assert (condor.home / "starts").read_text() == "..."
    condor.run("m.py:f", None, "-o", "max_retries=0", "--overwrite", code=1)
    assert (condor.home / "starts").read_text() == "...."


def test_a_killed_run_is_carried_on(local: Shell) -> None:
    """After a kill of everything on this machine ``htrun wait`` goes on from the last checkpoint."""
    counting = Counting(local)
    for pid in local.processes():
        os.kill(pid, signal.SIGKILL)
    counting.let_go_and_check()


def test_a_held_component_goes_on(local: Shell) -> None:
    """Holding takes a component off its worker, releasing lets it go on from its last checkpoint."""
    counting = Counting(local)
    local("hold", "t")
    until(lambda: local.counts().get("HELD"), "it is held")
    local("release", "t")
    counting.let_go_and_check()


def test_no_endless_circle(shell: Shell) -> None:
    """A component that is killed without having got further since its last start fails, and a rerun starts afresh."""
    shell.write(
        "m.py",
        f"""\
        import os, signal, htrun
        from pathlib import Path

        def f(n):
            with open({str(shell.home / "starts")!r}, "a") as log:
                log.write(".")
            if not Path("saved").exists():
                Path("saved").touch()
                htrun.checkpoint("saved")
                os.kill(os.getpid(), signal.SIGKILL)
            if not Path({str(shell.home / "gate")!r}).exists():
                os.kill(os.getpid(), signal.SIGSEGV)
            return sorted(os.listdir())
        """,
    )
    [row] = shell.run("m.py:f", [0], code=1)
    assert row["status"] == "ERRORED"
    assert "SIGSEGV" in shell.errors()[0]["error"]["message"]
    assert (shell.home / "starts").read_text() == ".."
    assert not checkpoints(shell), "it is over"
    (shell.home / "gate").touch()
    shell("rerun", "components", "t", "0")
    shell("wait", "t")
    assert (shell.home / "starts").read_text() == "...."
    assert shell.outputs()[0]["output"] == ["saved"]


def test_a_checkpoint_is_whole_or_not_there(local: Shell) -> None:
    """A kill in the midst of saving a checkpoint leaves the earlier one, whatever is half written."""
    local.write(
        "m.py",
        f"""\
        import os, signal, threading, time, htrun
        from pathlib import Path

        def f():
            home = Path({str(local.home)!r})
            if Path("a").exists():
                return [Path("a").read_text(), Path("b").read_bytes() == b"b" * 30_000_000]
            Path("a").write_text("first"); Path("b").write_bytes(b"b" * 30_000_000)
            htrun.checkpoint("a", "b")
            Path("a").write_text("second"); Path("b").write_bytes(b"x" * 300_000_000)
            scratch = Path.cwd().parent

            def kill():
                while not any(part.stat().st_size > 100_000_000 for part in scratch.glob("checkpoint.*")):
                    time.sleep(0.001)
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Thread(target=kill).start()
            htrun.checkpoint("a", "b")
            return "it was too quick"
        """,
    )
    assert local.run("m.py:f")[0]["output"] == ["first", True]


def test_a_checkpoint_of_what_is_read_only(shell: Shell) -> None:
    """Directories that cannot be written to are restored as they were, also in the place of an input file."""
    shell.write("in/file", "of the input")
    shell.write(
        "m.py",
        """\
        import os, signal, htrun
        from pathlib import Path

        def f(path: Path):
            if not path.is_dir():
                assert oct(os.stat("fixed").st_mode) == "0o40555"
                assert os.stat("fixed").st_mtime == 1e9
                return [path.read_text(), Path("fixed/deep/file").read_text()]
            os.makedirs("fixed/deep"); Path("fixed/deep/file").write_text("deep")
            os.chmod("fixed/deep/file", 0o444); os.chmod("fixed/deep", 0o555)
            os.chmod("fixed", 0o555); os.utime("fixed", (1e9, 1e9))
            os.rename("in", "moved"); Path("in").write_text("a file by now")
            htrun.checkpoint("fixed", "in")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    assert shell.run("m.py:f", ["in"])[0]["output"] == ["a file by now", "deep"]


def test_what_is_no_checkpoint(shell: Shell) -> None:
    """Files that are not there, or not in the component's directory, are errors that say so."""
    shell.write(
        "m.py",
        """\
        import htrun

        def f(path):
            htrun.checkpoint(path)
        """,
    )
    shell.run("m.py:f", ["nothing", "/etc/hostname"], code=1)
    first, second = (row["error"] for row in shell.errors())
    assert first["type"] == "FileNotFoundError"
    assert "nothing" in first["message"]
    assert second["type"] == "ValueError"
    assert "/etc/hostname is not in the directory that the component runs in" in second["message"]


def test_the_manuals_counter(api: Shell) -> None:
    """The example of HTMap's manual goes on from where it was vacated."""

    def counter(num_steps: int, home: str) -> bool:
        import time
        from pathlib import Path

        import htrun

        checkpoint_path = Path("checkpoint")
        try:
            step = int(checkpoint_path.read_text())
            print("loaded checkpoint!")
        except FileNotFoundError:
            step = 0
            print("starting from scratch")

        while True:
            time.sleep(0.1)
            step += 1
            print(f"completed step {step}")
            if step >= num_steps:
                break
            checkpoint_path.write_text(str(step))
            htrun.checkpoint(checkpoint_path)
            Path(home, "step").write_text(str(step))
        return True

    m = htrun.starmap(counter, [(40, str(api.home))])
    step = api.home / "step"
    until(lambda: step.exists() and int(step.read_text() or 0) >= 3, "some steps are done")
    m.vacate()
    assert m.get(0, timeout=120)
    printed = m.stdout[0].splitlines()
    assert printed[0] == "loaded checkpoint!"
    assert printed[1] != "completed step 1"
    assert printed[-1] == "completed step 40"
