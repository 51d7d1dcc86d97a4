"""What htrun says while it runs and at the end, and the exit codes."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.conftest import HTRUN, parse, until
from tests.behaviour.programs import on_terminal
from tests.behaviour.terminals import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell

    Shared = Callable[..., tuple[Shell, Any]]

MIXED = """
import sys, time

def check(number):
    local_variable = number * 10
    print("printed by", number)
    print("complained by", number, file=sys.stderr)
    if number % 4 == 3:
        deeper(local_variable)
    return number

def deeper(value):
    doubled = value * 2
    raise ValueError(f"cannot do {doubled}")

def nap(seconds):
    time.sleep(seconds)
    return seconds
"""
RULE = re.compile(r"^=+ (.*) =+$", re.MULTILINE)


def run_mixed(shell: Shell) -> dict[str, Any]:
    """Run eight components, two of which fail, and keep what was said."""
    shell.write("m.py", MIXED)
    calls = shell.jsonl("in.jsonl", range(8))
    done = shell("m.py:check", "--args", calls, "--tag", "t", "--chunk-size", 4, code=1)
    return {"stdout": done.stdout, "stderr": done.stderr}


def test_the_header_says_what_runs_where(shared: Shared) -> None:
    """The header has versions, target, number of components, engine and why, delivery, tag and results directory."""
    shell, result = shared("mixed", run_mixed)
    header = result["stderr"].partition("%]")[0]
    for part in ("htrun-0", "Python 3.", "target: m.py:check", "8 components", "tag: t\n", "results: results/t\n"):
        assert part in header
    assert re.search(rf"^engine: {shell.engine} \(.*\)", header, re.MULTILINE)
    if shell.engine == "htcondor":
        assert re.search(r"^delivery: shared.*python", header, re.MULTILINE)


def test_progress_has_a_percentage(shared: Shared) -> None:
    """While it runs there are lines of progress with a percentage, the last one with 100 %."""
    _, result = shared("mixed", run_mixed)
    percentages = [int(p) for p in re.findall(r"^t: .*\[ *(\d+)%\]", result["stderr"], re.MULTILINE)]
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100


def test_a_failure_has_a_section_with_all_that_helps(shared: Shared) -> None:
    """A failure is shown with type, message, the user's frames with source and locals, node, and what was printed."""
    _, result = shared("mixed", run_mixed)
    section = result["stderr"].partition(" FAILURES ")[2].partition("component 7")[0]
    for part in (
        "component 3: check(3)",
        "m.py:9: in check",
        "deeper(local_variable)",
        "local_variable = 30",
        "m.py:14: in deeper",
        'raise ValueError(f"cannot do {doubled}")',
        "doubled = 60",
        "ValueError: cannot do 60",
        "printed by 3",
        "complained by 3",
        os.uname().nodename,
    ):
        assert part in section
    assert "printed by 2" not in result["stderr"]
    assert "worker.py" not in result["stderr"]


def test_the_end_is_a_short_summary_and_a_last_line_with_counts(shared: Shared) -> None:
    """At the end there is a line a failure, and a last line with counts and time; stdout stays empty."""
    _, result = shared("mixed", run_mixed)
    lines = result["stderr"].splitlines()
    summary = list(lines[lines.index(next(line for line in lines if "short summary" in line)) :])
    assert [line for line in summary if line.startswith("ERRORED")] == [
        "ERRORED component 3 - ValueError: cannot do 60",
        "ERRORED component 7 - ValueError: cannot do 140",
    ]
    assert re.fullmatch(r"=+ 2 errored, 6 completed in \d+\.\d\ds =+", lines[-1])
    assert result["stdout"] == ""
    assert "\x1b" not in result["stderr"]


def sections(shell: Shell, *words: str) -> str:
    """Run three components, one of which fails, and return what is said between FAILURES and the summary."""
    shell.write("m.py", MIXED)
    done = shell("m.py:check", "--args", "-", "--tag", "t", "--overwrite", *words, input="2\n3\n4\n", code=1)
    return done.stderr.partition("FAILURES")[2].partition("short summary")[0]


