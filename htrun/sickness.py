"""Which machines are to blame for failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from htrun.runner import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from htrun.records import Record


def sick_machines(records: Iterable[Record]) -> dict[str, tuple[int, str]]:
    """Return the machines on which components have failed that another one has completed at once.

    A component that has failed on several machines, or on the one that has completed it, says nothing of any of them.

    Returns
    -------
    dict of str to (int, str)
        For each machine such a component, and the machine that has completed it.
    """
    sick: dict[str, tuple[int, str]] = {}
    for record in records:
        data = record.data
        machines = {row["node"] for row in record.failures()}
        if data["status"] == wire.COMPLETED and len(machines) == 1 and data["machine"] not in machines:
            sick.setdefault(machines.pop(), (data["component"], data["machine"]))
    return sick
