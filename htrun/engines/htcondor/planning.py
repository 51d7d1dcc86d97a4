"""What a submission is made of: which components, how many a job, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htrun import history
from htrun.engines.htcondor import chunks, pilot
from htrun.engines.htcondor.bindings import query_ads, query_jobs
from htrun.engines.htcondor.chunks import Times
from htrun.engines.htcondor.jobs import map_constraint
from htrun.exceptions import EngineError
from htrun.urls import is_url
from htrun.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from htrun.store import MapDirectory
    from htrun.submissions import Ranges, Submission

_ENOUGH = 8
"""What fewer components took is not taken for what all will take without a pilot."""

_SHARE = 4
"""A pilot is no more than one in so many of the jobs that may run at once: the rest leaves room for it."""
_HELD = 5  # of HTCondor's JobStatus


def plan(
    directory: MapDirectory, submissions: Sequence[Submission], components: Ranges, limit: int, *, followed: bool
) -> dict[str, Any]:
    """Return the ``components``, the ``chunk_size``, ``why`` and whether it is a ``pilot`` of a new submission.

    Parameters
    ----------
    directory : MapDirectory
    submissions : sequence of Submission
        What has been submitted so far.
    components : tuple of (int, int)
        What is to be submitted.
    limit : int
        How many jobs the schedd takes.
    followed : bool
        Whether somebody will see to what is put off.
    """
    options = directory.info["options"]
    if options.get("chunk_size"):
        return {"components": components, "chunk_size": options["chunk_size"], "why": "as asked"}
    size = sum(stop - start for start, stop in components)
    times, why, is_current = _known(directory, submissions)
    if any(is_url(file["path"]) for file in directory.files.values()):  # some of which no job can have together
        times, why, is_current = None, "with files behind URLs", True
    if followed and not is_current and not directory.variadic_options:
        at_once = min(options.get("max_running", size) // _SHARE, options.get("max_idle", size))
        first = pilot.chosen(components, max(1, at_once))
        if first:
            return {"components": first, "chunk_size": 1, "why": "to see what a component takes", "pilot": True}
    max_jobs = min(options.get("max_jobs", chunks.MAX_JOBS), limit)
    slots = _slots(directory) if times is not None else 1
    chunk_size = chunks.chunk_size(size, times, slots, max_jobs)
    if -(-size // max_jobs) == chunk_size > 1:
        why += f", and {count(max_jobs, 'job')} at the most"
    return {"components": components, "chunk_size": chunk_size, "why": why}


def throttles(directory: MapDirectory) -> dict[str, str]:
    """Return the submit commands that keep HTCondor from making all jobs of a submission at once; raises EngineError.

    Each submission is throttled for itself, so that jobs of the map that are there already leave less for a new one.
    """
    options = directory.info["options"]
    commands = {}
    if "max_running" in options:
        others = query_jobs(f"{map_constraint(directory)} && JobStatus != {_HELD}", ["ProcId"])
        commands["max_materialize"] = str(max(1, options["max_running"] - len(others)))
    if "max_idle" in options:
        commands["max_idle"] = str(options["max_idle"])
    return commands


def _known(directory: MapDirectory, submissions: Sequence[Submission]) -> tuple[Times | None, str, bool]:
    """Return what components take, how that is known, and whether it is of the sources as they are."""
    nothing = "what a component takes is not known"
    if submissions and submissions[-1].pilot:
        first = pilot.Pilot(directory, submissions[-1])
        first.look()
        times = first.times()
        if times is not None:
            return times, f"a component takes {times}", True
        nothing = "none of the first is back"
    identity = directory.info.get("history")
    known = history.recall_of(identity) if identity else None
    if known is not None:
        times = Times(known.wall_s.mean, known.wall_s.max)
        return times, f"a component took {times} before", known.is_current and known.components >= _ENOUGH
    return None, nothing, False


def _slots(directory: MapDirectory) -> int:
    """Return how many of the map's jobs the pool can run at once, be it empty; 1 where that is not known."""
    try:
        cpus = max(1, int(directory.submit_options.get("request_cpus", 1)))
    except ValueError:
        cpus = 1
    try:
        slots = query_ads("Startd", 'SlotType =!= "Dynamic"', ["PartitionableSlot", "TotalSlotCpus", "Cpus"])
    except EngineError:
        return 1
    return max(
        1,
        sum(
            int(slot.get("TotalSlotCpus") or 0) // cpus
            if slot.get("PartitionableSlot") is True
            else int(slot.get("Cpus") or 0) >= cpus
            for slot in slots
        ),
    )
