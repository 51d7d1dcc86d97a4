"""The engine's side of the contract."""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from htrun.engines.base import Nodes
from htrun.engines.htcondor import eventlog, machines, transfer, waiting
from htrun.engines.htcondor.bindings import (
    bindings,
    configuration_problem,
    filesystem_domain,
    interrupts_put_off,
    locate_schedd,
    query_ads,
    schedd_name,
    translated,
)
from htrun.engines.htcondor.eventlog import HTCondorEvents, events_file
from htrun.engines.htcondor.jobs import (
    SUBMISSION_ATTRIBUTE,
    format_description,
    map_constraint,
    place_constraint,
    stage_again,
    submit_description,
    write_jobs,
)
from htrun.engines.htcondor.rawlog import RawLog
from htrun.exceptions import EngineError
from htrun.logs import get_logger
from htrun.options import cut
from htrun.submissions import Submission

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from htrun.engines.base import Action, Attribute, Transfers
    from htrun.store import MapDirectory
    from htrun.submissions import Ranges

_logger = get_logger(__name__)
_REMOVE_SECONDS = 60.0
_RESUME_SECONDS = 10.0
_SUSPENDED = 7  # of HTCondor's JobStatus
_JOB_ACTIONS: dict[Action, str] = {
    "hold": "Hold",
    "release": "Release",
    "pause": "Suspend",
    "resume": "Continue",
    "vacate": "Vacate",
}
"""The names of the bindings' ``JobAction``."""
_MAX_JOBS = 10_000
"""How many jobs a map becomes by default at the most."""