def test_tb_says_how_much_of_a_failure_is_shown(local: Shell) -> None:
    """``--tb short`` shows a line of source a frame, ``line`` one line a failure, ``no`` none."""
    auto = sections(local)
    assert "local_variable = 30" in auto
    short = sections(local, "--tb", "short")
    assert "ValueError: cannot do 60" in short
    assert "deeper(local_variable)" in short
    assert "local_variable = 30" not in short
    line = sections(local, "--tb=line")
    shown = [text for text in line.splitlines() if text.strip(" =")]
    assert shown == ["m.py:14: ValueError: cannot do 60 (component 1)"]
    assert sections(local, "--tb=no") == ""
    assert "1 errored" in local("wait", "t", code=1).stderr


def test_stop_at_the_first_failure(shell: Shell) -> None:
    """With ``-x`` the run stops at the first failure: it says so, exits with 1, and the rest does not run."""
    shell.write("m.py", MIXED)
    options = ["--workers", 1, "--chunk-size", 1] if shell.engine == "local" else ["--chunk-size", 5]
    calls = shell.jsonl("in.jsonl", [0, 1, 2, 3, *[4] * 21])
    before = time.monotonic()
    done = shell("m.py:check", "--args", calls, "--tag", "t", "-x", *options, code=1)
    assert time.monotonic() - before < 60
    assert "stopping after 1 error" in done.stderr
    assert "component 3" in done.stderr
    assert shell.counts()["ERRORED"] == 1
    if shell.engine == "local":
        assert shell.counts()["COMPLETED"] == 3
        assert [row["status"] for row in shell.outputs()] == ["COMPLETED"] * 3 + ["ERRORED"] + ["IDLE"] * 21
        assert shell.processes() == {}
        assert "'htrun resume t' lets the others run" in done.stderr
        assert (
            "note: 22 of 25 components have no output (1 errored, 21 idle)" in shell("collect", "t", "--values").stderr
        )
        shell("resume", "t")
    else:
        shell("rerun", "components", "t", "--status", "removed")
    done = shell("wait", "t", code=1)
    assert "stopping" not in done.stderr  # what had stopped it does not do so again
    assert shell.counts() == {"COMPLETED": 24, "ERRORED": 1}


def test_maxfail_stops_after_so_many_failures(local: Shell) -> None:
    """With ``--maxfail N`` the run stops after N failures."""
    local.write("m.py", MIXED)
    calls = local.jsonl("in.jsonl", [3] * 50)
    options = ["--workers", 1, "--chunk-size", 1, "--maxfail", 3]
    done = local("m.py:check", "--args", calls, "--tag", "t", *options, code=1)
    assert "stopping after 3 errors" in done.stderr
    assert local.counts()["ERRORED"] == 3
    done = local("m.py:check", "--args", calls, "--tag", "u", "--maxfail", 51, code=1)
    assert "stopping" not in done.stderr
    assert local.counts("u")["ERRORED"] == 50


def test_durations_shows_the_slowest_components(local: Shell) -> None:
    """``--durations N`` shows the N slowest components with their times, the slowest first."""
    local.write("m.py", MIXED)
    done = local("m.py:nap", "--args", local.jsonl("in.jsonl", [0, 0.3, 0.1, 0.2]), "--durations", 2)
    section = done.stderr.partition("slowest 2 durations")[2].splitlines()[1:3]
    assert [line.split("component ")[1].split(":")[0] for line in section] == ["1", "3"]
    assert section[0].startswith("0.3")
    shown = local("m.py:nap", "--args", "in.jsonl", "--durations", 0).stderr
    assert len(re.findall(r"^\d+\.\d\ds .*component \d", shown, re.MULTILINE)) == 4


def test_collect_only_shows_what_would_run_and_makes_nothing(shell: Shell) -> None:
    """``--collect-only`` shows the calls as they were understood and makes nothing, neither map nor tag."""
    shell.write("m.py", MIXED)
    shell.write("in.jsonl", '{"number": 1}\n[2]\n3\n')
    before = sorted(os.listdir(shell.cwd))
    done = shell("m.py:check", "--args", "in.jsonl", "--tag", "t", "--collect-only")
    assert done.lines == ['0: check {"number": 1}', "1: check [2]", "2: check [3]"]
    assert "3 components" in done.stderr
    assert [name for name in sorted(os.listdir(shell.cwd)) if name != "__pycache__"] == before
    assert shell("tags").stdout == ""
    shell.write("in.jsonl", "oops\n")
    shell("m.py:check", "--args", "in.jsonl", "--collect-only", code=4)


