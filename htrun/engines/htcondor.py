"""The engine of HTCondor pools. Only this module knows HTCondor's bindings, and what they raise stays in it."""

from __future__ import annotations

import os
import pwd
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.delivery import get_delivery
from htrun.engines.submission import (
    MAP_ATTRIBUTE,
    SUBMISSION_ATTRIBUTE,
    format_description,
    submit_description,
    write_jobs,
)
from htrun.exceptions import EngineError
from htrun.state import EventKind, JobEvent
from htrun.store import Submission

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from htrun.engines.base import Action
    from htrun.state import JobState
    from htrun.store import MapDirectory, Ranges

_REMOVE_SECONDS = 60.0
_MAX_JOBS = 10_000
"""How many jobs a map becomes by default at the most."""


def bindings() -> ModuleType:
    """Import HTCondor's bindings, which costs 60 ms; raises EngineError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where there is no configuration; we say it ourselves
            import htcondor2
    except ImportError as error:
        raise EngineError(f"HTCondor's Python bindings cannot be imported: {error}") from None
    module: ModuleType = htcondor2
    return module


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Turn what the bindings raise into EngineError."""
    module = bindings()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on submit descriptions
            yield
    except (module.HTCondorException, RuntimeError, ValueError) as error:
        # ValueError and RuntimeError are what older bindings raise, and HTCondorException's own base.
        raise EngineError(f"{doing}: {' '.join(str(error).split()).rstrip('.') or type(error).__name__}") from error


def configuration_problem() -> str | None:
    """Return why HTCondor has no configuration here, without reading it; None where there is one.

    The places are those of HTCondor's manual, "Ordered Evaluation to Set the Configuration".
    """
    given = os.environ.get("CONDOR_CONFIG")
    if given:
        return None if given == "ONLY_ENV" or Path(given).exists() else f"CONDOR_CONFIG is {given}, which is not there"
    places = [Path("/etc/condor/condor_config"), Path("/usr/local/etc/condor_config")]
    try:
        places.append(Path(pwd.getpwnam("condor").pw_dir) / "condor_config")
    except KeyError:
        pass
    return None if any(place.exists() for place in places) else "HTCondor is not configured here"


class HTCondorEngine:
    """Runs components as jobs of an HTCondor pool; see ``Engine``."""

    name = "htcondor"
    records_are_live = False
    outlives_interrupt = True

    def why_not(self) -> str | None:
        """Return why no job can be submitted from here; see ``Engine``."""
        problem = configuration_problem()
        if problem is not None:
            return problem
        if os.geteuid() == 0:
            return "HTCondor takes no jobs from root"
        try:
            self._schedd()
        except EngineError as error:
            return str(error)
        return None

    def describe(self) -> str:
        """Return the address of the schedd."""
        with _translated("cannot locate a schedd"):
            module = bindings()
            name = module.param.get("SCHEDD_NAME") or module.param.get("FULL_HOSTNAME") or "local"
            return f"schedd {name}"

    def _schedd(self) -> Any:
        with _translated("no schedd can be located"):
            return bindings().Schedd()

    def submit(self, directory: MapDirectory, components: Ranges) -> None:
        """Submit components as one cluster; see ``Engine``."""
        reason = self.why_not()
        if reason is not None:
            raise EngineError(f"cannot submit to HTCondor: {reason}")
        with directory.lock("submit"):
            submission = self._pending(directory, components)
            if submission.cluster is not None:
                return
            cluster = self._find_cluster(directory, submission)
            if cluster is None:
                cluster = self._submit(directory, submission)
            directory.append_submission({"submission": submission.submission, "cluster": cluster})

    def _pending(self, directory: MapDirectory, components: Ranges) -> Submission:
        """Return the last submission if it is of these components, half done after a crash or not; else a new one."""
        submissions = directory.read_submissions()
        if submissions and submissions[-1].components == components:
            return submissions[-1]
        row: dict[str, Any] = {
            "submission": len(submissions),
            "first_job": submissions[-1].first_job + submissions[-1].jobs if submissions else 0,
            "chunk_size": directory.info["options"].get("chunk_size") or _default_chunk_size(components),
            "components": components,
        }
        submission = Submission(**row)
        limit = _job_limit()
        if submission.jobs > limit:
            raise EngineError(
                f"{submission.jobs:,} jobs are more than this schedd takes at once ({limit:,}): "
                f"--chunk-size {-(-submission.size // limit)} makes fewer of them"
            )
        directory.append_submission(row)
        return submission

    def _submit(self, directory: MapDirectory, submission: Submission) -> int:
        delivery = get_delivery(directory.info["delivery"])
        items = write_jobs(directory, submission)
        description = submit_description(
            directory.info, submission, str(directory.inner), delivery.submit_description("htrun.pyz")
        )
        (directory.inner / f"submit.{submission.submission}.sub").write_text(
            format_description(description), encoding="utf-8", errors="surrogateescape"
        )
        schedd = self._schedd()
        with _translated("HTCondor refused the jobs"):
            result = schedd.submit(bindings().Submit(description), count=1, itemdata=iter(items))
            return int(result.cluster())

    def _find_cluster(self, directory: MapDirectory, submission: Submission) -> int | None:
        """Return the cluster that a killed process has submitted but not come to note."""
        known = {s.cluster for s in directory.read_submissions()}
        for event in _raw_events(directory):
            if event.cluster not in known:
                return int(event.cluster)
        constraint = f"{_constraint(directory)} && {SUBMISSION_ATTRIBUTE} == {submission.submission}"
        schedd = self._schedd()
        with _translated("the schedd does not answer"):
            for ad in schedd.query(constraint=constraint, projection=["ClusterId"], limit=1):
                return int(ad["ClusterId"])
        return None

    def events(self, directory: MapDirectory) -> HTCondorEvents:
        """Return a reader of the map's events; see ``Engine``."""
        return HTCondorEvents(directory)

    def is_working(self, directory: MapDirectory) -> bool:
        """Tell whether the map's jobs were submitted: from then on HTCondor sees to them; see ``Engine``."""
        return not self.needs_submit(directory)

    def needs_submit(self, directory: MapDirectory) -> bool:
        """Tell whether a killed process has left the map without jobs; see ``Engine``."""
        submissions = directory.read_submissions()
        return not submissions or (submissions[-1].cluster is None and not events_file(directory).exists())

    def act(self, directory: MapDirectory, action: Action) -> None:
        """Remove the map's jobs and wait until the schedd has let go of them; see ``Engine``."""
        assert action == "remove"
        if self.needs_submit(directory):
            return
        schedd = self._schedd()
        constraint = _constraint(directory)
        with _translated("cannot remove the jobs"):
            schedd.act(bindings().JobAction.Remove, constraint)
            deadline = time.monotonic() + _REMOVE_SECONDS
            while schedd.query(constraint=constraint, projection=["ProcId"], limit=1):
                if time.monotonic() > deadline:
                    raise EngineError("its jobs are marked for removal, but the schedd still has some of them")
                time.sleep(0.1)


