"""Where settings come from: the environment, the files, and what is built in."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any, Protocol

from htrun.exceptions import UsageError
from htrun.keys import KEYS, OPTIONS, PATH, check_all, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

USER_FILE = "~/.htrunrc"
PROJECT_FILES = ("htrun.toml", "pyproject.toml")

_BARE_VALUE = re.compile(r"[^=#]*=\s*([\w~/.:+-]+)\s*(?:#.*)?")


class Layer(Protocol):
    """A table of settings that is read when it is asked for."""

    def read(self) -> dict[str, Any]:
        """Return the table; raises UsageError."""
        ...

    def origin(self, name: str) -> str:
        """Return in words where the layer has a setting from."""
        ...


class Environment:
    """What environment variables say, now; empty ones say nothing.

    Parameters
    ----------
    environ : mapping
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def read(self) -> dict[str, Any]:
        """Return the table; see ``Layer``."""
        table: dict[str, Any] = {}
        for name, key in KEYS.items():
            text = self._environ.get(key.variable) if key.variable else None
            if text and key.variable:
                section, _, last = name.rpartition(".")
                try:
                    value = parse(name, text)
                except UsageError:
                    raise UsageError(f"the variable {key.variable} is to be {key.wants}, not {text!r}") from None
                (table.setdefault(section, {}) if section else table)[last] = value
        return table

    def origin(self, name: str) -> str:
        """Return the name of the variable."""
        key = KEYS.get(name)
        return (key and key.variable) or "the environment"


class _File:
    """A file of settings, which is read once; no table where there is no file."""

    def __init__(self) -> None:
        self._table: dict[str, Any] | None = None

    def read(self) -> dict[str, Any]:
        """Return the table; see ``Layer``."""
        if self._table is None:
            self._table = self._read()
        return self._table

    def _read(self) -> dict[str, Any]:
        raise NotImplementedError


class UserFile(_File):
    """The user's own file."""

    def _read(self) -> dict[str, Any]:
        path = os.path.expanduser(USER_FILE)  # noqa: PTH111
        text = None if path == USER_FILE else read_text(path)
        return {} if text is None else _checked(parse_toml(text, path), path)

    def origin(self, name: str) -> str:  # noqa: ARG002
        """Return the name of the file, as it is typed."""
        return USER_FILE


class ProjectFile(_File):
    """The file of the project: the nearest from the current directory upwards that has settings."""

    def __init__(self) -> None:
        super().__init__()
        self._path = PROJECT_FILES[0]

    def _read(self) -> dict[str, Any]:
        for path in _upwards():
            text = read_text(path)
            if text is None:
                continue
            if os.path.basename(path) == "pyproject.toml":  # noqa: PTH119
                # Most of them are none of our business, whatever may be wrong with them.
                if "htrun" not in text:
                    continue
                tool = parse_toml(text, path).get("tool")
                table = tool.get("htrun") if isinstance(tool, dict) else None
                if table is None:
                    continue
                if not isinstance(table, dict):
                    raise UsageError(f"{path}: tool.htrun is to be a table, not {table!r}")
                where = f"{path}, [tool.htrun]"
            else:
                table, where = parse_toml(text, path), path
            self._path = path
            return _checked(table, path, where)
        return {}

    def origin(self, name: str) -> str:  # noqa: ARG002
        """Return the path of the file from here."""
        try:
            return os.path.relpath(self._path)
        except OSError:  # the current directory is gone
            return self._path


class Fixed:
    """A table that is there from the beginning.

    Parameters
    ----------
    table : dict or callable
        The latter for what depends on other settings.
    name : str
        Where they come from, in words.
    """

    def __init__(self, table: dict[str, Any] | Callable[[], dict[str, Any]], name: str) -> None:
        self._table = table
        self._name = name

    def read(self) -> dict[str, Any]:
        """Return the table; see ``Layer``."""
        return self._table() if callable(self._table) else self._table

    def origin(self, name: str) -> str:  # noqa: ARG002
        """Return the name that was given."""
        return self._name


def built_in(directory: Callable[[], Any]) -> list[Layer]:
    """Return the layers of the defaults, where ``directory`` returns HTRUN_DIR as it is set."""
    table: dict[str, Any] = {OPTIONS: {}}
    for name, key in KEYS.items():
        section, _, last = name.rpartition(".")
        if name != "TRANSPLANT.DIR":
            (table.setdefault(section, {}) if section else table)[last] = key.default

    def derived() -> dict[str, Any]:
        where = directory()
        return {"TRANSPLANT": {"DIR": os.path.join(where, KEYS["TRANSPLANT.DIR"].default)}} if where else {}

    return [Fixed(table, "default"), Fixed(derived, "default")]


def read_text(path: str) -> str | None:
    """Return the text of a file of settings, None where there is none; raise UsageError."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: it is not in UTF-8, as TOML has to be") from None
    except OSError as error:
        if isinstance(error, PermissionError) and path.endswith("pyproject.toml"):
            return None  # somebody else's, in a directory above
        raise UsageError(f"cannot read the settings in {path}: {error.strerror}") from None


def parse_toml(text: str, path: str) -> dict[str, Any]:
    """Return what TOML says; raise UsageError with file and line."""
    if sys.version_info >= (3, 11):
        import tomllib  # only now: it costs start-up time
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        column = f" (column {place[2]})" if place and place[2] else ""
        message = message[: place.start()] if place else message
        bare = _BARE_VALUE.fullmatch(text.split("\n")[line - 1])
        is_text = bare and bare[1].lower() not in ("true", "false") and message.startswith(("Invalid v", "Expected n"))
        hint = f'; a text takes quotes: "{bare[1]}"' if bare and is_text else ""
        raise UsageError(f"{path}:{line}: it is not TOML: {message}{column}{hint}") from None


def _checked(table: Mapping[str, Any], path: str, where: str = "") -> dict[str, Any]:
    """Return the settings of a file as they are kept: relative paths are relative to the file."""
    checked = check_all(table, where or path)
    for name, key in KEYS.items():
        section, _, last = name.rpartition(".")
        inner = checked.get(section, {}) if section else checked
        if key.wants == PATH and inner.get(last):
            value = inner[last]
            inner[last] = value if value.startswith("~") else os.path.join(os.path.dirname(path), value)
    return checked


def _upwards() -> Iterator[str]:
    try:
        directory = os.getcwd()  # noqa: PTH109
    except OSError:  # it is gone
        return
    while True:
        for name in PROJECT_FILES:
            yield os.path.join(directory, name)
        parent = os.path.dirname(directory)
        if parent == directory:
            return
        directory = parent
