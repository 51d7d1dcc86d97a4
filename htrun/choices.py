"""Which engine and which delivery method a map gets where nobody says, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from htrun.delivery import AUTO, check_known, complete
from htrun.engines.base import choose_engine
from htrun.exceptions import CannotTransplantPython, EngineError, UnknownEngine, UnknownPythonDeliveryMethod, UsageError

if TYPE_CHECKING:
    from htrun.engines.base import Engine
    from htrun.settings import Config


def usual_engine(settings: Config) -> tuple[Engine, str]:
    """Return the engine that the settings name, and why it was chosen; an unknown one is told with who named it."""
    try:
        return choose_engine(settings.engine)
    except UnknownEngine as error:
        raise UnknownEngine(f"{settings.origin('ENGINE')}: {error}") from None


def choose_delivery(text: str | None, engine: Engine, settings: Config) -> tuple[str, str]:
    """Return the delivery method of a map, and why it was chosen; what is wrong with it is an error now.

    Parameters
    ----------
    text : str or None
        NAME or NAME:ARGUMENT; None for the one that the settings name.
    engine : Engine
    settings : Config

    Returns
    -------
    delivery : str
        With the argument that the settings have, where it needs one. It is as it was given for an engine that brings
        Python nowhere.
    why : str

    Raises
    ------
    UnknownPythonDeliveryMethod
        With the names there are.
    HtrunError
        If it needs another argument, or cannot be used here.
    """
    chosen = settings.delivery if text is None else text
    why = settings.origin("DELIVERY_METHOD") if text is None else "as asked"
    try:
        if not engine.needs_delivery:
            check_known(chosen)
            return chosen, why
        if chosen == AUTO:
            chosen, why = _automatic_delivery(engine, settings)
        return complete(chosen, settings), why
    except (UnknownPythonDeliveryMethod, CannotTransplantPython, UsageError) as error:
        if text is not None:
            raise
        raise type(error)(f"{why}: {error}") from None


def _automatic_delivery(engine: Engine, settings: Config) -> tuple[str, str]:
    """Return which delivery method ``auto`` means, and why: an image, the shared file system, or what is there."""
    docker, singularity = (settings.origin(name) for name in ("DOCKER.IMAGE", "SINGULARITY.IMAGE"))
    nodes, problem = None, ""
    if (docker == "default") is (singularity == "default"):  # or else the pool has no say in it
        try:
            nodes = engine.nodes()
        except EngineError as error:
            problem = str(error)
    if docker != "default" and (singularity == "default" or nodes is None or nodes.docker):
        return "docker", f"auto: DOCKER.IMAGE is set, {docker}"
    if singularity != "default":
        without = ", and no machine of the pool runs Docker images" if docker != "default" else ""
        return "singularity", f"auto: SINGULARITY.IMAGE is set, {singularity}{without}"
    if nodes is None:
        return "assume", f"auto: {problem}"
    if not nodes.machines:
        return "assume", "auto: the pool has no machines now whose file systems could be known"
    domain = f"this one's file system domain, {nodes.domain}"
    if nodes.sharing == nodes.machines:
        return "shared", f"auto: the pool's machines share {domain}"
    few = f"only {nodes.sharing:,} of the pool's {nodes.machines:,} machines share"
    return "assume", f"auto: {few if nodes.sharing else 'no machine of the pool shares'} {domain}"
