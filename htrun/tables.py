"""Tables, CSV and TSV: a row is a call, and the header names its arguments."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Any

from htrun.binding import LEFT_OUT, Binding
from htrun.exceptions import UsageError
from htrun.transfers import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from htrun.columns import Columns

    Report = Callable[[int, str], None]

_CSV_ERRORS = {
    "unexpected end of data": "a quote that opens in this row is never closed",
    "new-line character seen": "a carriage return in the middle of a line; did an old Macintosh program write this?",
}


def read_table(
    lines: Iterable[bytes], delimiter: str, binding: Binding, report: Report, options: Columns | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the rows of a table, quoted as RFC 4180 says, as keyword arguments.

    Parameters
    ----------
    lines : iterable of bytes
        With their ends.
    delimiter : str
    binding : Binding
        What the header is checked against, and what fields are converted by.
    report : callable
        Told the line and a message wherever something is wrong.
    options : Columns, optional
        The columns that have map options.

    Yields
    ------
    (int, dict)
        The line that the row begins in, and its values by name.
    """
    rows = _rows(_Text(lines, report), delimiter, report)
    line, header = next(rows, (0, None))
    if header is None:
        return  # without names the rest cannot be judged
    names = [name.strip() for name in header]
    not_passed = options.not_passed(binding) if options else frozenset()
    passed = [name for name in names if name not in not_passed]
    _check_header(line, names, delimiter, binding.keyword_problems(tuple(dict.fromkeys(filter(None, passed)))), report)
    if options and (missing := options.missing(names)):
        for problem in missing:
            report(line, problem)
        options = None  # once is enough
    columns = [(name, binding.cell_reader(name)) for name in names]
    for line, row in rows:
        if row is None:
            continue
        if len(row) != len(columns):
            report(line, f"{_count(len(row), 'field')}, but the header has {len(columns)}")
            continue
        if options:
            for problem in options.take(dict(zip(names, row, strict=True))):
                report(line, problem)
        arguments = {}
        for (name, reader), field in zip(columns, row, strict=True):
            if name in not_passed:
                continue
            try:
                value = reader(field) if reader else field
            except UsageError as error:
                report(line, str(error))
                continue
            if value is not LEFT_OUT:
                arguments[name] = value
        yield line, arguments


def _check_header(line: int, names: list[str], delimiter: str, problems: list[str], report: Report) -> None:
    for number, name in enumerate(names, 1):
        if not name:
            report(line, f"column {number} has no name")
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        report(line, f"the column {quoted(name)} is there twice")
    other = next((mark for mark in ";\t,|" if mark != delimiter and mark in names[0]), None)
    hint = f" (columns are separated by {delimiter!r} here, not by {other!r})" if other and len(names) == 1 else ""
    for problem in problems:
        report(line, problem + hint)


def _rows(text: _Text, delimiter: str, report: Report) -> Iterator[tuple[int, list[str] | None]]:
    """Yield rows that are not blank, with the lines that they begin in; None for those that cannot be read."""
    csv.field_size_limit(sys.maxsize)  # the module's own limit is 128 KiB
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        text.faulty = False
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            known = (message for start, message in _CSV_ERRORS.items() if str(error).startswith(start))
            report(line, next(known, str(error)))
            yield line, None
            continue
        if text.faulty:
            yield line, None
        elif len(row) > 1 or not text.blank:
            yield line, row


class _Text:
    """Decodes lines, and reports those that are not text."""

    def __init__(self, lines: Iterable[bytes], report: Report) -> None:
        self.faulty = False
        self.blank = False
        self._lines = enumerate(lines, 1)
        self._report = report

    def __iter__(self) -> _Text:
        return self

    def __next__(self) -> str:
        number, raw = next(self._lines)
        self.blank = raw.isspace() or not raw
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            self._fault(number, f"invalid UTF-8 at byte {error.start + 1} (0x{raw[error.start]:02x})")
            text = raw.decode("utf-8", "replace")
        if "\0" in text:
            self._fault(number, "a NUL byte; is this text, and in UTF-8?")
            text = text.replace("\0", "")
        return text

    def _fault(self, number: int, message: str) -> None:
        self.faulty = True
        self._report(number, message)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
