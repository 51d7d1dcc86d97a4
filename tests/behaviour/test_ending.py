"""What is asked for at the end of a map: a command, and a report for continuous integration."""

from __future__ import annotations

import json
import os
import signal
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import junitparser
import pytest

from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

    Shared = Callable[..., tuple[Shell, Any]]

MIXED = r"""
import os, time

def check(number):
    print("printed \x1b[31m by \x00", number, "& <others>\r")
    if number == 1:
        raise ValueError("no \x07 bell, no \ud800, \u2603 and ]]> & <x>")
    if number == 2:
        os._exit(3)
    return number

def last(number):
    while not os.path.exists("{GATE}"):
        time.sleep(0.05)
"""
TELL = 'echo "$HTRUN_TAG $HTRUN_STATUS $HTRUN_EXIT_CODE $HTRUN_COMPONENTS $HTRUN_COMPLETED $HTRUN_ERRORED" >> told'


def write(shell: Shell) -> None:
    """Write the functions that are mapped."""
    shell.write("m.py", MIXED.replace("{GATE}", str(shell.cwd / "gate")))


def told(shell: Shell) -> list[str]:
    """Return what commands were told so far."""
    path = shell.cwd / "told"
    return path.read_text().splitlines() if path.exists() else []


def test_a_command_is_told_how_a_map_has_ended(shell: Shell) -> None:
    """``--notify`` runs when the results are there, with tag, status and counts in the environment."""
    write(shell)
    calls = shell.jsonl("in.jsonl", range(3))
    command = f'{TELL}; wc -l < "$HTRUN_RESULTS/outputs.jsonl" >> told; echo said'
    done = shell("m.py:check", "--args", calls, "--tag", "t", "--notify", command, "--stdout", code=1)
    assert told(shell) == ["t errored 1 3 1 2", "3"]
    assert [row["component"] for row in done.rows] == [0, 1, 2]  # nothing of the command's is among the data
    assert done.stderr.endswith("said\n")


def test_waiting_tells_of_each_map(local: Shell) -> None:
    """``wait --notify`` runs the command for each map, when that has ended; of a map that is held too."""
    write(local)
    local("m.py:check", "--args", local.jsonl("a.jsonl", [0]), "--tag", "a", "--detach")
    local("m.py:last", "--args", local.jsonl("b.jsonl", [0, 1]), "--tag", "b", "--detach", "--workers", 1)
    local("hold", "b")
    local("wait", "a", "b", "--notify", TELL, code=6)
    assert told(local) == ["a completed 0 1 1 0", "b held 6 2 0 0"]


