"""Results as JSONL, CSV and TSV, and the result files of a map."""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from htrun.exceptions import NotExportable
from htrun.history import remember
from htrun.records import Record
from htrun.rows import Row, column_group, json_line, table_cells, value_line
from htrun.runner import values
from htrun.runner.calls import PATH_KEY
from htrun.state import UNFINISHED, ComponentStatus
from htrun.store import atomic_write, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from htrun.index import Run
    from htrun.store import MapDirectory
    from htrun.view import ComponentHold, MapView

Format = Literal["jsonl", "csv", "tsv"]
Default = Literal["error", "repr", "skip", "null"]

_WORTH_CUTTING = 8  # components whose records follow each other
_START = rb'"component":[0-9]+,"status":"COMPLETED"'
_MIDDLE = (
    rb',"attempt":[^\[]*\[[0-9,]*\],"stderr":\[[0-9,]*\](?:,"pickle":"[^"\n]*")?'  # all but one byte: so it is fast
)
_OBJECT = re.compile(rb"^(\{" + _START + rb")" + _MIDDLE + rb'(,"output":[^\n]*\n)', re.MULTILINE)
_VALUE = re.compile(rb"^\{" + _START + _MIDDLE + rb',"output":([^\n]*)\}(\n)', re.MULTILINE)
"""Records without anything that has to be counted or told when they are exported."""


