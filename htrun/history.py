"""What targets took when they were mapped before: time, memory, disk.

It is kept in a small file a target, `<HTRUN_DIR>/history/<hash>.json`, which is written anew when the results of a map
are. It is advice, not data: what cannot be read is not known, and what cannot be written is not kept.
"""

from __future__ import annotations

import array
import hashlib
import inspect
import itertools
import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.index import COMPLETED
from htrun.logs import get_logger
from htrun.store import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from htrun.config import Config
    from htrun.functions import Function
    from htrun.index import Records
    from htrun.store import MapDirectory
    from htrun.targets import Target

_SAMPLE = 1000
"""Of how many components of a map the times are looked at: it takes some milliseconds, and quantiles need no more."""
_WEIGHTY = 10
"""A map replaces what is known unless that is of more than so many times as many components."""
_SPREADS = ("wall_s", "cpu_s", "memory_mb", "disk_kb")
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Spread:
    """How a quantity was spread over components."""

    mean: float
    median: float
    p95: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Return the spread of numbers; None if there are none."""
        ordered = sorted(values)
        if not ordered:
            return None
        last = len(ordered) - 1
        return cls(sum(ordered) / len(ordered), ordered[round(0.5 * last)], ordered[round(0.95 * last)], ordered[last])


@dataclass(frozen=True)
class Knowledge:
    """What is known of a target.

    Attributes
    ----------
    components : int
        Of how many completed components.
    when : float
        Since when, in seconds since the epoch.
    source : str
        What the sources were then, as a hash.
    wall_s, cpu_s, memory_mb : Spread
        Seconds, seconds and MiB; of memory, what its job was seen to use counts, if that is more.
    disk_kb : Spread or None
        KiB, where any was used.
    is_current : bool
        Whether the sources are still the same; where they are not, this is a guess.
    """

    components: int
    when: float
    source: str
    wall_s: Spread
    cpu_s: Spread
    memory_mb: Spread
    disk_kb: Spread | None = None
    is_current: bool = True


def identify(settings: Config, target: Target | Function) -> dict[str, str] | None:
    """Return what a map's description says of where the knowledge of its target is kept: ``file`` and ``source``.

    A target is known by its name and the path of its file. None for functions that are in no file.
    """
    file = target.file or _file_of(target.function)
    if file is None:
        return None
    names = [str(target.reference["module"]), str(target.reference["qualname"]), str(file.resolve())]
    if "<lambda>" in names[1]:  # there may be several in a file
        names.append(str(target.function.__code__.co_firstlineno))
    source = hashlib.sha256()
    for shipped in target.sources:
        source.update(b"%b\0%b\0" % (shipped.name.encode("utf-8", "surrogateescape"), shipped.path.read_bytes()))
    name = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]
    return {"file": str(settings.history / f"{name}.json"), "source": source.hexdigest()[:32]}


def _file_of(function: Any) -> Path | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    path = Path(code.co_filename) if code is not None else None
    return path if path is not None and path.is_absolute() and path.is_file() else None


def recall(settings: Config, target: Target | Function) -> Knowledge | None:
    """Return what is known of a target from its earlier maps; None if that is nothing."""
    identity = identify(settings, target)
    return recall_of(identity) if identity is not None else None


def recall_of(identity: dict[str, str]) -> Knowledge | None:
    """Return what is known of a target that has been identified; None if that is nothing."""
    try:
        row = read_json(Path(identity["file"]))
        spreads = {name: Spread(**row[name]) for name in _SPREADS if name in row}
        current = row["source"] == identity["source"]
        return Knowledge(**{**row, **spreads, "is_current": current})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def remember(directory: MapDirectory, records: Records, job_memories: Iterable[tuple[int, int, int]] = ()) -> None:
    """Keep what the completed components of a map took, for the next map of its target.

    Components that failed say nothing: a function that fails at once is not quick. The newest map counts, unless it is
    of far fewer components than what is known: then only the maxima do.

    Parameters
    ----------
    directory : MapDirectory
    records : Records
    job_memories : iterable of (int, int, int)
        As ``MapView.job_memories`` gives them.
    """
    identity: dict[str, str] | None = directory.info.get("history")
    if identity is None:
        return
    fresh = _measure(identity["source"], records, job_memories)
    if fresh is None:
        return
    known = recall_of(identity)
    if known is not None and known.components > _WEIGHTY * fresh.components:
        fresh = _with_maxima(known, fresh)
    row = {name: value for name, value in asdict(fresh).items() if value is not None and name != "is_current"}
    file = Path(identity["file"])
    try:
        if file.parent.parent.is_dir():  # else it is not where it was
            file.parent.mkdir(mode=0o700, exist_ok=True)
            write_json(file, row)
    except OSError as error:
        _logger.warning("what the components took cannot be kept in %s: %s", file, error.strerror)


def _measure(source: str, records: Records, job_memories: Iterable[tuple[int, int, int]]) -> Knowledge | None:
    count = records.outcomes.count(COMPLETED)
    chosen: Sequence[int] = range(count)
    if count > _SAMPLE:  # at random: every n-th may be a slow one
        chosen = sorted(random.Random(count).sample(range(count), _SAMPLE))  # noqa: S311 (no secret)
    if count < len(records.outcomes):
        completed = records.outcomes.translate(bytes(code == COMPLETED for code in range(256)))
        components = list(itertools.compress(range(len(completed)), completed))
        chosen = [components[number] for number in chosen]
    rows = list(records.usage_of(chosen))
    jobs = array.array("q", bytes(8 * len(records.outcomes)))
    for start, stop, memory_mb in job_memories:
        jobs[start:stop] = array.array("q", [memory_mb]) * (stop - start)
    wall, cpu = Spread.of(row.wall_s for row in rows), Spread.of(row.cpu_s for row in rows)
    memory = Spread.of(max(row.memory_mb, jobs[row.component]) for row in rows)
    if wall is None or cpu is None or memory is None:
        return None
    disk = Spread.of(row.disk_kb for row in rows) if any(row.disk_kb for row in rows) else None
    return Knowledge(count, time.time(), source, wall, cpu, memory, disk)


def _with_maxima(known: Knowledge, fresh: Knowledge) -> Knowledge:
    def both(old: Spread, new: Spread | None) -> Spread:
        return old if new is None else Spread(old.mean, old.median, old.p95, max(old.max, new.max))

    return Knowledge(
        known.components,
        known.when,
        known.source,
        both(known.wall_s, fresh.wall_s),
        both(known.cpu_s, fresh.cpu_s),
        both(known.memory_mb, fresh.memory_mb),
        both(known.disk_kb, fresh.disk_kb) if known.disk_kb is not None else fresh.disk_kb,
    )
