"""Run with the submitting interpreter, at its own path: for execute nodes that share the file system."""

from __future__ import annotations

import sys

from htrun.delivery import arguments, escape


class Shared:
    """The submitting interpreter, found on the node under the same path."""

    name = "shared"
    summary = f"the submitting interpreter, {sys.executable}"

    def submit_description(self, runner: str) -> dict[str, str]:
        """Return the submit commands; see ``Delivery``."""
        return {
            "executable": escape(sys.executable),
            "transfer_executable": "false",
            "arguments": arguments(runner),
        }
