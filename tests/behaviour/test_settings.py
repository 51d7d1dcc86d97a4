"""The commands for htrun itself: settings, set, logs, transplants; and what settings do to the others."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.behaviour.conftest import Done, Shell

COMMANDS = ("settings", "set", "logs", "autocompletion", "transplants", "transplants info", "transplants remove")


def rc(shell: Shell) -> Path:
    """Return the path of the user's settings."""
    return shell.home / ".htrunrc"


def table(shell: Shell, *words: str, **options: Any) -> dict[str, tuple[Any, str]]:
    """Return the settings and where they come from."""
    rows = json.loads(shell("settings", "--format", "json", *words, **options).stdout)
    return {name: (row["value"], row["origin"]) for name, row in rows.items()}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(local: Shell, command: str) -> None:
    """The help of each command shows how it is used, whatever is wrong with the settings."""
    rc(local).write_text("nonsense")
    shown = local(*command.split(), "--help").stdout
    assert "Example:" in shown
    assert f"htrun {command}" in shown


def test_settings_show_where_they_come_from(local: Shell) -> None:
    """``htrun settings`` lists the name, value and origin of each."""
    rc(local).write_text('WAIT_TIME = 2\n[map_options]\nrequest_memory = "1GB"\n')
    local.write("pyproject.toml", '[tool.htrun]\ndelivery_method = "assume"\n')
    below = local.cwd / "below"
    below.mkdir()
    shown = table(local, cwd=below)
    assert shown["WAIT_TIME"] == (2, "~/.htrunrc")
    assert shown["MAP_OPTIONS.REQUEST_MEMORY"] == ("1GB", "~/.htrunrc")
    assert shown["DELIVERY_METHOD"] == ("assume", "../pyproject.toml")
    assert shown["ENGINE"] == ("local", "HTRUN_ENGINE")
    assert shown["HTCONDOR.SCHEDULER"] == (None, "default")
    assert shown["TRANSPLANT.DIR"] == (str(local.home / "registry" / "transplants"), "default")
    assert shown["CLI"] == (True, "this command")
    assert set(table(local, "--user")) == {"WAIT_TIME", "MAP_OPTIONS.REQUEST_MEMORY"}
    lines = local("settings", cwd=below).lines
    assert re.search(r"^WAIT_TIME +2 +~/\.htrunrc$", "\n".join(lines), re.MULTILINE)
    assert len(lines) == len(shown)


def test_settings_without_any_file(local: Shell) -> None:
    """The user's own are none then, and the defaults still show."""
    assert local("settings", "--user").stdout == ""
    assert table(local)["DELIVERY_METHOD"] == ("auto", "default")
    assert not rc(local).exists()


def test_set_changes_the_file_and_keeps_comments(local: Shell) -> None:
    """``htrun set`` makes the file, and leaves what else is in it as it is."""
    done = local("set", "engine", "local")
    assert done.stderr == '~/.htrunrc: ENGINE = "local"\n'
    assert rc(local).read_text() == 'ENGINE = "local"\n'
    rc(local).write_text("# mine\nengine = 'x'  # why\n\n[docker]\n# the image\nimage = 'a'\n")
    local("set", "ENGINE", "auto")
    local("set", "docker.image", "b:c")
    local("set", "WAIT_TIME", "0.5")
    local("set", "transplant.assume_exists", "yes")
    local("set", "MAP_OPTIONS.request_memory", "100")
    local("set", "MAP_OPTIONS.request_disk", "1GB")
    local("set", "MAP_OPTIONS.fixed_input_files", '["a b", "c"]')
    text = rc(local).read_text()
    for kept in ("# mine\n", "  # why\n", "# the image\n"):
        assert kept in text
    user = {name: value for name, (value, _) in table(local, "--user").items()}
    assert user == {
        "ENGINE": "auto",
        "DOCKER.IMAGE": "b:c",
        "WAIT_TIME": 0.5,
        "TRANSPLANT.ASSUME_EXISTS": True,
        "MAP_OPTIONS.REQUEST_MEMORY": 100,
        "MAP_OPTIONS.REQUEST_DISK": "1GB",
        "MAP_OPTIONS.FIXED_INPUT_FILES": ["a b", "c"],
    }


