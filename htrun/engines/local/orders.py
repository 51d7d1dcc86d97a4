"""Orders to the process of a local map: written down, carried out by it, or by whoever gives them if there is none.

An order is a line of a file. The process reads it when it is woken by a signal, carries it out, and says so in the
event log; so an order that was written down is carried out once, whatever is killed on the way.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from htrun.engines.local.events import EventLog, LocalEvents, carried_out, event_log, has_ended, near_end
from htrun.engines.local.pending import unfinished
from htrun.engines.local.process import WAKE, is_alive, send, start, supervising
from htrun.exceptions import EngineError
from htrun.runner.records import drop_torn_line
from htrun.state import fold

if TYPE_CHECKING:
    from pathlib import Path

    from htrun.store import MapDirectory

_PATIENCE_SECONDS = 60.0
_WAKE_SECONDS = 0.25


def give(directory: MapDirectory, order: str, reason: str) -> None:
    """Give an order, and wait until it has been carried out.

    Parameters
    ----------
    directory : MapDirectory
    order : {"hold", "release", "pause", "resume", "vacate", "run"}
        ``run`` starts what was submitted last.
    reason : str

    Raises
    ------
    EngineError
    """
    with directory.lock("orders"):
        position = near_end(directory)
        path = _orders_file(directory)
        drop_torn_line(str(path))
        with path.open("ab") as file:
            file.write(json.dumps({"order": order, "reason": reason}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        number = len(read(directory))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while carried_out(directory, position) < number:
            if not is_alive(directory):
                _carry_out_here(directory)
                continue
            if time.monotonic() > deadline:
                raise EngineError("the process of the map does not answer")
            send(directory, WAKE)
            pause = time.monotonic() + _WAKE_SECONDS
            while carried_out(directory, position) < number and time.monotonic() < pause:
                time.sleep(0.02)


def read(directory: MapDirectory) -> list[dict[str, Any]]:
    """Return all orders that were ever given."""
    try:
        lines = _orders_file(directory).read_bytes()
    except FileNotFoundError:
        return []
    return [_parse(line) for line in lines[: lines.rfind(b"\n") + 1].split(b"\n")[:-1]]


def _parse(line: bytes) -> dict[str, Any]:
    try:
        order = json.loads(line)
        return {"order": str(order["order"]), "reason": str(order["reason"])}
    except (ValueError, KeyError, TypeError):
        return {"order": "", "reason": ""}  # damaged: nothing to do, but it counts


def _orders_file(directory: MapDirectory) -> Path:
    return directory.inner / "orders.jsonl"


def _carry_out_here(directory: MapDirectory) -> None:
    """Carry out what there is to do where no process works on the map."""
    begin = False
    try:
        with supervising(directory):
            submissions = directory.read_submissions()
            ended = has_ended(directory)
            log = EventLog(event_log(directory))
            for order in read(directory)[log.orders :]:
                if order["order"] == "hold":
                    for todo in unfinished(directory, submissions):
                        details = {"reason": order["reason"], "code": 1, "subcode": 0}
                        log.range_event("HELD", 0, submissions[-1].first_job, todo, details)
                    ended = True
                elif order["order"] == "release":
                    log.release(fold({}, LocalEvents(directory).read({})))
                    begin = True
                elif order["order"] in ("run", "resume"):
                    begin = True
                log.order_done()
            begin = begin and bool(unfinished(directory, submissions))
            if ended and not begin:  # else it is there to be carried on, whatever becomes of the start
                log.write("END", submissions=len(submissions))
            log.close()
    except EngineError:
        return  # another process has begun to work on it meanwhile
    if begin:
        start(directory)
