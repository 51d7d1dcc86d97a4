"""The cases on one machine, as data: what is mapped, over how many inputs, and by which commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HTRUN = "htrun"
IDEAL = "the ideal: bare loops"
TUNED = "ProcessPoolExecutor, tuned"
ONE_BY_ONE = "ProcessPoolExecutor, one by one"
JOBLIB = "joblib"
DASK = "dask.distributed"
SUBMITIT = "submitit, local executor"
PIPE = "GNU parallel --pipe"
A_LINE = "GNU parallel, a process a line"


@dataclass(frozen=True)
class Case:
    """A function, mapped over inputs of several sizes.

    Parameters
    ----------
    name : str
    function : str
        Of the module `work`.
    inputs : callable
        From the index of a component to its input.
    sizes, quick : tuple of int
        Numbers of components, and those of a quick look.
    chunks : int
        How many chunks a worker has, for the peers that have to be told.
    """

    name: str
    function: str
    inputs: Callable[[int], int]
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    chunks: int

    def output(self, index: int) -> int:
        """Return the right output of a component."""
        x = self.inputs(index)
        return 2 * x if self.function == "double" else x

    def cpu_s(self, size: int) -> float:
        """Return the seconds of processor time that the function takes."""
        return sum(self.inputs(index) for index in range(size)) / 1000 if self.function == "burn" else 0.0


@dataclass(frozen=True)
class Peer:
    """A way to map a function.

    Parameters
    ----------
    command : str
        Shell-like words with fields; it reads the inputs from standard input and prints the outputs.
    needs : str
        The module or program without which it is left out.
    most : int
        The largest size that it is asked for.
    """

    command: str
    needs: str = ""
    most: int = 100_000


DOUBLE = Case("double", "double", lambda i: i, (10, 100, 1_000, 10_000, 100_000, 1_000_000), (10, 100), 4)
BURN = Case("burn", "burn", lambda _: 10, (2_000,), (20,), 25)
UNEVEN = Case("uneven", "burn", lambda i: 500 if i % 50 == 25 else 5, (1_000,), (50,), 100)
CASES = (DOUBLE, BURN, UNEVEN)

LIBRARY = "{python} -m benchmarks.peers"
PEERS = {
    HTRUN: Peer("{htrun} {work}:{function} --args {inputs} --engine local --tag bench -q", most=1_000_000),
    IDEAL: Peer(f"{LIBRARY} bare {{function}} {{workers}} 0", most=1_000_000),
    TUNED: Peer(f"{LIBRARY} executor {{function}} {{workers}} {{chunk}}"),
    ONE_BY_ONE: Peer(f"{LIBRARY} executor {{function}} {{workers}} 1"),
    JOBLIB: Peer(f"{LIBRARY} joblib {{function}} {{workers}} 0", "joblib"),
    DASK: Peer(f"{LIBRARY} dask {{function}} {{workers}} 0", "distributed", most=10_000),
    SUBMITIT: Peer(f"{LIBRARY} submitit {{function}} {{workers}} 0", "submitit", most=100),
    PIPE: Peer(
        "parallel --will-cite --keep-order --jobs {workers} --pipe --block {block} {python} {work} {function}",
        "parallel",
    ),
    A_LINE: Peer(
        "parallel --will-cite --keep-order --jobs {workers} --arg-file {inputs} {python} {work} {function}",
        "parallel",
        most=2_000,
    ),
}
