"""The peers that are libraries: ``python -m benchmarks.peers PEER FUNCTION WORKERS CHUNK < inputs > outputs``.

Each is used as its manual shows, and imported only where it runs.
"""

from __future__ import annotations

import heapq
import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING

from benchmarks import work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Map = Callable[[Callable[[int], int], list[int], int, int], Iterable[int]]


def bare(function: Callable[[int], int], inputs: list[int], workers: int, chunk: int) -> Iterable[int]:  # noqa: ARG001
    """Map in plain loops, in a process a CPU; the inputs are dealt out with foresight, so that all take as long."""
    shares: list[list[int]] = [[] for _ in range(workers)]
    loads = [(0, number) for number in range(workers)]
    for index in sorted(range(len(inputs)), key=inputs.__getitem__, reverse=True):
        load, number = heapq.heappop(loads)
        shares[number].append(index)
        heapq.heappush(loads, (load + inputs[index], number))
    pipes = [os.pipe() for _ in shares]
    for share, (_, writer) in zip(shares, pipes, strict=True):
        if os.fork() == 0:
            with os.fdopen(writer, "w") as stream:
                json.dump([function(inputs[index]) for index in share], stream)
            os._exit(0)
        os.close(writer)
    outputs = [0] * len(inputs)
    for share, (reader, _) in zip(shares, pipes, strict=True):
        with os.fdopen(reader) as stream:
            for index, output in zip(share, json.load(stream), strict=True):
                outputs[index] = output
    return outputs


def executor(function: Callable[[int], int], inputs: list[int], workers: int, chunk: int) -> Iterable[int]:
    """Map with the standard library's concurrent.futures."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(function, inputs, chunksize=chunk)


def joblib(function: Callable[[int], int], inputs: list[int], workers: int, chunk: int) -> Iterable[int]:  # noqa: ARG001
    """Map with joblib, which finds the size of its batches by itself."""
    from joblib import Parallel, delayed

    outputs: Iterable[int] = Parallel(n_jobs=workers)(delayed(function)(x) for x in inputs)
    return outputs


def dask(function: Callable[[int], int], inputs: list[int], workers: int, chunk: int) -> Iterable[int]:  # noqa: ARG001
    """Map with dask.distributed, a future a component."""
    from dask.distributed import Client

    with Client(n_workers=workers, threads_per_worker=1, dashboard_address=None) as client:
        # The same call twice is one task to Dask, unless it is told that the function is not pure.
        outputs: Iterable[int] = client.gather(client.map(function, inputs, pure=False))
    return outputs


def submitit(function: Callable[[int], int], inputs: list[int], workers: int, chunk: int) -> Iterable[int]:  # noqa: ARG001
    """Map with submitit's local executor, a process a component, all at once."""
    from submitit import LocalExecutor

    with tempfile.TemporaryDirectory() as folder:
        jobs = LocalExecutor(folder=folder).map_array(function, inputs)
        return [job.result() for job in jobs]


PEERS: dict[str, Map] = {"bare": bare, "executor": executor, "joblib": joblib, "dask": dask, "submitit": submitit}


def main(peer: str, function: str, workers: str, chunk: str) -> None:
    """Map a function over the lines of standard input."""
    inputs = [json.loads(line) for line in sys.stdin]
    outputs = PEERS[peer](getattr(work, function), inputs, int(workers), int(chunk))
    sys.stdout.writelines(f"{json.dumps(output)}\n" for output in outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
