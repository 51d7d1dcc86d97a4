"""Jobs that start again on another machine, and machines that jobs of a map do not go to any more.

A job some of whose components have failed ends with ``wire.ELSEWHERE``, and so stays in the queue. It has written into
its own attributes where it has been (see ``htrun.runner.elsewhere``), which its requirements look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from htrun.engines.htcondor.bindings import locate_schedd, query_ads, translated
from htrun.engines.htcondor.jobs import map_constraint
from htrun.exceptions import EngineError
from htrun.runner import wire
from htrun.store import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from htrun.store import MapDirectory

_KILLS = 2
"""How often a job runs again since its own process was killed."""
_AVOIDS = (
    f"{wire.AVOIDED_MACHINES} =?= undefined || time() > {wire.AVOIDED_UNTIL}"
    f" || !stringListIMember(TARGET.Machine, {wire.AVOIDED_MACHINES})"
)
_EXCLUDES = f"{wire.SICK_MACHINES} =?= undefined || !stringListIMember(TARGET.Machine, {wire.SICK_MACHINES})"

_ENDS = f"(ExitBySignal =!= true && ExitCode =!= {wire.ELSEWHERE}) || NumJobCompletions > {wire.MAX_COMPLETIONS}"


def with_retries(commands: Mapping[str, str], directory: MapDirectory) -> dict[str, str]:
    """Return submit commands with those by which components that have failed are tried again on another machine.

    Where the pool has one machine only they are as they were: jobs then try again by themselves.
    """
    result = dict(commands)
    retries = directory.info["options"].get("retries", 0)
    if retries and _machines() != 1:
        given = [f"({text})" for text in (result.get("requirements"), _AVOIDS, _EXCLUDES) if text]
        result["requirements"] = " && ".join(given)
        result[f"My.{wire.MAX_COMPLETIONS}"] = str(retries + _KILLS)
        result["on_exit_remove"] = _ENDS
        excluded = read_excluded(directory)
        if excluded:
            result[f"My.{wire.SICK_MACHINES}"] = _listed(excluded)
    return result


def _machines() -> int | None:
    """Return how many machines the pool has now; None if it does not say."""
    try:
        return len({ad.get("Machine") for ad in query_ads("Startd", 'SlotType =!= "Dynamic"', ["Machine"])})
    except EngineError:
        return None


def exclude(directory: MapDirectory, machines: Collection[str]) -> list[str]:
    """Keep jobs of a map that have not started off machines; return which ones that is new of.

    It is done to no more than half of the machines of the pool: what fails here and there is no machine's fault.
    """
    excluded = read_excluded(directory)
    there = _machines() or 0
    new = [machine for machine in machines if machine not in excluded][: max(0, there // 2 - len(excluded))]
    if new:
        schedd, jobs = locate_schedd(), map_constraint(directory)
        with translated("cannot change the requirements of the jobs"):
            if schedd.query(jobs, ["ProcId"], limit=1):  # to edit none is an error
                schedd.edit(jobs, wire.SICK_MACHINES, _listed([*excluded, *new]))
        write_json(_file(directory), [*excluded, *new])  # only now: what is in it is not seen to again
    return new


def _listed(machines: Collection[str]) -> str:
    return f'"{",".join(machines)}"'


def read_excluded(directory: MapDirectory) -> list[str]:
    """Return the machines that jobs of a map do not go to any more."""
    try:
        return [str(machine) for machine in read_json(_file(directory))]
    except FileNotFoundError:
        return []


def _file(directory: MapDirectory) -> Path:
    return directory.inner / "excluded.json"
