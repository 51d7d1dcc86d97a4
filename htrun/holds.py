"""What usually mends a hold, by the codes of HTCondor's manual, "HoldReasonCode"."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from htrun.view import ComponentHold

_AGAIN = "'htrun release {tag}' tries again."
_REASON = "Mend what the reason names; then " + _AGAIN
_ADMINISTRATORS = "That is for the pool's administrators to mend; later " + _AGAIN

_BY_ERROR = {
    errno.ENOENT: "Put back the file that is not there; then " + _AGAIN,
    errno.EACCES: "Make the file readable, or the directory writable; then " + _AGAIN,
    errno.EPERM: "Make the file readable, or the directory writable; then " + _AGAIN,
    errno.ENOSPC: "A disk is full: make room where the results are or, if it is the execute node's, ask for more with "
    "'htrun edit disk {tag} N'; then " + _AGAIN,
    errno.EDQUOT: "Your quota is used up: delete what you do not need; then " + _AGAIN,
}
_ERROR_WORDS = {
    "no such file": errno.ENOENT,
    "permission denied": errno.EACCES,
    "no space left": errno.ENOSPC,
    "disk quota": errno.EDQUOT,
}

_TRANSFER = "See that the file is there, can be read, and that the disk has room; then " + _AGAIN
_OUTPUT = "See that the map's directory is there and can be written to; then " + _AGAIN
_CREDENTIAL = "Get a new credential, as you would for condor_submit; then " + _AGAIN
_POLICY = "{who} asked for this hold. If the reason does not say why, ask the pool's administrators; then " + _AGAIN
_DURATION = "It ran longer than it may: give a job fewer components with --chunk-size, or let each do less."
_UNDEFINED = "A rule of {who} could not be evaluated for this job: tell the pool's administrators; then " + _AGAIN

_BY_CODE = {
    1: "It was held on request; 'htrun release {tag}' lets it go on.",
    2: _CREDENTIAL,
    3: _POLICY.replace("{who}", "The job's own policy"),
    4: _CREDENTIAL,
    5: _UNDEFINED.replace("{who}", "the job"),
    6: "The program could not be started: the delivery 'shared' needs this Python at the same path on every execute "
    "node, 'assume' a python3 there, 'docker' and 'singularity' an image with /bin/sh. Choose another --delivery or "
    "nodes, or " + _AGAIN,
    7: _OUTPUT,
    8: _TRANSFER,
    9: _OUTPUT,
    10: _TRANSFER,
    11: "The connection broke while files were transferred; " + _AGAIN,
    12: _TRANSFER,
    13: _TRANSFER,
    14: "The directory of the map was moved or deleted, or cannot be entered: put it back, or remove the map with "
    "'htrun remove {tag}'; then " + _AGAIN,
    15: "It was submitted on hold; 'htrun release {tag}' lets it start.",
    16: "Its input is still being copied to the access point; it is released by itself.",
    17: _ADMINISTRATORS,
    18: "The connection broke while files were transferred; " + _AGAIN,
    19: "A hook of the execute node failed. " + _ADMINISTRATORS,
    20: "The time at which it was to start has passed; " + _AGAIN,
    21: _POLICY.replace("{who}", "The execute node's policy"),
    22: _OUTPUT,
    23: "Your account is not known where the job was to run. " + _ADMINISTRATORS,
    24: _ADMINISTRATORS,
    25: "Its time table (cron_...) is wrong: mend it and run the map anew.",
    26: _POLICY.replace("{who}", "The access point's policy"),
    27: _UNDEFINED.replace("{who}", "the access point"),
    28: _ADMINISTRATORS,
    29: _ADMINISTRATORS,
    30: _ADMINISTRATORS,
    31: _ADMINISTRATORS,
    32: "Its input is larger than this pool transfers: put fewer components in a job with --chunk-size, or read large "
    "files from a shared file system with --no-transfer.",
    33: "Its output is larger than this pool transfers: put fewer components in a job with --chunk-size.",
    34: "It used more than it asked for; ask for more with 'htrun edit'; then " + _AGAIN,
    35: "The container's image cannot be used: check its name, and that the execute nodes may fetch it; then " + _AGAIN,
    36: "Its checkpoint could not be stored: see that the place is there and has room; then " + _AGAIN,
    43: "What runs before the job on the execute node failed. " + _REASON,
    44: "What runs after the job on the execute node failed. " + _REASON,
    45: "Singularity did not work on the execute node. " + _ADMINISTRATORS,
    46: _DURATION,
    47: _DURATION,
    48: "A hook of the access point failed. " + _ADMINISTRATORS,
} | dict.fromkeys(range(37, 43), "The cloud service refused it. " + _REASON)

_LIMITED = (3, 21, 26, 34)
"""The codes of holds for using more than was asked for: only the reason says of what."""
_MEMORY_LIMIT = re.compile(r"memory limit of (\d+) (?:megabytes|MB)", re.IGNORECASE)


def advice(hold: ComponentHold, tag: str) -> str:
    """Return what usually mends a hold, in a sentence or two with the commands for it.

    Parameters
    ----------
    hold : ComponentHold
    tag : str
        The map's.
    """
    return _advice(hold).replace("{tag}", tag)


def _advice(hold: ComponentHold) -> str:
    code, reason = hold.code, hold.reason
    if code in _LIMITED:
        exceeded = _exceeded(reason)
        if exceeded:
            return exceeded
    if code in (6, 7, 8, 9, 10, 12, 13, 14, 22):
        number = next((n for words, n in _ERROR_WORDS.items() if words in reason.lower()), hold.subcode)
        # Without the program there is no process either, which is a matter of the delivery.
        if code in (12, 13) or (code != 6 and number in (errno.ENOSPC, errno.EDQUOT)):
            return _BY_ERROR.get(number or 0, _BY_CODE[code])
    return _BY_CODE.get(code or 0, _REASON)


def _exceeded(reason: str) -> str | None:
    """Return what mends that more was used than asked for, if a reason says so."""
    words = reason.lower()
    if "memory" in words:
        limit = _MEMORY_LIMIT.search(reason)
        number = str(2 * int(limit[1])) if limit else "N"
        return f"It needs more memory: 'htrun edit memory {{tag}} {number} --unit MB' asks for it; then {_AGAIN}"
    if "disk" in words or "scratch" in words:
        return f"It needs more disk: 'htrun edit disk {{tag}} N' asks for it; then {_AGAIN}"
    if "cpu" in words:
        return f"It used more CPUs than it asked for: let the function start fewer threads or processes; then {_AGAIN}"
    if any(word in words for word in ("runtime", "run time", "too long", "wall")):
        return _DURATION
    return None
