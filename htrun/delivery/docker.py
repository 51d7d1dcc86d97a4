"""Run in a container that is made from a Docker image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from htrun.delivery import Prepared, escape
from htrun.delivery.assume import commands
from htrun.exceptions import UsageError

if TYPE_CHECKING:
    from htrun.config import Config
    from htrun.delivery import Place

SCHEME = "docker://"


class Docker:
    """An image of a registry, with Python 3.8 or newer on its PATH and nothing else that htrun needs."""

    name = "docker"

    def __init__(self, argument: str | None = None) -> None:
        self._image = image_name(argument or "", "docker:python:3.12")
        self.summary = f"python3 in a container of the image {self._image}"

    @staticmethod
    def complete(argument: str | None, settings: Config) -> str:
        """Return the image, which is that of the settings by default; see ``Delivery``."""
        image = settings.docker_image or "" if argument is None else argument
        return image.removeprefix(SCHEME)

    def prepare(self, place: Place) -> Prepared:  # noqa: ARG002 (see ``Delivery``)
        """Return the submit commands; see ``Delivery``."""
        return Prepared({**commands(), **container(f"{SCHEME}{self._image}")})


def image_name(text: str, example: str) -> str:
    """Return the name of a Docker image; raise UsageError where it is none."""
    name = text.removeprefix(SCHEME)
    if not re.fullmatch(r"[\w.-]+(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@\w+:\w+)?", name, re.ASCII):
        raise UsageError(f"{name!r} is no name of a Docker image; say it as in {example}")
    return name


def container(image: str) -> dict[str, str]:
    """Return the submit commands of HTCondor's container universe."""
    return {"universe": "container", "container_image": escape(image)}
