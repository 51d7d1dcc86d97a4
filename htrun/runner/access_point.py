"""Securing what a job has got so far at its access point, for the case that its machine fails without a warning.

HTCondor brings back the files of a job that ends or is vacated, but not of one whose machine is gone. Through Chirp, a
job can write to its directory at the access point while it runs (condor_submit(1), "want_io_proxy").
"""

from __future__ import annotations

import contextlib
import os
import time

from . import wire
from .capture import file_size
from .files import remove_tree

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

# In this order: what a record speaks of is there before it.
_LOGS = (wire.STDOUT, wire.STDERR, wire.ATTEMPTS, wire.RECORDS)
_SIDE_FILES = (wire.SIDE_FILE, wire.OUTPUT_FILE, wire.REMAP)
_MAX_BYTES = 64 << 20
"""How much of side files may have to be sent twice: now, and when the job ends."""
_EVERY_SECONDS = 2.0
_LOST_SHARE = 0.05
"""What share of a job's time may be lost with its machine; so a long job is not for ever sending."""
_PART = ".part"
_BLOCK = 1 << 20


class AccessPoint:
    """A job's directory at its access point. Where that cannot be reached nothing is secured, and nothing else amiss.

    Parameters
    ----------
    directory : str
        The job's directory here.
    in_place : bool
        Whether it is the same directory as there, so that nothing has to be secured.
    """

    def __init__(self, directory: str, *, in_place: bool = False) -> None:
        self._directory = directory
        self._started = self._last = time.monotonic()
        self._sent: dict[str, int] = {}
        self._budget = _MAX_BYTES
        self._in_place = in_place
        self._is_there = "_CONDOR_CHIRP_CONFIG" in os.environ

    def is_there(self) -> bool:
        """Tell whether the access point can be reached."""
        self._talk(lambda _: None)
        return self._is_there

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Set attributes of the job, whose values are ClassAd expressions."""

        def put(chirp: Any) -> None:
            for name, value in attributes.items():
                chirp.set_job_attr(name, value)

        self._talk(put)

    def fetch(self) -> None:
        """Get what earlier starts of this job have secured and this one was not given."""
        if not self._in_place:
            self._talk(self._fetch)

    def after_component(self, checkpoint: str | None) -> None:
        """Secure the records of components that have ended, if it is time to, or a checkpoint is of no use any more."""
        if self._in_place or not self._is_there:
            return
        now = time.monotonic()
        if checkpoint is not None or now - self._last >= max(_EVERY_SECONDS, _LOST_SHARE * (now - self._started)):
            self._last = now
            self._talk(lambda chirp: self._send_records(chirp, checkpoint))

    def after_checkpoint(self, path: str) -> None:
        """Secure a checkpoint, and the records of components that have ended before."""

        def send(chirp: Any) -> None:
            _put(chirp, path)
            self._send_records(chirp)

        if not self._in_place:
            self._talk(send)

    def _talk(self, do: Callable[[Any], None]) -> None:
        if not self._is_there:
            return
        try:
            import htchirp

            with htchirp.HTChirp() as chirp:
                do(chirp)
        except Exception:  # such as a container without a network; the job does not need it to end well
            self._is_there = False

    def _fetch(self, chirp: Any) -> None:
        there = chirp.getdir(".", stat_dict=True)
        for name, status in sorted(there.items(), key=lambda item: item[0] == wire.RECORDS):  # last, as when sending
            path = os.path.join(self._directory, name)
            if name.endswith(_PART):
                continue  # of a start that was killed while it sent
            is_wanted = (
                status["size"] > file_size(path)
                if name in _LOGS
                else name.startswith(wire.CHECKPOINT) or (name.startswith(_SIDE_FILES) and not os.path.exists(path))
            )
            if is_wanted:
                _get(chirp, name, path, status["size"])

    def _send_records(self, chirp: Any, checkpoint: str | None = None) -> None:
        """Send what is new, and delete a checkpoint, which would stay there when its component has a record."""
        if self._budget < 0:
            return
        for entry in os.scandir(self._directory):
            if entry.name.startswith(_SIDE_FILES) and not entry.name.endswith(_PART) and entry.name not in self._sent:
                self._budget -= entry.stat().st_size
                if self._budget < 0:
                    return  # nor are records sent any more, which speak of such files
                _put(chirp, entry.path)
                self._sent[entry.name] = 0
        for name in _LOGS:
            self._send_more(chirp, name)
        if checkpoint is not None:
            with contextlib.suppress(chirp.DoesntExist):  # what came from an earlier start need not have been secured
                chirp.unlink(os.path.basename(checkpoint))

    def _send_more(self, chirp: Any, name: str) -> None:
        """Send what a file has grown by."""
        path = os.path.join(self._directory, name)
        if not os.path.exists(path):
            return
        position = self._sent.get(name, 0)
        with open(path, "rb") as file:
            file.seek(position)
            while True:
                block = file.read(_BLOCK)
                if not block:
                    break
                chirp.write(block, name, "wc", 0o644, offset=position)
                position += len(block)
        self._sent[name] = position


def _get(chirp: Any, name: str, path: str, size: int) -> None:
    """Fetch a file, which appears here as a whole, or not if the connection is lost."""
    part = path + _PART
    try:
        if size:
            chirp.fetch(name, part)
        else:  # which the starter refuses
            open(part, "wb").close()
        os.replace(part, path)
    finally:
        remove_tree(part)


def _put(chirp: Any, path: str) -> None:
    """Send a file, which appears there as a whole."""
    name = os.path.basename(path)
    status = os.stat(path)
    if status.st_size:
        chirp.put(path, name + _PART, mode=status.st_mode & 0o777)
    else:  # the starter never answers to a transfer of no bytes
        chirp.write(b"-", name + _PART, "wct", status.st_mode & 0o777)
        chirp.truncate(name + _PART, 0)
    chirp.rename(name + _PART, name)