class HTCondorEngine:
    """Runs components as jobs of an HTCondor pool; see ``Engine``."""

    name = "htcondor"
    records_are_live = False
    pauses_waiting = False
    outlives_interrupt = True
    needs_delivery = True

    def why_not(self) -> str | None:
        """Return why no job can be submitted from here; see ``Engine``."""
        problem = configuration_problem()
        if problem is not None:
            return problem
        if os.geteuid() == 0:
            return "HTCondor takes no jobs from root"
        try:
            locate_schedd()
        except EngineError as error:
            return str(error)
        return None

    def describe(self) -> str:
        """Return the name of the schedd."""
        return f"schedd {schedd_name()}"

    def check_urls(self, urls: Collection[str], options: Collection[str]) -> None:
        """Refuse URLs that no submit description can hold, or that lack credentials; see ``Engine``."""
        transfer.check_urls(urls, options)

    def nodes(self) -> Nodes:
        """Return what the pool's collector knows of its machines; see ``Engine``."""
        domain = filesystem_domain()
        machines: dict[str, tuple[bool, bool]] = {}
        for ad in query_ads("Startd", 'SlotType =!= "Dynamic"', ["Machine", "FileSystemDomain", "HasDockerURL"]):
            shares = str(ad.get("FileSystemDomain")).lower() == domain.lower()
            machines[str(ad.get("Machine"))] = (shares, ad.get("HasDockerURL") is True)
        sharing, docker = (sum(has) for has in zip(*machines.values(), strict=True)) if machines else (0, 0)
        return Nodes(len(machines), sharing, domain, docker)

    def submit(self, directory: MapDirectory, components: Ranges) -> None:
        """Submit components as one cluster; see ``Engine``."""
        self._check()
        machines.check(machines.needed(directory))
        with directory.lock("submit"):
            if directory.read_submissions():
                self._has_jobs(locate_schedd(), map_constraint(directory))  # raises if the schedd does not answer
            else:
                self._remove_strays(directory)  # as does this
            self._complete(directory)  # or else its jobs would be taken for those of this one
            known = directory.submissions_size()
            submission = self._plan(directory, components)
            try:
                self._see_to(directory, submission)
            except BaseException:  # of the system as well, such as a full disk, and Ctrl-C
                # What the components have left before counts again, unless some jobs may be there nevertheless.
                with suppress(EngineError):
                    if self._find_cluster(directory, submission) is None:
                        directory.cut_submissions(known)
                raise

    def carry_on(self, directory: MapDirectory) -> None:
        """Finish what a killed process has begun to submit; see ``Engine``."""
        self._check()
        with directory.lock("submit"):
            if not directory.read_submissions():
                self._see_to(directory, self._plan(directory, ((0, directory.components),)))
            self._complete(directory)

    def _complete(self, directory: MapDirectory) -> None:
        """Bring a submission to its end that a killed process has begun."""
        submissions = directory.read_submissions()
        if submissions and submissions[-1].cluster is None:
            self._see_to(directory, submissions[-1])

    def _check(self) -> None:
        reason = self.why_not()
        if reason is not None:
            raise EngineError(f"cannot submit to HTCondor: {reason}")

    def _see_to(self, directory: MapDirectory, submission: Submission) -> None:
        """Submit what has been planned, unless a killed process has come as far as that."""
        cluster = self._find_cluster(directory, submission)
        with interrupts_put_off():
            if cluster is None:
                cluster = self._submit(directory, submission)
            row = {"submission": submission.submission, "cluster": cluster, "schedd": schedd_name()}
            directory.append_submission(row)
        _logger.info("submitted %d jobs of %s as cluster %d", submission.jobs, directory.path, cluster)

    def _plan(self, directory: MapDirectory, components: Ranges) -> Submission:
        """Note a new submission of components, and return it."""
        submissions = directory.read_submissions()
        size = directory.info["options"].get("chunk_size") or _default_chunk_size(components)
        if directory.variadic_options:
            components = cut(components, directory.variadic_options)
        row: dict[str, Any] = {
            "submission": len(submissions),
            "first_job": submissions[-1].first_job + submissions[-1].jobs if submissions else 0,
            "chunk_size": size,
            "components": components,
            "apart": bool(directory.variadic_options),
        }
        submission = Submission(**row)
        limit = _job_limit()
        if submission.jobs > limit:
            too_many = f"{submission.jobs:,} jobs are more than this schedd takes at once ({limit:,})"
            if submission.apart:
                raise EngineError(
                    f"{too_many}: components whose options differ share no job, and options change "
                    f"{len(components) - 1:,} times; sort the inputs by them, or use fewer different values"
                )
            raise EngineError(f"{too_many}: --chunk-size {-(-submission.size // limit)} makes fewer of them")
        directory.append_submission(row)
        return submission

    def _submit(self, directory: MapDirectory, submission: Submission) -> int:
        items = write_jobs(directory, submission)
        description = submit_description(
            directory.info,
            submission,
            str(directory.inner),
            machines.with_requirement(directory.delivered["submit"], machines.needed(directory)),
            directory.variadic_options,
            directory.delivery_names(),
            items[0],
        )
        (directory.inner / f"submit.{submission.submission}.sub").write_text(
            format_description(description), encoding="utf-8", errors="surrogateescape"
        )
        schedd = locate_schedd()
        with translated("HTCondor refused the jobs"):
            result = schedd.submit(bindings().Submit(description), count=1, itemdata=iter(items))
            return int(result.cluster())

    def _find_cluster(self, directory: MapDirectory, submission: Submission) -> int | None:
        """Return the cluster that a killed process has submitted but not come to note."""
        cluster = _unknown_cluster(directory)
        if cluster is not None:
            return cluster
        constraint = f"{map_constraint(directory)} && {SUBMISSION_ATTRIBUTE} == {submission.submission}"
        schedd = locate_schedd()
        with translated("the schedd does not answer"):
            for ad in schedd.query(constraint=constraint, projection=["ClusterId"], limit=1):
                return int(ad["ClusterId"])
        return None

    def events(self, directory: MapDirectory) -> HTCondorEvents:
        """Return a reader of the map's events; see ``Engine``."""
        return HTCondorEvents(directory)

    def event_log(self, directory: MapDirectory) -> Path:
        """Return the path of the map's event log; see ``Engine``."""
        return events_file(directory)

    def transfers(self, directory: MapDirectory) -> dict[int, Transfers]:
        """Return how long HTCondor has transferred files for each job; see ``Engine``."""
        return eventlog.transfers(directory)

    def is_working(self, directory: MapDirectory) -> bool:
        """Tell whether the map's jobs were submitted: from then on HTCondor sees to them; see ``Engine``."""
        return self.left_behind(directory) is None

    def left_behind(self, directory: MapDirectory) -> str | None:
        """Tell whether a killed process has left the map without jobs; see ``Engine``."""
        submissions = directory.read_submissions()
        if submissions and (submissions[-1].cluster is not None or _unknown_cluster(directory) is not None):
            return None
        return "the command that made it was killed before it had submitted the jobs"

    def act(self, directory: MapDirectory, action: Action, reason: str) -> None:
        """Do something to the map's jobs, and wait until the schedd has let go of removed ones; see ``Engine``."""
        if not directory.read_submissions():
            return
        if action == "release":
            stage_again(directory)
        schedd = locate_schedd()
        constraint = map_constraint(directory)
        if action == "vacate":
            self._resume(schedd, constraint, reason)
        if action == "remove":
            self._remove(schedd, constraint, reason)
            return
        with translated(f"cannot {action} the jobs"):
            # Without a code, here 0, the bindings lose the reason of a hold.
            why = (reason, 0) if action == "hold" else reason
            schedd.act(getattr(bindings().JobAction, _JOB_ACTIONS[action]), constraint, why)

    def _remove_strays(self, directory: MapDirectory) -> None:
        """Remove the jobs of a map that was in the same place, and was deleted by hand: theirs would end up here."""
        schedd = locate_schedd()
        strays = place_constraint(directory)
        if self._has_jobs(schedd, strays):
            self._remove(schedd, strays, "the directory of its map was deleted")
            events_file(directory).unlink(missing_ok=True)  # it tells of their end

    def _remove(self, schedd: Any, constraint: str, reason: str) -> None:
        with translated("cannot remove the jobs"):
            schedd.act(bindings().JobAction.Remove, constraint, reason)
        deadline = time.monotonic() + _REMOVE_SECONDS
        while self._has_jobs(schedd, constraint):
            if time.monotonic() > deadline:
                raise EngineError("its jobs are marked for removal, but the schedd still has some of them")
            time.sleep(0.1)

    def _resume(self, schedd: Any, constraint: str, reason: str) -> None:
        """Let jobs that are suspended go on, and wait until they do: they would take no notice of being vacated."""
        suspended = f"{constraint} && JobStatus == {_SUSPENDED}"
        deadline = time.monotonic() + _RESUME_SECONDS
        if self._has_jobs(schedd, suspended):
            with translated("cannot resume the jobs"):
                schedd.act(bindings().JobAction.Continue, suspended, reason)
            while self._has_jobs(schedd, suspended) and time.monotonic() < deadline:
                time.sleep(0.05)

    def edit(self, directory: MapDirectory, attribute: Attribute, value: int) -> None:
        """Change a request of the map's jobs; see ``Engine``."""
        if directory.read_submissions():
            name = {"request_memory": "RequestMemory", "request_disk": "RequestDisk"}[attribute]
            with translated(f"cannot change {name} of the jobs"):
                locate_schedd().edit(map_constraint(directory), name, str(value))

    def explain(self, directory: MapDirectory) -> list[str]:
        """Tell why no slot takes the map's idle jobs; see ``Engine``."""
        return waiting.explain(directory)

    @staticmethod
    def _has_jobs(schedd: Any, constraint: str) -> bool:
        with translated("the schedd does not answer"):
            return bool(schedd.query(constraint=constraint, projection=["ProcId"], limit=1))


def _job_limit() -> int:
    """Return how many jobs a submission may have (condor's MAX_JOBS_PER_SUBMISSION)."""
    with translated("cannot read HTCondor's configuration"):
        return int(bindings().param.get("MAX_JOBS_PER_SUBMISSION") or 20_000)


def _default_chunk_size(components: Ranges) -> int:
    """Return one component a job, or as many as a submission needs to stay far from what a schedd refuses."""
    return max(1, -(-sum(stop - start for start, stop in components) // min(_MAX_JOBS, _job_limit())))


def _unknown_cluster(directory: MapDirectory) -> int | None:
    """Return the cluster in a map's event log of which no submission has been noted, or None."""
    known = {s.cluster for s in directory.read_submissions()}
    with closing(RawLog(events_file(directory))) as log:
        for event in log.new():
            if event.cluster not in known:
                return int(event.cluster)
    return None
