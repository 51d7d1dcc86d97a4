"""Why no slot of a pool takes a job: which of the job's conditions the slots do not satisfy.

It looks at each slot as it is when nothing runs on it: what does not fit then never will. How expressions are
evaluated is given to it, so that it needs no bindings.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Evaluate = Callable[[str, Any, Any], Any]
    """Evaluates an expression with an ad as MY and another one as TARGET."""


class Ad(Protocol):
    """The part of a ClassAd's interface that is needed here; a dict has it too."""

    def get(self, name: str, default: Any = None, /) -> Any:
        """Return the value of an attribute."""
        ...


AnyAd = TypeVar("AnyAd", bound=Ad)


@dataclass(frozen=True)
class Resource:
    """Something that jobs ask for and slots have.

    Attributes
    ----------
    name : str
        As people call it.
    attribute : str
        What a slot has of it at present; ``Request`` before it is what a job asks for, ``TotalSlot`` before it what the
        slot has when nothing runs on it.
    unit : int
        How many bytes the numbers are of; 0 if they count things.
    """

    name: str
    attribute: str
    unit: int = 0

    def text(self, number: float) -> str:
        """Return an amount as people read it: ``4.0 GiB of memory``, ``1 CPU``."""
        return f"{self.amount(number)} of {self.name}" if self.unit else self.amount(number)

    def amount(self, number: float) -> str:
        """Return the same without the name where the unit tells: ``4.0 GiB``, ``1 CPU``."""
        return amount(number * self.unit) if self.unit else f"{number:,g} {self.name}{'s' * (number != 1)}"


RESOURCES = (
    Resource("memory", "Memory", 2**20),
    Resource("disk", "Disk", 2**10),
    Resource("CPU", "Cpus"),
    Resource("GPU", "GPUs"),
)
# condor_submit appends these to the requirements of a job; a request says the same in a way that can be explained.
_AUTOMATIC = re.compile(
    r"(?:versionGE\([^|&]*\)\s*\|\|\s*)?\(?\s*(?:TARGET\.)?(Memory|Disk|Cpus|GPUs) >= (?:MY\.)?Request\1\s*\)?",
    re.IGNORECASE,
)
_REFERENCE = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<my>MY\.\w+)|(?:TARGET\.)?(?P<name>\b[A-Za-z_]\w*)\b(?!\s*\()', re.IGNORECASE
)
_WORDS = {"true", "false", "undefined", "error", "is", "isnt", "my", "target", "parent"}
_SHOWN_VALUES = 3
_MAX_VALUE = 60


def amount(number: float) -> str:
    """Return a number of bytes with a binary unit, never more than it is."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        del units[0]
    return f"{number:,.0f} {units[0]}" if number == int(number) else f"{int(number * 10) / 10:,.1f} {units[0]}"


def clauses(expression: str) -> list[str]:
    """Return the parts of an expression that must all be true, without the parentheses around them.

    Parameters
    ----------
    expression : str
        A ClassAd expression.

    Returns
    -------
    list of str
        The expression itself where it has no ``&&``, or one that is below an operator that binds less.
    """
    text = _bare(expression.strip())
    parts, start, loose = [], 0, False
    for position, depth in _walk(text):
        if depth:
            continue
        if text.startswith("&&", position):
            parts.append(text[start:position])
            start = position + 2
        elif text.startswith("||", position) or (text[position] == "?" and text[position - 1 : position] != "="):
            loose = True
    if loose or not parts:
        return [text] if text else []
    parts.append(text[start:])
    return [clause for part in parts for clause in clauses(part)]


def _walk(text: str) -> Iterator[tuple[int, int]]:
    """Yield each position that is not in a quoted string, with how many brackets are open before it."""
    depth, quote, escaped = 0, "", False
    for position, character in enumerate(text):
        if quote:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == quote:
                quote = ""
            continue
        if character in "\"'":
            quote = character
            continue
        if character in ")]}":
            depth -= 1
        yield position, depth
        if character in "([{":
            depth += 1


def _bare(text: str) -> str:
    """Return text without parentheses around the whole of it."""
    while text.startswith("(") and text.endswith(")"):
        closing = next((p for p, depth in _walk(text) if text[p] == ")" and depth == 0), None)
        if closing != len(text) - 1:
            break
        text = text[1:-1].strip()
    return text


def references(clause: str, job: Ad) -> list[str]:
    """Return the attributes of a slot that a clause speaks of; those without a scope are the job's if it has them."""
    found: dict[str, None] = {}
    for match in _REFERENCE.finditer(clause):
        name = match["name"]
        explicit = match[0].upper().startswith("TARGET.")
        if name and name.lower() not in _WORDS and (explicit or job.get(name) is None):
            found.setdefault(name)
    return list(found)


