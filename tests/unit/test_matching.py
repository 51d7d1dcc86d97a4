"""Why no slot takes a job: pure analysis of ads, evaluated by HTCondor's own library."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from htrun.engines.htcondor import waiting
from htrun.engines.htcondor.bindings import Ad, Evaluator, bindings
from htrun.engines.htcondor.matching import Match, amount, clauses, match, references
from htrun.engines.htcondor.waiting import describe

GIB = 1024
AUTOMATIC = (
    '(TARGET.OpSys == "LINUX") && (versionGE(split(TARGET.CondorVersion)[1],"25.12.0") || (TARGET.Disk >= RequestDisk))'
    " && (TARGET.Memory >= RequestMemory) && (TARGET.HasFileTransfer)"
)
LIMITS = "Start && TARGET.RequestCpus <= MY.Cpus && TARGET.RequestMemory <= MY.Memory && TARGET.RequestDisk <= MY.Disk"


def ad(**attributes: Any) -> Ad:
    """Return an ad; attributes whose names begin with ``x_`` are expressions."""
    module = bindings().classad
    made = module.ClassAd()
    for name, value in attributes.items():
        made[name.removeprefix("x_")] = module.ExprTree(value) if name.startswith("x_") else value
    return Ad(made)


def job(requirements: str = "true", **attributes: Any) -> Ad:
    """Return a job with the requirements that condor_submit makes of some."""
    asked = {"RequestMemory": 100, "RequestDisk": 1000, "RequestCpus": 1, "User": "me@pool", "JobStatus": 1}
    text = f"({requirements}) && {AUTOMATIC}"
    return ad(x_Requirements=text, QDate=int(time.time()) - 150, **{**asked, **attributes})


def slot(number: int = 1, *, memory: int = 4 * GIB, cpus: int = 8, gpus: int = 0, **attributes: Any) -> Ad:
    """Return an empty partitionable slot."""
    has = {
        "Name": f"slot1@node{number}",
        "Machine": f"node{number}",
        "SlotType": "Partitionable",
        "State": "Unclaimed",
        "OpSys": "LINUX",
        "Arch": "X86_64",
        "CondorVersion": "$CondorVersion: 25.14.1 2026-10-16 $",
        "HasFileTransfer": True,
        "ChildRemoteOwner": [],
        "x_Start": "true",
        "x_Requirements": LIMITS,
    }
    for name, total in (("Memory", memory), ("Cpus", cpus), ("Disk", 10**7), ("GPUs", gpus)):
        has[name] = has[f"TotalSlot{name}"] = total
    return ad(**{**has, **attributes})


def compare(a_job: Ad, *slots: Ad) -> Match:
    """Match a job with slots."""
    return match(a_job, list(slots), Ad.emptied, Evaluator())


def said(a_job: Ad, *slots: Ad, components: int = 6) -> str:
    """Return what is said of a job and slots."""
    return describe(compare(a_job, *slots), a_job, components, "scan")


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("a", ["a"]),
        ("", []),
        ("(a && b) && (c)", ["a", "b", "c"]),
        ("((a && (b && c)))", ["a", "b", "c"]),
        ("a && b || c", ["a && b || c"]),
        ("a && (b || c && d)", ["a", "b || c && d"]),
        ("a && (b ? c : d)", ["a", "b ? c : d"]),
        ("a && b ? c : d", ["a && b ? c : d"]),
        ("a =?= b && c =!= d", ["a =?= b", "c =!= d"]),
        ('a == "x && y" && b', ['a == "x && y"', "b"]),
        (r'a == "x\" && (" && b', [r'a == "x\" && ("', "b"]),
        ("'an && attribute' && b", ["'an && attribute'", "b"]),
        ("(a) && (b)", ["a", "b"]),
        ("!(a && b) && member(x, {1 && 2})", ["!(a && b)", "member(x, {1 && 2})"]),
    ],
)
def test_clauses_are_split_where_all_must_be_true(expression: str, parts: list[str]) -> None:
    """An expression falls into parts at ``&&``, with regard to parentheses, strings and weaker operators."""
    assert clauses(expression) == parts


def test_references_are_those_of_the_slot() -> None:
    """Names are a slot's if they say so or the job has none of that name; strings, functions and MY are none."""
    clause = 'TARGET.Arch == "Foo" && MY.Bar && Colour is undefined && size(Mine) > 3 && TARGET.Mine'
    assert references(clause, ad(Mine=1)) == ["Arch", "Colour", "Mine"]
    assert references("size(Mine) > 3", ad(Mine=1)) == []


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (2**20, "1 MiB"), (24105 * 2**20, "23.5 GiB"), (2**50, "1,024 TiB")],
)
def test_amounts_are_never_more_than_they_are(number: int, text: str) -> None:
    """Bytes are written with binary units, cut after a digit."""
    assert amount(number) == text


