"""Map a Python function over many inputs, on this machine or on an HTCondor pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from htrun.transfers import TransferPath

__all__ = ["TransferPath", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported when asked for: `htrun --version` passes through here as well.
    if name == "TransferPath":
        from htrun.transfers import TransferPath

        return TransferPath
    raise AttributeError(f"module 'htrun' has no attribute {name!r}")
