"""How much to ask for, by what was used before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from htrun.options import SIZED
from htrun.policy import AUTO

if TYPE_CHECKING:
    from htrun.history import Knowledge
    from htrun.options import MapOptions

_HEADROOM = 1.2
"""The next inputs may need more, and a job is somewhat more than its component: the runner is in it too."""
_LEAST_MEMORY_MB = 128
"""What HTCondor's jobs get if they ask for nothing, and machines divide their memory by."""
_LEAST_DISK_MB = 1024
"""What HTCondor's jobs ask for by themselves, besides the size of their input files."""
_RETRY = "retry_request_memory"
_TWICE = "RequestMemory * 2"


def memory_mb(used: float) -> int:
    """Return how many MB of memory to ask for where so many MiB were used: a fifth more in two digits, 128 at least."""
    return max(_LEAST_MEMORY_MB, _rounded(_HEADROOM * used))


def disk_mb(used_kb: float) -> int:
    """Return how many MB of disk space to ask for where so many KiB were used, as ``memory_mb`` does."""
    return _rounded(_HEADROOM * used_kb / 1024)


def is_usual_disk(used_kb: float) -> bool:
    """Tell whether what HTCondor's jobs ask for by themselves is enough where so many KiB were used."""
    return disk_mb(used_kb) <= _LEAST_DISK_MB


def _rounded(amount: float) -> int:
    """Return an amount rounded up to two digits: what was measured is not more certain than that."""
    step = int(10 ** max(0, math.floor(math.log10(max(amount, 1))) - 1))
    return max(1, math.ceil(amount / step) * step)


def is_auto(options: MapOptions) -> bool:
    """Tell whether an amount in the options is to be found out."""
    return any(options.get(key) == AUTO for key in SIZED)


def settle(options: MapOptions, known: Knowledge | None, target: str) -> list[str]:
    """Put amounts in the place of ``auto`` in the options of a map; return in words what was chosen, and why.

    A job that runs out of memory is to start again with more, unless the options say what is to become of it.

    Parameters
    ----------
    options : MapOptions
        They are changed.
    known : Knowledge or None
        What is known of the target.
    target : str
        What it is called.
    """
    notes = []
    if options.get("request_memory") == AUTO:
        notes.append(_settle_memory(options, known, target))
    if options.get("request_disk") == AUTO:
        notes.append(_settle_disk(options, known, target))
    return notes


def _settle_memory(options: MapOptions, known: Knowledge | None, target: str) -> str:
    del options["request_memory"]
    again = _TWICE
    if known is None:
        note = f"request_memory: the pool's default (auto: nothing is known of {target} yet)"
    else:
        amount = memory_mb(known.memory_mb.p95)
        options["request_memory"] = f"{amount}MB"
        most = memory_mb(known.memory_mb.max)
        if most > 2 * amount:
            again = f"MAX({{{_TWICE}, {most}}})"
        some = "" if known.memory_mb.p95 == known.memory_mb.max else "95 % of "
        used = f"{some}{_components(known, target)} used at most {known.memory_mb.p95:,.0f} MB"
        note = f"request_memory = {amount}MB (auto: {used})"
    if not any(key.startswith(_RETRY) for key in options):
        options[_RETRY] = again
        note += f"; {_RETRY} = {again}"
    return note


def _settle_disk(options: MapOptions, known: Knowledge | None, target: str) -> str:
    del options["request_disk"]
    if known is None:
        return f"request_disk: the pool's default (auto: nothing is known of {target} yet)"
    used_kb = 0 if known.disk_kb is None else known.disk_kb.max
    why = f"auto: {_components(known, target)} used at most {used_kb / 1024:,.0f} MB"
    if is_usual_disk(used_kb):
        return f"request_disk: the pool's default ({why})"
    amount = disk_mb(used_kb)
    # The copies of input files that components work on were measured, but not the ones that the job brings along.
    options["request_disk"] = f"TransferInputSizeMB * 1024 + {1024 * amount}"
    return f"request_disk = {amount}MB and the size of the input files ({why})"


def _components(known: Knowledge, target: str) -> str:
    before = "" if known.is_current else ", before its source changed,"
    return f"{known.components:,} component{'s' * (known.components != 1)} of {target}{before}"
