"""Many shells at once: every tag is created once, no command crashes, no file is torn."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from htrun.control import MapControl
from htrun.settings import load
from htrun.tags import TagRegistry
from tests.behaviour.conftest import PACKAGE, PATIENCE_S, Done, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.behaviour.conftest import Shell

SHELLS = 20
ALLOWED = {0, 1, 2, 4}


def at_once(shell: Shell, commands: Sequence[Sequence[object]]) -> list[Done]:
    """Run commands at the same time and return what each has left; none may end in a traceback."""
    barrier = threading.Barrier(len(commands))

    def run(words: Sequence[object]) -> Done:
        barrier.wait()
        process = shell.start(*words)
        out, err = process.communicate(timeout=PATIENCE_S)
        return Done(process.returncode, out, err)

    with ThreadPoolExecutor(len(commands)) as pool:
        results = list(pool.map(run, commands))
    for words, done in zip(commands, results, strict=True):
        assert str(PACKAGE) not in done.stderr, (words, done)
        assert "Traceback" not in done.stderr, (words, done)
        assert done.code in ALLOWED, (words, done)
    return results


def test_a_tag_is_created_once_by_twenty_shells(shell: Shell) -> None:
    """Of twenty shells that start a map with the same tag at once one wins, the others exit with 4 and say why."""
    shell.write("m.py", "def f(x):\n    return x\n")
    for number in range(SHELLS):
        shell.jsonl(f"in{number}.jsonl", [number] * 3)
    commands = [["m.py:f", "--args", f"in{n}.jsonl", "--tag", "same", "--chunk-size", 3] for n in range(SHELLS)]
    results = at_once(shell, commands)
    winners = [number for number, done in enumerate(results) if done.code == 0]
    assert len(winners) == 1, results
    for number, done in enumerate(results):
        if number not in winners:
            assert done.code == 4
            assert "taken" in done.stderr
    assert [row["output"] for row in shell.outputs("same")] == winners * 3
    assert shell("tags").lines == ["same"]
    assert [p.name for p in (shell.cwd / "results").iterdir()] == ["same"]


def test_different_tags_are_all_created(shell: Shell) -> None:
    """Shells that start maps with different tags at once, or let htrun make the tags up, all get theirs."""
    shell.write("m.py", "def f(x):\n    return x\n")
    calls = shell.jsonl("in.jsonl", range(3))
    number = 8
    commands = [
        ["m.py:f", "--args", calls, "--chunk-size", 3, *(["--tag", f"t{n}"] if n % 2 else [])] for n in range(number)
    ]
    results = at_once(shell, commands)
    assert [done.code for done in results] == [0] * number
    tags = shell("tags").lines
    assert len(tags) == number
    for tag in tags:
        assert [row["output"] for row in shell.outputs(tag)] == [0, 1, 2]


def test_overwriting_at_once_leaves_one_whole_map(shell: Shell) -> None:
    """Shells that overwrite the same tag at once leave one of their maps, whole."""
    shell.write("m.py", "def f(x):\n    return x\n")
    number = 6
    for n in range(number):
        shell.jsonl(f"in{n}.jsonl", [n] * 3)
    shell("m.py:f", "--args", "in0.jsonl", "--tag", "t")
    commands = [
        ["m.py:f", "--args", f"in{n}.jsonl", "--tag", "t", "--overwrite", "--detach", "--chunk-size", 3]
        for n in range(number)
    ]
    results = at_once(shell, commands)
    winners = [n for n, done in enumerate(results) if done.code == 0]
    assert winners, results
    shell("wait", "t")
    outputs = {row["output"] for row in shell.outputs()}
    assert len(outputs) == 1
    assert outputs <= set(winners)
    assert [p.name for p in (shell.cwd / "results").iterdir()] == ["t"]


def test_everything_at_once(local: Shell) -> None:
    """Starting, waiting, collecting, removing and listing at once: nothing crashes, every answer is whole."""
    local.write("m.py", "import time\n\ndef f(x):\n    time.sleep(0.02)\n    return 'x' * 1000\n")
    calls = local.jsonl("in.jsonl", range(8))
    tags = ["a", "b", "c"]
    rng = random.Random(2)
    commands: list[list[Any]] = []
    for tag in tags:
        commands += [["m.py:f", "--args", calls, "--tag", tag, "--workers", 1]] * 3
        commands += [["wait", tag], ["collect", tag], ["collect", tag, "--format", "csv", "-o", f"{tag}.csv"]] * 2
        commands += [["remove", tag], ["status", tag, "--format", "json"], ["components", tag], ["errors", tag]]
        commands += [["m.py:f", "--args", calls, "--tag", tag, "--overwrite", "--workers", 1]]
    commands += [["status"], ["tags"], ["status", "--format", "csv"], ["wait", "--all"]] * 2
    rng.shuffle(commands)
    for part in range(0, len(commands), SHELLS):
        for words, done in zip(commands[part:], at_once(local, commands[part : part + SHELLS]), strict=False):
            if words[0] == "collect" and done.code == 0 and "-o" not in words:
                for row in done.rows:
                    assert row["status"] != "ERRORED"
                    assert len(row.get("output", "x" * 1000)) == 1000
            if words[:1] == ["status"] and "json" in words and done.code == 0:
                parse(done.stdout)
    local("wait", "--all") if local("tags").lines else None
    for tag in local("tags").lines:
        assert [len(row["output"]) for row in local.outputs(tag)] == [1000] * 8
    local("remove", "--all")
    assert list((local.cwd / "results").iterdir()) == []
    assert local("tags").stdout == ""


def test_waiting_twenty_times_for_one_map(local: Shell) -> None:
    """Twenty shells may wait for the same map, and collect it, while it runs."""
    local.write("m.py", "import time\n\ndef f(x):\n    time.sleep(0.2)\n    return x\n")
    local("m.py:f", "--args", local.jsonl("in.jsonl", range(20)), "--tag", "t", "--detach", "--workers", 1)
    results = at_once(local, [["wait", "t"]] * 15 + [["collect", "t", "--format", "csv"]] * 5)
    assert [done.code for done in results] == [0] * 20
    assert [row["output"] for row in local.outputs()] == list(range(20))


def test_a_map_can_be_removed_while_somebody_waits_for_it(shell: Shell) -> None:
    """A command that waits for a map which is removed meanwhile ends in words, and does not hang."""
    shell.write("m.py", "import time\n\ndef f(x):\n    time.sleep(600)\n")
    shell("m.py:f", "--args", "-", "--tag", "t", "--detach", input="1\n")
    waiting = shell.start("wait", "t")
    shell("remove", "t")
    out, err = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode in ALLOWED - {0}, (out, err)
    assert "Traceback" not in err
    assert not shell.path().exists()


def test_what_is_done_to_a_map_does_not_reach_the_one_that_replaced_it(local: Shell) -> None:
    """Who wants to stop or remove a map that was replaced meanwhile leaves the new one alone."""
    local.write("m.py", "import time\n\ndef f(x):\n    time.sleep(x)\n    return x\n")
    slow, quick = local.jsonl("slow.jsonl", [60, 60]), local.jsonl("quick.jsonl", [0.5, 0.5])
    local("m.py:f", "--args", slow, "--tag", "t", "--detach")
    old = MapControl.load("t", load(local.env))
    local("m.py:f", "--args", quick, "--tag", "t", "--overwrite", "--detach")
    old.stop("a test")
    old.remove()
    local("wait", "t")
    assert [row["output"] for row in local.outputs()] == [0.5, 0.5]


def test_who_waits_for_a_map_that_is_replaced_is_told(local: Shell) -> None:
    """A command that waits for a map which another one replaces ends with exit code 2, and speaks of no other map."""
    local.write("m.py", "import time\n\ndef f(x):\n    time.sleep(x)\n    return x\n")
    slow, quick = local.jsonl("slow.jsonl", [60, 60]), local.jsonl("quick.jsonl", [0.5, 0.5])
    local("m.py:f", "--args", slow, "--tag", "t", "--detach")
    waiting = [local.start("wait", "t") for _ in range(3)]
    time.sleep(1)  # they wait by now, mostly; it holds in any case
    local("m.py:f", "--args", quick, "--tag", "t", "--overwrite")
    for process in waiting:
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2
        assert "replaced" in err


def test_a_map_may_end_before_the_command_looks(local: Shell) -> None:
    """On a busy machine a short map may have ended by the time that the command looks whether it has started."""
    local.write("m.py", "def f(x):\n    return x\n")
    script = (
        "import sys, time; sleep = time.sleep; time.sleep = lambda seconds: sleep(2); "
        "sys.argv = ['htrun', 'm.py:f', '--args', 'in.jsonl', '--tag', 't']; from htrun.cli import main; main()"
    )
    local.jsonl("in.jsonl", [7])
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=local.cwd, env=local.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert local.outputs()[0]["output"] == 7


def test_a_new_tag_is_locked_too(local: Shell) -> None:
    """Renaming waits for whoever is just making a map of the new tag; tags that share their lock are no trouble."""
    local.write("m.py", "def f(x):\n    return x\n")
    local("m.py:f", "--args", local.jsonl("in.jsonl", [1]), "--tag", "t")
    with TagRegistry(local.home / "registry" / "tags").lock_tag("new"):
        process = local.start("retag", "t", "new")
        time.sleep(1)
        assert process.poll() is None
        assert local("tags").lines == ["t"]
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    same = next(tag for tag in map(str, range(1000)) if (zlib.crc32(tag.encode()) - zlib.crc32(b"new")) % 32 == 0)
    local("retag", "new", same)
    assert local("tags").lines == [same]
