"""Which delivery method ``auto`` is, for pools as they may be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from htrun.choices import choose_delivery
from htrun.config import Config
from htrun.engines.base import Nodes
from htrun.exceptions import EngineError, UnknownPythonDeliveryMethod, UsageError

if TYPE_CHECKING:
    from htrun.engines.base import Engine


class Pool:
    """An engine that knows its machines, or raises what it cannot tell."""

    needs_delivery = True

    def __init__(self, nodes: Nodes | None) -> None:
        self._nodes = nodes

    def nodes(self) -> Nodes:
        """Return them."""
        if self._nodes is None:
            raise EngineError("the collector does not answer")
        return self._nodes


def chosen(nodes: Nodes | None, text: str | None = None, **origins: str) -> tuple[str, str]:
    """Return what is chosen where some settings were set by somebody."""
    names = {name.replace("_", "."): origin for name, origin in origins.items()}
    settings = Config(Path("/"), docker_image="a:1", singularity_image="docker://b:2", origins=names)
    return choose_delivery(text, cast("Engine", Pool(nodes)), settings)


@pytest.mark.parametrize(
    ("nodes", "method", "why"),
    [
        (Nodes(3, 3, "here", 0), "shared", "the pool's machines share this one's file system domain, here"),
        (Nodes(3, 2, "here", 0), "assume", "only 2 of the pool's 3 machines share this one's file system domain, here"),
        (Nodes(3, 0, "here", 3), "assume", "no machine of the pool shares this one's file system domain, here"),
        (Nodes(0, 0, "here", 0), "assume", "the pool has no machines now"),
        (None, "assume", "the collector does not answer"),
    ],
)
def test_without_an_image_the_file_system_decides(nodes: Nodes | None, method: str, why: str) -> None:
    """All machines have to share it; the reason is told."""
    found, reason = chosen(nodes)
    assert found == method
    assert reason.startswith(f"auto: {why}")


@pytest.mark.parametrize(
    ("docker", "origins", "method"),
    [
        (0, {"DOCKER_IMAGE": "x"}, "docker:a:1"),
        (1, {"SINGULARITY_IMAGE": "x"}, "singularity:docker://b:2"),
        (1, {"DOCKER_IMAGE": "x", "SINGULARITY_IMAGE": "x"}, "docker:a:1"),
        (0, {"DOCKER_IMAGE": "x", "SINGULARITY_IMAGE": "x"}, "singularity:docker://b:2"),
    ],
)
def test_an_image_that_somebody_has_set_comes_first(docker: int, origins: dict[str, str], method: str) -> None:
    """Of two, Docker's does, unless no machine runs those."""
    assert chosen(Nodes(2, 2, "here", docker), **origins)[0] == method


def test_what_is_unknown_in_the_settings_is_told_with_its_origin() -> None:
    """So one knows where to mend it."""
    settings = Config(Path("/"), delivery="boat", origins={"DELIVERY_METHOD": "~/.htrunrc"})
    with pytest.raises(UnknownPythonDeliveryMethod, match=r"~/\.htrunrc: there is no delivery method 'boat'"):
        choose_delivery(None, cast("Engine", Pool(None)), settings)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("dokcer:x", UnknownPythonDeliveryMethod, "'dokcer' (did you mean 'docker'?); there are auto, assume, "),
        ("Docker:x", UnknownPythonDeliveryMethod, "'Docker' (did you mean 'docker'?); there are auto, assume, "),
        ("boat", UnknownPythonDeliveryMethod, "'boat'; there are auto, assume, "),
        ("auto:x", UsageError, "the delivery method auto takes no argument: auto:x"),
    ],
)
def test_what_is_no_method_is_told_with_the_nearest(text: str, error: type[Exception], message: str) -> None:
    """Whatever the engine needs of it."""
    for needs_delivery in (True, False):
        pool = Pool(None)
        pool.needs_delivery = needs_delivery
        with pytest.raises(error, match=re.escape(message)):
            choose_delivery(text, cast("Engine", pool), Config(Path("/")))