@dataclass(frozen=True)
class Condition:
    """Something that a slot must satisfy to run a job.

    Attributes
    ----------
    slots : int
        Which slots do, as a bit each.
    clause : str
        The part of the requirements that it is; empty for others.
    resource : Resource or None
        What it is a request of.
    wanted, largest, usable : float
        How much is asked for, the most that a slot has, and the most that one has which satisfies all the rest.
    seen : mapping of str to sequence of str
        Of the attributes of the clause, what slots have, the commonest first; nothing if none has it.
    """

    slots: int
    clause: str = ""
    resource: Resource | None = None
    wanted: float = 0
    largest: float = 0
    usable: float = 0
    seen: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Match:
    """What the slots of a pool are to a job.

    Attributes
    ----------
    slots, machines : int
        How many there are; of a partitionable slot, those that it was divided into do not count.
    offline : int
        How many of the slots are switched off.
    impossible : list of Condition
        Those that no slot satisfies.
    conflict : list of Condition
        If no slot satisfies all: a smallest set of conditions of which that is true already.
    fitting : int
        How many slots would run it if nothing else ran there.
    free : int
        How many of them have room now.
    users : Counter of str
        Who has the others, by how many jobs.
    """

    slots: int
    machines: int
    offline: int
    impossible: list[Condition]
    conflict: list[Condition]
    fitting: int
    free: int
    users: Counter[str]


def is_true(value: Any) -> bool:
    """Tell whether an evaluated requirement is satisfied: undefined and error are not."""
    return value is True or (type(value) in (int, float) and value != 0)


def match(job: AnyAd, slots: Sequence[AnyAd], empty: Callable[[AnyAd], AnyAd], evaluate: Evaluate) -> Match:
    """Compare a job with the slots of a pool.

    Parameters
    ----------
    job : Ad
    slots : sequence of Ad
        Those that others were divided into are left out.
    empty : callable
        Returns a slot's ad as it is when nothing runs on it; see ``emptied``.
    evaluate : callable
    """
    slots = [slot for slot in slots if slot.get("SlotType") != "Dynamic"]
    working = [slot for slot in slots if slot.get("Offline") is not True]
    bare = [empty(slot) for slot in working]
    conditions = list(_requests(job, bare))
    for clause in clauses(str(job.get("Requirements", "true"))):
        if not _AUTOMATIC.fullmatch(clause):
            mask = _mask(is_true(evaluate(clause, job, slot)) for slot in bare)
            conditions.append(Condition(mask, clause))
    # What START leaves of the slots; the rest of a slot's requirements is about room, which the requests tell better.
    starts = _mask(slot.get("Start") is None or is_true(evaluate("Start", slot, job)) for slot in bare)
    conditions.append(Condition(starts))
    everything = (1 << len(bare)) - 1
    conditions = [_usable(condition, conditions, bare) for condition in conditions]
    fitting = _common(conditions, everything)
    if fitting:
        takes = _mask(slot.get("Requirements") is None or is_true(evaluate("Requirements", slot, job)) for slot in bare)
        conditions.append(Condition(takes))
        fitting &= takes
    chosen = [working[n] for n in range(len(working)) if fitting >> n & 1]
    free = [slot for slot in chosen if _is_free(slot, job, evaluate)]
    impossible = [
        replace(condition, seen=_seen(condition.clause, job, bare, evaluate))
        for condition in conditions
        if bare and not condition.slots
    ]
    return Match(
        slots=len(slots),
        machines=len({slot.get("Machine") or slot.get("Name") for slot in slots}),
        offline=len(slots) - len(working),
        impossible=impossible,
        conflict=_smallest(conditions, everything) if bare and not fitting and not impossible else [],
        fitting=len(chosen),
        free=len(free),
        users=Counter(user for slot in chosen if slot not in free for user in _users(slot)),
    )


