"""The engine's side of the contract."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from htrun.adoption import never_submitted
from htrun.engines.base import Nodes
from htrun.engines.htcondor import elsewhere, eventlog, machines, pilot, planning, resources, transfer, waiting
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
from htrun.engines.htcondor.pilot import Follower
from htrun.engines.htcondor.rawlog import RawLog
from htrun.exceptions import EngineError
from htrun.logs import get_logger
from htrun.options import cut, is_in_place
from htrun.runner import wire
from htrun.submissions import Submission, join
from htrun.words import count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from htrun.engines.base import Action, Attribute, Resources, Transfers
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
_NO_CLUSTER = 0
"""The number in the place of a cluster's of what was never submitted; HTCondor counts from 1."""


class HTCondorEngine:
    """Runs components as jobs of an HTCondor pool; see ``Engine``."""

    name = "htcondor"
    records_are_live = False
    pauses_waiting = False
    outlives_interrupt = True
    needs_delivery = True

    def __init__(self) -> None:
        self._follower = Follower()

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

    def prepare(self) -> None:
        """Do nothing; see ``Engine``."""

    def submit(self, directory: MapDirectory, components: Ranges, *, followed: bool = False) -> None:
        """Submit components as one cluster, or a pilot of them; see ``Engine``."""
        self._check()
        machines.check(machines.needed(directory))
        with directory.lock("submit"):
            if directory.read_submissions():
                self._has_jobs(locate_schedd(), map_constraint(directory))  # raises if the schedd does not answer
            else:
                self._remove_strays(directory)  # as does this
            self._complete(directory)  # or else its jobs would be taken for those of this one
            known = directory.submissions_size()
            submission = self._plan(directory, components, followed=followed)
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
            self._complete(directory)
            rest = never_submitted(directory)
            if rest:
                self._see_to(directory, self._plan(directory, rest))

    def _complete(self, directory: MapDirectory) -> None:
        """Bring a submission to its end that a killed process has begun, and submit what was put off."""
        submissions = directory.read_submissions()
        if submissions and submissions[-1].cluster is None and not submissions[-1].adopted:
            self._see_to(directory, submissions[-1])
        if submissions and submissions[-1].pilot:
            self._see_to(directory, self._plan(directory, never_submitted(directory)))

    def advance(self, directory: MapDirectory) -> None:
        """Submit the rest of a map once its pilot has told what components take; see ``Engine``."""
        if self._follower.is_due(directory):
            with self._follower.trying(directory):
                self.carry_on(directory)

    def let_go(self, directory: MapDirectory) -> None:
        """Submit the rest of a map that no command waits for any more; see ``Engine``."""
        if self._follower.is_watching:
            try:
                self.carry_on(directory)
            finally:
                self._follower.release()

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
            self._note(directory, submission, cluster)
        _logger.info("submitted %d jobs of %s as cluster %d", submission.jobs, directory.path, cluster)

    @staticmethod
    def _note(directory: MapDirectory, submission: Submission, cluster: int) -> None:
        """Note the cluster of a submission."""
        row = {"submission": submission.submission, "cluster": cluster, "schedd": schedd_name()}
        directory.append_submission(row)

    def _plan(self, directory: MapDirectory, components: Ranges, *, followed: bool = False) -> Submission:
        """Note a new submission of components, or of some to begin with, and return it."""
        submissions = directory.read_submissions()
        limit = _job_limit()
        row: dict[str, Any] = {
            **planning.plan(directory, submissions, components, limit, followed=followed),
            **_number(submissions),
            "apart": bool(directory.variadic_options),
        }
        if directory.variadic_options:
            row["components"] = cut(row["components"], directory.variadic_options)
        submission = Submission(**row)
        if submission.jobs > limit:
            too_many = f"{submission.jobs:,} jobs are more than this schedd takes at once ({limit:,})"
            if submission.apart:
                raise EngineError(
                    f"{too_many}: components whose options differ share no job, and options change "
                    f"{len(submission.components) - 1:,} times; sort the inputs by them, or use fewer different values"
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
            elsewhere.with_retries(
                machines.with_requirement(directory.delivered["submit"], machines.needed(directory)), directory
            ),
            directory.variadic_options,
            directory.delivery_names(),
            items[0],
        )
        description |= planning.throttles(directory)
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

    def events(self, directory: MapDirectory, cursor: Any = None) -> HTCondorEvents:
        """Return a reader of the map's events; see ``Engine``."""
        return HTCondorEvents(directory, cursor)

    def event_log(self, directory: MapDirectory) -> Path:
        """Return the path of the map's event log; see ``Engine``."""
        return events_file(directory)

    def scratch(self, directory: MapDirectory, job: str) -> Path | None:
        """Return that of a job without transfer, which runs in its directory; see ``Engine``.

        Others have theirs on the execute node. condor_tail shows only files there that a job names as its output, and
        what components print is none of them. Where components are tried again on other machines, nothing says which
        one runs.
        """
        if not is_in_place(directory.submit_options) or directory.info["options"].get("retries"):
            return None
        return directory.job(job) / wire.SCRATCH

    def transfers(self, directory: MapDirectory) -> dict[int, Transfers]:
        """Return how long HTCondor has transferred files for each job; see ``Engine``."""
        return eventlog.transfers(directory)

    def resources(self, directory: MapDirectory) -> dict[int, Resources]:
        """Return what HTCondor says that jobs asked for and used; see ``Engine``."""
        return resources.resources(directory)

    def is_working(self, directory: MapDirectory) -> bool:
        """Tell whether the map's jobs were submitted: from then on HTCondor sees to them; see ``Engine``."""
        return self.left_behind(directory) is None

    def rest(self, directory: MapDirectory, seconds: float) -> None:  # noqa: ARG002
        """Let some seconds pass; see ``Engine``."""
        time.sleep(seconds)

    def left_behind(self, directory: MapDirectory) -> str | None:
        """Tell whether a killed process has left the map without jobs, or without some; see ``Engine``."""
        submissions = directory.read_submissions()
        killed = "the command that made it was killed before it had submitted"
        if not submissions:
            return f"{killed} the jobs"
        last = submissions[-1]
        is_begun = last.cluster is None and _unknown_cluster(directory) is None
        if not (is_begun or last.pilot) or pilot.is_watched(directory):
            return None
        return f"{killed} the jobs" if is_begun else f"{killed} more than the first {last.jobs} jobs"

    def act(self, directory: MapDirectory, action: Action, reason: str) -> None:
        """Do something to the map's jobs, and wait until the schedd has let go of removed ones; see ``Engine``."""
        submissions = directory.read_submissions()
        if not submissions:
            return
        if submissions[-1].pilot:
            with directory.lock("submit"):
                if action == "remove":
                    self._drop(directory, reason)
                else:
                    self._complete(directory)  # so that it concerns all of the map
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

    def _drop(self, directory: MapDirectory, reason: str) -> None:
        """Note that what was put off is never submitted."""
        submissions = directory.read_submissions()
        first = submissions[-1]
        if first.pilot:
            left = never_submitted(directory)
            if first.cluster is None:
                cluster = self._find_cluster(directory, first)
                if cluster is None:  # it was not either: its command was killed before
                    left = join(sorted(n for start, stop in left + first.components for n in range(start, stop)))
                else:
                    self._note(directory, first, cluster)
            size = sum(stop - start for start, stop in left)
            row = {**_number(submissions), "chunk_size": size, "components": left, "dropped": reason}
            directory.append_submission(row)
            directory.append_submission({"submission": row["submission"], "cluster": _NO_CLUSTER})

    def edit(self, directory: MapDirectory, attribute: Attribute, value: int) -> None:
        """Change a request of the map's jobs; see ``Engine``."""
        submissions = directory.read_submissions()
        if submissions:
            if submissions[-1].pilot:
                with directory.lock("submit"):
                    self._complete(directory)
            name = {"request_memory": "RequestMemory", "request_disk": "RequestDisk"}[attribute]
            with translated(f"cannot change {name} of the jobs"):
                locate_schedd().edit(map_constraint(directory), name, str(value))
            late = waiting.late_jobs(directory)
            if late:  # neither these nor their cluster can be edited
                raise EngineError(
                    f"{name} was changed, but {count(late, 'job')} that HTCondor has not made yet will ask for what "
                    "was asked at first: edit them when they are there"
                )

    def exclude(self, directory: MapDirectory, machines: Collection[str]) -> list[str]:
        """Keep jobs of the map that have not started off machines; see ``Engine``."""
        return elsewhere.exclude(directory, machines)

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


def _number(submissions: Sequence[Submission]) -> dict[str, int]:
    """Return the numbers of a new submission and its first job."""
    first_job = submissions[-1].first_job + submissions[-1].jobs if submissions else 0
    return {"submission": len(submissions), "first_job": first_job}


def _unknown_cluster(directory: MapDirectory) -> int | None:
    """Return the cluster in a map's event log of which no submission has been noted, or None."""
    known = {s.cluster for s in directory.read_submissions()}
    for event in RawLog(events_file(directory)).new():
        if event.cluster not in known:
            return int(event.cluster)
    return None
