"""What HTCondor's event log of a map says, and what it has lost."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from htrun.engines.base import Transfers
from htrun.engines.htcondor.bindings import bindings, query_jobs, schedd_name
from htrun.engines.htcondor.jobs import map_constraint
from htrun.engines.htcondor.rawlog import RawLog
from htrun.exceptions import EngineError
from htrun.runner import wire
from htrun.state import EventKind, JobEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from htrun.engines.base import IsSettled
    from htrun.state import JobState
    from htrun.store import MapDirectory
    from htrun.submissions import Submission

Cursor = tuple[int, int, "Sequence[tuple[int, int]]"]
"""How far a log was read, in bytes and in events, and how many jobs of each cluster had been made by then."""

_QUIET_SECONDS = 10.0
_MAX_PAUSE_SECONDS = 600.0
_NEXT_JOB = "JobMaterializeNextProcId"
"""What a cluster whose jobs are made late has until all are made: the number of the next one."""


def events_file(directory: MapDirectory) -> Path:
    """Return the path of a map's HTCondor event log."""
    return directory.inner / "events.log"


class HTCondorEvents:
    """Reads the event log that HTCondor writes for a map.

    Parameters
    ----------
    directory : MapDirectory
    cursor : Cursor, optional
        That of a reader that this one goes on from.
    """

    def __init__(self, directory: MapDirectory, cursor: Cursor | None = None) -> None:
        self._directory = directory
        self._offset, self._position, made = cursor or (0, 0, ())
        self._submissions: dict[int, Submission] = {}
        self._pause = _QUIET_SECONDS
        self._next_question = 0.0
        self._kinds: dict[int, EventKind] = {}
        self._cluster_kinds: dict[int, EventKind] = {}
        self._made = dict(made)
        """How many jobs HTCondor has made of a cluster, where it makes them late."""
        self._dropped_at = -1  # the size of the list of submissions

    @property
    def cursor(self) -> Cursor:
        """How far it has read, in bytes and in events, and how many jobs of each cluster had been made by then."""
        return self._offset, self._position, tuple(self._made.items())

    def read(self, jobs: Mapping[int, JobState], is_settled: IsSettled | None = None) -> Iterator[JobEvent]:  # noqa: ARG002
        """Yield what is new; where the log has been silent for long, jobs that HTCondor no longer has are removed."""
        events = list(self._new())
        events += self._dropped()
        yield from events
        yield from self._lost(jobs, events)

    def _new(self) -> Iterator[JobEvent]:
        path = events_file(self._directory)
        if not path.exists() or path.stat().st_size == self._offset:
            return  # the bindings take long to import
        if not self._kinds:
            types = bindings().JobEventType
            self._kinds = {int(getattr(types, name)): kind for name, kind in _KINDS.items()}
            self._cluster_kinds = {int(getattr(types, name)): kind for name, kind in _CLUSTER_KINDS.items()}
        # A new one each time: where it fails half-way, all is read again from where the last one has come to.
        log = RawLog(path, [*self._kinds, *self._cluster_kinds], self._offset, self._position)
        for event in log.new():
            if event.proc < 0:
                yield from self._of_cluster(event, log.position)
                continue
            job_event = self._translate(event, log.position)
            if job_event is not None:
                if job_event.kind is EventKind.SUBMIT:
                    self._made[int(event.cluster)] = int(event.proc) + 1
                yield job_event
        self._offset, self._position = log.offset, log.position

    def _of_cluster(self, event: Any, position: int) -> Iterator[JobEvent]:
        """Yield what an event of a whole cluster means for those of its jobs that HTCondor has not made yet."""
        kind = self._cluster_kinds.get(int(event.type))
        if kind is None:
            return
        cluster = int(event.cluster)
        submission = self._submission(cluster)
        for job in range(submission.first_job + self._made.get(cluster, 0), submission.first_job + submission.jobs):
            yield JobEvent(
                job,
                kind,
                float(event.timestamp),
                position,
                components=submission.chunk(job) if kind is EventKind.PUT_OFF or kind.is_final else None,
                reason=str(event.get("Reason") or "HTCondor gave no reason") if kind is EventKind.HELD else None,
                code=event.get("HoldCode"),
            )

    def _dropped(self) -> Iterator[JobEvent]:
        """Yield the end of what was never submitted and never will be."""
        size = self._directory.submissions_size()
        if size == self._dropped_at:
            return
        self._dropped_at = size
        for submission in self._directory.read_submissions():
            if submission.dropped is not None:
                yield JobEvent(
                    submission.first_job,
                    EventKind.ABORTED,
                    time.time(),
                    components=submission.components,
                    reason=submission.dropped,
                )

    def _lost(self, jobs: Mapping[int, JobState], events: Iterable[JobEvent]) -> Iterator[JobEvent]:
        """Yield the end of jobs of which the log will not tell any: the queue was lost, say, or the log."""
        if time.monotonic() < self._next_question or time.time() - self._last_change() < _QUIET_SECONDS:
            return
        self._next_question = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _MAX_PAUSE_SECONDS)
        over = {job for job, state in jobs.items() if state.is_over} | {e.job for e in events if e.kind.is_final}
        unfinished: dict[tuple[int, int], tuple[Submission, int]] = {
            (submission.cluster, job - submission.first_job): (submission, job)
            for submission in self._directory.read_submissions()
            for job in range(submission.first_job, submission.first_job + submission.jobs)
            if submission.cluster is not None and job not in over
        }
        try:
            if schedd_name() not in {submission.schedd for submission, _ in unfinished.values()}:
                return  # none are left, or they are another schedd's
            found = query_jobs(map_constraint(self._directory), ["ClusterId", "ProcId", _NEXT_JOB], clusters=True)
        except EngineError:
            return  # it may be there again when this is asked the next time
        if time.time() - self._last_change() < _QUIET_SECONDS:
            return  # they have ended just now, and the log says how
        queued = {(ad.get("ClusterId"), ad.get("ProcId")) for ad in found}
        late = {ad.get("ClusterId"): int(ad.get(_NEXT_JOB)) for ad in found if ad.get(_NEXT_JOB) is not None}
        for place, (submission, job) in unfinished.items():
            if place not in queued and place[1] < late.get(place[0], submission.jobs):
                yield JobEvent(
                    job,
                    EventKind.ABORTED,
                    time.time(),
                    self._position,
                    components=submission.chunk(job),
                    records=str(job),
                    reason="HTCondor no longer has the job, and its log does not say why",
                )

    def _last_change(self) -> float:
        """Return when the log was written to, or else the list of submissions, in seconds since the epoch."""
        for path in (events_file(self._directory), self._directory.submissions):
            try:
                return path.stat().st_mtime
            except FileNotFoundError:
                continue
        return time.time()

    def _translate(self, event: Any, position: int) -> JobEvent | None:
        try:
            kind = self._kinds.get(int(event.type))
        except ValueError:  # newer than the bindings
            return None
        if kind is None:
            return None
        if kind is EventKind.TERMINATED and event.get("ReturnValue") == wire.STOPPED:
            kind = EventKind.ABORTED  # what has no record was not run, and will not be
        submission = self._submission(int(event.cluster))
        job = submission.first_job + int(event.proc)
        return JobEvent(
            job=job,
            kind=kind,
            time=float(event.timestamp),
            position=position,
            components=submission.chunk(job) if kind is EventKind.SUBMIT or kind.is_final else None,
            records=str(job) if kind.is_final else None,
            reason=self._with_names(_reason(event, kind)),
            code=event.get("HoldReasonCode"),
            subcode=event.get("HoldReasonSubCode"),
            node=event.get("SlotName") or event.get("ExecuteHost") if kind is EventKind.EXECUTE else None,
            memory_mb=event.get("MemoryUsage"),
        )

    def _with_names(self, reason: str | None) -> str | None:
        """Add which of the user's files those are that a reason names."""
        for identifier in dict.fromkeys(re.findall(rf"/{wire.STAGE}/(f\d+)", reason or "")):
            path = self._directory.files.get(identifier, {}).get("path")
            reason = f"{reason} ({identifier} is {path})"
        return reason

    def _submission(self, cluster: int) -> Submission:
        if cluster not in self._submissions:
            submissions = self._directory.read_submissions()
            self._submissions = {s.cluster: s for s in submissions if s.cluster is not None}
            if cluster not in self._submissions:
                # Its process was killed, or has not come to note it yet; there is never more than one such submission.
                self._submissions[cluster] = submissions[-1]
        return self._submissions[cluster]


