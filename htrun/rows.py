"""What is exported of a component, and how: as a line of JSON, or as the cells of a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from htrun.runner import values

if TYPE_CHECKING:
    from htrun.state import ComponentStatus


@dataclass(frozen=True)
class Row:
    """What is exported of one component.

    Attributes
    ----------
    component : int
    status : ComponentStatus
    output : bytes or None
        The output as strict JSON, of a completed component.
    error : dict or None
        ``type`` and ``message``, of an errored one.
    reason : str or None
        Why it is held or was removed, or why its output is not exported.
    input : bytes or None
        The input as strict JSON, if asked for.
    """

    component: int
    status: ComponentStatus
    output: bytes | None = None
    error: dict[str, str] | None = None
    reason: str | None = None
    input: bytes | None = None


def value_line(row: Row) -> bytes:
    """Return the output of a completed component as a line."""
    assert row.output is not None, "completed components have an output"
    return row.output + b"\n"


def json_line(row: Row) -> bytes:
    """Return all of it as a line of JSON."""
    parts = [b'{"component":%d,"status":"%s"' % (row.component, row.status.value.encode())]
    if row.input is not None:
        parts.append(b',"input":' + row.input)
    if row.output is not None:
        parts.append(b',"output":' + row.output)
    if row.error is not None:
        parts.append(b',"error":' + values.dumps(row.error).encode())
    if row.reason is not None:
        parts.append(b',"reason":' + values.dumps(row.reason).encode())
    parts.append(b"}\n")
    return b"".join(parts)


def column_group(name: str) -> int:
    """Return where a column goes: what it is about first, then inputs, outputs, and what went wrong."""
    if name in ("component", "status"):
        return 0
    return 1 if name.startswith("input.") else 3 if name in ("error", "reason") else 2


def table_cells(row: Row, *, flatten: bool, values_only: bool) -> dict[str, Any]:
    """Return the cells of a table's row, by column; see ``Exporter.write_csv``."""
    cells: dict[str, Any] = {} if values_only else {"component": row.component, "status": row.status.value}
    reserved = set(cells) | ({"error", "reason"} if not values_only else set())
    if row.input is not None and not values_only:
        given = json.loads(row.input)
        pairs = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
        for key, value in pairs:
            cells.update(_spread(f"input.{key}", value, flatten=flatten))
        reserved |= set(cells)
    if row.output is not None:
        output = json.loads(row.output)
        if isinstance(output, dict):
            for key, value in output.items():
                for name, cell in _spread(key, value, flatten=flatten).items():
                    free = f"output.{name}" if name in reserved else name
                    while free in cells:  # as {"a.b": 1, "a": {"b": 2}} has it
                        free = f"output.{free}"
                    cells[free] = cell
        else:
            cells["output"] = _cell(output)
    if row.error is not None:
        cells["error"] = f"{row.error['type']}: {row.error['message']}"
    if row.reason is not None:
        cells["reason"] = row.reason
    return cells


def _spread(name: str, value: Any, *, flatten: bool) -> dict[str, Any]:
    if not flatten or not isinstance(value, dict) or not value:
        return {name: _cell(value)}
    cells: dict[str, Any] = {}
    for key, item in value.items():
        cells.update(_spread(f"{name}.{key}", item, flatten=True))
    return cells


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, str) else values.dumps(value)
