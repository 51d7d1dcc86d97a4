"""Letting HTCondor start a job again on another machine, for what has failed on this one."""

from __future__ import annotations

import os
import time

from . import wire

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from .access_point import AccessPoint

_AVOID_SECONDS = 120
"""For how long a job waits for another machine than those where its components have failed: two rounds of
negotiation, as they are by default. Then any will do, since there may be no other."""


class Elsewhere:
    """What a job knows of its machine, and how it asks for another one.

    Parameters
    ----------
    access_point : AccessPoint

    Attributes
    ----------
    here : str
        What HTCondor calls this machine.
    is_possible : bool
        Whether HTCondor would start the job again, and hear of what it has done so far.
    """

    def __init__(self, access_point: AccessPoint) -> None:
        self._access_point = access_point
        self._began = time.monotonic()
        self.here = _attribute("_CONDOR_MACHINE_AD", "Machine") or os.uname().nodename
        may_again = job_number("NumJobCompletions") < job_number(wire.MAX_COMPLETIONS)
        self.is_possible = may_again and access_point.is_there()

    def ask(self) -> int:
        """Return the exit code with which HTCondor starts the job again, told not to do so on this machine at once."""
        before = _attribute("_CONDOR_JOB_AD", wire.AVOIDED_MACHINES)
        machines = dict.fromkeys([*(before.split(",") if before else ()), self.here])
        # By the clock of the submitting side: that of a machine that is out of order may be so too.
        now = job_number("JobCurrentStartDate", int(time.time())) + time.monotonic() - self._began
        self._access_point.set_attributes(
            {
                wire.AVOIDED_MACHINES: '"%s"' % ",".join(machines),
                wire.AVOIDED_UNTIL: str(int(now) + _AVOID_SECONDS),
            }
        )
        return wire.ELSEWHERE


def job_number(name: str, default: int = 0) -> int:
    """Return the value of an attribute of this job's ClassAd; the default where it is no number."""
    value = _attribute("_CONDOR_JOB_AD", name) or ""
    return int(value) if value.isdecimal() else default


def _attribute(variable: str, name: str) -> str | None:
    """Return the value of an attribute of a ClassAd in a file, without quotes; None without."""
    try:
        with open(os.environ[variable], encoding="utf-8", errors="replace") as ad:
            for line in ad:
                key, _, value = line.partition(" = ")
                if key == name:
                    return value.strip().strip('"')
    except (KeyError, OSError):
        pass
    return None
