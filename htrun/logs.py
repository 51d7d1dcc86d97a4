"""Logging: the hierarchy under ``htrun``, and the log file.

Modules log with ``get_logger(__name__)``. That alone shows nothing, and writes nothing: ``start_logging`` makes the
log file take the messages, ``show_messages`` the terminal.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from htrun.config import Config

NAME = "htrun.log"
MAX_BYTES = 5_000_000
BACKUPS = 5

_FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
_LEVEL = logging.DEBUG - 1
"""The level that we set, where the user has set none: one of nobody else's, so that it is known again."""


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module."""
    return logging.getLogger(name)


def log_file(config: Config) -> Path:
    """Return the path of the current log file."""
    return config.logs / NAME


def start_logging(config: Config, *, hand_on: bool = True) -> None:
    """Let the log file take htrun's messages; does nothing the second time, and moves to the file of another HTRUN_DIR.

    Parameters
    ----------
    config : Config
    hand_on : bool
        Whether the handlers of the root logger get those of the root logger's level, as if nothing had been set here.
    """
    logger = logging.getLogger("htrun")
    path = str(log_file(config))
    ours = [handler for handler in logger.handlers if isinstance(handler, _LogFile)]
    if any(handler.path == path for handler in ours):
        return
    for handler in ours:
        logger.removeHandler(handler)
        handler.close()
    logger.addHandler(_LogFile(path))
    _take_everything(logger)
    if hand_on and not any(isinstance(handler, _HandOn) for handler in logger.handlers):
        logger.addHandler(_HandOn())


def show_messages() -> None:
    """Show messages on stderr from now on."""
    logger = logging.getLogger("htrun")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(handler)
    _take_everything(logger)


def stop_logging() -> None:
    """Show no messages and write none, as before the first call of any of these."""
    logger = logging.getLogger("htrun")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.addHandler(logging.NullHandler())


def _take_everything(logger: logging.Logger) -> None:
    if logger.level == logging.NOTSET:
        logger.setLevel(_LEVEL)
    logger.propagate = False  # what the root logger's handlers are to have is up to _HandOn


class _LogFile(logging.Handler):
    """Writes messages to a file that is rotated; what cannot be written is dropped.

    The file and its directory are made for the first message, which is when logging.handlers is imported as well: most
    commands have none.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self._file: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._file is None:
                self._file = self._open()
            self._file.emit(record)
        except Exception:  # noqa: BLE001 (a message that is lost must harm nobody, whatever is wrong)
            self.handleError(record)

    def _open(self) -> logging.Handler:
        from logging.handlers import RotatingFileHandler
        from pathlib import Path

        from htrun import private

        private.make(Path(self.path).parent)
        file = RotatingFileHandler(
            self.path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="backslashreplace"
        )
        file.handleError = self.handleError  # type: ignore[method-assign]
        file.setFormatter(logging.Formatter(_FORMAT))
        return file

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Do nothing: logging's own would print a traceback."""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


class _HandOn(logging.Handler):
    """Hands messages on to the handlers of the root logger, as propagation would.

    Since ``htrun`` takes everything for the sake of the log file, those below the root logger's level, which it would
    else have refused, stay here; unless it was the user who set the level of ``htrun``.
    """

    def emit(self, record: logging.LogRecord) -> None:
        root = logging.getLogger()
        chosen = logging.getLogger("htrun").level != _LEVEL
        if root.hasHandlers() and (chosen or record.levelno >= root.getEffectiveLevel()):
            root.callHandlers(record)


logging.getLogger("htrun").addHandler(logging.NullHandler())