def test_quiet_shows_failures_and_the_last_line_only(local: Shell) -> None:
    """``-q`` leaves out the header and the progress."""
    local.write("m.py", MIXED)
    done = local("m.py:check", "--args", "-", "-q", input="2\n")
    assert re.fullmatch(r"=+ 1 completed in .*=+\n", done.stderr)
    assert done.stdout == ""
    failed = local("m.py:check", "--args", "-", "-q", input="3\n", code=1).stderr
    assert "ValueError: cannot do 60" in failed
    assert "session starts" not in failed


def test_verbose_shows_every_component(local: Shell) -> None:
    """``-v`` shows each component with its call and status as it finishes."""
    local.write("m.py", MIXED)
    done = local("m.py:check", "--args", "-", "-v", input="2\n3\n4\n", code=1)
    shown = re.findall(r"component (\d): (check\(\d\)) (\w+) ", done.stderr)
    assert sorted(shown) == [
        ("0", "check(2)", "COMPLETED"),
        ("1", "check(3)", "ERRORED"),
        ("2", "check(4)", "COMPLETED"),
    ]


def test_stdout_carries_data_and_nothing_else(shell: Shell) -> None:
    """With ``--stdout`` or ``--format``, stdout is the collected results alone; all talk goes to stderr."""
    shell.write("m.py", MIXED)
    calls = shell.jsonl("in.jsonl", [2, 3, 4])
    done = shell("m.py:check", "--args", calls, "--tag", "t", "--stdout", "--chunk-size", 3, code=1)
    assert done.stdout == (shell.path() / "outputs.jsonl").read_text()
    assert [row["status"] for row in done.rows] == ["COMPLETED", "ERRORED", "COMPLETED"]
    assert "FAILURES" in done.stderr
    if shell.engine == "local":
        done = shell("m.py:check", "--args", calls, "--format", "csv", code=1)
        assert done.lines == [
            "component,status,output,error",
            "0,COMPLETED,2,",
            "1,ERRORED,,ValueError: cannot do 60",
            "2,COMPLETED,4,",
        ]
        assert shell("m.py:check", "--args", "-", "--format", "tsv", input="2\n").lines[1] == "0\tCOMPLETED\t2"


def test_a_made_up_tag_is_readable_and_marked_transient(local: Shell) -> None:
    """Without ``--tag`` htrun makes up a readable tag, says so, and marks the map as transient."""
    local.write("m.py", MIXED)
    done = local("m.py:check", "--args", "-", input="2\n")
    tag = local("tags").stdout.strip()
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", tag)
    assert f"tag: {tag}" in done.stderr
    assert (local.path(tag) / "outputs.jsonl").exists()
    table = parse(local("status", "--format", "json").stdout)
    assert table[tag]["transient"] is True
    assert f"* {tag}" in local("status").stdout
    local("m.py:check", "--args", "-", "--tag", "mine", input="2\n")
    assert parse(local("status", "mine", "--format", "json").stdout)["mine"]["transient"] is False


def test_results_names_another_parent(local: Shell) -> None:
    """``--results DIR`` is where the map's directory goes, made when missing."""
    local.write("m.py", MIXED)
    local("m.py:check", "--args", "-", "--tag", "t", "--results", "a/b c", input="2\n")
    assert parse((local.cwd / "a/b c/t/outputs.jsonl").read_text())["output"] == 2
    assert local("path", "t").stdout == f"{local.cwd}/a/b c/t\n"


def test_auto_is_the_local_engine_where_there_is_no_pool(local: Shell) -> None:
    """The engine ``auto`` is this machine where HTCondor is not configured, and the header says why."""
    local.write("m.py", MIXED)
    done = local("m.py:check", "--args", "-", input="2\n", env={"HTRUN_ENGINE": "auto"})
    assert re.search(r"^engine: local \(auto: .+\)", done.stderr, re.MULTILINE)
    done = local("m.py:check", "--args", "-", "--engine", "htcondor", input="2\n", code=4)
    assert "HTCondor" in done.stderr
    nowhere = {"CONDOR_CONFIG": str(local.home / "nowhere")}
    done = local("m.py:check", "--args", "-", "--engine", "auto", input="2\n", env=nowhere)
    assert "engine: local (auto: " in done.stderr


