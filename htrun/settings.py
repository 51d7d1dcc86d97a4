"""What users set once: built-in defaults, overridden by the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from htrun.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Config:
    """The settings of one command.

    Attributes
    ----------
    directory : pathlib.Path
        Where tags are registered (``HTRUN_DIR``, by default ``~/.htrun``).
    engine : str
        ``HTRUN_ENGINE``, by default ``auto``.
    delivery : str
        ``HTRUN_DELIVERY``, by default ``shared``.
    """

    directory: Path
    engine: str = "auto"
    delivery: str = "shared"

    @property
    def why_delivery(self) -> str:
        """Where the delivery method comes from."""
        return "default" if self.delivery == Config.delivery else "HTRUN_DELIVERY"

    @property
    def tags(self) -> Path:
        """The directory of the tag registry."""
        return self.directory / "tags"


def load(environ: Mapping[str, str] = os.environ) -> Config:
    """Return the settings that the environment asks for; empty variables count as unset. Raises UsageError."""
    directory = environ.get("HTRUN_DIR") or "~/.htrun"
    try:
        path = Path(directory).expanduser().absolute()
    except RuntimeError:
        raise UsageError("you have no home directory: say in HTRUN_DIR where tags are to be registered") from None
    return Config(
        directory=path,
        engine=environ.get("HTRUN_ENGINE") or Config.engine,
        delivery=environ.get("HTRUN_DELIVERY") or Config.delivery,
    )
