"""What a run of the benchmarks has found: each timing, with the machine and the versions of everything."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

DISTRIBUTIONS = ("htrun", "joblib", "dask", "distributed", "submitit", "htcondor")


@dataclass(frozen=True)
class Timing:
    """One run of one command: times in seconds, memory in MB.

    `subject` is who was measured in the case, or, where that is htrun alone, at what.
    """

    case: str
    size: int
    subject: str
    round: int
    wall_s: float
    cpu_s: float
    rss_mb: float


@dataclass(frozen=True)
class Results:
    """All timings of a run.

    Parameters
    ----------
    machine, versions, left_out : dict
        What it ran on and with, and which peers are missing, with the reason.
    timings : list of Timing
    files : dict
        Numbers of files in a map's directory, by the number of its components.
    """

    machine: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Return the results that were written as JSON."""
        found = json.loads(text)
        return cls(**{**found, "timings": [Timing(**timing) for timing in found["timings"]]})

    def to_json(self) -> str:
        """Return all of it as JSON, a line a timing."""
        found = asdict(self)
        timings = ",\n".join(json.dumps(timing) for timing in found.pop("timings"))
        return json.dumps(found, indent=1).removesuffix("\n}") + f',\n "timings": [\n{timings}\n]}}\n'

    def of(self, case: str, size: int, subject: str) -> list[Timing]:
        """Return the timings of a subject, in the order of the rounds."""
        return [t for t in self.timings if (t.case, t.size, t.subject) == (case, size, subject)]

    def sizes(self, case: str) -> list[int]:
        """Return the sizes of a case that were measured."""
        return sorted({t.size for t in self.timings if t.case == case})

    def subjects(self, case: str) -> list[str]:
        """Return who was measured in a case."""
        return list(dict.fromkeys(t.subject for t in self.timings if t.case == case))

    def wall_s(self, case: str, size: int, subject: str) -> float | None:
        """Return the median of the wall times, None if there are none."""
        return median([t.wall_s for t in self.of(case, size, subject)])

    def rss_mb(self, case: str, size: int, subject: str) -> float | None:
        """Return the largest peak of memory, None if there is none."""
        return max((t.rss_mb for t in self.of(case, size, subject)), default=None)

    def ratios(self, case: str, size: int, subject: str, other: str) -> list[float]:
        """Return the wall time of one subject over that of another in the same round, for each round with both."""
        others = {t.round: t.wall_s for t in self.of(case, size, other)}
        return [t.wall_s / others[t.round] for t in self.of(case, size, subject) if t.round in others]


def median(values: list[float]) -> float | None:
    """Return the median, None of no values."""
    return statistics.median(values) if values else None


def workers() -> int:
    """Return how many processes work at a time, whoever starts them: one for each CPU that we may use."""
    return len(os.sched_getaffinity(0))


def machine() -> dict[str, Any]:
    """Return what the timings depend on beside the programs."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return {
        "cpu": cpus[0].partition(":")[2].strip() if cpus else platform.machine(),
        "cpus": workers(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def versions(path: str) -> dict[str, str]:
    """Return the versions of what is measured, as far as it is there; programs are looked for on a PATH."""
    found = {"Python": platform.python_version(), "commit": os.environ.get("BENCH_COMMIT", "")}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    parallel = shutil.which("parallel", path=path)
    if parallel is not None:
        said = subprocess.run([parallel, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        found["GNU parallel"] = said.stdout.decode().partition("\n")[0].rpartition(" ")[2]
    return {name: version for name, version in found.items() if version}