def test_a_job_that_fits() -> None:
    """With room in a slot the job is up to the negotiator, which is said with the time that it has waited."""
    assert compare(job(), slot()).free == 1
    text = said(job(LastRejMatchReason="no match found", LastRejMatchTime=int(time.time()) - 7500), slot(), slot(2))
    assert text == (
        "6 components have waited for 2 minutes: all of the pool's 2 slots can run them and 2 of them have room now, so the "
        "negotiator may start them in its next round. 2 hours ago it said: no match found."
    )


def test_memory_that_no_slot_has() -> None:
    """A request that is too large is told with the largest that fits and the command that asks for it."""
    assert said(job(RequestMemory=100 * GIB), slot(), slot(2, memory=8 * GIB), components=1) == (
        "1 component waits, and no slot of the pool (2 slots) can ever run it. 100 GiB of memory asked for, but the "
        "largest slot has 8 GiB: 'htrun edit memory scan 8192 --unit MB' asks for that."
    )


def test_the_largest_is_that_of_slots_that_are_fit_otherwise() -> None:
    """A large slot that the job cannot use does not count for what to ask for."""
    large = slot(2, memory=64 * GIB, Arch="aarch64")
    text = said(job('TARGET.Arch == "X86_64"', RequestMemory=100 * GIB), slot(), large)
    assert "the largest slot that is fit otherwise has 4 GiB: 'htrun edit memory scan 4096 --unit MB'" in text


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (
            {"RequestDisk": 10**8},
            "the largest slot has 9.5 GiB: 'htrun edit disk scan 9000000 --unit KB' asks for a little less than that.",
        ),
        ({"RequestCpus": 64}, "64 CPUs asked for, but the largest slot has 8 CPUs: ask for no more than that."),
        ({"RequestGPUs": 1}, "1 GPU asked for, but no slot has any."),
    ],
)
def test_other_requests(request_: dict[str, int], text: str) -> None:
    """Disk, CPUs and GPUs are told as memory is."""
    assert text in said(job(**request_), slot())


def test_requests_that_are_expressions() -> None:
    """A request may be an expression, as that of disk is by default."""
    assert "976.5 GiB of memory" in said(ad(x_Requirements="true", x_RequestMemory="1000 * 1000", User="me"), slot())


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ('TARGET.Arch == "VAX"', 'No slot satisfies the requirement TARGET.Arch == "VAX" (slots have Arch "X86_64").'),
        ("TARGET.HasFoo", "No slot satisfies the requirement TARGET.HasFoo (no slot defines HasFoo)."),
        (
            "Colour > 3 && Arch > 1",
            "requirement Colour > 3 (no slot defines Colour). No slot satisfies the requirement",
        ),
        ("TARGET.Cpus == 1 + TARGET.HasFileTransfer", "(slots have Cpus 8; slots have HasFileTransfer true)"),
        ("false", "No slot satisfies the requirement false."),
        ("TARGET.Foo || TARGET.Bar", "TARGET.Foo || TARGET.Bar (no slot defines Foo; no slot defines Bar)"),
        ("1 / 0", "No slot satisfies the requirement 1 / 0."),
    ],
)
def test_requirements_that_no_slot_satisfies(requirement: str, text: str) -> None:
    """The clause is told, with what slots have of what it asks; undefined and error count as not satisfied."""
    result = said(job(requirement), slot(), slot(2))
    assert text in result
    assert "CondorVersion" not in result
    assert "asked for" not in result


@pytest.mark.parametrize(
    ("needs", "what"),
    [
        ("TARGET.HasContainer && TARGET.HasDockerURL", "containers"),
        ("TARGET.HasContainer && TARGET.HasSIF", "containers"),
        ("TARGET.HasDocker", "Docker images"),
    ],
)
def test_containers_that_no_machine_runs(needs: str, what: str) -> None:
    """What condor_submit asks for a container is told once, in words."""
    text = said(job(needs), slot())
    assert f"can ever run them. No machine of the pool runs {what}: choose another --delivery" in text
    assert "TARGET" not in text


def test_image_files_that_no_machine_runs() -> None:
    """Where there are containers, it is said what is lacking."""
    text = said(job("TARGET.HasContainer && TARGET.HasSIF"), slot(HasContainer=True))
    assert "No machine of the pool runs image files of Singularity: " in text


def test_conditions_that_no_slot_satisfies_together() -> None:
    """If each condition has slots, but all together have none, a smallest set of them is told."""
    small = slot(1, memory=4 * GIB, HasFoo=True)
    large = slot(2, memory=64 * GIB)
    result = compare(job("TARGET.HasFoo && TARGET.Arch =!= 3", RequestMemory=32 * GIB), small, large)
    assert not result.impossible
    assert [(c.clause, c.wanted) for c in result.conflict] == [("", 32 * GIB), ("TARGET.HasFoo", 0)]
    assert said(job("TARGET.HasFoo", RequestMemory=32 * GIB), small, large) == (
        "6 components wait, and no slot of the pool (2 slots) can ever run them: there are slots for each of these, but "
        "none for all of them: 32 GiB of memory (1 slot; the largest slot that is fit otherwise has 4 GiB); "
        "TARGET.HasFoo (1 slot)."
    )


