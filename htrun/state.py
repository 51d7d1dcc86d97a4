"""What state components are in, as folded from the events of their jobs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ComponentStatus(str, Enum):
    """The statuses that a component can be in; mostly HTCondor's job statuses of the same name."""

    UNKNOWN = "UNKNOWN"
    UNMATERIALIZED = "UNMATERIALIZED"
    IDLE = "IDLE"
    RUNNING = "RUNNING"
    REMOVED = "REMOVED"
    COMPLETED = "COMPLETED"
    HELD = "HELD"
    SUSPENDED = "SUSPENDED"
    ERRORED = "ERRORED"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def display_statuses(cls) -> tuple[ComponentStatus, ...]:
        """Return the statuses that tables show, in their order."""
        return (cls.HELD, cls.ERRORED, cls.IDLE, cls.RUNNING, cls.COMPLETED)

    @property
    def is_final(self) -> bool:
        """Whether nothing moves a component out of this status but a user."""
        return self in (ComponentStatus.COMPLETED, ComponentStatus.ERRORED, ComponentStatus.REMOVED)


UNFINISHED = frozenset(
    {ComponentStatus.UNMATERIALIZED, ComponentStatus.IDLE, ComponentStatus.RUNNING, ComponentStatus.SUSPENDED}
)
"""The statuses out of which components get by themselves; a held one waits for a user."""


class EventKind(Enum):
    """What can happen to a job."""

    SUBMIT = ComponentStatus.IDLE
    PUT_OFF = ComponentStatus.UNMATERIALIZED
    EXECUTE = ComponentStatus.RUNNING
    EVICTED = "EVICTED"
    HELD = ComponentStatus.HELD
    RELEASED = "RELEASED"
    SUSPENDED = ComponentStatus.SUSPENDED
    UNSUSPENDED = "UNSUSPENDED"
    TERMINATED = "TERMINATED"
    ABORTED = ComponentStatus.REMOVED
    IMAGE_SIZE = "IMAGE_SIZE"

    @property
    def status(self) -> ComponentStatus | None:
        """The status of a job after this event; None where it says nothing of the status.

        A terminated job has done its part: whether its components completed or errored stands in their records.
        """
        return self.value if isinstance(self.value, ComponentStatus) else _STATUSES.get(self.value)

    @property
    def is_final(self) -> bool:
        """Whether the job is over with this event."""
        return self in (EventKind.TERMINATED, EventKind.ABORTED)


_STATUSES = {
    "EVICTED": ComponentStatus.IDLE,
    "RELEASED": ComponentStatus.IDLE,
    "UNSUSPENDED": ComponentStatus.RUNNING,
    "TERMINATED": ComponentStatus.COMPLETED,
}
"""The statuses after events that are not named for theirs."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event of one job.

    Attributes
    ----------
    job : int
        The job's number in its map.
    kind : EventKind
    time : float
        When, in seconds since the epoch.
    position : int
        Where in the log.
    components : tuple of (int, int), optional
        The components of the job as half-open ranges, where the event says so.
    records : str, optional
        The name of the job directory that holds what the job records, where the event says so.
    reason : str, optional
        Why a job was held, evicted or removed, or how it terminated where that was not by itself with exit code 0.
    code, subcode : int, optional
        HTCondor's codes of a hold.
    node : str, optional
        Where it runs.
    memory_mb : int, optional
    """

    job: int
    kind: EventKind
    time: float
    position: int = 0
    components: tuple[tuple[int, int], ...] | None = None
    records: str | None = None
    reason: str | None = None
    code: int | None = None
    subcode: int | None = None
    node: str | None = None
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class JobState:
    """What is known of a job after some of its events."""

    status: ComponentStatus
    key: tuple[bool, int] = (False, -1)
    components: tuple[tuple[int, int], ...] = ()
    records: str | None = None
    reason: str | None = None
    code: int | None = None
    subcode: int | None = None
    node: str | None = None
    memory_mb: int = 0
    components_key: tuple[bool, int] = (False, -1)
    node_key: tuple[bool, int] = (False, -1)

    @property
    def is_over(self) -> bool:
        """Whether the job has terminated or was removed."""
        return self.key[0]


def fold(jobs: Mapping[int, JobState], events: Iterable[JobEvent]) -> dict[int, JobState]:
    """Return the states of jobs after more events.

    The order in which events are read does not matter, nor does reading one twice: of the events of a job the last in
    the log decides, and the end of a job is never followed by anything. Times do not count, since clocks are set back.
    What events carry beside the status (node, components, memory) is kept in the same way.

    Parameters
    ----------
    jobs : mapping of int to JobState
        The states so far; not changed.
    events : iterable of JobEvent

    Returns
    -------
    dict of int to JobState
    """
    result = dict(jobs)
    for event in events:
        state = result.get(event.job, _UNKNOWN)
        key = (event.kind.is_final, event.position)
        changes: dict[str, object] = {}
        status = event.kind.status
        if status is not None and key >= state.key:
            changes.update(status=status, key=key, reason=event.reason, code=event.code, subcode=event.subcode)
        if event.components is not None and key >= state.components_key:
            changes.update(components=event.components, components_key=key)
        if event.node is not None and key >= state.node_key:
            changes.update(node=event.node, node_key=key)
        if event.memory_mb is not None and event.memory_mb > state.memory_mb:
            changes.update(memory_mb=event.memory_mb)
        if event.records is not None:
            changes.update(records=event.records)
        state = replace(state, **changes)  # type: ignore[arg-type]
        result[event.job] = state
    return result


_UNKNOWN = JobState(ComponentStatus.UNKNOWN)
