"""What the process of a local map does."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.engines.local import orders, remote
from htrun.engines.local.events import EventLog, LocalEvents, event_log
from htrun.engines.local.pending import read_attempts, unfinished
from htrun.engines.local.process import MAX_WORKERS, STOP, WAKE, identify, usable_cpus
from htrun.exceptions import EngineError, MapWasRemoved
from htrun.outputs import move
from htrun.runner import wire
from htrun.runner.attempts import Attempts
from htrun.runner.calls import Calls
from htrun.runner.files import remove_tree
from htrun.runner.outputs import refuse_directory
from htrun.runner.spec import Spec
from htrun.runner.supervisor import Supervisor
from htrun.state import fold
from htrun.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from htrun.store import MapDirectory
    from htrun.submissions import Submission


def cpus_each(directory: MapDirectory) -> int:
    """Return how many CPUs a component of a map asks for, at the most."""
    fixed = directory.submit_options.get("request_cpus", "1")
    asked = directory.variadic_options.get("request_cpus", [fixed])
    # What is an expression can be told by HTCondor only.
    return max((int(value) for value in set(asked) if value.isdecimal()), default=1) or 1


def work(directory: MapDirectory) -> bool:
    """Run what is left of a map; return False if a signal stopped it for good."""
    info = directory.info
    options = info["options"]
    most = min(MAX_WORKERS, options.get("max_running", MAX_WORKERS))
    workers = min(most, options.get("workers") or max(1, usable_cpus() // cpus_each(directory)))
    log = EventLog(event_log(directory))

    def file(identifier: str) -> str:
        return str(directory.files[identifier]["path"])

    def stop_if_deleted() -> None:
        if not log.is_there():
            supervisor.stop()  # before it does anything to another map that is made in the same place

    def on_event(kind: str, slot: int, components: tuple[int, int], details: dict[str, Any]) -> None:
        stop_if_deleted()
        log.range_event(kind, slot, int(os.path.basename(supervisor.slots[slot].records)), components, details)  # noqa: PTH119

    submit_options = directory.submit_options
    submissions = directory.read_submissions()
    todo = unfinished(directory, submissions)
    first_job = submissions[-1].first_job
    attempts = Attempts(options.get("retries", 0), node=os.uname().nodename)
    read_attempts(directory, submissions, attempts)
    supervisor = Supervisor(
        Spec(
            info["target"]["reference"],
            str(directory.sources),
            file,
            attempts=attempts,
            timeout=options.get("timeout"),
            checkpoints=str(directory.checkpoints),
            holds=True,
            remaps=directory.remaps,
            send=lambda path, destination: _send(path, destination, submit_options),
            fetch=lambda url, path: remote.fetch(url, path, submit_options),
            python=info["versions"]["python"],
            packages=_packages(directory),
        ),
        Calls(str(directory.calls), directory.offsets(), range(directory.components)),
        todo,
        [(str(directory.job(first_job + n)), str(directory.inner / wire.SCRATCH / str(n))) for n in range(workers)],
        chunk_size=options.get("chunk_size"),
        max_failures=options.get("max_failures", 0),
        on_event=on_event,
        on_fork=_die_with_parent(),
        on_wake=lambda: _carry_out_orders(directory, submissions, supervisor, log),
        on_look=stop_if_deleted,
    )
    interrupted = []

    def interrupt(number: int, _: Any) -> None:
        interrupted.append(number)
        supervisor.stop()

    for number in (STOP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
    signal.signal(WAKE, lambda *_: None)
    log.write("START", pid=os.getpid(), workers=min(workers, sum(stop - start for start, stop in todo)))
    identify(directory)
    supervisor.run()
    if not log.is_there():
        raise MapWasRemoved(info["tag"])
    remove_tree(str(directory.inner / wire.SCRATCH))
    if interrupted and STOP not in interrupted:
        raise EngineError(f"its process was ended by {signal.Signals(interrupted[0]).name}")
    log.write("END", submissions=len(submissions))
    return not interrupted


def _send(path: str, destination: str, options: Mapping[str, str]) -> None:
    if is_url(destination):
        refuse_directory(path)
        remote.send(path, destination, options)
    else:
        move(Path(path), Path(destination))


def _packages(directory: MapDirectory) -> str | None:
    """Return the directory of the packages that were brought along: the cache's, or one that is the map's own."""
    runner = directory.delivered["runner"]
    if "packages" not in runner:
        return None
    if os.path.isdir(runner["installed"]):  # noqa: PTH112 (a text, as it goes on sys.path)
        return str(runner["installed"])
    from htrun.runner.packages import unpack  # only now: the cache has them unless it was cleared

    unpacked = str(directory.inner / wire.PACKAGES)
    unpack(str(directory.delivery / runner["packages"]), unpacked, directory.info["versions"]["python"])
    return unpacked


def _carry_out_orders(
    directory: MapDirectory, submissions: list[Submission], supervisor: Supervisor, log: EventLog
) -> None:
    """Carry out what orders there are; what was submitted since is added to the submissions that are known."""
    for order in orders.read(directory)[log.orders :]:
        if order["order"] == "pause":
            supervisor.pause()
        elif order["order"] == "resume":
            supervisor.resume()
        elif order["order"] == "vacate":
            supervisor.vacate()
        elif order["order"] == "hold":
            supervisor.hold(order["reason"])
        elif order["order"] == "release":
            supervisor.add(log.release(fold({}, LocalEvents(directory).read({}))))
        elif order["order"] == "run":
            for submission in directory.read_submissions()[len(submissions) :]:
                submissions.append(submission)
                for slot in supervisor.slots:
                    supervisor.spec.attempts.read(slot.directory)  # or else they would be read when they are forgotten
                    slot.directory = str(directory.job(submission.first_job + slot.number))
                for start, stop in submission.components:
                    supervisor.spec.attempts.forget(range(start, stop))
                supervisor.add(submission.components)
        log.order_done()


def _die_with_parent() -> Any:
    """Return what a worker calls first, so that a kill of its parent ends it too (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def request() -> None:
        prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return request
