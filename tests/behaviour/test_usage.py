"""What components use of memory, disk and processors: measured of each, compared with requests, asked for next time."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import htrun
from tests.behaviour.conftest import PATIENCE_S

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

SOURCE = """\
    import os
    import signal
    import subprocess
    import sys

    import htrun

    def fill(mb):
        return len(bytearray(b"x") * (mb << 20))

    def use(mb, how="itself"):
        if how == "a child":
            return subprocess.run([sys.executable, "-c", f"len(bytearray(b'x') * ({mb} << 20))"]).returncode
        if how == "disk":
            with open("left", "wb") as left, open("handed over", "wb") as over:
                left.write(bytes(mb << 20))
                over.write(bytes(mb << 20))
            htrun.transfer_output_files("handed over")
        fill(mb)
        if how == "and dies":
            memory = bytearray(b"x") * (mb << 20)
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()
    """


def records(shell: Shell) -> list[dict[str, Any]]:
    """Return the records of the map ``t``, in the order of its components."""
    lines = [
        line for file in shell.path().glob(".htrun/jobs/*/records.jsonl") for line in file.read_text().splitlines()
    ]
    return sorted(map(json.loads, lines), key=lambda record: int(record["component"]))


def test_the_memory_of_a_component_is_its_own(shell: Shell) -> None:
    """What a component before it had in memory does not count, be they of one process, and a child's does."""
    shell.write("m.py", SOURCE)
    calls: list[Any] = [10, 200, 10, [10, "a child"], [150, "a child"], 10, [100, "and dies"], 10]
    shell.run("m.py:use", calls, "--chunk-size", "10", "--workers", "1", code=1)
    found = records(shell)
    pids = {record.get("output") for record in found if record["component"] in (0, 1, 2, 5)}
    assert len(pids) == 1, "they were to share a process"
    memory = [record["memory_mb"] for record in found]
    assert all(mb <= seen < mb + 90 for mb, seen in zip((10, 200, 10, 10, 150, 10, 100, 10), memory, strict=True)), (
        memory
    )
    assert not any("disk_kb" in record for record in found)
    assert f"peak memory {memory[6]:,.0f} MB" in shell("errors", "t").stdout


def test_the_disk_space_of_a_component(shell: Shell) -> None:
    """What is in the scratch directory at the end counts, with what was handed over; so it does in a report of errors."""
    shell.write("m.py", SOURCE + "\n    def fail(mb):\n        use(mb, 'disk')\n        raise ValueError\n")
    shell.run("m.py:fail", [3, 1], code=1)
    found = [error["disk_kb"] for error in shell.errors()]
    assert all(2 * mb * 1024 <= seen < 2 * mb * 1024 + 100 for mb, seen in zip((3, 1), found, strict=True)), found


def usage(shell: Shell, *words: object) -> dict[str, Any]:
    """Return what ``htrun usage`` says of the map ``t``, as data."""
    found: dict[str, Any] = json.loads(shell("usage", "t", "--format", "json", *words).stdout)["t"]
    return found


def test_requests_are_compared_with_use(shell: Shell) -> None:
    """Those that used more than they asked for are counted, and what is proposed suffices for most."""
    shell.write("m.py", SOURCE)
    calls = [10, 150, [10, "disk"]]
    shell.run("m.py:use", calls, "--chunk-size", "1", "--request-memory", "100", "--request-disk", "1GB")
    found = usage(shell)
    memory, disk = found["memory_mb"], found["disk_kb"]
    assert (found["components"], found["recorded"], memory["count"]) == (3, 3, 3)
    assert (memory["requested_min"], memory["requested_max"], memory["exceeded"]) == (100, 100, 1)
    assert (disk["requested_max"], disk["exceeded"]) == (1024**2, 0)
    assert 10 <= memory["min"] <= memory["median"] <= 100 < 150 <= memory["p95"] == memory["max"] < 250
    assert 20 * 1024 <= disk["max"] < 40 * 1024
    proposed = int(found["proposal"]["request_memory"].removesuffix("MB"))
    assert found["proposal"].keys() == {"request_memory"}, "by default there is enough disk"
    assert 1.2 * memory["max"] <= proposed <= 1.2 * memory["max"] + 10
    rows = list(csv.DictReader(shell("usage", "t", "--format", "csv").lines))
    assert [row["resource"] for row in rows] == ["memory_mb", "disk_kb", "cpus"]
    assert (rows[0]["tag"], rows[0]["exceeded"], rows[0]["proposal"]) == ("t", "1", f"{proposed}MB")