def test_auto_is_htcondor_where_there_is_a_schedd(condor: Shell) -> None:
    """The engine ``auto`` is HTCondor where a schedd can be located, unless the command line says otherwise."""
    condor.write("m.py", MIXED)
    done = condor("m.py:check", "--collect-only", "--args", "-", input="2\n", env={"HTRUN_ENGINE": ""})
    assert re.search(r"^engine: htcondor \(auto: .*schedd.*\)", done.stderr, re.MULTILINE)
    done = condor("m.py:check", "--engine", "local", "--args", "-", input="2\n")
    assert "engine: local (" in done.stderr


def test_colours_are_for_terminals_only(local: Shell) -> None:
    """On a terminal output is coloured, unless ``NO_COLOR`` is set; rules and progress are no wider than it."""
    local.write("m.py", MIXED)
    calls = local.jsonl("in.jsonl", [2, 3])
    code, shown = on_terminal(local, HTRUN, "m.py:check", "--args", calls, "--tag", "t")
    assert code == 1
    assert "\x1b[31m" in shown
    plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", shown)
    assert "session starts" in plain
    lines = [line for part in plain.splitlines() for line in part.split("\r")]
    assert max(len(line) for line in lines if line.startswith(("=", "_", "t: "))) <= 80
    code, shown = on_terminal(local, HTRUN, "m.py:check", "--args", calls, "--tag", "u", NO_COLOR="1")
    assert code == 1
    assert "m" not in re.findall(r"\x1b\[[0-9;]*([a-zA-Z])", shown)
    assert "\x1b[" in on_terminal(local, HTRUN, "status")[1]
    assert "\x1b[" not in on_terminal(local, HTRUN, "status", NO_COLOR="1")[1]


def test_data_asked_for_on_a_terminal_is_not_mixed_with_talk(local: Shell) -> None:
    """With ``--stdout`` redirected and stderr a terminal, the data is plain and the talk is on the terminal."""
    local.write("m.py", MIXED)
    calls = local.jsonl("in.jsonl", [2])
    code, shown = on_terminal(local, HTRUN, "m.py:check", "--args", calls, "-q", "--stdout")
    assert code == 0
    assert '{"component":0,"status":"COMPLETED","output":2}' in shown


def test_detach_leaves_at_once_and_wait_comes_back(shell: Shell) -> None:
    """``--detach`` prints the tag and leaves the map to itself; ``htrun wait`` shows its end, with its exit code."""
    shell.write("m.py", MIXED)
    calls = shell.jsonl("in.jsonl", [2, 3])
    done = shell("m.py:check", "--args", calls, "--detach", "--tag", "t", "--chunk-size", 2)
    assert done.stdout == "t\n"
    assert "htrun wait t" in done.stderr
    waited = shell("wait", "t", code=1)
    assert waited.stdout == ""
    assert "1 errored, 1 completed" in waited.stderr.splitlines()[-1]
    assert [row["status"] for row in shell.outputs()] == ["COMPLETED", "ERRORED"]
    again = shell("wait", "t", "-q", code=1)
    assert "100%" not in again.stderr


def test_a_detached_map_ends_by_itself(shell: Shell) -> None:
    """A detached map needs nobody: on this machine its result files are written without any other command."""
    shell.write("m.py", MIXED)
    shell("m.py:check", "--args", shell.jsonl("in.jsonl", [2]), "--detach", "--tag", "t")
    if shell.engine == "local":
        until((shell.path() / "run.json").exists, "the results are there")
    else:
        until(lambda: shell.counts().get("COMPLETED"), "the component is completed")
        shell("wait", "t")
    assert [row["output"] for row in shell.outputs()] == [2]


