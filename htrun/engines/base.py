"""The protocol that engines follow, and how they are found: htrun's own, and those of the entry points."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from htrun.exceptions import UnknownEngine
from htrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from importlib_metadata import EntryPoint

    from htrun.state import JobEvent, JobState
    from htrun.store import MapDirectory
    from htrun.submissions import Ranges

Action = Literal["hold", "release", "pause", "resume", "vacate", "remove"]
Attribute = Literal["request_memory", "request_disk"]


IsSettled = Callable[[int, int, int], bool]
"""Tells whether a job in a job directory has nothing to say of a range of components: (directory, start, stop)."""


class Nodes(NamedTuple):
    """What is known of the machines where components run.

    Attributes
    ----------
    machines : int
    sharing : int
        How many of them share this machine's file systems.
    domain : str
        What the file systems of this machine are known as.
    docker : int
        How many of them can run a Docker image.
    """

    machines: int
    sharing: int
    domain: str
    docker: int


class EventReader(Protocol):
    """Reads the events of a map that are new since it was last asked.

    Attributes
    ----------
    cursor
        How far it has read, in a form that JSON holds, for a reader that goes on from there.
    """

    @property
    def cursor(self) -> Any:
        """How far it has read."""
        ...

    def read(self, jobs: Mapping[int, JobState], is_settled: IsSettled | None = None) -> Iterator[JobEvent]:
        """Yield new events, given the states of the jobs as folded so far.

        Jobs that have ended, all of whose components are settled, may be left out: their records tell more.
        """
        ...


class Transfers(NamedTuple):
    """How long the transfers of a job's files have taken, in seconds; None where that is not known."""

    input_s: float | None = None
    output_s: float | None = None


class Resources(NamedTuple):
    """What a job asked for, and what it was seen to use at the most; None where that is not known.

    Attributes
    ----------
    memory_mb, request_memory_mb : float or None
        MiB.
    disk_kb, request_disk_kb : float or None
        KiB.
    request_cpus : float or None
    ran_out : bool
        Whether it was stopped for using more memory than it may.
    """

    memory_mb: float | None = None
    request_memory_mb: float | None = None
    disk_kb: float | None = None
    request_disk_kb: float | None = None
    request_cpus: float | None = None
    ran_out: bool = False


