"""What mends a hold."""

from __future__ import annotations

import re

import pytest

from htrun.holds import advice
from htrun.reports import hold_lines
from htrun.view import ComponentHold


def told(code: int | None, subcode: int | None = None, reason: str = "Error from slot1@node: something") -> str:
    """Return the advice for a hold of the map ``scan``."""
    return advice(ComponentHold(code, reason, subcode, 0), "scan")


@pytest.mark.parametrize("code", [None, *range(49), 1000])
def test_every_code_has_advice(code: int | None) -> None:
    """Whatever the code, there is a sentence that ends in a full stop, with nothing left to fill in."""
    text = told(code)
    assert text.endswith(".")
    assert "{" not in text
    assert all(tag == "scan" for tag in re.findall(r"'htrun \w+(?: memory| disk)? (\S+?)(?: [^']*)?'", text))


@pytest.mark.parametrize(
    ("code", "subcode", "reason", "text"),
    [
        (1, 0, "via condor_hold (by user ann)", "held on request; 'htrun release scan' lets it go on"),
        (12, 28, "Transfer output files failure", "make room"),
        (13, 2, "Transfer input files failure", "Put back the file that is not there"),
        (13, 0, "reading from file /a/b: (errno 13) Permission denied", "Make the file readable"),
        (13, 0, "curl failed", "See that the file is there"),
        (6, 2, "Failed to execute '/x/python'", "--delivery"),
        (14, 2, "Cannot access initial working directory", "moved or deleted"),
        (35, 0, "no such image", "container's image"),
        (46, 0, "The job exceeded allowed job duration", "--chunk-size"),
        (47, 0, "The job exceeded allowed execute duration", "--chunk-size"),
        (32, 0, "too large", "--no-transfer"),
        (26, 0, "because of the site", "access point's policy"),
        (21, 0, "WANT_HOLD", "execute node's policy"),
        (99, 0, "who knows", "Mend what the reason names"),
    ],
)
def test_what_the_advice_says(code: int, subcode: int, reason: str, text: str) -> None:
    """The advice is that for the code, and where the kind of error matters, for that."""
    assert text in told(code, subcode, reason)


@pytest.mark.parametrize("code", [3, 21, 26, 34])
def test_too_much_memory_asks_for_twice_the_limit(code: int) -> None:
    """Whoever held it for its memory: the limit in HTCondor's words gives the number for the command."""
    reason = (
        "Error from slot1@n: Job has gone over cgroup memory limit of 128 megabytes. Last measured usage: 121 megabytes"
    )
    assert "'htrun edit memory scan 256 --unit MB'" in told(code, 102, reason)
    assert "'htrun edit memory scan N --unit MB'" in told(code, 102, "memory usage exceeded request_memory")


def test_too_much_of_other_things() -> None:
    """Disk, CPUs and time have advice of their own, though the code is the same."""
    assert "'htrun edit disk scan N'" in told(21, 104, "disk usage exceeded request_disk")
    assert "fewer threads" in told(21, 101, "cpu usage exceeded request_cpus")
    assert "--chunk-size" in told(26, 0, "ran too long")


def test_reasons_that_differ_in_the_slot_are_told_once() -> None:
    """An image that no slot can fetch is one trouble, whatever the slots are called; another file is another one."""
    pull = "Error from {}: Cannot pull image python:nope"
    slots = ["slot1_1@a.org", "slot1_2@a.org", "slot1@b", "slot1_1@a.org"]
    holds = [ComponentHold(35, pull.format(slot), 0, number) for number, slot in enumerate(slots)]
    holds += [ComponentHold(35, "Error from slot1_1@a.org: Cannot pull image other:nope", 0, 4)]
    assert list(hold_lines(holds)) == [
        "components 0-3: Error from slot1_1@a.org: Cannot pull image python:nope [code 35.0] (2 other slots say so too)",
        "component 4: Error from slot1_1@a.org: Cannot pull image other:nope [code 35.0]",
    ]
    assert list(hold_lines(holds[1:3])) == [
        "components 1-2: Error from slot1_2@a.org: Cannot pull image python:nope [code 35.0] (1 other slot says so too)"
    ]
