"""Faults in components: whatever one does, each of the others has its result, on each engine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from tests.behaviour.census import Errored, Unloadable, take_census
from tests.behaviour.test_outcomes import CASES, ZOO

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

FAULTS = """
def double(number):
    return 2 * number

def overflows_the_stack(number):
    sys.setrecursionlimit(2**30)
    # HTCondor sets no limit: the stack would take all the memory there is.
    resource.setrlimit(resource.RLIMIT_STACK, (2**23, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    deeper = ctypes.CFUNCTYPE(ctypes.c_int)
    again = deeper(lambda: again())
    return again()

def exhausts_its_memory(number):
    resource.setrlimit(resource.RLIMIT_AS, (2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    blocks = []
    while True:
        blocks.append(bytearray(2**20))

def exhausts_its_memory_for_good(number):
    resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
    blocks = []
    while True:
        blocks.append(bytearray(2**20))

def may_write_nothing_any_more(number):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return "how could that be recorded"

def fills_its_quota(number):
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    Path("big").write_bytes(bytes(2**21))

def redirects_its_stdout(number):
    os.dup2(os.open("elsewhere", os.O_WRONLY | os.O_CREAT), 1)
    os.dup2(1, 2)
    print("not to be seen")
    return "redirected"

def leaves_a_child_that_prints(number):
    subprocess.Popen("yes | head -c 30000000", shell=True)
    return "left"

def leaves_a_child_that_writes_to_its_scratch(number):
    subprocess.Popen("for i in $(seq 1000); do mkdir -p d$i && echo > d$i/f; done", shell=True, stderr=subprocess.DEVNULL)
    return "left"

def leaves_a_child_of_its_own_session(number):
    subprocess.Popen(["sleep", "3"], start_new_session=True)
    return "left"

def forks_a_child_that_dies(number):
    if not os.fork():
        os.kill(os.getpid(), signal.SIGSEGV)
    os.wait()
    return "parent"

def starts_threads_that_fail(number):
    threads = [threading.Thread(target=double, args=(1, 2)) for _ in range(50)]
    for thread in threads:
        thread.start()
    return "started"

class LoadsNowhere:
    def __reduce__(self):
        return loads_nowhere, ()

def loads_nowhere():
    if "HTRUN_ON_EXECUTE" not in os.environ:
        raise LookupError("not on this planet")

def returns_what_does_not_unpickle(number):
    return LoadsNowhere()

class Hostile:
    def __reduce__(self):
        raise RuntimeError("not to be pickled")

def returns_what_refuses_to_be_pickled(number):
    return Hostile()

class TwoArguments(Exception):
    def __init__(self, one, two):
        super().__init__("both are needed")

def raises_what_does_not_unpickle(number):
    raise TwoArguments(1, 2)

def returns_500_mb(number):
    return "x" * 500_000_000

def writes_a_gigabyte_to_stdout(number):
    print("the beginning")
    block = b"a line of thirty-two characters\\n" * 2**15
    for _ in range(2**10):
        os.write(1, block)
    print("the end")
    return "written"

def writes_a_gigabyte_to_stderr_and_dies(number):
    print("the beginning", file=sys.stderr, flush=True)
    subprocess.run("head -c 1000000000 /dev/zero >&2", shell=True)
    print("the end", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
"""

EXPECTED: dict[str, Any] = {
    **{case.function: case.output if case.error is None else Errored(case.error.replace("\\", "")) for case in CASES},
    "overflows_the_stack": Errored("ProcessDied|RecursionError"),
    "exhausts_its_memory": Errored("MemoryError"),
    "exhausts_its_memory_for_good": Errored("MemoryError|ProcessDied"),
    "may_write_nothing_any_more": Errored("ProcessDied"),
    "fills_its_quota": Errored("OSError"),
    "redirects_its_stdout": "redirected",
    "leaves_a_child_that_prints": "left",
    "leaves_a_child_that_writes_to_its_scratch": "left",
    "leaves_a_child_of_its_own_session": "left",
    "forks_a_child_that_dies": "parent",
    "starts_threads_that_fail": "started",
    "returns_what_does_not_unpickle": Unloadable(),
    "returns_what_refuses_to_be_pickled": Errored("TypeError"),
    "raises_what_does_not_unpickle": Errored("zoo.TwoArguments"),
}


def test_components_that_do_their_worst(shell: Shell) -> None:
    """Among quick components are all that misbehave; each has its own outcome once, and no other's."""
    shell.write("zoo.py", ZOO + FAULTS)
    calls: list[list[Any]] = []
    expected: list[Any] = []
    for name, outcome in EXPECTED.items():
        for _ in range(5):
            expected.append(2 * len(calls))
            calls.append(["double", len(calls)])
        calls.append([name, len(calls)])
        expected.append(outcome)
    shell.run("zoo.py:act", calls, *(["--chunk-size", 80] if shell.engine == "htcondor" else []), code=1)
    take_census(shell, expected)


def test_components_of_great_size(shell: Shell) -> None:
    """Of what a component prints the beginning and the end are kept, and it says so; of what it returns, everything."""
    shell.write("zoo.py", ZOO + FAULTS)
    heavy = {  # here, and not for as long as the tests run
        "returns_500_mb": "x" * 500_000_000,
        "writes_a_gigabyte_to_stdout": "written",
        "writes_a_gigabyte_to_stderr_and_dies": Errored("ProcessDied"),
    }
    names = ["double", *heavy, "double"]
    calls = [[name, number] for number, name in enumerate(names)]
    shell("zoo.py:act", "--args", shell.jsonl("in.jsonl", calls), "--tag", "t", "--chunk-size", 10, code=1)
    take_census(shell, [0, *heavy.values(), 2 * (len(names) - 1)])
    for name, stream in zip(list(heavy)[1:], ("stdout", "stderr"), strict=True):
        printed = shell(stream, "t", names.index(name)).stdout
        assert printed.startswith("the beginning\n")
        assert printed.endswith(("\nthe end\n", "\0the end\n"))
        assert len(printed) < 2**20 * 11
        assert "[htrun left out " in printed


LIMITS = """
import os
import resource
from pathlib import Path

def f(number):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if number % 3 == 1:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard - 1))
    if number == 4:
        raise ValueError("for good")
    return hard

def g(number):
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tries = Path(os.environ["TRIES"])
    tries.write_text((tries.read_text() if tries.exists() else "") + f"{hard} ")
    raise ValueError("once more")
"""


def test_limits_lowered_for_good(shell: Shell) -> None:
    """A hard limit that a component lowers, which no user can raise again, is none for the others."""
    shell.write("m.py", LIMITS)
    words = ["--workers", 1] if shell.engine == "local" else ["--chunk-size", 9]
    rows = shell.run("m.py:f", range(9), *words, code=1)
    hard = rows[0]["output"]
    take_census(shell, [Errored("ValueError") if number == 4 else hard for number in range(9)])


def test_limits_lowered_for_good_are_none_for_the_next_attempt(local: Shell) -> None:
    """A component that is tried again has a process that is as it was for the first attempt."""
    local.write("m.py", LIMITS)
    tries = local.cwd / "tries"
    local.run("m.py:g", [0], "--retries", 2, code=1, env={"TRIES": str(tries)})
    first, *others = tries.read_text().split()
    assert others == [first, first]


SILENCED = """
import os
import resource
import time

def f(role, path):
    if role == "silenced":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        os.symlink("anything", path)
        return "what cannot be written"
    while not os.path.lexists(path):
        time.sleep(0.01)
    time.sleep(0.5)
    return "done"
"""


def test_a_worker_that_cannot_even_say_why_it_ends(local: Shell) -> None:
    """A worker that can write nothing any more ends by itself, and no other one with it."""
    local.write("m.py", SILENCED)
    calls = [[role, str(local.cwd / "link")] for role in ("waits", "silenced")]
    local.run("m.py:f", calls, "--workers", 2, "--no-transfer", code=1)
    take_census(local, ["done", Errored("ProcessDied")])


ODD = """
import sys

def f(number):
    if number == 0:
        sys.path[:0] = [b"/usr/lib", "a\\0b"]
        raise ValueError("with a path that is none")
    if number == 1:
        sys.stdout.detach()
        sys.stdin.detach()
    if number == 2:
        print("printed")
    return number
"""


def test_odd_things_done_to_the_process(shell: Shell) -> None:
    """What a function puts on ``sys.path``, or its detaching of streams, costs neither its result nor others'."""
    shell.write("m.py", ODD)
    shell.run("m.py:f", range(4), "--chunk-size", 4, code=1)
    take_census(shell, [Errored("ValueError"), 1, 2, 3])
    assert shell("stdout", "t", 2).stdout == "printed\n"


FORKS = """
import os
import time

if os.fork() == 0:
    os.closerange(0, 3)
    time.sleep(100)
    os._exit(0)

def f(number):
    return number
"""


def test_a_target_that_starts_a_process_when_it_is_imported(local: Shell) -> None:
    """What a module has started on import lives on in the command, and keeps nothing from starting."""
    local.write("m.py", FORKS)
    local.run("m.py:f", range(4))
    take_census(local, [0, 1, 2, 3])


def test_one_crash_in_a_hundred_loses_exactly_that_one(shell: Shell) -> None:
    """With one SIGSEGV in a hundred components and no options, each of the others has its result."""
    shell.write(
        "m.py", "import os\n\ndef f(n):\n    if n % 100 == 42:\n        os.kill(os.getpid(), 11)\n    return -n\n"
    )
    number = 2000 if shell.engine == "local" else 100
    shell.run("m.py:f", range(number), code=1)
    take_census(shell, [Errored("ProcessDied") if n % 100 == 42 else -n for n in range(number)])


FULL = """
import os

def f(number):
    if number % 4 == 1:
        with open("filler", "wb") as file:
            while True:
                file.write(bytes(2**16))
    if number == 2:
        try:
            os.write(1, b"printed\\n" * 2**24)
        finally:
            os._exit(3)
    return "x" * 3000
"""
SMALL_DISK = """
mount -t tmpfs -o size=64m tmpfs results || exit 77
htrun m.py:f --args calls.jsonl --tag t --engine local --workers 1
echo "code $?"
cp -r results kept
"""


def test_components_that_fill_the_disk(local: Shell) -> None:
    """A component that fills the disk has the error that comes of it; what it has left makes room for the others."""
    local.write("m.py", FULL)
    local.jsonl("calls.jsonl", range(12))
    (local.cwd / "results").mkdir()
    # A file system of that size can be mounted in a namespace of one's own.
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK]
    done = subprocess.run(command, cwd=local.cwd, env=local.env, capture_output=True, text=True, check=False)
    assert done.stdout == "code 1\n", done
    (local.cwd / "results").rmdir()
    (local.cwd / "kept").rename(local.cwd / "results")
    errors = {2: Errored("ProcessDied"), **{n: Errored("OSError") for n in range(1, 12, 4)}}
    take_census(local, [errors.get(n, "x" * 3000) for n in range(12)])
