"""Completion, in shells as they are."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

COMPLETE = """
compopt() { :; }  # works within a completion only
eval "$(_HTRUN_COMPLETE=bash_source htrun)"
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:@'
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
_htrun_completion htrun
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completions(shell: Shell, *words: str, code: int = 0) -> list[str]:
    """Return what bash would offer for the last of the words."""
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE, "bash", "htrun", *words],
        cwd=shell.cwd, env=shell.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout != "\n" else []


MODEL = """
print("imported")

def simulate(x): ...

def _helper(x): ...

class Other: ...

def fit(x): ...
"""


@pytest.fixture
def maps(local: Shell) -> Shell:
    """Return a place with two maps and some files."""
    calls = local.jsonl("calls.jsonl", [4])
    for tag in ("scan-a", "scan-b"):
        local("math:sqrt", "--args", calls, "--tag", tag, "--detach")
    local("wait", "--all", "-q")
    local.write("model.py", MODEL)
    local.write("package/__init__.py", "raise SystemExit('imported')\n")
    local.write("package/module.py", MODEL)
    local.write("my dir/other.py", MODEL)
    local.write("my file.csv", "")
    return local


def test_commands_and_files_are_completed(maps: Shell) -> None:
    """The first word may be a command, or the file of a target."""
    everything = completions(maps, "")
    assert {"run", "collect", "settings", "set", "errors", "model.py", "my file.csv", "results"} <= set(everything)
    assert completions(maps, "se") == ["settings", "set"]
    assert completions(maps, "mo") == ["model.py"]
    assert completions(maps, "run", "mo") == ["model.py"]
    assert completions(maps, "-v", "stat") == ["status"]
    assert "--version" in completions(maps, "--")
    assert completions(maps, "transplants", "") == ["info", "remove"]


@pytest.mark.parametrize(
    "command",
    ["collect", "status", "wait", "components", "errors", "reasons", "stdout", "stderr", "path", "remove"],
)
def test_tags_are_completed(maps: Shell, command: str) -> None:
    """Each command that takes a tag completes it."""
    assert completions(maps, command, "s") == ["scan-a", "scan-b"]
    assert completions(maps, command, "scan-b") == ["scan-b"]
    assert completions(maps, command, "x") == []


def test_options_and_their_values_are_completed(maps: Shell) -> None:
    """A target's options are those of ``run``; ``--args`` takes files."""
    assert completions(maps, "model.py:f", "--arg") == ["--args"]
    assert completions(maps, "model.py:f", "--args", "my") == ["my file.csv", "my dir"]
    assert completions(maps, "run", "model.py:f", "--args", "cal") == ["calls.jsonl"]
    assert completions(maps, "collect", "scan-a", "--format", "") == ["jsonl", "csv", "tsv"]
    assert completions(maps, "set", "doc") == ["DOCKER.IMAGE"]
    assert completions(maps, "model.py:f", "--engine", "") == ["auto", "htcondor", "local"]
    assert completions(maps, "run", "--delivery", "a") == ["auto", "assume"]
    assert completions(maps, "set", "engine", "l") == ["local"]
    assert completions(maps, "set", "DELIVERY_METHOD", "s") == ["shared", "singularity"]
    assert completions(maps, "set", "TRANSPLANT.ASSUME_EXISTS", "") == ["true", "false"]
    assert completions(maps, "set", "DOCKER.IMAGE", "") == []
    assert completions(maps, "autocompletion", "--shell", "f") == ["fish"]


def test_what_is_wrong_is_not_told_while_one_types(maps: Shell) -> None:
    """Neither unknown commands nor settings that cannot be read show a message."""
    assert completions(maps, "nonsense", "") == []
    (maps.home / ".htrunrc").write_text("nonsense")
    assert completions(maps, "collect", "s") == []
    assert completions(maps, "se") == ["settings", "set"]


SHELLS = {
    "bash": (["bash", "-i"], ".bashrc"),
    "zsh": (["zsh", "-i"], ".zshrc"),
    "fish": (["fish", "-i"], ".config/fish/completions/htrun.fish"),
}


