"""How components were executed: where, with what Python, among which files, and how long these were on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htrun.words import duration, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from htrun.engines.base import Transfers
    from htrun.records import Record
    from htrun.view import MapView


def execution_lines(map_: MapView, component: int, record: Record, transfers: Mapping[int, Transfers]) -> Iterator[str]:
    """Yield what is known of how a component was executed, a line a fact: ``python     3.11.2``.

    Parameters
    ----------
    map_ : MapView
    component : int
    record : Record
    transfers : mapping of int to Transfers
        What the map's engine says of its jobs.
    """
    data, environment = record.data, record.environment()
    if data.get("started") is not None:
        yield f"started    {moment(data['started'])}"
    executable = f" ({environment['executable']})" if "executable" in environment else ""
    for line in failure_lines(record):
        yield f"failed     {line}"
    if "python" in data:
        yield f"python     {data['python']}{executable}"
    if "platform" in environment:
        yield f"platform   {environment['platform']}"
    packages = environment.get("packages", {})
    if packages:
        yield f"packages   {' '.join(f'{name}=={version}' for name, version in sorted(packages.items()))}"
    times = list(transfer_times(data, transfers.get(map_.job_number(component))))
    if times:
        yield f"transfers  {', '.join(times)}"
    before, after = record.scratch()
    if before or after:
        yield f"before     {_files_text(before)}"
        yield f"after      {_files_text(after)}"
    names = [row[1] for row in record.files()]
    if names:
        yield f"files      {' '.join(map(_name_text, names))}"


def failure_lines(record: Record) -> Iterator[str]:
    """Yield what became of each attempt before the last one: ``attempt 1 on node12: OSError: ...``."""
    for row in record.failures():
        message = f"{row['type']}: {row['message']}" if row["message"] else row["type"]
        yield f"attempt {row['attempt']} on {row['node']}: {message}"


def transfer_times(data: Mapping[str, Any], job: Transfers | None) -> Iterator[str]:
    """Yield how long each part of the transfers has taken; engines tell of whole jobs, records of the copying there."""
    for name, whole in (("in", job.input_s if job else None), ("out", job.output_s if job else None)):
        own = data.get(f"transfer_{name}_s")
        if whole is not None:
            yield f"{name} {duration(whole)}" + (f" and {duration(own)} on the node" if own is not None else "")
        elif own is not None:
            yield f"{name} {duration(own)}"


def _files_text(files: Iterable[Sequence[Any]]) -> str:
    return " ".join(f"{_name_text(name)} ({size:,} bytes)" for name, size in files) or "nothing"


def _name_text(name: str) -> str:
    """Return a file's name as it is, in quotes where it would not stand alone on a line of names."""
    return name if name and name.isprintable() and " " not in name else repr(name)