def test_slots_that_refuse_the_job() -> None:
    """A START expression that takes no such job is told as the pool's own."""
    result = said(job(), slot(x_Start='TARGET.User == "somebody@else"'))
    assert "The START expression of every slot refuses the job" in result
    assert "asked for" not in result


def test_other_requirements_of_slots() -> None:
    """Requirements of a slot beyond START count too, whatever they are about."""
    result = compare(job(), slot(x_Requirements="Start && TARGET.WantsThis is true"))
    assert (result.fitting, len(result.impossible)) == (0, 1)


def test_slots_that_are_busy() -> None:
    """A slot that is divided up counts as what it is when empty; those who have it now are told."""
    busy = slot(Memory=4 * GIB, Cpus=0, ChildRemoteOwner=["me@pool", "me@pool", "ann@pool"])
    static = slot(2, SlotType="Static", State="Claimed", RemoteOwner="bob@pool")
    dynamic = slot(3, SlotType="Dynamic", State="Claimed", RemoteOwner="me@pool")
    result = compare(job(), busy, static, dynamic)
    assert (result.slots, result.fitting, result.free) == (2, 2, 0)
    assert result.users == Counter({"me@pool": 2, "ann@pool": 1, "bob@pool": 1})
    assert said(job(), busy, static, dynamic) == (
        "6 components have waited for 2 minutes: all of the pool's 2 slots can run them, but none of them has room now. What "
        "runs there: 2 jobs of yours and 2 jobs of other users (ann 1, bob 1)."
    )


def test_room_that_is_too_small_now() -> None:
    """A slot has room only if what is left of it holds the whole job."""
    assert compare(job(RequestMemory=3 * GIB), slot(Memory=2 * GIB)).free == 0
    assert compare(job(RequestMemory=2 * GIB), slot(Memory=2 * GIB)).free == 1


def test_gpus_in_use_are_no_gpus_that_are_not_there() -> None:
    """What a job requires of its GPUs is compared with all that a slot has, used ones too."""
    module = bindings().classad
    gpu = module.parseOne("Capability = 8.0")
    a_slot = slot(gpus=1, GPUs=0, GPUs_GPU_1=gpu, x_AvailableGPUs="{}", ChildRemoteOwner=["ann@pool"])
    wants = job("countMatches(MY.RequireGPUs, TARGET.AvailableGPUs) >= RequestGPUs", RequestGPUs=1)
    wants.ad["RequireGPUs"] = module.ExprTree("Capability > 7")
    assert (compare(wants, a_slot).fitting, compare(wants, a_slot).free) == (1, 0)
    wants.ad["RequireGPUs"] = module.ExprTree("Capability > 9")
    assert [condition.clause for condition in compare(wants, a_slot).impossible] == [
        "countMatches(MY.RequireGPUs,TARGET.AvailableGPUs) >= RequestGPUs"
    ]


def test_a_pool_without_slots() -> None:
    """A pool in which nothing runs jobs is told as such, and so is one whose slots are all switched off."""
    assert "the pool has no slots now" in said(job())
    assert "the pool has no slots now" in said(job(), slot(SlotType="Dynamic"))
    assert "(1 slot, 1 of them switched off) are switched off" in said(job(), slot(Offline=True))
    assert compare(job(), slot(Offline=True), slot(2)).fitting == 1


def test_many_slots_are_compared_soon() -> None:
    """Thousands of slots take seconds at the most, since every clause is parsed once."""
    slots = [slot(number) for number in range(1000)]
    started = time.process_time()
    assert compare(job("TARGET.Foo"), *slots).impossible
    assert time.process_time() - started < 2


def test_jobs_that_came_back() -> None:
    """A job that has run before and is idle again says so."""
    assert "waited for 2 minutes, having been started before (2 times): the pool's one slot" in said(
        job(NumJobStarts=2), slot()
    )


def test_an_expression_that_cannot_be_parsed_is_not_satisfied() -> None:
    """What the library cannot read counts as undefined rather than ending the command."""
    assert Evaluator()("1 +", job(), slot()) is None


def test_jobs_that_start_while_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where jobs are idle at the first look and gone at the next, that is said, in the place of nothing at all."""
    looks = iter([1, 2])
    monkeypatch.setattr(waiting, "query_jobs", lambda *_: [job(ClusterId=1, ProcId=0, JobStatus=next(looks))])
    monkeypatch.setattr(waiting, "query_ads", lambda *_: [])
    monkeypatch.setattr(waiting, "map_constraint", str)
    directory: Any = SimpleNamespace(read_submissions=list, info={"tag": "t", "options": {}})
    assert waiting.explain(directory) == [
        "The schedd has no idle jobs of this map: they have started, or were held, just now."
    ]