class Exporter:
    """Exports the components of a map, as of its last refresh.

    Parameters
    ----------
    map_ : MapView
    statuses : iterable of ComponentStatus, optional
        Only components with one of these; by default those that are finished or held, and all of them once nothing
        can become of the others any more.
    with_inputs : bool
    default : {"error", "repr", "skip", "null"}
        What to do with an output that JSON cannot hold: raise NotExportable, write its ``repr()``, leave the component
        out, or write null with the reason.

    Attributes
    ----------
    nonfinite : int
        How many NaN and infinities became null in what was exported so far.
    unexportable : list of int
        The components whose output could not be exported.
    """

    def __init__(
        self,
        map_: MapView,
        *,
        statuses: Iterable[ComponentStatus] | None = None,
        with_inputs: bool = False,
        default: Default = "error",
    ) -> None:
        self._map = map_
        if statuses is not None:
            self._statuses = frozenset(statuses)
        elif map_.is_active:
            self._statuses = frozenset(ComponentStatus) - UNFINISHED - {ComponentStatus.UNKNOWN}
        else:
            map_.refresh()  # it may have ended since the last look
            self._statuses = frozenset(ComponentStatus)
        self._with_inputs = with_inputs
        self._default = default
        self.nonfinite = 0
        self.unexportable: list[int] = []

    def rows(self, *statuses: ComponentStatus) -> Iterator[Row]:
        """Yield what is to be exported, in the order of the components; of these statuses only, if any are given."""
        return self._rows(self._chosen(*statuses), 0, len(self._map))

    def _chosen(self, *statuses: ComponentStatus) -> frozenset[ComponentStatus]:
        return self._statuses & frozenset(statuses) if statuses else self._statuses

    def _rows(self, chosen: frozenset[ComponentStatus], start: int, stop: int) -> Iterator[Row]:
        """Yield what is to be exported of a range of components."""
        components = list(self._map.components_with(*chosen, start=start, stop=stop))
        given = inputs(self._map.directory, components) if self._with_inputs else (None for _ in components)
        with closing(self._map.records.walk(components)) as records:
            for component, record, input_ in zip(components, records, given, strict=True):
                row = self._row(component, record, input_)
                if row is not None:
                    yield row

    def _row(self, component: int, record: Record | None, input_: bytes | None = None) -> Row | None:
        status = self._map.status_of(component)
        if status is ComponentStatus.COMPLETED and record is not None:
            return self._completed(component, record, input_)
        if status is ComponentStatus.ERRORED:
            error = self._map.error(component, record)
            brief = {"type": error["type"], "message": error["message"]}
            return Row(component, status, error=brief, input=input_)
        why = self._reasons.get(component)
        return Row(component, status, reason=why.reason if why else None, input=input_)

    @cached_property
    def _reasons(self) -> dict[int, ComponentHold]:
        return self._map.holds | self._map.removals

    def _completed(self, component: int, record: Record, input_: bytes | None) -> Row | None:
        output = record.output_json()
        reason = None
        if output is None:
            reason = str(record.data.get("unexportable"))
            self.unexportable.append(component)
            if self._default == "error":
                raise NotExportable(self._map.tag, component, reason)
            if self._default == "skip":
                return None
            output = _dumps(record.data["repr"]) if self._default == "repr" else b"null"
            reason = reason if self._default == "null" else None
        elif b',"nonfinite":' in record.line:
            self.nonfinite += record.data.get("nonfinite", 0)  # that it says so may also be in the output
        return Row(component, ComponentStatus.COMPLETED, output=output, reason=reason, input=input_)

    def write_jsonl(self, stream: Any) -> None:
        """Write an object a component to a binary stream."""
        self._write_lines(stream, self._chosen(), _OBJECT, json_line)

    def write_values(self, stream: Any) -> None:
        """Write the outputs alone to a binary stream, one a line, of completed components."""
        self._write_lines(stream, self._chosen(ComponentStatus.COMPLETED), _VALUE, value_line)

    def _write_lines(
        self,
        stream: Any,
        chosen: frozenset[ComponentStatus],
        plain: re.Pattern[bytes],
        line_of: Callable[[Row], bytes],
    ) -> None:
        """Write a line a component.

        A plain record has its line in it, in two parts that a pattern finds: so these are cut out of many at once.
        """
        done = 0
        if ComponentStatus.COMPLETED in chosen and not self._with_inputs:
            for run in self._map.records.runs(_WORTH_CUTTING):
                stream.writelines(line_of(row) for row in self._rows(chosen, done, run.start))
                # What is between two plain records, and the two parts of each, in turn.
                pieces = plain.split(run.data)
                others = run.stop - run.start - len(pieces) // 3
                if others != b"".join(pieces[::3]).count(b"\n"):
                    continue  # there is a damaged one, which the pattern took for one with the next
                if others:
                    self._fill_gaps(pieces, run, chosen, line_of)
                stream.write(b"".join(pieces))
                done = run.stop
        stream.writelines(line_of(row) for row in self._rows(chosen, done, len(self._map)))

    def _fill_gaps(
        self, pieces: list[bytes], run: Run, chosen: frozenset[ComponentStatus], line_of: Callable[[Row], bytes]
    ) -> None:
        """Put in the place of records that are not plain what is to be exported of them."""
        component = run.start
        for place in range(0, len(pieces), 3):
            lines = []
            for record in pieces[place].split(b"\n")[:-1]:
                if self._map.status_of(component) in chosen:
                    row = self._row(component, Record(record, run.directory))
                    lines += [] if row is None else [line_of(row)]
                component += 1
            pieces[place] = b"".join(lines)
            component += 1

    def write_csv(self, stream: Any, *, delimiter: str = ",", flatten: bool = False, values_only: bool = False) -> None:
        """Write a table to a binary stream.

        The keys of outputs that are objects are columns, in the order in which they are first seen; any other output
        goes to the column ``output``. A key that is the name of another column is prefixed with ``output.``.

        Parameters
        ----------
        stream : binary file
        delimiter : str
        flatten : bool
            Nested objects become columns with dotted names, instead of JSON in one column.
        values_only : bool
            Only what completed components returned, without the other columns.
        """
        statuses = (ComponentStatus.COMPLETED,) if values_only else ()
        columns: dict[str, None] = {} if values_only else {"component": None, "status": None}
        for row in self.rows(*statuses):  # a pass for the columns alone, so that no table is held in memory
            columns.update(dict.fromkeys(table_cells(row, flatten=flatten, values_only=values_only)))
        self.nonfinite = 0
        self.unexportable.clear()
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
        writer = csv.DictWriter(
            text, sorted(columns, key=column_group), restval="", delimiter=delimiter, lineterminator="\n"
        )
        try:
            writer.writeheader()
            for row in self.rows(*statuses):
                writer.writerow(table_cells(row, flatten=flatten, values_only=values_only))
            text.flush()
        finally:
            text.detach()

    def write(self, stream: Any, format_: Format, *, flatten: bool = False, values_only: bool = False) -> None:
        """Write in one of the formats; see ``write_jsonl``, ``write_values`` and ``write_csv``."""
        if format_ != "jsonl":
            delimiter = "," if format_ == "csv" else "\t"
            self.write_csv(stream, delimiter=delimiter, flatten=flatten, values_only=values_only)
        elif values_only:
            self.write_values(stream)
        else:
            self.write_jsonl(stream)