def test_set_says_when_something_else_counts(local: Shell) -> None:
    """A value that the environment or the project overrides has no effect here, and that is said."""
    assert "HTRUN_ENGINE says otherwise" in local("set", "ENGINE", "htcondor").stderr
    assert "otherwise" not in local("set", "ENGINE", "local").stderr


def test_an_engine_or_a_delivery_method_that_there_is_not(local: Shell) -> None:
    """``set`` notes that a name is unknown here, and a run says which setting has it."""
    words = ("math:sqrt", "--args", local.jsonl("in.jsonl", [1]))
    local.environ["HTRUN_ENGINE"] = ""  # as if it were not set
    for setting in ("ENGINE", "DELIVERY_METHOD"):
        assert "htrun: note: there is no 'locl' here; there are a" in local("set", setting, "locl").stderr
        assert "htrun: error: ~/.htrunrc: there is no " in local(*words, code=4).stderr
        assert "note" not in local("set", setting, {"ENGINE": "local"}.get(setting, "shared")).stderr
    assert "note" not in local("set", "DELIVERY_METHOD", "docker:python:3.12").stderr
    local(*words)


def test_set_takes_paths_as_they_are_meant_here(local: Shell) -> None:
    """A relative path in the file would be relative to the home directory."""
    local("set", "TRANSPLANT.DIR", "below/t")
    assert table(local, "--user")["TRANSPLANT.DIR"][0] == str(local.cwd / "below" / "t")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ENGIN", "x"), "there is no setting 'ENGIN'; did you mean ENGINE?"),
        (("image", "x"), "did you mean DOCKER.IMAGE?"),
        (("WAIT_TIME", "soon"), "WAIT_TIME is to be a number of seconds, not 'soon'"),
        (("TRANSPLANT.ASSUME_EXISTS", "maybe"), "TRANSPLANT.ASSUME_EXISTS is to be true or false, not 'maybe'"),
        (("DOCKER", "x"), "DOCKER is a section: name a setting of it, such as DOCKER.IMAGE"),
        (("ENGINE", ""), "ENGINE is to be a text, not ''"),
    ],
)
def test_set_refuses_what_makes_no_sense(local: Shell, words: tuple[str, str], says: str) -> None:
    """An unknown name or a value of another type changes nothing."""
    rc(local).write_text("# as it was")
    assert says in local("set", *words, code=4).stderr
    assert rc(local).read_text() == "# as it was"


def test_what_is_wrong_in_a_file_is_told_by_each_command(local: Shell) -> None:
    """The exit code is 4, and the message names the file; commands that need no settings go on."""
    rc(local).write_text("[docker\n")
    for words in (("settings",), ("status",), ("math:sqrt",), ("set", "ENGINE", "x"), ("logs",)):
        assert f"{rc(local)}:1: it is not TOML" in local(*words, code=4).stderr
    local("--version")
    rc(local).unlink()
    local.write("htrun.toml", "wait_tim = 3")
    done = local("status", code=4)
    assert (
        done.stderr
        == f"htrun: error: {local.cwd / 'htrun.toml'}: there is no setting 'wait_tim'; did you mean WAIT_TIME?\n"
    )
    wrong = local("status", code=4, env={"HTRUN_WAIT_TIME": "x"}, cwd=local.home)
    assert "the variable HTRUN_WAIT_TIME is to be a number of seconds, not 'x'" in wrong.stderr


def header(done: Done, word: str) -> str:
    """Return a line of the header of a run."""
    return next(line for line in done.stderr.splitlines() if line.startswith(f"{word}: "))


def test_files_decide_how_a_map_runs(local: Shell) -> None:
    """The engine and the directory come from the project's file, and the header says so; options beat it."""
    local.write("htrun.toml", 'engine = "local"\nhtrun_dir = "state"\n')
    env = {"HTRUN_ENGINE": "", "HTRUN_DIR": ""}
    done = local("math:sqrt", "--args", local.jsonl("in", [4]), "--tag", "t", env=env)
    assert "engine: local (htrun.toml)" in header(done, "engine")
    assert (local.cwd / "state" / "tags" / "t").exists()
    local.write("htrun.toml", 'engine = "nonsense"\nhtrun_dir = "state"\n')
    assert "nonsense" in local("math:sqrt", "--args", local.jsonl("in", [4]), code=4, env=env).stderr
    done = local("math:sqrt", "--args", local.jsonl("in", [4]), "--engine", "local", env=env)
    assert "engine: local (as asked)" in header(done, "engine")


