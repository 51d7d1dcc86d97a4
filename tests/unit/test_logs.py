"""Where htrun's log messages go, and that none of them ever harms."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from htrun import logs
from htrun.config import Config
from htrun.logs import get_logger, log_file, show_messages, start_logging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HTRUN = logging.getLogger("htrun")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Begin with loggers that nobody has touched, and leave them as they were."""
    root = logging.getLogger()
    before = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in (HTRUN, root)]
    HTRUN.setLevel(logging.NOTSET)
    HTRUN.propagate = True
    HTRUN.handlers[:] = [logging.NullHandler()]
    yield
    for logger, level, propagate, handlers in before:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


class Kept(logging.Handler):
    """Keeps the messages that reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append(record.getMessage())


def lines(config: Config) -> list[str]:
    """Return what the log file holds, without times and process."""
    return [" ".join(line.split()[3:]) for line in log_file(config).read_text().splitlines()]


def test_messages_go_to_a_file_that_the_first_one_makes(tmp_path: Path) -> None:
    """Neither file nor directory are made before there is something to write; debug messages are written."""
    config = Config(tmp_path / "state")
    start_logging(config)
    assert not config.directory.exists()
    get_logger("htrun.some.module").debug("hello %s", "wörld \udcff")
    get_logger("htrun.other").info("more")
    assert lines(config) == ["DEBUG htrun.some.module: hello wörld \\udcff", "INFO htrun.other: more"]


def test_starting_twice_writes_once(tmp_path: Path) -> None:
    """With the same directory nothing happens, with another one messages go there from then on."""
    one, two = Config(tmp_path / "1"), Config(tmp_path / "2")
    for config in (one, one, two, two):
        start_logging(config)
        HTRUN.info("x")
    assert lines(one) == lines(two) == ["INFO htrun: x"] * 2


def test_the_file_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older messages are in files beside it, of which there are a few."""
    monkeypatch.setattr(logs, "MAX_BYTES", 1000)
    config = Config(tmp_path)
    start_logging(config)
    for number in range(200):
        HTRUN.info("message %d", number)
    assert len(os.listdir(config.logs)) == 1 + logs.BACKUPS
    assert lines(config)[-1] == "INFO htrun: message 199"
    assert all(path.stat().st_size <= 1000 for path in config.logs.iterdir())


@pytest.mark.parametrize("place", ["file/logs", "dangling", "/proc/nowhere", "log-is-a-directory"])
def test_a_log_that_cannot_be_written_is_let_be(tmp_path: Path, capfd: pytest.CaptureFixture[str], place: str) -> None:
    """No error, no word."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("/proc/nowhere")
    (tmp_path / "log-is-a-directory" / "logs" / logs.NAME).mkdir(parents=True)
    start_logging(Config(tmp_path / place), hand_on=False)
    HTRUN.info("one")
    HTRUN.error("bad format %d", "x")
    assert capfd.readouterr() == ("", "")


def test_the_root_logger_gets_what_it_would_have_got(tmp_path: Path) -> None:
    """Messages below its level stay in the file, as if no level had been set for the file's sake."""
    kept = Kept()
    root = logging.getLogger()
    root.addHandler(kept)
    root.setLevel(logging.WARNING)
    start_logging(Config(tmp_path))
    HTRUN.info("info")
    HTRUN.warning("warning")
    root.setLevel(logging.INFO)
    HTRUN.info("now")
    assert kept.messages == ["warning", "now"]
    HTRUN.setLevel(logging.DEBUG)
    HTRUN.debug("asked for")
    assert kept.messages[-1] == "asked for"


def test_a_command_hands_nothing_on(tmp_path: Path) -> None:
    """What a target does to the root logger when it is imported shows none of the command's messages."""
    kept = Kept()
    logging.getLogger().addHandler(kept)
    start_logging(Config(tmp_path), hand_on=False)
    HTRUN.error("x")
    assert kept.messages == []


def test_the_manuals_example_works(tmp_path: Path) -> None:
    """A handler on the logger ``htrun`` gets all of its level, before and after the log file is started."""
    kept = Kept()
    HTRUN.setLevel(logging.INFO)
    HTRUN.addHandler(kept)
    get_logger("htrun.module").info("before")
    config = Config(tmp_path)
    start_logging(config)
    get_logger("htrun.module").info("after")
    get_logger("htrun.module").debug("not asked for")
    assert kept.messages == ["before", "after"]
    assert lines(config) == ["INFO htrun.module: after"]


def test_messages_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``show_messages`` writes them to stderr."""
    show_messages()
    get_logger("htrun.module").debug("hello")
    assert "DEBUG htrun.module: hello\n" in capsys.readouterr().err


def test_nothing_is_shown_unasked() -> None:
    """Importing and using the loggers prints nothing, not even warnings, and sets no level."""
    code = (
        "import logging, htrun.logs; log = htrun.logs.get_logger('htrun.x'); log.warning('no'); log.info('no');"
        "assert logging.getLogger('htrun').level == 0; assert not logging.getLogger().handlers"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
