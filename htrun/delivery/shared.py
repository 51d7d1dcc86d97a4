"""Run with the submitting interpreter, at its own path: for execute nodes that share the file system."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from htrun.delivery import Prepared, arguments, escape, no_argument

if TYPE_CHECKING:
    from htrun.delivery import Place


class Shared:
    """The submitting interpreter, found on the node under the same path."""

    name = "shared"
    works_in_place = True
    summary = f"the submitting interpreter, {sys.executable}"

    def __init__(self, argument: str | None = None) -> None:
        no_argument(self.name, argument)

    def prepare(self, place: Place) -> Prepared:
        """Return the submit commands; see ``Delivery``."""
        return Prepared(
            {
                "executable": escape(sys.executable),
                "transfer_executable": "false",
                "arguments": arguments(place.bundle),
            }
        )
