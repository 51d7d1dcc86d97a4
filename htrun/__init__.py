"""Map a Python function over many inputs, on this machine or on an HTCondor pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# At once, since `htrun.settings` is the object, and would be the module if somebody else imported that first.
from htrun.settings import BASE_SETTINGS, USER_SETTINGS, settings

if TYPE_CHECKING:
    from htrun.transfers import TransferPath

__all__ = ["BASE_SETTINGS", "USER_SETTINGS", "TransferPath", "__version__", "settings"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported when asked for: `htrun --version` passes through here as well.
    if name == "TransferPath":
        from htrun.transfers import TransferPath

        return TransferPath
    raise AttributeError(f"module 'htrun' has no attribute {name!r}")