def _job_limit() -> int:
    """Return how many jobs a submission may have (condor's MAX_JOBS_PER_SUBMISSION)."""
    with _translated("cannot read HTCondor's configuration"):
        return int(bindings().param.get("MAX_JOBS_PER_SUBMISSION") or 20_000)


def _default_chunk_size(components: Ranges) -> int:
    """Return one component a job, or as many as a submission needs to stay far from what a schedd refuses."""
    return max(1, -(-sum(stop - start for start, stop in components) // min(_MAX_JOBS, _job_limit())))


def _constraint(directory: MapDirectory) -> str:
    return f'{MAP_ATTRIBUTE} == "{directory.info["uid"]}"'


def events_file(directory: MapDirectory) -> Path:
    """Return the path of a map's HTCondor event log."""
    return directory.inner / "events.log"


def _raw_events(directory: MapDirectory) -> Iterator[Any]:
    path = events_file(directory)
    if path.exists():
        with _translated(f"cannot read {path}"):
            log = bindings().JobEventLog(str(path))
            yield from log.events(0)
            log.close()


class HTCondorEvents:
    """Reads the event log that HTCondor writes for a map."""

    def __init__(self, directory: MapDirectory) -> None:
        self._directory = directory
        self._log: Any = None
        self._size = -1
        self._was_torn = False
        self._position = 0
        self._submissions: dict[int, Submission] = {}
        self._kinds: dict[int, EventKind] = {}

    def read(self, jobs: Mapping[int, JobState]) -> Iterator[JobEvent]:  # noqa: ARG002 (the log says it all)
        """Yield what is new."""
        path = events_file(self._directory)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return
        if size == self._size:
            return
        self._size = size
        if self._was_torn:
            # The bindings may skip an event of which they have seen a part: begin anew, as events may be read twice.
            self._log = None
            self._position = 0
        self._was_torn = not _ends_with_event(path)
        with _translated(f"cannot read {path}"):
            if self._log is None:
                module = bindings()
                self._kinds = {int(getattr(module.JobEventType, name)): kind for name, kind in _KINDS.items()}
                self._log = module.JobEventLog(str(path))
            for event in self._log.events(0):
                self._position += 1
                translated = self._translate(event)
                if translated is not None:
                    yield translated

    def _translate(self, event: Any) -> JobEvent | None:
        kind = self._kinds.get(int(event.type))
        if kind is None:
            return None
        submission = self._submission(int(event.cluster))
        job = submission.first_job + int(event.proc)
        return JobEvent(
            job=job,
            kind=kind,
            time=float(event.timestamp),
            position=self._position,
            components=submission.chunk(job) if kind is EventKind.SUBMIT or kind.is_final else None,
            records=str(job) if kind is EventKind.TERMINATED else None,
            reason=_reason(event, kind),
            code=event.get("HoldReasonCode"),
            subcode=event.get("HoldReasonSubCode"),
            node=event.get("SlotName") or event.get("ExecuteHost") if kind is EventKind.EXECUTE else None,
            memory_mb=event.get("MemoryUsage"),
        )

    def _submission(self, cluster: int) -> Submission:
        if cluster not in self._submissions:
            submissions = self._directory.read_submissions()
            self._submissions = {s.cluster: s for s in submissions if s.cluster is not None}
            if cluster not in self._submissions:
                # Its process was killed, or has not come to note it yet; there is never more than one such submission.
                self._submissions[cluster] = submissions[-1]
        return self._submissions[cluster]


def _ends_with_event(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 5))
        return file.read(5) in (b"", b"\n...\n")


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


def _reason(event: Any, kind: EventKind) -> str | None:
    if kind is EventKind.HELD:
        return str(event.get("HoldReason") or "HTCondor gave no reason")
    if kind is EventKind.TERMINATED:
        if not event.get("TerminatedNormally", True):
            return f"it was killed by signal {event.get('TerminatedBySignal')}"
        return f"it ended with exit code {event['ReturnValue']}" if event.get("ReturnValue") else None
    reason = event.get("Reason") or event.get("Message")
    return str(reason) if reason else None