def test_usage_for_people(local: Shell) -> None:
    """There is a table, a histogram as wide as the terminal, and options to copy; without block characters too."""
    local.write("m.py", SOURCE)
    local.run("m.py:use", [10, 10, 150])
    for columns, encoding, block in (("80", "utf-8", "█"), ("60", "ascii", "#")):
        lines = local("usage", "t", env={"COLUMNS": columns, "PYTHONIOENCODING": encoding}).lines
        assert lines[0] == "t: what 3 of 3 components of m.py:use used"
        bars = [line for line in lines if block in line]
        assert next(len(line) for line in bars if line.count(block) > 10) in range(int(columns) - 2, int(columns) + 1)
        assert sum(int(re.findall(r"\d+", line)[2]) for line in lines if re.match(r" +\d+ - +\d+ ", line)) == 3
        assert re.search(r"^next time: --request-memory \d+MB$", "\n".join(lines), re.MULTILINE)
        assert all(len(line) <= 85 for line in lines)


def test_usage_of_what_has_not_run_yet(local: Shell) -> None:
    """Of a map whose components have not finished nothing is known, which is no error."""
    local.write("m.py", "import time\n\ndef f():\n    time.sleep(1000)\n")
    local("m.py:f", "--tag", "t", "--detach")
    assert local("usage", "t").lines == ["t: what 0 of 1 component of m.py:f used"]
    assert usage(local)["proposal"] == {}
    assert not local("usage", "-p", "no such*").stdout


def submitted(shell: Shell) -> dict[str, str]:
    """Return the options of the map ``t`` that are the same for all its jobs."""
    options: dict[str, Any] = json.loads((shell.path() / ".htrun/map.json").read_text())["options"]
    return {key: value for key, value in options.get("submit", {}).items() if "request" in key}


def test_requests_are_found_out(shell: Shell) -> None:
    """With ``auto`` nothing is asked for as long as nothing is known, and then what was used, which the header says."""
    shell.write("m.py", SOURCE)
    words = ("--request-memory", "auto", "--request-disk", "auto")
    first = shell("m.py:use", "--args", shell.jsonl("c.jsonl", [150, 10]), "--tag", "t", *words)
    assert submitted(shell) == {"retry_request_memory": "RequestMemory * 2"}
    second = shell("m.py:use", "--args", "c.jsonl", "--tag", "t", "--overwrite", *words)
    amount = int(submitted(shell)["request_memory"].removesuffix("MB"))
    assert 180 <= amount <= 300
    if shell.engine == "local":
        assert "request_memory, request_disk say nothing to the engine local" in second.stderr
    else:
        assert "request_memory: the pool's default (auto: nothing is known of m.py:use yet)" in first.stderr
        assert f"request_memory = {amount}MB (auto: 2 components of m.py:use used at most " in second.stderr
        assert "request_disk: the pool's default (auto: 2 components of m.py:use used at most" in second.stderr


def test_requests_are_found_out_for_python(api: Shell) -> None:
    """Maps made from Python ask for what those before them used, too; and what users say of retries counts."""
    options = htrun.MapOptions(request_memory="auto", retry_request_memory="3GB")
    for tag in ("a", "b"):
        htrun.map(fill_150, [1], tag=tag, map_options=options).wait(timeout=PATIENCE_S)
        api("wait", tag)
    a, b = (json.loads(Path(api("path", tag).stdout.strip(), ".htrun/map.json").read_text()) for tag in "ab")
    assert a["options"]["submit"] == {"retry_request_memory": "3GB"}
    assert int(b["options"]["submit"]["request_memory"].removesuffix("MB")) >= 180
    assert b["options"]["submit"]["retry_request_memory"] == "3GB"


def fill_150(_: int) -> int:
    """Have 150 MB of memory for a moment."""
    return len(bytearray(b"x") * (150 << 20))


def test_auto_is_for_all_inputs_alike(local: Shell) -> None:
    """A field of an input cannot leave an amount to be found out."""
    local.write("m.py", "def f():\n    pass\n")
    calls = local.jsonl("c.jsonl", [{"memory": "auto"}])
    done = local("m.py:f", "--args", calls, "-o", "request_memory=@memory", code=4)
    assert "c.jsonl:1: field 'memory': request_memory: auto is for all inputs alike" in done.stderr


def test_a_job_that_runs_out_of_memory_gets_more(condor: Shell) -> None:
    """A job that is stopped for its memory starts again with a larger request, and the next map asks for enough."""
    condor.write(
        "m.py",
        """\
        import time
        from pathlib import Path

        def f(marker):
            memory = bytearray(b"x") * (200 << 20)
            if not Path(marker).exists():
                Path(marker).touch()
                time.sleep(1000)
            return len(memory)
        """,
    )
    words = ("--request-memory", "auto", "-o", "+LimitMemory=true")
    rows = condor.run("m.py:f", [str(condor.home / "marker")], *words)
    assert rows[0]["status"] == "COMPLETED"
    assert records(condor)[0]["attempt"] == 2
    memory = usage(condor)["memory_mb"]
    assert (memory["exceeded"], memory["requested_max"]) == (1, 256)
    assert 200 <= memory["max"] < 300
    assert "exceeded" in condor("usage", "t").stdout
    condor("m.py:f", "--args", "calls.jsonl", "--tag", "t", "--overwrite", *words)
    assert 240 <= int(submitted(condor)["request_memory"].removesuffix("MB")) <= 360
    assert usage(condor)["memory_mb"]["exceeded"] == 0
