"""What each component of a map has left, in columns, so that those of a million fit into memory."""

from __future__ import annotations

import array
import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from htrun.records import HEAD_BYTES

if TYPE_CHECKING:
    from htrun.view import MapView

PRINTED_STDOUT, PRINTED_STDERR, LEFT_FILES = 1, 2, 4
"""Bits of ``Measures.marks``."""

_HEAD = re.compile(
    rb'\{"component":[0-9]+,"status":"[A-Z]+","attempt":([0-9]+),"node":("(?:[^"\\]|\\.)*")(?:,"python":"([^"]*)")?'
    rb'(?:,"started":([0-9.]+))?(?:,"wall_s":([0-9.]+))?(?:,"cpu_s":[0-9.]+)?(?:,"memory_mb":([0-9.]+))?'
)
_PRINTED = re.compile(rb'"stdout":\[([0-9]+),([0-9]+)\],"stderr":\[([0-9]+),([0-9]+)\]')
_VALUE = re.compile(rb',"(?:output|error|pickle|repr)')
_MAX_ATTEMPTS = 255


class Measures:
    """What the records of components say of how these were executed; 0 where that is not known.

    Parameters
    ----------
    size : int
        How many components there are.

    Attributes
    ----------
    started : array of float
        Seconds since the epoch.
    wall_s, memory_mb : array of float
        Seconds, and MiB.
    node, job : array of int
        Which of ``nodes`` it was, and the number of the job directory; -1 without a record.
    attempts : bytearray
        255 stands for more, too.
    marks : bytearray
        Whether something was printed, and output files are there: bits.
    nodes : list of str
    pythons : Counter of str
        How many components ran with which version.
    """

    def __init__(self, size: int) -> None:
        self.started, self.wall_s, self.memory_mb = (array.array("d", bytes(8 * size)) for _ in range(3))
        self.node, self.job = (array.array("i", [-1]) * size for _ in range(2))
        self.attempts, self.marks = bytearray(size), bytearray(size)
        self.nodes: list[str] = []
        self.pythons: Counter[str] = Counter()

    @classmethod
    def of(cls, map_: MapView) -> Measures:
        """Return those of a map, as of its last refresh; raises OSError."""
        measures = cls(len(map_))
        numbers: dict[bytes, int] = {}
        pythons: Counter[bytes] = Counter()
        for run in map_.records.runs():
            job = int(run.directory.name)
            for component, line in enumerate(run.data.split(b"\n")[:-1], run.start):
                measures.job[component] = job
                found = _HEAD.match(line)
                if found is None:
                    continue  # it is damaged, and counts as what the index takes it for
                attempt, node, python, started, wall, memory = found.groups()
                if node not in numbers:
                    numbers[node] = len(numbers)
                measures.node[component] = numbers[node]
                measures.attempts[component] = min(int(attempt), _MAX_ATTEMPTS)
                measures.started[component] = float(started or 0)
                measures.wall_s[component] = float(wall or 0)
                measures.memory_mb[component] = float(memory or 0)
                measures.marks[component] = _marks(line, found.end())
                if python:
                    pythons[python] += 1
        measures.nodes = [str(json.loads(node)) for node in numbers]
        measures.pythons = Counter({python.decode("utf-8", "replace"): n for python, n in pythons.items()})
        return measures


def _marks(line: bytes, position: int) -> int:
    printed = _PRINTED.search(line, position, HEAD_BYTES)
    if printed is None:
        return 0
    out, out_end, err, err_end = printed.groups()
    marks = PRINTED_STDOUT * (out != out_end) | PRINTED_STDERR * (err != err_end)
    files = line.find(b',"files":[[', printed.end(), HEAD_BYTES)
    if files >= 0 and not _VALUE.search(line, printed.end(), files):  # and not in what the function returned
        marks |= LEFT_FILES
    return marks