def emptied(slot: Ad) -> dict[str, Any]:
    """Return which attributes of a slot are others when nothing runs on it."""
    if slot.get("SlotType") != "Partitionable":
        return {}
    values = {}
    for resource in RESOURCES:
        total = slot.get(f"TotalSlot{resource.attribute}")
        if total is not None:
            values[resource.attribute] = total
    return values


def _requests(job: Ad, slots: Sequence[Ad]) -> Iterator[Condition]:
    for resource in RESOURCES:
        wanted = job.get(f"Request{resource.attribute}")
        if type(wanted) not in (int, float) or wanted <= 0:
            continue
        has = [_number(slot.get(resource.attribute)) for slot in slots]
        mask = _mask(number >= wanted for number in has)
        yield Condition(mask, resource=resource, wanted=wanted, largest=max(has, default=0))


def _usable(condition: Condition, conditions: Sequence[Condition], slots: Sequence[Ad]) -> Condition:
    """Return a request with the most that would be satisfied, by the slots that satisfy all other conditions."""
    resource = condition.resource
    if resource is None:
        return condition
    rest = _common([other for other in conditions if other is not condition], -1)
    most = max((_number(slot.get(resource.attribute)) for n, slot in enumerate(slots) if rest >> n & 1), default=0)
    return replace(condition, usable=most)


def _number(value: Any) -> float:
    return value if type(value) in (int, float) else 0


def _seen(clause: str, job: Ad, slots: Sequence[Ad], evaluate: Evaluate) -> dict[str, list[str]]:
    result = {}
    for name in references(clause, job):
        counts = Counter(_value(slot, name, evaluate) for slot in slots if slot.get(name) is not None)
        result[name] = [text for text, _ in counts.most_common(_SHOWN_VALUES + 1)]
    return result


def _value(slot: Ad, name: str, evaluate: Evaluate) -> str:
    value = evaluate(name, slot, slot)
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 3] + "..."


def _is_free(slot: Ad, job: Ad, evaluate: Evaluate) -> bool:
    """Tell whether a slot that fits takes the job as it is now, with what runs on it."""
    if slot.get("SlotType") != "Partitionable" and slot.get("State") not in ("Unclaimed", None):
        return False
    for resource in RESOURCES:
        wanted = job.get(f"Request{resource.attribute}")
        if type(wanted) in (int, float) and wanted > _number(slot.get(resource.attribute)):
            return False
    mine = is_true(evaluate(str(job.get("Requirements", "true")), job, slot))
    return mine and (slot.get("Requirements") is None or is_true(evaluate("Requirements", slot, job)))


def _users(slot: Ad) -> list[str]:
    divided = slot.get("SlotType") == "Partitionable"
    names = slot.get("ChildRemoteOwner") if divided else [slot.get("RemoteOwner")]
    if not isinstance(names, list):
        return []
    return [str(name) for name in names if isinstance(name, str) and name]


def _mask(answers: Iterable[bool]) -> int:
    result = 0
    for number, answer in enumerate(answers):
        result |= answer << number
    return result


def _common(conditions: Sequence[Condition], slots: int) -> int:
    for condition in conditions:
        slots &= condition.slots
    return slots


def _smallest(conditions: Sequence[Condition], everything: int) -> list[Condition]:
    """Return conditions that no slot satisfies together, and that some would if any one of them was left out."""
    kept = list(conditions)
    for condition in conditions:
        others = [other for other in kept if other is not condition]
        if not _common(others, everything):
            kept = others
    return kept