def test_logs_shows_the_file(local: Shell) -> None:
    """``htrun logs`` prints its path, ``--view`` what is in it: what was done to maps."""
    path = local.home / "registry" / "logs" / "htrun.log"
    assert local("logs").stdout == f"{path}\n"
    assert local("logs", "--view").stdout == ""
    local.run("math:sqrt", [4, 9])
    local("remove", "t")
    text = local("logs", "--view").stdout
    assert "created map t with 2 components" in text
    assert "removed map t" in text
    assert path.read_text() == text


def test_a_log_that_cannot_be_written_hinders_nothing(local: Shell) -> None:
    """A file in the place of the directory breaks no command and shows no word."""
    (local.home / "registry").mkdir()
    (local.home / "registry" / "logs").touch()
    done = local("math:sqrt", "--args", local.jsonl("in", [4]), "-q", "--stdout")
    assert done.rows[0]["output"] == 2.0
    assert "logs" not in done.stderr
    assert "Not a directory" in local("logs", "--view", code=4).stderr


def test_verbose_shows_messages_of_any_command(local: Shell) -> None:
    """``htrun -v COMMAND`` shows them on stderr; ``htrun -v TARGET`` shows components instead."""
    calls = local.jsonl("in", [4])
    done = local("-v", "run", "math:sqrt", "--args", calls, "--tag", "t", "--stdout")
    assert "INFO htrun.creation: created map t" in done.stderr
    assert len(done.rows) == 1
    assert "INFO htrun.control: removed map t" in local("--verbose", "remove", "t").stderr
    done = local("-v", "math:sqrt", "--args", calls, "--tag", "u", "--stdout")
    assert "component 0: sqrt(4) COMPLETED" in done.stderr
    assert "INFO" not in done.stderr
    assert "component 0" in local("-vv", "math:sqrt", "--args", calls, "--stdout").stderr
    assert local("-v", code=4).stderr


def test_a_target_that_sets_up_logging_sees_none_of_ours(local: Shell) -> None:
    """Messages of htrun are not printed by handlers that the user's module made for its own."""
    local.write("m.py", "import logging\nlogging.basicConfig(level=logging.DEBUG)\ndef f(x): return x")
    done = local("m.py:f", "--args", local.jsonl("in", [4]), "--tag", "t", "--stdout")
    assert "htrun.creation" not in done.stderr


def test_transplants(local: Shell) -> None:
    """``htrun transplants info`` numbers them, ``remove`` takes such a number."""
    assert "there are none" in local("transplants", "info").stderr
    place = local.home / "registry" / "transplants" / "abc"
    place.mkdir(parents=True)
    (place / "python.tar.gz").write_bytes(b"x")
    (place / "transplant.json").write_text('{"created": 1e9, "packages": ["a==1"]}')
    assert local("transplants", "info").lines[0] == "0: abc"
    assert "there is no transplant 1: the last one is 0" in local("transplants", "remove", "1", code=4).stderr
    local("transplants", "remove", "-1", code=4)
    local("transplants", "remove", "0")
    assert not place.exists()


def test_jobs_go_to_the_scheduler_that_is_named(condor: Shell, condor_tool: Callable[..., str]) -> None:
    """``HTCONDOR.SCHEDULER`` and ``COLLECTOR`` say which schedd takes the jobs; one that is not there is an error."""
    calls = condor.jsonl("in", [4])
    name = condor_tool("condor_status", "-schedd", "-af", "Name").split()[0]
    condor.write("htrun.toml", f"[htcondor]\nscheduler = '{name}'")
    done = condor("math:sqrt", "--args", calls, "--tag", "t")
    assert header(done, "engine") == f"engine: htcondor (HTRUN_ENGINE): schedd {name}"
    env = {"HTRUN_CONDOR_SCHEDULER": "nowhere.invalid"}
    assert "no schedd can be located" in condor("math:sqrt", "--args", calls, code=4, env=env).stderr
    env = {"HTRUN_CONDOR_COLLECTOR": "127.0.0.1:1"}
    assert "no schedd can be located" in condor("math:sqrt", "--args", calls, code=4, env=env).stderr