_BEGAN_INPUT, _ENDED_INPUT, _BEGAN_OUTPUT, _ENDED_OUTPUT = 2, 3, 5, 6
"""Of HTCondor's ``FileTransferEventType``; the others are about waiting for the begin."""


def transfers(directory: MapDirectory) -> dict[int, Transfers]:
    """Return how long HTCondor has transferred files for the jobs of a map in their last run; see ``Engine``."""
    types = bindings().JobEventType
    first_jobs = {s.cluster: s.first_job for s in directory.read_submissions() if s.cluster is not None}
    times: dict[int, dict[int, float]] = {}
    for event in RawLog(events_file(directory), [int(types.FILE_TRANSFER)]).new():
        if event.cluster in first_jobs and int(event.type) == int(types.FILE_TRANSFER):
            job = first_jobs[event.cluster] + event.proc
            times.setdefault(job, {})[event["Type"]] = float(event.timestamp)
    return {
        job: Transfers(
            input_s=_between(at.get(_BEGAN_INPUT), at.get(_ENDED_INPUT)),
            output_s=_between(at.get(_BEGAN_OUTPUT), at.get(_ENDED_OUTPUT)),
        )
        for job, at in times.items()
    }


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None or end < start else end - start


_KINDS = {
    "SUBMIT": EventKind.SUBMIT,
    "EXECUTE": EventKind.EXECUTE,
    "JOB_EVICTED": EventKind.EVICTED,
    "SHADOW_EXCEPTION": EventKind.EVICTED,
    "JOB_RECONNECT_FAILED": EventKind.EVICTED,
    "JOB_HELD": EventKind.HELD,
    "JOB_RELEASED": EventKind.RELEASED,
    "JOB_SUSPENDED": EventKind.SUSPENDED,
    "JOB_UNSUSPENDED": EventKind.UNSUSPENDED,
    "JOB_TERMINATED": EventKind.TERMINATED,
    "JOB_ABORTED": EventKind.ABORTED,
    "IMAGE_SIZE": EventKind.IMAGE_SIZE,
}

_CLUSTER_KINDS = {
    "CLUSTER_SUBMIT": EventKind.PUT_OFF,
    "FACTORY_PAUSED": EventKind.HELD,
    "FACTORY_RESUMED": EventKind.PUT_OFF,
    "CLUSTER_REMOVE": EventKind.ABORTED,
}
"""Of clusters whose jobs are made late: as many at a time as ``max_materialize`` and ``max_idle`` allow."""


def _reason(event: Any, kind: EventKind) -> str | None:
    if kind is EventKind.HELD:
        return str(event.get("HoldReason") or "HTCondor gave no reason")
    if kind is EventKind.TERMINATED:
        if not event.get("TerminatedNormally", True):
            return f"it was killed by signal {event.get('TerminatedBySignal')}"
        return f"it ended with exit code {event['ReturnValue']}" if event.get("ReturnValue") else None
    if event.get("ReturnValue") == wire.STOPPED:
        return "its job stopped after errors, as it was told to"
    reason = event.get("Reason") or event.get("Message")
    return str(reason) if reason else None
