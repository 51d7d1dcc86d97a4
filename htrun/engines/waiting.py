"""Why the jobs of a map wait in an HTCondor queue, in words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from htrun.engines.bindings import Ad, Evaluator, query_ads, query_jobs
from htrun.engines.matching import match
from htrun.engines.submission import map_constraint
from htrun.engines.words import count, elapsed
from htrun.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from htrun.engines.matching import Condition, Match
    from htrun.store import MapDirectory

_IDLE = 1
_MAX_GROUPS = 3
_REQUESTS = ("RequestMemory", "RequestDisk", "RequestCpus", "RequestGPUs")
_GROUPED_BY = ("Requirements", "ConcurrencyLimits", *_REQUESTS)


def explain(directory: MapDirectory) -> list[str]:
    """Return why the idle jobs of a map are, a paragraph a cause; raises EngineError."""
    names = ["ClusterId", "ProcId", "JobStatus", "QDate", *_GROUPED_BY]
    jobs = query_jobs(map_constraint(directory), names)
    if not jobs:
        return ["The schedd has no jobs of this map: they have ended just now, or were removed, or its queue was lost."]
    idle = [job for job in jobs if job.get("JobStatus") == _IDLE]
    if not idle:
        return ["The schedd has no idle jobs of this map: they have started, or were held, just now."]
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
    return paragraphs


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
    pool = f"{match.slots:,} slot{'s' * (match.slots != 1)}"
    if not match.slots:
        return f"{who}: the pool has no slots at present; its execute nodes are off, or do not reach its collector."
    if match.offline == match.slots:
        return f"{who}: all {pool} of the pool are switched off (offline) at present."
    if match.impossible:
        causes = " ".join(_impossible(condition, tag) for condition in match.impossible)
        return f"{who}, and no slot of the pool ({pool}) can run {_them(components)}. {causes}"
    if match.conflict:
        causes = "; ".join(_wish(condition) for condition in match.conflict)
        return (
            f"{who}, and no slot of the pool ({pool}) can run {_them(components)}: each of these is satisfied by some, "
            f"but no slot satisfies all of them: {causes}."
        )
    if match.fitting == match.slots:
        able = f"each of the pool's {pool}" if match.slots > 1 else "the pool's one slot"
    else:
        able = f"{match.fitting:,} of the pool's {pool}"
    have = "has" if components == 1 else "have"
    who = f"{count(components, 'component')} {have} waited for {elapsed(job.get('QDate'))}"
    if not match.free:
        return f"{who}: {able} can run {_them(components)}, but has no room now.{_busy(match, job)}"
    said = job.get("LastRejMatchReason")
    seen = f" It last said, {elapsed(job.get('LastRejMatchTime'))} ago: {said}." if said else ""
    has = f"{match.free:,} of them has" if match.fitting > 1 else "it has"
    turn = "it is for the negotiator's next round to match them"
    return f"{who}: {able} can run {_them(components)}, and {has} room: {turn}.{seen}"


def _them(components: int) -> str:
    return "it" if components == 1 else "them"


def _impossible(condition: Condition, tag: str) -> str:
    resource = condition.resource
    if resource is not None:
        wanted = resource.text(condition.wanted)
        if not condition.largest:
            return f"It asks for {wanted}: no slot has any."
        text = f"It asks for {wanted}, the largest slot has {resource.text(condition.largest)}"
        command = {"Memory": "memory", "Disk": "disk"}.get(resource.attribute)
        if command is None:
            return f"{text}: ask for no more."
        unit = {"Memory": "MB", "Disk": "KB"}[resource.attribute]
        return f"{text}: 'htrun edit {command} {tag} {int(condition.largest)} --unit {unit}' asks for that."
    if not condition.clause:
        return "The START expression of every slot refuses the job: ask the pool's administrators who may run there."
    return f"No slot satisfies the requirement {condition.clause}{_seen(condition)}."


def _seen(condition: Condition) -> str:
    phrases = []
    for name, values in condition.seen.items():
        shown = ", ".join(values[:3]) + (", ..." if len(values) > 3 else "")
        phrases.append(f"slots have {name} {shown}" if values else f"no slot defines {name}")
    return f" ({'; '.join(phrases[:4])})" if phrases else ""


def _wish(condition: Condition) -> str:
    number = condition.slots.bit_count()
    by = f"{number:,} slot{'s' * (number != 1)}"
    if condition.resource is not None:
        return f"{condition.resource.text(condition.wanted)} ({by})"
    return f"{condition.clause or 'a START expression that takes the job'} ({by})"


def _busy(match: Match, job: Any) -> str:
    mine = str(job.get("User", "")).partition("@")[0]
    own = sum(n for name, n in match.users.items() if name.partition("@")[0] == mine)
    others = sum(match.users.values()) - own
    whose = []
    if own:
        whose.append(f"{own:,} job{'s' * (own != 1)} of yours")
    if others:
        names = Counter({name: n for name, n in match.users.items() if name.partition("@")[0] != mine})
        listed = ", ".join(f"{name.partition('@')[0]} {n:,}" for name, n in names.most_common(3))
        whose.append(f"{others:,} of other users ({listed}{', ...' * (len(names) > 3)})")
    return f" They run {' and '.join(whose)}." if whose else " They are in use by their owners, or draining."


def _circumstances(job: Ad) -> Iterator[str]:
    """Yield what else decides when jobs start: the schedd's limit, and the user's place among others."""
    limits = job.get("ConcurrencyLimits")
    if limits:
        yield f"They count against the concurrency limits {limits}, which may be used up."
    try:
        yield from _schedd_limit(str(job.get("GlobalJobId")).partition("#")[0])
        user = str(job.get("User"))
        yield from _priority({user, str(job.get("AccountingGroup") or user)}, user.partition("@")[2])
    except EngineError as error:
        yield f"What priority you have cannot be told: {error}."


def _schedd_limit(name: str) -> Iterator[str]:
    for ad in query_ads("Schedd", f'Name == "{name}"', ["MaxJobsRunning", "TotalRunningJobs"]):
        limit, running = ad.get("MaxJobsRunning"), ad.get("TotalRunningJobs")
        if isinstance(limit, int) and isinstance(running, int) and 0 < limit <= running:
            yield f"The schedd runs as many jobs as it may at once ({limit:,}): others start as those end."


def _priority(users: set[str], domain: str) -> Iterator[str]:
    names = users | {f"{user}@{domain}" for user in users}
    priorities = {str(ad.get("Name")): ad.get("Priority") for ad in query_ads("Accounting")}
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
