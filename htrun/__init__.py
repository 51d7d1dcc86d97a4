"""Map a Python function over many inputs, on this machine or on an HTCondor pool."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, since `htrun.settings` is the object, and would be the module if somebody else imported that first.
from htrun.settings import BASE_SETTINGS, USER_SETTINGS, settings

if TYPE_CHECKING:
    from htrun import exceptions
    from htrun.delivery import register_delivery_method
    from htrun.errors import ComponentError
    from htrun.management import clean, get_tags, load, load_maps, remove, status, status_csv, status_json
    from htrun.mapping import MapBuilder, MappedFunction, build_map, map, mapped, starmap
    from htrun.maps import Map
    from htrun.options import MapOptions
    from htrun.runner.hooks import checkpoint, transfer_output_files
    from htrun.sequences import MapOutputFiles, MapStdErr, MapStdOut
    from htrun.state import ComponentStatus
    from htrun.state import ComponentStatus as JobStatus
    from htrun.transfers import TransferPath
    from htrun.transplant import Transplant, transplant_info, transplants
    from htrun.view import ComponentHold

__all__ = [
    "BASE_SETTINGS",
    "USER_SETTINGS",
    "ComponentError",
    "ComponentHold",
    "ComponentStatus",
    "JobStatus",
    "Map",
    "MapBuilder",
    "MapOptions",
    "MapOutputFiles",
    "MapStdErr",
    "MapStdOut",
    "MappedFunction",
    "TransferPath",
    "Transplant",
    "__version__",
    "build_map",
    "checkpoint",
    "clean",
    "exceptions",
    "get_tags",
    "load",
    "load_maps",
    "map",
    "mapped",
    "register_delivery_method",
    "remove",
    "settings",
    "starmap",
    "status",
    "status_csv",
    "status_json",
    "transfer_output_files",
    "transplant_info",
    "transplants",
    "version",
    "version_info",
]

__version__ = "0.1.0"

_PLACES = {
    "delivery": ("register_delivery_method",),
    "errors": ("ComponentError",),
    "management": ("clean", "get_tags", "load", "load_maps", "remove", "status", "status_csv", "status_json"),
    "mapping": ("MapBuilder", "MappedFunction", "build_map", "map", "mapped", "starmap"),
    "maps": ("Map",),
    "options": ("MapOptions",),
    "runner.hooks": ("checkpoint", "transfer_output_files"),
    "sequences": ("MapOutputFiles", "MapStdErr", "MapStdOut"),
    "state": ("ComponentStatus",),
    "transplant": ("Transplant", "transplant_info", "transplants"),
    "transfers": ("TransferPath",),
    "view": ("ComponentHold",),
}


def version() -> str:
    """Return the version of htrun as text."""
    return f"htrun version {__version__}"


def version_info() -> tuple[int, int, int, str | None, int | None]:
    """Return the version as (major, minor, micro, kind of prerelease, number of prerelease); see PEP 440."""
    import re

    found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc|\.dev)(\d+))?", __version__)
    assert found, "the version is of that form"
    major, minor, micro, kind, number = found.groups()
    return int(major), int(minor), int(micro), kind, None if number is None else int(number)


def __getattr__(name: str) -> Any:
    # Imported when asked for: `htrun --version` passes through here as well.
    if name == "exceptions":
        return import_module("htrun.exceptions")
    if name == "JobStatus":  # what HTMap's manual calls it in one place
        return import_module("htrun.state").ComponentStatus
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"htrun.{module}"), name)
    raise AttributeError(f"module 'htrun' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
