"""What HTCondor's event log says of the resources that jobs asked for and used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htrun.engines.base import Resources
from htrun.engines.htcondor.eventlog import events_file
from htrun.engines.htcondor.rawlog import RawLog

if TYPE_CHECKING:
    from htrun.store import MapDirectory

_LIMIT_CODES = (21, 34)
_MEMORY_SUBCODE = 102
"""With these, HTCondor holds or evicts a job for its memory: by the machine's policy, and by its control group."""
_USED = {"memory_mb": "MemoryUsage", "disk_kb": "DiskUsage"}
_REQUESTED = {
    "request_memory_mb": "RequestMemory",
    "request_disk_kb": "RequestDisk",
    "request_cpus": "RequestCpus",
}


def resources(directory: MapDirectory) -> dict[int, Resources]:
    """Return what the jobs of a map asked for last, and have used at the most; see ``Engine``."""
    first_jobs = {s.cluster: s.first_job for s in directory.read_submissions() if s.cluster is not None}
    found: dict[int, Resources] = {}
    for event in RawLog(events_file(directory)).new():
        if event.cluster in first_jobs:
            job = first_jobs[event.cluster] + event.proc
            changes = _changes(event, found.get(job, Resources()))
            if changes:
                found[job] = found.get(job, Resources())._replace(**changes)
    return found


def _changes(event: Any, known: Resources) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for field, name in _USED.items():
        amount = event.get(name)
        if isinstance(amount, (int, float)):
            changes[field] = max(amount, getattr(known, field) or 0)
    for field, name in _REQUESTED.items():
        amount = event.get(name)
        if isinstance(amount, (int, float)):
            changes[field] = amount
    for kind in ("", "Hold"):
        if event.get(f"{kind}ReasonCode") in _LIMIT_CODES and event.get(f"{kind}ReasonSubCode") == _MEMORY_SUBCODE:
            changes["ran_out"] = True
    return changes
