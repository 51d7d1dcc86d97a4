"""The settings of one command, with their types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Config:
    """The settings of one command; see docs/settings.md.

    Attributes
    ----------
    directory : pathlib.Path
        Where tags are registered (``HTRUN_DIR``).
    engine : str
    delivery : str
        ``DELIVERY_METHOD``.
    wait_time : float
        Seconds between two looks at something that is waited for.
    map_options : mapping
        Options of every map; the names are in small letters.
    scheduler, collector : str or None
        Which ones HTCondor is to use, where not those that it is configured for.
    docker_image, singularity_image : str or None
    transplant_directory : pathlib.Path or None
        None for the default; see ``transplants``.
    alternate_input_path : str or None
        What jobs are told to fetch in the place of a transplant.
    assume_exists : bool
        Whether a transplant is not to be made since it is there.
    installer : str
        What installs packages that are brought along: uv, pip, or auto.
    origins : mapping
        Where the settings come from, in words, by their names.
    """

    directory: Path
    engine: str = "auto"
    delivery: str = "auto"
    wait_time: float = 1.0
    map_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    scheduler: str | None = None
    collector: str | None = None
    docker_image: str | None = None
    singularity_image: str | None = None
    transplant_directory: Path | None = None
    alternate_input_path: str | None = None
    assume_exists: bool = False
    installer: str = "auto"
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def origin(self, name: str) -> str:
        """Return in words where a setting comes from: ``default``, a variable, a file, ``as set in Python``.

        Parameters
        ----------
        name : str
            As in ``htrun.settings``, such as ``DOCKER.IMAGE``.
        """
        return self.origins.get(name, "default")

    @property
    def tags(self) -> Path:
        """The directory of the tag registry."""
        return self.directory / "tags"

    @property
    def logs(self) -> Path:
        """The directory of the log files."""
        return self.directory / "logs"

    @property
    def history(self) -> Path:
        """Where it is kept what targets took."""
        return self.directory / "history"

    @property
    def packages(self) -> Path:
        """The cache of packages that are brought along."""
        return self.directory / "packages"

    @property
    def transplants(self) -> Path:
        """The directory of transplants."""
        return self.transplant_directory or self.directory / "transplants"