class Engine(Protocol):
    """Runs the jobs of maps.

    Attributes
    ----------
    name : str
    records_are_live : bool
        Whether the records of a running job appear in its directory while it runs.
    pauses_waiting : bool
        Whether idle components do not start in a map that is paused.
    outlives_interrupt : bool
        Whether a run goes on when the user leaves it with Ctrl-C.
    needs_delivery : bool
        Whether Python has to be brought to where components run.
    """

    name: str
    records_are_live: bool
    pauses_waiting: bool
    outlives_interrupt: bool
    needs_delivery: bool

    def why_not(self) -> str | None:
        """Return why this engine cannot be used here; None if it can."""
        ...

    def describe(self) -> str:
        """Return what this engine runs on, in a few words for the header of a run."""
        ...

    def check_urls(self, urls: Collection[str], options: Collection[str]) -> None:
        """Raise UsageError if there are URLs that components cannot get files from, or send files to.

        Nothing is asked for on the net. Some protocols need credentials, which are among the submit commands whose
        names are ``options``.
        """
        ...

    def nodes(self) -> Nodes:
        """Return what is known of the machines where components run. Raises EngineError."""
        ...

    def prepare(self) -> None:
        """Make ready for a map that is about to be submitted, in the background; it may come to nothing."""
        ...

    def submit(self, directory: MapDirectory, components: Ranges, *, followed: bool = False) -> None:
        """Start components as a new submission; all or none of them. Raises EngineError.

        Where the caller will call ``advance``, the map is followed, and a new one may begin with a few components.
        """
        ...

    def advance(self, directory: MapDirectory) -> None:
        """Start what was put off, if it is time to. Followers of a map call it again and again. Raises EngineError."""
        ...

    def let_go(self, directory: MapDirectory) -> None:
        """Start what was put off, since nobody follows the map any more. Raises EngineError."""
        ...

    def carry_on(self, directory: MapDirectory) -> None:
        """Take up what was left behind; safe to repeat after a crash. Raises EngineError."""
        ...

    def events(self, directory: MapDirectory, cursor: Any = None) -> EventReader:
        """Return a reader of the map's events, from the first one, or from where another reader had come to."""
        ...

    def event_log(self, directory: MapDirectory) -> Path:
        """Return the path of the map's event log, which need not be there."""
        ...

    def scratch(self, directory: MapDirectory, job: str) -> Path | None:
        """Return the scratch directory of the worker that works a job now, None if it is not here.

        The job is known by the name of its directory. What the component that runs prints is in the files ``stdout``
        and ``stderr`` there.
        """
        ...

    def transfers(self, directory: MapDirectory) -> Mapping[int, Transfers]:
        """Return how long files were transferred for each job, where they were between machines. Raises HtrunError."""
        ...

    def resources(self, directory: MapDirectory) -> Mapping[int, Resources]:
        """Return what jobs asked for and used, where the engine knows that better than the records."""
        ...

    def is_working(self, directory: MapDirectory) -> bool:
        """Return whether anything can still become of the map's unfinished components by itself."""
        ...

    def rest(self, directory: MapDirectory, seconds: float) -> None:
        """Let some seconds pass; return sooner where it is seen at once that nothing works on the map any more."""
        ...

    def left_behind(self, directory: MapDirectory) -> str | None:
        """Return how a process ended that has left components behind, for ``carry_on`` to take up; None if none."""
        ...

    def act(self, directory: MapDirectory, action: Action, reason: str) -> None:
        """Do something to all unfinished components of a map, for a reason in words. Raises EngineError.

        ``remove`` returns when nothing of the map runs any more; of the others the map's events tell the effect.
        """
        ...

    def edit(self, directory: MapDirectory, attribute: Attribute, value: int) -> None:
        """Change a request of all unfinished components, in MiB of memory or KiB of disk. Raises EngineError.

        Components that run do not see it before they are started anew.
        """
        ...

    def exclude(self, directory: MapDirectory, machines: Collection[str]) -> list[str]:
        """Keep components of a map that have not started off machines that do harm.

        Returns the machines of which that is new; it may be none of them. Raises EngineError.
        """
        ...

    def explain(self, directory: MapDirectory) -> list[str]:
        """Return in words why components of the map are idle, a paragraph a cause, with what mends it.

        It is asked for only where some are. Raises EngineError.
        """
        ...


_OWN = {"local": ("htrun.engines.local", "LocalEngine"), "htcondor": ("htrun.engines.htcondor", "HTCondorEngine")}


@cache
def _others() -> dict[str, EntryPoint]:
    from importlib_metadata import entry_points  # only now: a look at all that is installed costs start-up time

    return {point.name: point for point in entry_points(group="htrun.engines")}


def engine_names() -> list[str]:
    """Return what an engine may be called, ``auto`` included."""
    return ["auto", *sorted({*_OWN, *_others()})]


def get_engine(name: str) -> Engine:
    """Return the engine of this name; raise UnknownEngine with the names there are."""
    make: Callable[[], Engine]
    if name in _OWN:
        module, of_engine = _OWN[name]
        make = getattr(import_module(module), of_engine)
    else:
        others = _others()
        if name not in others:
            names = engine_names()
            hint = did_you_mean(name.lower(), names)
            raise UnknownEngine(f"there is no engine {name!r}{hint}; there are {', '.join(names)}")
        make = others[name].load()
    return make()


def choose_engine(name: str) -> tuple[Engine, str]:
    """Return the engine for a name, ``auto`` included, and why it was chosen.

    ``auto`` means HTCondor where a schedd can be located, and this machine otherwise.
    """
    if name != "auto":
        return get_engine(name), "as asked"
    condor = get_engine("htcondor")
    reason = condor.why_not()
    if reason is None:
        return condor, "auto: a schedd was located"
    return get_engine("local"), f"auto: {reason}"
