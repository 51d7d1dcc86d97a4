"""Run with the Python that the execute node, or the container, has on its PATH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from htrun.delivery import Prepared, arguments, no_argument
from htrun.runner import wire

if TYPE_CHECKING:
    from htrun.delivery import Place

# The whole path is passed on, since a Python that was started without a PATH does not know its own sys.executable.
_SCRIPT = (
    "python=$(command -v python3 || command -v python) || "
    '{ echo "there is no python3 on the PATH ($PATH) of $(uname -n)" >&2; exit 127; }; '
    'exec "$python" "$0"'
)


class Assume:
    """The python3 of the node, whatever it is, from 3.8 on."""

    name = "assume"
    works_in_place = True
    summary = "python3 on the PATH of the execute node"

    def __init__(self, argument: str | None = None) -> None:
        no_argument(self.name, argument)

    def prepare(self, place: Place) -> Prepared:
        """Return the submit commands; see ``Delivery``."""
        return Prepared(commands(place.bundle))


def commands(bundle: str = wire.BUNDLE) -> dict[str, str]:
    """Return the submit commands that run the runner with the node's, or the container's, python3."""
    return {
        "executable": "/bin/sh",
        "transfer_executable": "false",
        "arguments": arguments("-c", _SCRIPT, bundle),
    }
