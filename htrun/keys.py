"""Which settings there are: their names, what they may be, and the environment variables that give them."""

from __future__ import annotations

import difflib
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from htrun.exceptions import UsageError


class Key(NamedTuple):
    """What is known of one setting.

    Attributes
    ----------
    wants : str
        What it may be, in words.
    default : object
        None for a setting that may be unset.
    variable : str or None
        The environment variable that gives it.
    """

    wants: str
    default: Any
    variable: str | None = None


TEXT = "a text"
PATH = "the path of a directory"
SECONDS = "a number of seconds"
FLAG = "true or false"
TABLE = "a table"

_IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}"

KEYS = {
    "HTRUN_DIR": Key(PATH, "~/.htrun", "HTRUN_DIR"),
    "ENGINE": Key(TEXT, "auto", "HTRUN_ENGINE"),
    "DELIVERY_METHOD": Key(TEXT, "auto", "HTRUN_DELIVERY"),
    "WAIT_TIME": Key(SECONDS, 1.0, "HTRUN_WAIT_TIME"),
    "CLI": Key(FLAG, False),
    "HTCONDOR.SCHEDULER": Key(TEXT, None, "HTRUN_CONDOR_SCHEDULER"),
    "HTCONDOR.COLLECTOR": Key(TEXT, None, "HTRUN_CONDOR_COLLECTOR"),
    "DOCKER.IMAGE": Key(TEXT, _IMAGE, "HTRUN_DOCKER_IMAGE"),
    "SINGULARITY.IMAGE": Key(TEXT, f"docker://{_IMAGE}", "HTRUN_SINGULARITY_IMAGE"),
    "TRANSPLANT.DIR": Key(PATH, "transplants"),
    "TRANSPLANT.ALTERNATE_INPUT_PATH": Key(TEXT, None),
    "TRANSPLANT.ASSUME_EXISTS": Key(FLAG, False),
    "PACKAGED.INSTALLER": Key(TEXT, "auto", "HTRUN_PACKAGED_INSTALLER"),
}
"""All settings but the map options, of which MapOptions knows. The default of TRANSPLANT.DIR is within HTRUN_DIR."""

OPTIONS = "MAP_OPTIONS"
SECTIONS = tuple(dict.fromkeys([OPTIONS, *(name.partition(".")[0] for name in KEYS if "." in name)]))

_WORDS = {**dict.fromkeys(("true", "1", "yes", "on"), True), **dict.fromkeys(("false", "0", "no", "off"), False)}


def normal(name: str) -> str:
    """Return the name of a setting as it is kept: in capitals, but for the names within a map option."""
    section, *rest = name.split(".", 2)
    return ".".join([section.upper(), *(part.upper() for part in rest[:1]), *rest[1:]])


def find(name: str, where: str = "") -> str:
    """Return the name of a setting or section as it is kept; raise UsageError with the nearest where there is none.

    Parameters
    ----------
    name : str
        A dotted path, in any case.
    where : str
        What names it, for the message.
    """
    known = normal(name)
    section, _, rest = known.partition(".")
    option, _, inner = rest.partition(".")
    is_option = section == OPTIONS and option and (not inner or option == "CUSTOM_OPTIONS")
    if known in KEYS or known in SECTIONS or is_option:
        return known
    close = similar(name)
    hint = f"did you mean {close[0]}?" if close else "'htrun settings' shows those there are"
    raise UsageError(f"{_at(where)}there is no setting {name!r}; {hint}")


def similar(name: str) -> list[str]:
    """Return the nearest name that there is, if any is near."""
    wanted = normal(name)
    last = wanted.rpartition(".")[2]
    near = difflib.get_close_matches(wanted, [*KEYS, *SECTIONS], n=1, cutoff=0.7)
    # The right name in the wrong section, or in none, is nearer than the letters are.
    return near or [key for key in KEYS if key.rpartition(".")[2] == last][:1]


def check(name: str, value: Any, where: str = "") -> Any:
    """Return the value of a setting or section as it is kept; raise UsageError where it is not what it may be."""
    known = find(name, where)
    if known in SECTIONS:
        if not isinstance(value, Mapping):
            raise UsageError(f"{_at(where)}{name} is to be {TABLE}, not {value!r}")
        return _check_all(value, where, f"{name}.")
    if known in KEYS:
        return _check_key(name, KEYS[known], value, where)
    return _check_option(known, name, value, where)


def check_all(table: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return all settings of a table as they are kept; raise UsageError."""
    return _check_all(table, where, "")


def _check_all(table: Mapping[str, Any], where: str, prefix: str) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, value in table.items():
        key = find(f"{prefix}{name}", where)[len(prefix) :]
        if key in checked:
            raise UsageError(f"{_at(where)}{prefix}{key} is there twice, in capitals and in small letters")
        checked[key] = check(f"{prefix}{name}", value, where)
    return checked


def _check_key(name: str, key: Key, value: Any, where: str) -> Any:
    if value is None and key.default is None:
        return None
    if key.wants == FLAG and isinstance(value, bool):
        return value
    if key.wants == SECONDS and _is_number(value) and math.isfinite(value) and value >= 0:
        return value
    if key.wants == PATH and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if key.wants in (TEXT, PATH) and isinstance(value, str):
        if value:
            return value
        if key.default is None:
            return None  # TOML has no other way to say so
    raise UsageError(f"{_at(where)}{name} is to be {key.wants}, not {value!r}")


def _check_option(known: str, name: str, value: Any, where: str) -> Any:
    option = known.split(".")[1]
    if option == "CUSTOM_OPTIONS" and known.count(".") == 1:
        wants = "a table of texts, numbers, true and false"
        good = isinstance(value, Mapping) and all(_is_scalar(inner) for inner in value.values())
        value = dict(value) if good else value
    elif option == "FIXED_INPUT_FILES":
        wants = "a path, or a list of them"
        good = isinstance(value, str) or (isinstance(value, list) and all(isinstance(inner, str) for inner in value))
    else:
        wants = "a text, a number, true or false"
        good = _is_scalar(value)
    if not good:
        raise UsageError(f"{_at(where)}{name} is to be {wants}, not {value!r}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def parse(name: str, text: str, where: str = "") -> Any:
    """Return what a text means as the value of a setting, checked; raise UsageError."""
    known = find(name, where)
    if known in SECTIONS:
        inside = next((key for key in KEYS if key.startswith(f"{known}.")), f"{known}.REQUEST_MEMORY")
        raise UsageError(f"{_at(where)}{known} is a section: name a setting of it, such as {inside}")
    value: Any = text
    wants = KEYS[known].wants if known in KEYS else None
    if wants == FLAG:
        value = _WORDS.get(text.strip().lower(), text)
    elif wants == SECONDS:
        try:
            value = float(text)
        except ValueError:
            pass
        else:
            value = int(value) if value.is_integer() else value
    elif wants is None:
        value = _parse_option(known, text)
    return check(name, value, where)


def _parse_option(known: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    lists = known == f"{OPTIONS}.FIXED_INPUT_FILES"
    tables = known == f"{OPTIONS}.CUSTOM_OPTIONS"
    if isinstance(value, list if lists else dict if tables else (bool, int, float)):
        finite = not isinstance(value, float) or math.isfinite(value)
        return value if finite else text
    return text


def _at(where: str) -> str:
    return f"{where}: " if where else ""
