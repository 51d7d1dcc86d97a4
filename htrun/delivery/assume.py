"""Run with the python3 that the execute node has on its PATH."""

from __future__ import annotations

from htrun.delivery import arguments

# The whole path is passed on, since a Python that was started without a PATH does not know its own sys.executable.
_SCRIPT = (
    "python=$(command -v python3) || "
    '{ echo "there is no python3 on the PATH ($PATH) of $(uname -n)" >&2; exit 127; }; '
    'exec "$python" "$0"'
)


class Assume:
    """The python3 of the node, whatever it is, from 3.8 on."""

    name = "assume"
    summary = "python3 on the PATH of the execute node"

    def submit_description(self, runner: str) -> dict[str, str]:
        """Return the submit commands; see ``Delivery``."""
        return {
            "executable": "/bin/sh",
            "transfer_executable": "false",
            "arguments": arguments("-c", _SCRIPT, runner),
        }
