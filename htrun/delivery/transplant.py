"""Take along the Python installation that makes the map, as it is."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from htrun.delivery import Prepared, arguments, escape, no_argument
from htrun.exceptions import UsageError
from htrun.installation import this_installation
from htrun.packing import START, is_there, pack, packed, unpacked_size
from htrun.runner import wire
from htrun.transplant import PACKED
from htrun.urls import is_url, normalized, path_of, split

if TYPE_CHECKING:
    from pathlib import Path

    from htrun.config import Config
    from htrun.delivery import Place

_SCRIPT = f'tar xzf "$1" && rm -f "$1" && exec /bin/sh {START} "$0"'


class TransplantDelivery:
    """A standalone Python, packed once, unpacked by each job."""

    name = "transplant"
    summary = f"a copy of {sys.prefix}"

    def __init__(self, argument: str | None = None) -> None:
        no_argument(self.name, argument)

    @staticmethod
    def complete(argument: str | None, settings: Config) -> str | None:
        """Raise CannotTransplantPython before anything is made; see ``Delivery``."""
        if not settings.assume_exists:
            this_installation()
        return argument

    def prepare(self, place: Place) -> Prepared:
        """Pack the installation where that has not been done yet; see ``Delivery``."""
        settings = place.settings
        alternate = settings.alternate_input_path
        path = None
        if not settings.assume_exists:
            path = pack(this_installation(), settings.transplants)
        elif not alternate:
            path = packed(this_installation(), settings.transplants)
            if not is_there(path):
                raise UsageError(
                    f"there is no transplant in {path}, though TRANSPLANT.ASSUME_EXISTS is set: unset that, or say in "
                    "TRANSPLANT.ALTERNATE_INPUT_PATH where there is one"
                )
        alternate, name = _alternate(alternate) if alternate else ("", PACKED)
        submit = {
            "executable": "/bin/sh",
            "transfer_executable": "false",
            "arguments": arguments("-c", _SCRIPT, wire.BUNDLE, name),
        }
        if alternate:
            submit["transfer_input_files"] = escape(alternate)
        elif path is not None:
            _link(path / PACKED, place.directory.delivery / PACKED)
        if path is not None:
            # What HTCondor asks for by default is enough for the files that are transferred.
            needed = unpacked_size(path) * 5 // 4 // 1024
            submit["request_disk"] = f"(TransferInputSizeMB + 1) * 1280 + {needed}"
        return Prepared(submit)


def _alternate(text: str) -> tuple[str, str]:
    """Return what jobs are told to fetch, and what it is called when it has arrived."""
    if not is_url(text):
        return text, os.path.basename(text)  # noqa: PTH119
    try:
        url = normalized(text)
    except ValueError as error:
        raise UsageError(f"TRANSPLANT.ALTERNATE_INPUT_PATH: {error}: {text}") from None
    protocol, _, rest = split(url)
    return url, path_of(protocol, rest).rpartition("/")[2]


def _link(archive: Path, link: Path) -> None:
    """Let a map have an archive for itself, so that its jobs can run again when the transplant has been removed.

    On another file system there is a symbolic link only: a copy for each map would take too much room.
    """
    link.parent.mkdir(exist_ok=True)
    try:
        os.link(archive, link)
    except OSError:
        link.symlink_to(archive)
