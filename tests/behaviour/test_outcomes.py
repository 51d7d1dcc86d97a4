"""What becomes of components: one that fails, in whatever way, fails alone."""

from __future__ import annotations

import functools
import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.behaviour.conftest import Shell

    Shared = Callable[..., tuple[Shell, Any]]

ZOO = '''
import ctypes, os, resource, shutil, signal, subprocess, sys, threading, time
from pathlib import Path

def act(what, number):
    return globals()[what](number)

def neighbour(number):
    """Everything that another component could have spoilt."""
    print("out", number)
    print("err", number, file=sys.stderr)
    subprocess.run(["sh", "-c", f"echo child {number}; echo child err {number} >&2"], check=True)
    found = sorted(os.listdir("."))
    Path("mine").write_text("mine")
    fails = subprocess.run(["false"]).returncode
    state = [fails, sys.getrecursionlimit(), os.stat("mine").st_mode & 0o700, signal.getitimer(signal.ITIMER_REAL)[0],
             len(sys.argv), signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "SPOILT" in os.environ,
             len(signal.pthread_sigmask(signal.SIG_BLOCK, ())), len(sys.path) > 2, time.tzname[0] == "JST"]
    return {"number": number, "found": found, "stdin": sys.stdin.read(), "state": state}

def spoils_the_process(number):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 30)
    sys.setrecursionlimit(120)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    sys.path.clear()
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    os.umask(0o777)
    os.environ["PATH"] = "/nowhere"
    os.environ["SPOILT"] = "yes"
    sys.argv.append("spoilt")
    return "spoilt"

def raises(number):
    secret = number + 1
    print("before it failed")
    raise ValueError(f"bad number {number}")

def raises_from_another(number):
    try:
        {}["missing"]
    except KeyError as error:
        raise RuntimeError("wrapped") from error

def asserts(number):
    assert number < 0

def exits_with_a_number(number):
    sys.exit(3)

def exits_with_zero(number):
    sys.exit(0)

def exits_with_a_text(number):
    sys.exit("no reason to live")

def exits_hard(number):
    print("last words", flush=True)
    os._exit(5)

def exits_hard_with_zero(number):
    os._exit(0)

def segfaults(number):
    os.kill(os.getpid(), signal.SIGSEGV)

def segfaults_really(number):
    ctypes.string_at(0)

def aborts(number):
    os.abort()

def kills_itself(number):
    os.kill(os.getpid(), signal.SIGKILL)

def terminates_itself(number):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)

def kills_its_group(number):
    os.killpg(0, signal.SIGKILL)

def interrupts_itself(number):
    raise KeyboardInterrupt

def recurses(number):
    return recurses(number)

def runs_out_of_memory(number):
    resource.setrlimit(resource.RLIMIT_AS, (2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        bytearray(2**31)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")

def raises_what_cannot_be_shown(number):
    raise Mute

def has_locals_that_cannot_be_shown(number):
    class Bad:
        def __repr__(self):
            raise RuntimeError("no repr")
    bad = Bad()
    raise ValueError("look at bad")

class NotAnException(BaseException):
    pass

def raises_a_base_exception(number):
    raise NotAnException("at the base")

def raises_at_length(number):
    raise ValueError("x" * 3_000_000)

def raises_in_unicode(number):
    raise ValueError("n\\u00e4h \\u2603 \\ud800 \\n two lines")

def returns_a_lock(number):
    return threading.Lock()

def returns_a_generator(number):
    return (i for i in range(3))

def returns_a_huge_text(number):
    return "h\\u00e4" * 1_500_000

def returns_huge_bytes(number):
    return b"h" * 3_000_000

def returns_nothing(number):
    pass

def closes_stdout(number):
    print("first")
    sys.stdout.close()
    return "closed"

def closes_descriptors(number):
    os.close(1)
    os.close(2)
    return "closed"

def replaces_stdout(number):
    import io
    sys.stdout = sys.stderr = io.StringIO()
    print("unseen")
    return "replaced"

def changes_directory(number):
    os.chdir("/")
    return "gone"

def deletes_its_scratch(number):
    shutil.rmtree(os.getcwd())
    return "deleted"

def leaves_files(number):
    Path("left").write_text("behind")
    Path("tree/of/directories").mkdir(parents=True)
    Path("tree/of/file").write_text("behind")
    Path("locked").mkdir()
    Path("locked/file").write_text("behind")
    os.chmod("locked", 0o500)
    os.symlink("/", "root")
    return "left"

def leaves_a_process(number):
    subprocess.Popen(["sleep", "1234"])
    return "left"

def leaves_a_thread(number):
    threading.Thread(target=time.sleep, args=(1234,)).start()
    return "left"

def forks_and_comes_back(number):
    if os.fork():
        os.wait()
        return "parent"
    return "child"

def forks_and_fails(number):
    if os.fork():
        os.wait()
        return "parent"
    raise ValueError("in the child")

def ignores_signals(number):
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(name, signal.SIG_IGN)
    return "deaf"

def prints_bytes(number):
    os.write(1, b"\\xff\\x00raw\\n")
    os.write(2, b"\\xfe\\n")
    return "raw"

def prints_without_newline(number):
    print("no newline", end="")
    print("nor here", end="", file=sys.stderr)
    return "printed"

def prints_unicode(number):
    print("\\u2603 \\ud800")
    return "printed"

def prints_much(number):
    for i in range(20_000):
        print(f"line {i}")
    return "printed"

def closes_stdin(number):
    sys.stdin.close()
    os.close(0)
    return "closed"

def closes_everything(number):
    os.closerange(3, 256)
    return "closed"

def closes_everything_and_opens_files(number):
    os.closerange(3, 256)
    for i in range(20):
        os.open("/dev/null", os.O_RDWR)
    return "closed"
'''


