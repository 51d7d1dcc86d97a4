"""Which Python the machines of a pool have to have, as HTCondor understands it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import classad2
import pytest

from htrun.engines.htcondor import machines
from htrun.exceptions import EngineError


@pytest.mark.parametrize(
    ("advertised", "fits"),
    [
        (None, True),
        ("3.11.2", True),
        ("3.11", True),
        ("3.12.0", False),
        ("3.1.1", False),
        ("3.110.0", False),
        ("4.11", False),
    ],
)
def test_the_requirement_is_that_of_the_minor_version(advertised: str | None, fits: bool) -> None:
    """A machine fits if it has the minor version, whatever the micro version, or does not say what it has."""
    machine = classad2.ClassAd({} if advertised is None else {"PythonVersion": advertised})
    expression = classad2.ExprTree(machines.requirement("3.11"))
    assert expression.eval(classad2.ClassAd(), machine) is fits


def test_the_requirement_is_added_to_others() -> None:
    """What a delivery method requires besides has to hold as well."""
    assert machines.with_requirement({"a": "b"}, None) == {"a": "b"}
    assert machines.with_requirement({}, "3.9")["requirements"] == f"({machines.requirement('3.9')})"
    both = machines.with_requirement({"requirements": "x || y"}, "3.9")["requirements"]
    assert both == f"(x || y) && ({machines.requirement('3.9')})"


@pytest.mark.parametrize("versions", [[], ["3.11.4", "3.9.2"], ["3.9.2", None], [None], ["3.9.2", 3]])
def test_pools_that_may_have_it(monkeypatch: pytest.MonkeyPatch, versions: list[Any]) -> None:
    """An empty pool, one where a machine has the version, and one where a machine does not say are no error."""
    monkeypatch.setattr(machines, "query_ads", lambda *_: ads(versions))
    machines.check("3.11")


def test_pools_that_cannot_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """If all machines say that they have other versions, these are told, the commonest first."""
    monkeypatch.setattr(machines, "query_ads", lambda *_: ads(["3.13.1", "3.9.2", "3.9.2", "3.9.2"]))
    with pytest.raises(
        EngineError, match=r"no machine of the pool has Python 3\.11, .* have 3\.9\.2 \(3\), 3\.13\.1 \(1\)"
    ):
        machines.check("3.11")


def test_a_collector_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pool cannot be asked, the jobs find out."""

    def fail(*_: object) -> None:
        raise EngineError("no answer")

    monkeypatch.setattr(machines, "query_ads", fail)
    machines.check("3.11")


def test_the_python_of_an_image_is_its_own() -> None:
    """Where jobs run in an image, it is all one which Python the machine has."""
    directory: Any = SimpleNamespace(submit_options={}, variadic_options={}, delivered={"python": "3.9"})
    assert machines.needed(directory) == "3.9"
    directory.submit_options = {"Container_Image": "docker://python:3.9"}
    assert machines.needed(directory) is None


def ads(versions: list[Any]) -> list[dict[str, Any]]:
    """Return the ads of machines."""
    return [{"Machine": f"m{n}", "PythonVersion": version} for n, version in enumerate(versions)]