@pytest.mark.parametrize("name", list(SHELLS))
def test_autocompletion_appends_to_what_the_shell_reads(local: Shell, name: str) -> None:
    """It does so once, after what is there, unless ``--force`` asks for more."""
    path = local.home / SHELLS[name][1]
    if name != "fish":
        path.write_text("# mine")
    assert f"appended to {path}" in local("autocompletion", "--shell", name).stderr
    text = path.read_text()
    assert text.startswith("# mine\n" if name != "fish" else "#")
    assert f"{name}_source" in text
    assert "has it already" in local("autocompletion", "--shell", name).stderr
    assert path.read_text() == text
    local("autocompletion", "--shell", name, "--force")
    assert path.read_text().count(f"{name}_source") == 2
    other = local.home / "deep" / "rc"
    local("autocompletion", "--shell", name.upper(), "--destination", other)
    assert other.read_text().count(f"{name}_source") == 1
    assert path.read_text().count(f"{name}_source") == 2


def test_autocompletion_needs_a_shell_that_it_knows(local: Shell) -> None:
    """Any other, or none, is a usage error."""
    local("autocompletion", code=4)
    local("autocompletion", "--shell", "tcsh", code=4)


TYPED = {
    "htrun path sc\t": "htrun path scan-a",
    "htrun run mod\t\tsim\t": "htrun run model.py:simulate",
    "htrun model.py:fi\t": "htrun model.py:fit",
    "htrun model.py::fi\t": "htrun model.py::fit",
    "htrun package.module:sim\t": "htrun package.module:simulate",
    "htrun ./package/module.py:sim\t": "htrun ./package/module.py:simulate",
    "htrun my\\ dir/other.py:sim\t": "htrun my dir/other.py:simulate",
    "htrun 'my dir/other.py:sim\t": "htrun my dir/other.py:simulate",
    "htrun model.py:simulate --args @sc\t": "htrun model.py:simulate --args @scan-a",
    "htrun model.py:simulate --args @scan-a:c\t": "htrun model.py:simulate --args @scan-a:completed",
    "htrun model.py:simulate --args my\\ fi\t": "htrun model.py:simulate --args my file.csv",
    "htrun model.py:simulate --engine=lo\t": "htrun model.py:simulate --engine=local",
    "htrun model.py:simulate --deliv\tsha\t": "htrun model.py:simulate --delivery shared",
    "htrun components scan-a --status err\t": "htrun components scan-a --status ERRORED",
    "htrun path scan-a:outp\t": "htrun path scan-a:outputs",
    "htrun set eng\tloc\t": "htrun set ENGINE local",
}
"""What is typed, and what the line is then."""


@pytest.mark.parametrize("name", list(SHELLS))
def test_a_terminal_completes(maps: Shell, name: str) -> None:
    """In the shell itself, with nothing done but ``htrun autocompletion``, the Tab key completes what can be typed."""
    command, _ = SHELLS[name]
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    if name == "zsh":  # that completion is on at all is up to the user, who is asked at the first start
        (maps.home / ".zshrc").write_text("autoload -Uz compinit && compinit -u -D\n")
    maps("autocompletion", "--shell", name)
    maps("remove", "scan-b")
    pid, terminal = pty.fork()
    if pid == 0:  # the child, which is to do nothing else
        os.chdir(maps.cwd)
        os.execvpe(command[0], command, {**maps.env, "TERM": "xterm", "PS1": "> ", "COLUMNS": "200"})
    try:
        _wait_until_idle(terminal)
        lines = {}
        for number, typed in enumerate(TYPED):
            for key in typed.split("\t")[:-1]:
                os.write(terminal, key.encode() + b"\t")
                _wait_until_idle(terminal, 0.7)
            os.write(terminal, b"\x01echo \x05 > said-%d\r" % number)
            out = maps.cwd / f"said-{number}"
            deadline = time.monotonic() + 30
            while not (out.exists() and out.read_text()) and time.monotonic() < deadline:
                _wait_until_idle(terminal, 0.1)
            lines[typed] = out.read_text().strip()
        assert lines == TYPED
    finally:
        os.close(terminal)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _wait_until_idle(terminal: int, seconds: float = 2.0) -> None:
    """Read what the shell shows, until it shows nothing more; answer what fish asks of a terminal."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and select.select([terminal], [], [], seconds)[0]:
        shown = os.read(terminal, 65536)
        if b"\x1b[c" in shown or b"\x1b[0c" in shown:
            os.write(terminal, b"\x1b[?62c")