@dataclass(frozen=True)
class Case:
    """How a component behaves, and what is to become of it."""

    function: str
    output: Any = None
    error: str | None = None
    message: str = ""
    stdout: str | None = None

    def __str__(self) -> str:
        return self.function.replace("_", " ")


CASES = [
    Case("raises", error="ValueError", message=r"bad number \d+", stdout="before it failed\n"),
    Case("raises_from_another", error="RuntimeError", message="wrapped"),
    Case("asserts", error="AssertionError"),
    Case("exits_with_a_number", error="SystemExit", message="3"),
    Case("exits_with_zero", error="SystemExit", message="0"),
    Case("exits_with_a_text", error="SystemExit", message="no reason to live"),
    Case("exits_hard", error="ProcessDied", message="exit code 5", stdout="last words\n"),
    Case("exits_hard_with_zero", error="ProcessDied", message="exit code 0"),
    Case("segfaults", error="ProcessDied", message="SIGSEGV"),
    Case("segfaults_really", error="ProcessDied", message="SIGSEGV"),
    Case("aborts", error="ProcessDied", message="SIGABRT"),
    Case("kills_itself", error="ProcessDied", message="SIGKILL"),
    Case("terminates_itself", error="ProcessDied", message="SIGTERM"),
    Case("kills_its_group", error="ProcessDied", message="SIGKILL"),
    Case("interrupts_itself", error="KeyboardInterrupt"),
    Case("recurses", error="RecursionError", message="maximum recursion depth"),
    Case("runs_out_of_memory", error="MemoryError"),
    Case("raises_what_cannot_be_shown", error=r"zoo\.Mute", message="RuntimeError"),
    Case("has_locals_that_cannot_be_shown", error="ValueError", message="look at bad"),
    Case("raises_a_base_exception", error=r"zoo\.NotAnException", message="at the base"),
    Case("raises_at_length", error="ValueError", message="xxx"),
    Case("raises_in_unicode", error="ValueError", message="näh ☃"),
    Case("returns_a_lock", error="TypeError", message=r"return value.*lock.*pickle"),
    Case("returns_a_generator", error="TypeError", message=r"return value.*generator.*pickle"),
    Case("returns_a_huge_text", output="hä" * 1_500_000),
    Case("returns_huge_bytes", output="aGho" * 1_000_000),
    Case("returns_nothing", output=None),
    Case("closes_stdout", output="closed", stdout="first\n"),
    Case("closes_descriptors", output="closed"),
    Case("replaces_stdout", output="replaced", stdout=""),
    Case("changes_directory", output="gone"),
    Case("deletes_its_scratch", output="deleted"),
    Case("leaves_files", output="left"),
    Case("leaves_a_process", output="left"),
    Case("leaves_a_thread", output="left"),
    Case("forks_and_comes_back", output="parent"),
    Case("forks_and_fails", output="parent"),
    Case("ignores_signals", output="deaf"),
    Case("prints_bytes", output="raw"),
    Case("prints_without_newline", output="printed", stdout="no newline"),
    Case("prints_unicode", output="printed"),
    Case("prints_much", output="printed", stdout="".join(f"line {i}\n" for i in range(20_000))),
    Case("closes_stdin", output="closed"),
    Case("closes_everything", output="closed"),
    Case("spoils_the_process", output="spoilt"),
    Case("closes_everything_and_opens_files", output="closed"),
]
CALLS = ["neighbour", *(name for case in CASES for name in (case.function, "neighbour"))]


