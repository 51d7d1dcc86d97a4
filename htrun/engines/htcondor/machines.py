"""Which Python the machines of a pool have, where they say so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from htrun.engines.htcondor.bindings import query_ads
from htrun.exceptions import EngineError
from htrun.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from htrun.store import MapDirectory

ATTRIBUTE = "PythonVersion"
"""What administrators may let machines advertise (``STARTD_ATTRS``): the version of their python3, as a string."""
_logger = get_logger(__name__)


def needed(directory: MapDirectory) -> str | None:
    """Return the minor version that the machines' own Python has to be of for a map; None if that is all one."""
    asked = {key.lower() for key in (*directory.submit_options, *directory.variadic_options)}
    in_image = asked & {"container_image", "docker_image"}
    python: str | None = None if in_image else directory.delivered.get("python")
    return python


def requirement(python: str) -> str:
    """Return the requirement that a machine has a minor version of Python, such as ``3.11``, or does not say."""
    major, _, minor = python.partition(".")
    version = f"TARGET.{ATTRIBUTE}"
    newer = f"{major}.{int(minor) + 1}"
    return f'{version} =?= undefined || (versionGE({version}, "{python}") && versionLT({version}, "{newer}"))'


def with_requirement(commands: Mapping[str, str], python: str | None) -> dict[str, str]:
    """Return submit commands with that requirement beside those that they have."""
    result = dict(commands)
    if python is not None:
        given = [f"({text})" for text in (result.get("requirements"), requirement(python)) if text]
        result["requirements"] = " && ".join(given)
    return result


def check(python: str | None) -> None:
    """Raise EngineError if all machines of the pool say which Python they have, and none has the one that is needed."""
    if python is None:
        return
    try:
        machines = {ad.get("Machine"): ad.get(ATTRIBUTE) for ad in query_ads("Startd", "true", ["Machine", ATTRIBUTE])}
    except EngineError as error:
        _logger.info("which Pythons the pool has is not known: %s", error)
        return
    versions = [version if isinstance(version, str) else None for version in machines.values()]
    if not versions or any(version is None or version.split(".")[:2] == python.split(".") for version in versions):
        return
    found = ", ".join(f"{version} ({count})" for version, count in Counter(versions).most_common())
    raise EngineError(
        f"no machine of the pool has Python {python}, which the packages that come along are for; they have {found}: "
        "run htrun with a Python that there is, or use an image that has the packages (--delivery docker:IMAGE)"
    )