def test_a_run_that_was_killed_is_told_of(local: Shell) -> None:
    """That a map's process was killed is told as well."""
    write(local)
    process = local.start("m.py:last", "--args", local.jsonl("in.jsonl", [0]), "--tag", "t", "--notify", TELL)
    pid = local.path() / ".htrun" / "supervisor.json"
    until(lambda: local.path().exists() and local.counts().get("RUNNING"), "it runs")
    os.kill(json.loads(pid.read_text())["pid"], signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert told(local) == ["t died 3 1 0 0"]


def test_nobody_is_told_of_an_interrupt(local: Shell) -> None:
    """Who presses Ctrl-C knows: the command is not run, and no report is written."""
    write(local)
    words = ("--notify", TELL, "--junitxml", "report.xml")
    process = local.start("m.py:last", "--args", local.jsonl("in.jsonl", [0]), "--tag", "t", *words)
    until(lambda: local.path().exists() and local.counts().get("RUNNING"), "it runs")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert told(local) == []
    assert not (local.cwd / "report.xml").exists()


def test_a_command_that_fails_is_a_note(local: Shell) -> None:
    """What the command exits with is said, and changes nothing of htrun's own exit code."""
    write(local)
    done = local("m.py:check", "--args", "-", "--notify", "exit 7", input="0\n")
    assert "htrun: note: --notify 'exit 7': it ended with exit code 7\n" in done.stderr
    done = local("m.py:check", "--args", "-", "--notify", "no-such-program", input="1\n", code=1)
    assert "it ended with exit code 127" in done.stderr


@pytest.mark.parametrize("option", ["--notify", "--junitxml"])
def test_a_detached_map_has_nobody_at_its_end(local: Shell, option: str) -> None:
    """With --detach there is nobody to do it: `htrun wait` does."""
    write(local)
    said = local("m.py:check", "--args", "-", "--detach", option, "x", input="0\n", code=4).stderr
    assert f"'htrun wait TAG {option}'" in said
    assert local("tags").stdout == ""
    local("m.py:check", "--args", "-", option, "", input="0\n", code=4)


def make_report(shell: Shell) -> dict[str, Any]:
    """Run components that complete, fail and die, with a report."""
    write(shell)
    calls = shell.jsonl("in.jsonl", [0, 1, 2, {"number": "<&\x1b\n>"}])
    shell("m.py:check", "--args", calls, "--tag", "t", "--chunk-size", 4, "--junitxml", "ci/report.xml", code=1)
    return {"xml": (shell.cwd / "ci" / "report.xml").read_text()}


def test_a_report_has_a_test_case_a_component(shared: Shared) -> None:
    """``--junitxml`` writes what CI servers read: counts, names, times, and the error reports of what has failed."""
    _, result = shared("junit", make_report)
    suites = list(junitparser.JUnitXml.fromstring(result["xml"].encode()))
    assert len(suites) == 1
    suite = suites[0]
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("t", 4, 2, 0, 0)
    assert {p.name: p.value for p in suite.properties()}["target"] == "m.py:check"
    cases = list(suite)
    assert [case.classname for case in cases] == ["m.check"] * 4
    assert [case.name for case in cases][:2] == ["component 0: check(0)", "component 1: check(1)"]
    assert cases[3].name == r"component 3: check(number='<&\x1b\n>')"
    assert all(case.time is not None and case.time >= 0 for case in cases)
    assert [case.is_passed for case in cases] == [True, False, False, True]
    failure = cases[1].result[0]
    assert isinstance(failure, junitparser.Failure)
    assert failure.type == "ValueError"
    assert failure.message.startswith("ValueError: no #x07 bell")
    assert "\u2603 and ]]> & <x>" in failure.message
    assert "raise ValueError(" in failure.text
    assert "printed #x1B[31m by #x00 1 & <others>" in failure.text
    assert cases[2].result[0].type == "ProcessDied"


def test_a_report_of_several_maps_and_of_what_did_not_run(local: Shell) -> None:
    """``wait --junitxml`` has a suite a map; held components are errors, those of a map that was stopped skipped."""
    write(local)
    calls = local.jsonl("in.jsonl", [1, 0, 0, 0])
    local("m.py:check", "--args", calls, "--tag", "a", "-x", "--workers", 1, "--chunk-size", 1, code=1)
    local("m.py:last", "--args", local.jsonl("b.jsonl", [0, 1]), "--tag", "b", "--detach", "--workers", 1)
    local("hold", "b")
    local("wait", "a", "b", "--junitxml", "report.xml", code=1)
    suites = ET.parse(local.cwd / "report.xml").getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["a", "b"]
    assert [[suite.get(name) for name in ("tests", "failures", "errors", "skipped")] for suite in suites] == [
        ["4", "1", "0", "3"],
        ["2", "0", "2", "0"],
    ]
    for suite in suites:
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert len(suite.findall(f"testcase/{tag}")) == int(suite.get(name, "0"))
    assert "HELD: its user asked for it" in ET.tostring(suites[1], encoding="unicode")


def test_waiting_for_a_map_that_was_stopped(local: Shell) -> None:
    """It says how the map goes on, and in the report what did not run is skipped."""
    local.write("m.py", "import time\n\ndef f(x):\n    time.sleep(600)\n")
    calls = local.jsonl("in.jsonl", [0, 1])
    process = local.start("m.py:f", "--args", calls, "--tag", "a", "--workers", 1)
    until(lambda: "a" in local("tags").stdout and local.counts("a").get("RUNNING"), "it runs")
    process.terminate()
    process.communicate()
    assert process.returncode == 2
    done = local("wait", "a", "--junitxml", "report.xml", code=2)
    assert "'htrun resume a' lets it go on" in done.stderr
    (suite,) = ET.parse(local.cwd / "report.xml").getroot().findall("testsuite")
    assert suite.get("skipped") == "2"


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(local: Shell) -> None:
    """A path below a file, or that of a directory, is an error at once."""
    write(local)
    local.write("file", "")
    said = local("m.py:check", "--args", "-", "--tag", "t", "--junitxml", "file/x.xml", input="0\n", code=4).stderr
    assert "--junitxml file/x.xml: it cannot be written there" in said
    local("m.py:check", "--args", "-", "--tag", "t", "--junitxml", ".", input="0\n", code=4)
    assert local("tags").stdout == ""


def test_an_interrupted_run_says_how_much_there_is(local: Shell) -> None:
    """What is said to have finished after Ctrl-C is what has, not what had at the last look."""
    local.write("m.py", "import time\n\ndef f(x):\n    time.sleep(0.01)\n    return x\n")
    calls = local.jsonl("in.jsonl", range(2000))
    process = local.start("m.py:f", "--args", calls, "--tag", "t", "--workers", 1, start_new_session=True)
    until(lambda: "t" in local("tags").stdout and local.counts("t").get("COMPLETED", 0) > 20, "some have completed")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert f"({local.counts('t')['COMPLETED']} of 2,000 components have finished)" in err