def run_zoo(shell: Shell) -> dict[str, Any]:
    """Run all cases in one job, and a component between them that shows what they have spoilt."""
    shell.write("zoo.py", ZOO)
    calls = [[name, number] for number, name in enumerate(CALLS)]
    shell.jsonl("calls.jsonl", calls)
    done = shell("zoo.py:act", "--args", "calls.jsonl", "--tag", "zoo", "--chunk-size", 1000, code=1)
    return {"stderr": done.stderr, "left": list(shell.processes().values())}


@functools.lru_cache
def zoo_rows(path: Path) -> list[Any]:
    """Return the rows of ``outputs.jsonl``, of which some are huge."""
    return [json.loads(line) for line in (path / "outputs.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_component_ends_in_its_own_way(shared: Shared, case: Case) -> None:
    """A component that fails in this way, or does this and returns, has that and nothing else as its outcome."""
    shell, _ = shared("zoo", run_zoo)
    component = CALLS.index(case.function)
    row = zoo_rows(shell.path("zoo"))[component]
    assert row["component"] == component
    if case.error is None:
        assert row["status"] == "COMPLETED", row
        assert row["output"] == case.output
    else:
        assert row["status"] == "ERRORED"
        assert re.fullmatch(case.error, row["error"]["type"]), row["error"]
        assert re.search(case.message, row["error"]["message"]), row["error"]
        assert len(row["error"]["message"]) < 100_000
    if case.stdout is not None:
        assert shell("stdout", "zoo", component).stdout == case.stdout


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_next_component_of_the_job_does_not_notice(shared: Shared, case: Case) -> None:
    """After a component like this the next one of its job runs all the same: in an empty directory, stdin empty."""
    shell, _ = shared("zoo", run_zoo)
    number = CALLS.index(case.function) + 1
    row = zoo_rows(shell.path("zoo"))[number]
    assert row == {
        "component": number,
        "status": "COMPLETED",
        "output": {
            "number": number,
            "found": [],
            "stdin": "",
            "state": [1, sys.getrecursionlimit(), 0o600, 0.0, 1, True, False, 0, True, False],
        },
    }
    if case.function.startswith(("closes", "prints", "replaces", "exits_hard", "aborts")):
        assert shell("stdout", "zoo", number).stdout == f"out {number}\nchild {number}\n"
        assert shell("stderr", "zoo", number).stdout == f"err {number}\nchild err {number}\n"


def test_outputs_are_in_the_order_of_the_inputs(shared: Shared) -> None:
    """``outputs.jsonl`` has a row for every component in the order of the inputs, however each of them ended."""
    shell, _ = shared("zoo", run_zoo)
    assert [row["component"] for row in zoo_rows(shell.path("zoo"))] == list(range(len(CALLS)))
    component = CALLS.index("prints_without_newline")
    assert shell("stderr", "zoo", component).stdout == "nor here"


def test_errors_jsonl_holds_the_full_records_of_failed_components(shared: Shared) -> None:
    """``errors.jsonl`` has a record for each failed component: frames with source and locals, node, what it printed."""
    shell, _ = shared("zoo", run_zoo)
    failed = [row["component"] for row in zoo_rows(shell.path("zoo")) if row["status"] == "ERRORED"]
    errors = {row["component"]: row for row in shell.errors("zoo")}
    assert list(errors) == failed
    row = errors[CALLS.index("raises")]
    frame = row["error"]["frames"][-1]
    assert (frame["file"], frame["function"]) == ("zoo.py", "raises")
    assert frame["source"][-1].strip() == 'raise ValueError(f"bad number {number}")'
    assert frame["locals"]["secret"] == str(row["component"] + 1)
    assert row["stdout"] == "before it failed\n"
    assert row["node"]
    assert row["python"].startswith("3.")
    assert errors[CALLS.index("raises_from_another")]["error"]["cause"]["type"] == "KeyError"
    assert "no repr" not in errors[CALLS.index("has_locals_that_cannot_be_shown")]["error"]["message"]
    assert len(errors[CALLS.index("recurses")]["error"]["frames"]) < 100


def test_counts_say_how_many_failed(shared: Shared) -> None:
    """The last line and ``htrun status`` count completed and errored components, chunked or not."""
    shell, result = shared("zoo", run_zoo)
    errored = sum(row["status"] == "ERRORED" for row in zoo_rows(shell.path("zoo")))
    assert f"{errored} errored, {len(CALLS) - errored} completed" in result["stderr"].splitlines()[-1]
    assert shell.counts("zoo") == {"ERRORED": errored, "COMPLETED": len(CALLS) - errored}


def test_nothing_that_components_started_outlives_the_map(shared: Shared) -> None:
    """Processes and threads that components leave behind are gone when the map ends."""
    _, result = shared("zoo", run_zoo)
    assert [words for words in result["left"] if "1234" in words or "--args" in words] == []


def test_a_failing_import_is_every_components_error(shell: Shell) -> None:
    """A module that can be imported where it is typed but not on the node fails each component, with the reason."""
    shell.write(
        "m.py",
        """
        from pathlib import Path
        if not Path(__file__).with_name("data.txt").exists():
            raise RuntimeError("data.txt did not come along")

        def f(x):
            return x
        """,
    )
    shell.write("data.txt", "here\n")
    rows = shell.run("m.py:f", [1, 2], "--chunk-size", 2, code=1)
    assert [row["error"] for row in rows] == [{"type": "RuntimeError", "message": "data.txt did not come along"}] * 2


def test_each_component_has_a_scratch_directory_of_its_own(shell: Shell) -> None:
    """Components that run at the same time, or one after the other, see each other's files nowhere."""
    shell.write(
        "m.py",
        """
        import os, time
        def f(x):
            before = os.listdir(".")
            with open("same name", "x") as file:
                file.write(str(x))
            time.sleep(0.2)
            with open("same name") as file:
                return [before, file.read()]
        """,
    )
    rows = shell.run("m.py:f", range(6), "--chunk-size", 2, *(["--workers", 3] if shell.engine == "local" else []))
    assert [row.get("output") for row in rows] == [[[], str(x)] for x in range(6)]
    assert not list(shell.path().rglob("same name"))