def inputs(directory: MapDirectory, components: Iterable[int]) -> Iterator[bytes]:
    """Yield what components were called with, as ``display_input`` shows it."""
    offsets = directory.offsets()
    with directory.calls.open("rb") as calls:
        for component in components:
            calls.seek(offsets[component])
            yield display_input(calls.read(offsets[component + 1] - offsets[component] - 1), directory.files)


def _dumps(value: Any) -> bytes:
    return values.dumps(value).encode("utf-8")


def display_input(call: bytes, files: dict[str, dict[str, Any]], *, strict: bool = True) -> bytes:
    """Return an encoded call as JSON, with files under the names that the user gave them.

    Parameters
    ----------
    call : bytes
    files : dict
    strict : bool
        NaN and infinities are null in it; else they are as Python's JSON has them.
    """
    text, _, brought = call.partition(b"\t")
    if text.startswith(b'"'):
        return _dumps("<pickled arguments>")
    if text[-1:] not in (b"]", b"}"):
        return _dumps("<damaged>")
    is_finite = b"NaN" not in text and b"Infinity" not in text
    if not brought and PATH_KEY.encode() not in text and (is_finite or not strict):
        return text
    given = {name: files[identifier]["given"] for identifier, name in json.loads(brought)} if brought else {}

    def plain(item: dict[str, Any]) -> Any:
        path = item.get(PATH_KEY)
        if isinstance(path, dict):
            return dict(path["items"])
        return item if path is None else path[0] if isinstance(path, list) else given.get(path, path)

    shown = json.loads(text, object_hook=plain)
    if strict:
        return _dumps(values.Exporter().export(shown))
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def error_record(
    map_: MapView, component: int, record: Record | None, environments: dict[Path, dict[str, Any]]
) -> dict[str, Any]:
    """Return all that is known of a component's error, as a line of ``errors.jsonl`` holds it.

    Parameters
    ----------
    map_ : MapView
    component : int
    record : Record or None
    environments : dict
        What was read so far of the environments of jobs, by job directory.
    """
    result: dict[str, Any] = {"component": component, "status": "ERRORED", "error": map_.error(component, record)}
    if record is not None:
        fields = ("attempt", "node", "started", "wall_s", "cpu_s", "memory_mb", "disk_kb")
        result.update({name: record.data[name] for name in fields if name in record.data})
        if record.failures():
            result["failures"] = [
                {k: v for k, v in row.items() if k not in ("stdout", "stderr")} for row in record.failures()
            ]
        if record.directory not in environments:  # of a job, and so of many components
            environments[record.directory] = record.environment()
        environment = environments[record.directory]
        result.update({name: environment[name] for name in ("python", "executable", "packages") if name in environment})
        result.update({name: record.printed(name).decode("utf-8", "replace") for name in ("stdout", "stderr")})
    return result


def run_summary(map_: MapView, outputs: Exporter) -> dict[str, Any]:
    """Return what ``run.json`` holds: what ran, where, when, how it ended, and what ``outputs.jsonl`` cannot show."""
    info = map_.directory.info
    return {
        "tag": map_.tag,
        "uid": info["uid"],
        "target": info["target"]["text"],
        "engine": info["engine"],
        "delivery": info["delivery"],
        "options": info["options"],
        "command": info["command"],
        "directory": info["directory"],
        "user": info["user"],
        "host": info["host"],
        "versions": info["versions"],
        "started": info["created"],
        "finished": map_.last_event(),
        "components": len(map_),
        "submissions": map_.submissions,
        "counts": {status.value: count for status, count in map_.counts().items()},
        "nonfinite": outputs.nonfinite,
        "unexportable": len(outputs.unexportable),
    }


def write_results(map_: MapView) -> None:
    """Write ``outputs.jsonl``, ``errors.jsonl`` and ``run.json`` of a map that has ended, unless they are right."""
    directory = map_.directory
    with directory.lock("results"):
        if map_.results_are_written() or len(directory.read_submissions()) != map_.submissions:
            return  # where components were submitted again since the last look, what is known of the map is old
        with atomic_write(directory.errors_file) as stream:
            errored = list(map_.components_with(ComponentStatus.ERRORED))
            environments: dict[Path, dict[str, Any]] = {}
            for component, record in zip(errored, map_.records.walk(errored), strict=True):
                stream.write(_dumps(error_record(map_, component, record, environments)) + b"\n")
        with atomic_write(directory.outputs_file) as stream:
            outputs = Exporter(map_, statuses=ComponentStatus, default="null")
            outputs.write_jsonl(stream)
        write_json(directory.run_file, run_summary(map_, outputs))
        remember(directory, map_.records, map_.job_memories())
