"""Parquet: a row is a call, and the columns name its arguments."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from htrun.exceptions import UsageError
from htrun.runner.values import Exporter, NotExportable
from htrun.transfers import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from pyarrow import Schema

_ROWS = 10_000
"""How many are in memory as Python's values at once, besides the row group that they are of."""


def read_rows(
    stream: BinaryIO, check_names: Callable[[Sequence[str]], bool], report: Callable[[int | None, str], None]
) -> Iterator[tuple[int, bytes]]:
    """Read the rows of a Parquet file as lines of JSON, a group of rows at a time.

    What JSON has not is written as in exported values: times as ISO 8601, decimals as text, bytes in base64.

    Parameters
    ----------
    stream : binary file
        Read as a whole where it cannot seek, as standard input.
    check_names : callable
        Tells whether calls can have arguments of the names of the columns.
    report : callable
        Told the number of a row, or None, and a message wherever something is wrong.

    Yields
    ------
    (int, bytes)
        The number of the row, from 1, and an object.

    Raises
    ------
    UsageError
        If pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(f"reading Parquet takes pyarrow: pip install 'htrun[parquet]' ({error})") from None
    row = 0
    try:
        whole = stream if stream.seekable() else io.BytesIO(stream.read())
        file = parquet.ParquetFile(whole, pre_buffer=False)  # which would read all of it before the first row
        names = file.schema_arrow.names
        for name in sorted({name for name in names if names.count(name) > 1}):
            report(None, f"the column {quoted(name)} is there twice")
        if not check_names(names) or len(set(names)) < len(names):
            return
        schema = _readable(file.schema_arrow)
        for batch in file.iter_batches(_ROWS):
            for values in pyarrow.Table.from_batches([batch]).cast(schema).to_pylist(maps_as_pydicts="strict"):
                row += 1
                try:
                    yield row, json.dumps(values, default=_export).encode()
                except (NotExportable, TypeError) as error:
                    report(row, str(error))
    except (pyarrow.ArrowException, ValueError, KeyError) as error:
        where = f"after row {row:,}: " if row else ""
        report(None, where + " ".join(str(error).split()))


def _export(value: Any) -> Any:
    return Exporter().export(value, "a value")


def _readable(schema: Schema) -> Schema:
    """Return the schema with all times in microseconds or more, as Python has them."""
    import pyarrow
    from pyarrow import types

    def readable(kind: Any) -> Any:
        if types.is_timestamp(kind) and kind.unit == "ns":
            return pyarrow.timestamp("us", kind.tz)
        if types.is_time64(kind):
            return pyarrow.time64("us")
        if types.is_duration(kind) and kind.unit == "ns":
            return pyarrow.duration("us")
        if types.is_struct(kind):
            return pyarrow.struct(
                [kind.field(n).with_type(readable(kind.field(n).type)) for n in range(kind.num_fields)]
            )
        if types.is_list(kind):
            return pyarrow.list_(kind.value_field.with_type(readable(kind.value_type)))
        return kind

    return pyarrow.schema([field.with_type(readable(field.type)) for field in schema])