def test_help_names_every_command_and_option(local: Shell) -> None:
    """``--help`` of htrun and of each command exits with 0, shows an example and the exit codes."""
    text = local("--help").stdout
    assert "Exit codes" in text
    for command in ("collect", "errors", "reasons", "stdout", "stderr", "components", "status", "wait", "tags", "path"):
        assert command in text
        assert "Example" in local(command, "--help").stdout
    options = local("run", "--help").stdout
    for option in ("--args", "--transfer", "--maxfail", "--durations", "--collect-only", "--detach", "--chunk-size"):
        assert option in options


def test_lists_of_commands_are_whole(local: Shell) -> None:
    """On 80 columns each command has all of its short description in the list, and no line is longer than that."""
    for group in ([], ["edit"], ["rerun"], ["transplants"]):
        text = local(*group, "--help").stdout
        assert all(len(line) <= 80 for line in text.splitlines())
        commands = text.partition("Commands:\n")[2].splitlines()
        assert commands
        assert not any(line.endswith("...") for line in commands)


def test_a_mistyped_option_of_htrun_itself(local: Shell) -> None:
    """An option that was to be one of htrun's own is not taken for one of a run's."""
    assert "did you mean '--version'?" in local("--vesion", code=4).stderr
    assert "Did you mean one of: '--args'" in local("--argz", "in.jsonl", "m.py:f", code=4).stderr


def test_a_live_table_says_what_it_does_not_show(local: Shell) -> None:
    """Of more maps than the terminal has lines the first are shown, and how many there are below them."""
    calls = local.jsonl("in.jsonl", [1])
    for tag in ("a", "b", "c"):
        local("math:sqrt", "--args", calls, "--tag", tag, "--detach")
    with Terminal(local, "status", "--live", "--no-meta", lines=4) as terminal:
        terminal.until(lambda text: "... 2 more" in text, "it says how many more there are")
        assert terminal.lines[2].startswith("a ")
        terminal.resize(80, 5)
        terminal.until(lambda text: "c " in text, "all are shown where there is room")
        assert "more" not in terminal.text


def test_a_live_table_stays_when_it_is_left(local: Shell) -> None:
    """Ctrl-C leaves the terminal as it was, with the last table on it."""
    local("math:sqrt", "--args", local.jsonl("in.jsonl", [1]), "--tag", "a", "--detach")
    with Terminal(local, "status", "--live", "--no-meta") as terminal:
        terminal.until(lambda text: "\na " in text, "the table is there")
        terminal.type("\x03")
        assert terminal.wait() == 0
        assert terminal.is_as_before()
        assert b"\r\na " in terminal.written.rpartition(b"\x1b[?1049l")[2]


def test_version(local: Shell) -> None:
    """``htrun --version`` and ``htrun version`` say the version; the command those of Python and HTCondor too."""
    import htrun

    assert local("--version").stdout == f"htrun {htrun.__version__}\n"
    lines = local("version").lines
    assert lines[0] == f"htrun {htrun.__version__}"
    assert any(line.startswith("Python 3.") for line in lines)
    assert any("HTCondor" in line for line in lines)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_any_locale_will_do(local: Shell, locale: str) -> None:
    """Names and values beyond ASCII pass through unchanged whatever the locale is."""
    local.write("ünï.py", "def f(x):\n    print(x)\n    return x\n")
    local.write("in.jsonl", '"☃"\n')
    env = {"LC_ALL": locale, "LANG": locale}
    done = local("ünï.py:f", "--args", "in.jsonl", "--tag", "täg", "--stdout", env=env)
    assert done.stdout == '{"component":0,"status":"COMPLETED","output":"☃"}\n'
    assert local("stdout", "täg", 0, env=env).stdout == "☃\n"
    assert local("tags", env=env).stdout == "täg\n"


def test_ctrl_c_as_soon_as_something_runs(local: Shell) -> None:
    """Interrupted before it has said anything of the map, the command leaves none that runs."""
    local.write("m.py", "import time\n\ndef f(path):\n    open(path, 'w').close()\n    time.sleep(600)\n")
    for number in range(5):
        begun = local.cwd / f"begun-{number}"
        calls = local.jsonl("in.jsonl", [str(begun)])
        process = local.start("m.py:f", "--args", calls, "--no-transfer", "--tag", f"t{number}")
        while not begun.exists():
            pass
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.communicate()[1]
        assert process.returncode == 2
        until(lambda: not local.processes(), "nothing runs")
