"""Run in a container that is made from an image for Singularity, which is called Apptainer today."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from htrun.delivery import Prepared, escape
from htrun.delivery.assume import commands
from htrun.delivery.docker import SCHEME, container, image_name
from htrun.exceptions import UsageError

if TYPE_CHECKING:
    from htrun.config import Config
    from htrun.delivery import Place

_STAGED = "image.sif"
_MARK = ".singularity.d"  # without it the job would be started again and again, and never held; so with other files:
_MAGIC = ((32, b"SIF_MAGIC"), (0, b"hsqs"), (1080, b"\x53\xef"))  # SIF, and the older SquashFS and ext3


class Singularity:
    """An image file, a directory, or a URL, with Python 3.8 or newer on its PATH and nothing else that htrun needs."""

    name = "singularity"

    def __init__(self, argument: str | None = None) -> None:
        if not argument:
            raise UsageError("the delivery method singularity needs an image, as in singularity:image.sif")
        self._image = argument
        if argument.startswith(SCHEME):
            image_name(argument, "singularity:docker://python:3.12")
        elif not _is_url(argument) and not Path(argument).exists():
            raise UsageError(
                f"there is no image {argument}: the delivery method singularity takes a file (SIF), a directory, or a "
                "URL such as docker://python:3.12"
            )
        elif Path(argument).is_dir() and not Path(argument, _MARK).exists():
            raise UsageError(
                f"the directory {argument} is no image, since it has no {_MARK}: "
                f"'apptainer build --sandbox IMAGE {argument}' makes one of a plain file system"
            )
        elif Path(argument).is_file() and not _is_image(argument):
            raise UsageError(
                f"the file {argument} is no image (SIF): 'apptainer build IMAGE.sif SOURCE' makes one, of a definition "
                "file or docker://python:3.12, say"
            )
        self.summary = f"python3 in a container of the image {argument}"

    @staticmethod
    def complete(argument: str | None, settings: Config) -> str:
        """Return the image, which is that of the settings by default, with its whole path; see ``Delivery``."""
        image = settings.singularity_image or "" if argument is None else argument
        if not image or _is_url(image):
            return image
        try:
            return str(Path(image).expanduser().absolute())
        except RuntimeError:
            raise UsageError(f"there is no image {image}: you have no home directory") from None

    def prepare(self, place: Place) -> Prepared:
        """Return the submit commands; see ``Delivery``.

        A file is brought along by each job. A directory has to be there on the execute node: HTCondor would not copy
        it as it is, symbolic links to directories for instance.
        """
        if _is_url(self._image):
            return Prepared({**commands(), **container(self._image)})
        path = Path(self._image).absolute()
        if path.is_dir():
            where = {"universe": "container", "container_image": f"{escape(str(path))}/", "transfer_container": "false"}
            return Prepared({**commands(), **where})
        # HTCondor tells by the extension what an image is, and takes apart names with commas in them.
        place.directory.delivery.mkdir(exist_ok=True)
        (place.directory.delivery / _STAGED).symlink_to(path)
        return Prepared({**commands(), **container(f"../../{place.directory.delivery.name}/{_STAGED}")})


def _is_image(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            head = file.read(2048)
    except OSError as error:
        raise UsageError(f"the image {path} cannot be read: {error.strerror}") from None
    return any(head.startswith(magic, offset) for offset, magic in _MAGIC)


def _is_url(image: str) -> bool:
    return "://" in image
