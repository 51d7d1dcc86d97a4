"""Why the jobs of a map wait in an HTCondor queue, in words."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from htrun.engines.htcondor.bindings import Ad, Evaluator, query_ads, query_jobs
from htrun.engines.htcondor.jobs import map_constraint
from htrun.engines.htcondor.matching import match
from htrun.exceptions import EngineError
from htrun.words import count, elapsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from htrun.engines.htcondor.matching import Condition, Match
    from htrun.store import MapDirectory

_IDLE = 1
_MAX_GROUPS = 3
_LONG_ROUND = 1800.0
_NONE_IDLE = "The schedd has no idle jobs of this map: they have started, or were held, just now."
_REQUESTS = ("RequestMemory", "RequestDisk", "RequestCpus", "RequestGPUs")
_CONTAINERS = {
    "HasContainer": "containers",
    "HasDocker": "Docker images",
    "HasDockerURL": "Docker images",
    "HasSIF": "image files of Singularity",
    "HasSandboxImage": "image directories of Singularity",
}
"""What a slot can run that has an attribute; the more general ones come first."""
_GROUPED_BY = ("Requirements", "ConcurrencyLimits", *_REQUESTS)


def explain(directory: MapDirectory) -> list[str]:
    """Return why the idle jobs of a map are, a paragraph a cause; raises EngineError."""
    names = ["ClusterId", "ProcId", "JobStatus", "QDate", *_GROUPED_BY]
    jobs = query_jobs(map_constraint(directory), names)
    late = _late_text(directory)
    if not jobs and not late:
        return ["The schedd has no jobs of this map: they have ended just now, or were removed, or its queue was lost."]
    idle = [job for job in jobs if job.get("JobStatus") == _IDLE]
    if not idle:
        return late or [_NONE_IDLE]
    components = _components_of(directory)
    groups: dict[tuple[str, ...], list[Ad]] = {}
    for job in idle:
        groups.setdefault(tuple(_key(job, name) for name in _GROUPED_BY), []).append(job)
    largest = sorted(groups.values(), key=len, reverse=True)
    try:
        slots = query_ads("Startd", 'SlotType =!= "Dynamic"')
    except EngineError as error:
        return [f"The pool cannot be asked why {count(sum(map(components, idle)), 'component')} wait: {error}."]
    evaluate = Evaluator()
    paragraphs = []
    fitting: Ad | None = None
    for group in largest[:_MAX_GROUPS]:
        number = sum(map(components, group))
        first = min(group, key=lambda job: (job.get("ClusterId", 0), job.get("ProcId", 0)))
        place = f"ClusterId == {first.get('ClusterId')} && ProcId == {first.get('ProcId')}"
        found = query_jobs(place)
        if found and found[0].get("JobStatus") == _IDLE:  # it may have started meanwhile
            matched = match(found[0], slots, Ad.emptied, evaluate)
            paragraphs.append(describe(matched, found[0], number, directory.info["tag"]))
            if matched.fitting:
                fitting = found[0]
    rest = largest[_MAX_GROUPS:]
    if rest:
        number = sum(components(job) for group in rest for job in group)
        paragraphs.append(f"{count(number, 'component')} more wait with {len(rest)} other sets of requests.")
    if fitting is not None:
        paragraphs += _circumstances(fitting)
    return [*paragraphs, *late] or [_NONE_IDLE]


def late_jobs(directory: MapDirectory) -> int:
    """Return how many jobs of a map HTCondor has not made yet, as its limits have it; raises EngineError."""
    if not _limits(directory):
        return 0
    names = ["ProcId", "TotalSubmitProcs", "JobMaterializeNextProcId"]
    return sum(
        int(ad.get("TotalSubmitProcs", 0)) - int(ad.get("JobMaterializeNextProcId"))
        for ad in query_jobs(map_constraint(directory), names, clusters=True)
        if ad.get("ProcId") is None and ad.get("JobMaterializeNextProcId") is not None
    )


def _limits(directory: MapDirectory) -> list[str]:
    options = directory.info.get("options", {})
    return [f"--{key.replace('_', '-')} {options[key]}" for key in ("max_running", "max_idle") if key in options]


def _late_text(directory: MapDirectory) -> list[str]:
    """Return in words what keeps HTCondor from making jobs, where there are some that it has not made yet."""
    number = late_jobs(directory)
    limits = " and ".join(_limits(directory))
    return [f"{count(number, 'job')} more will be made as others start or end: {limits}."] if number else []


def _key(job: Ad, name: str) -> str:
    try:
        return str(job.ad.lookup(name))
    except KeyError:
        return ""


def _components_of(directory: MapDirectory) -> Callable[[Ad], int]:
    """Return a function that tells how many components a job has."""
    submissions = {submission.cluster: submission for submission in directory.read_submissions()}

    def number(job: Ad) -> int:
        submission = submissions.get(job.get("ClusterId"))
        if submission is None:  # it was submitted just now
            return 1
        return sum(stop - start for start, stop in submission.chunk(submission.first_job + int(job.get("ProcId"))))

    return number


def describe(match: Match, job: Any, components: int, tag: str) -> str:
    """Return what the slots of a pool are to a job, in words.

    Parameters
    ----------
    match : Match
    job : Ad
    components : int
        How many wait for the same.
    tag : str
    """
    who = f"{count(components, 'component')} wait{'s' * (components == 1)}"
    pool = count(match.slots, "slot") + (f", {match.offline:,} of them switched off" if match.offline else "")
    if not match.slots:
        return f"{who}: the pool has no slots now. Its execute nodes are off, or do not reach its collector."
    if match.offline == match.slots:
        return f"{who}: all of the pool's slots ({pool}) are switched off."
    them = "it" if components == 1 else "them"
    never = f"{who}, and no slot of the pool ({pool}) can ever run {them}"
    if match.impossible:
        return f"{never}. {' '.join(_all_impossible(match.impossible, tag))}"
    if match.conflict:
        causes = "; ".join(_wish(condition) for condition in match.conflict)
        return f"{never}: there are slots for each of these, but none for all of them: {causes}."
    who = f"{count(components, 'component')} {'has' if components == 1 else 'have'} waited for {_waited(job)}"
    if match.slots == 1:
        able = f"the pool's one slot can run {them}"
    elif match.fitting == match.slots:
        able = f"all of the pool's {pool} can run {them}"
    else:
        able = f"{match.fitting:,} of the pool's {pool} can run {them}"
    if job.get("NumJobStarts"):
        who = f"{who}, having been started before ({count(int(job.get('NumJobStarts')), 'time')})"
    if not match.free:
        full = "it has no room now" if match.fitting == 1 else "none of them has room now"
        return f"{who}: {able}, but {full}. {_users(match, job)}"
    said = job.get("LastRejMatchReason")
    last = f" {elapsed(job.get('LastRejMatchTime'))} ago it said: {said}." if said else ""
    has = "has" if match.fitting == 1 else f"{match.free:,} of them have"
    return f"{who}: {able} and {has} room now, so the negotiator may start {them} in its next round.{last}"


def _waited(job: Any) -> str:
    return elapsed(job.get("EnteredCurrentStatus") or job.get("QDate"))


def _all_impossible(conditions: Sequence[Condition], tag: str) -> Iterator[str]:
    """Yield what no slot satisfies, in words; what a container needs is told once."""
    lacking = {name for condition in conditions for name in _CONTAINERS if _has_only(condition, name)}
    for condition in conditions:
        if not any(_has_only(condition, name) for name in lacking):
            yield _impossible(condition, tag)
    what = next((text for name, text in _CONTAINERS.items() if name in lacking), None)
    if what is not None:
        yield (
            f"No machine of the pool runs {what}: choose another --delivery, or ask the pool's administrators for "
            "Docker or Apptainer."
        )


def _has_only(condition: Condition, name: str) -> bool:
    return condition.clause.lower().removeprefix("target.") == name.lower()


def _impossible(condition: Condition, tag: str) -> str:
    resource = condition.resource
    if resource is None:
        if not condition.clause:
            return (
                "The START expression of every slot refuses the job: ask the pool's administrators who may run there."
            )
        return f"No slot satisfies the requirement {condition.clause}{_seen(condition)}."
    if not condition.largest:
        return f"{resource.text(condition.wanted)} asked for, but no slot has any."
    text = f"{resource.text(condition.wanted)} asked for, but {_largest(condition)}"
    if resource.attribute not in ("Memory", "Disk"):
        return f"{text}: ask for no more than that."
    number = int(condition.usable or condition.largest)
    if resource.attribute == "Disk":  # what is free there changes all the time
        return f"{text}: 'htrun edit disk {tag} {number * 9 // 10} --unit KB' asks for a little less than that."
    return f"{text}: 'htrun edit memory {tag} {number} --unit MB' asks for that."


def _largest(condition: Condition) -> str:
    assert condition.resource is not None
    if 0 < condition.usable < condition.largest:
        return f"the largest slot that is fit otherwise has {condition.resource.amount(condition.usable)}"
    return f"the largest slot has {condition.resource.amount(condition.largest)}"


def _seen(condition: Condition) -> str:
    phrases = []
    for name, values in condition.seen.items():
        shown = ", ".join(values[:3]) + (", ..." if len(values) > 3 else "")
        phrases.append(f"slots have {name} {shown}" if values else f"no slot defines {name}")
    return f" ({'; '.join(phrases[:4])})" if phrases else ""


def _wish(condition: Condition) -> str:
    slots = count(condition.slots.bit_count(), "slot")
    if condition.resource is not None:
        more = f"; {_largest(condition)}" if 0 < condition.usable < condition.largest else ""
        return f"{condition.resource.text(condition.wanted)} ({slots}{more})"
    return f"{condition.clause or 'a START expression that lets the job in'} ({slots})"


def _users(match: Match, job: Any) -> str:
    """Return who has the slots that are busy."""
    mine = str(job.get("User", "")).partition("@")[0]
    others: Counter[str] = Counter()
    for name, number in match.users.items():
        others[name.partition("@")[0]] += number
    own = others.pop(mine, 0)
    whose = [f"{count(own, 'job')} of yours"] if own else []
    if others:
        listed = ", ".join(f"{name} {number:,}" for name, number in others.most_common(3))
        more = ", ..." if len(others) > 3 else ""
        whose.append(f"{count(sum(others.values()), 'job')} of other users ({listed}{more})")
    if not whose:
        return "No jobs run there: the owners of the machines use them, or they are being drained."
    return f"What runs there: {' and '.join(whose)}."


def _circumstances(job: Ad) -> Iterator[str]:
    """Yield what else decides when jobs start: the schedd's limit, and the user's place among others."""
    limits = job.get("ConcurrencyLimits")
    if limits:
        yield f"They count against the concurrency limits {limits}, which may be used up."
    try:
        yield from _negotiator()
        yield from _schedd_limit(str(job.get("GlobalJobId")).partition("#")[0])
        user = str(job.get("User"))
        yield from _priority({user, str(job.get("AccountingGroup") or user)}, user.partition("@")[2])
    except EngineError as error:
        yield f"What priority you have cannot be told: {error}."


def _negotiator() -> Iterator[str]:
    ends = [ad.get("LastNegotiationCycleEnd0") for ad in query_ads("Negotiator")]
    if not ends:
        yield "No negotiator runs in the pool: nothing is matched until one does."
    elif all(isinstance(end, int) and time.time() - end > _LONG_ROUND for end in ends):
        yield f"The negotiator's last round ended {elapsed(max(ends))} ago: it may be stuck, or not run."


def _schedd_limit(name: str) -> Iterator[str]:
    for ad in query_ads("Schedd", f'Name == "{name}"', ["MaxJobsRunning", "TotalRunningJobs"]):
        limit, running = ad.get("MaxJobsRunning"), ad.get("TotalRunningJobs")
        if isinstance(limit, int) and isinstance(running, int) and 0 < limit <= running:
            yield f"The schedd runs as many jobs as it may at once ({limit:,}): others start as those end."


def _priority(users: set[str], domain: str) -> Iterator[str]:
    names = users | {f"{user}@{domain}" for user in users}
    priorities = {
        str(ad.get("Name")): ad.get("Priority") for ad in query_ads("Accounting", projection=["Name", "Priority"])
    }
    mine = next((priorities[name] for name in names if name in priorities), None)
    wanting = {
        str(ad.get("Name"))
        for ad in query_ads("Submitter", projection=["Name", "IdleJobs", "ScheddName"])
        if (ad.get("IdleJobs") or 0) > 0
    }
    others = wanting - names
    if not isinstance(mine, (int, float)):
        return
    text = f"Your user priority is {mine:,.1f} (less is better)"
    if not others:
        yield f"{text}; no other user has jobs waiting."
        return
    better = sum(1 for name in others if isinstance(priorities.get(name), (int, float)) and priorities[name] < mine)
    count = f"{len(others):,} other user{'s' * (len(others) != 1)} {'have' if len(others) != 1 else 'has'} jobs waiting"
    yield f"{text}; {count}, {better or 'none'} of them with a better one."
