"""JSONL, CSV, TSV, Parquet and scans to calls, checked against the function's signature, encoded for the wire."""

from __future__ import annotations

import base64
import difflib
import json
import os
import re
import shlex
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from htrun.binding import Binding
from htrun.encoder import Encoder, dumps
from htrun.exceptions import BadInputs, InputError, UsageError
from htrun.runner.calls import PATH_KEY
from htrun.runner.values import is_exact
from htrun.tables import read_table
from htrun.transfers import is_transfer, quoted, to_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from htrun.encoder import InputsOptions
    from htrun.transfers import FileTable

_QUOTED_KEY = f'"{PATH_KEY}"'
_BOM = b"\xef\xbb\xbf"
_NO_TEXT = (  # how the file begins, what it is, and what makes text of it
    (b"\x1f\x8b", "a gzip file", "zcat"),
    (b"BZh", "a bzip2 file", "bzcat"),
    (b"\xfd7zXZ", "an xz file", "xzcat"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "zstdcat"),
    (b"PK\x03\x04", "a zip file, or a workbook of a spreadsheet program, which can save it as CSV", "unzip -p"),
    (b"\xff\xfe", "text in UTF-16", "iconv -f utf-16 -t utf-8"),
    (b"\xfe\xff", "text in UTF-16", "iconv -f utf-16 -t utf-8"),
)
_OPENINGS = {  # of a document over several lines, and what makes JSONL of it
    b"[": "jq -c '.[]'",
    b"[{": "jq -c '.[]'",
    b"{": "jq -c .",
}
_FORMATS = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
_CONSTANTS = {"None": "null", "True": "true", "False": "false", "nan": "NaN", "inf": "Infinity"}


def read(
    source: str,
    function: Callable[..., Any],
    options: InputsOptions,
    files: FileTable,
    directory: Path,
    stdin: BinaryIO | None = None,
) -> Iterator[bytes]:
    """Read the calls of a file, check them, and encode them for the wire.

    Parameters
    ----------
    source : str
        A path, or ``-`` for standard input.
    function : callable
        What is to be called.
    options : InputsOptions
    files : FileTable
        The files that calls name are added here.
    directory : pathlib.Path
        What relative names of files are relative to.
    stdin : binary file, optional
        Standard input, by default this process's own.

    Returns
    -------
    iterator of bytes
        A line for each call, without its newline; only if it ends without an error are they good for anything.

    Raises
    ------
    UsageError
        At once, if the function has no parameter of a name in ``options.transfer``.
    BadInputs
        At the end, with all that is wrong with the inputs.
    EmptyMap
        At the end, if there is no call at all.
    """
    binding = Binding(function, options.transfer, detect=options.detect)
    path = "<stdin>" if source == "-" else source
    beside = None if source == "-" else Path(source).parent
    format_ = options.format or _FORMATS.get(Path(source).suffix.lower(), "jsonl")
    unit = "row" if format_ == "parquet" else ""
    encoder = Encoder(path, binding, files, directory, options, beside=beside, unit=unit)
    return encoder.checked(_read(source, encoder, format_, stdin))


def read_scan(
    texts: Sequence[str],
    function: Callable[..., Any],
    options: InputsOptions,
    files: FileTable,
    directory: Path,
    *,
    paired: bool = False,
) -> Iterator[bytes]:
    """Do as ``read`` does, with the calls of a parameter scan.

    Parameters
    ----------
    texts : sequence of str
        What is scanned, as ``htrun.scans.parse`` takes it.
    function, options, files, directory
        As ``read`` has them.
    paired : bool
        Whether the values are paired; all combinations of them are called otherwise.

    Raises
    ------
    UsageError
        At once, if a text does not say what to scan, or values that cannot be paired are to be.
    """
    from htrun import scans  # only now: most maps have a file of inputs

    parameters = scans.parse(texts)
    lines = scans.lines(parameters, paired=paired)
    binding = Binding(function, options.transfer, detect=options.detect)
    encoder = Encoder("--scan", binding, files, directory, options, unit="call")
    fits = encoder.check_names([parameter.name for parameter in parameters])
    return encoder.checked(jsonl_calls(enumerate(lines) if fits else (), encoder))


def single(function: Callable[..., Any]) -> bytes:
    """Return the encoded call of a function without arguments; raises UsageError if it needs any."""
    for problem in Binding(function).position_problems(0):
        raise UsageError(f"{problem}; arguments come from a file: --args FILE")
    return encode_call((), {})


def encode_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """Return a call for the wire, as JSON where JSON gives back exactly these arguments, and as pickle otherwise."""
    call: Any = list(args) if args or not kwargs else dict(kwargs)
    with suppress(RecursionError, ValueError):  # nested too deeply, a cycle, or an integer of too many digits
        if not (args and kwargs) and is_exact(call):
            return dumps(to_wire(call, None))
    import cloudpickle  # only now: it costs more than reading most inputs

    return dumps(base64.b64encode(cloudpickle.dumps((list(args), dict(kwargs)))).decode("ascii"))


def _read(source: str, encoder: Encoder, format_: str, stdin: BinaryIO | None) -> Iterator[bytes]:
    try:
        with _open(source, stdin) as stream:
            if format_ == "parquet":
                from htrun.parquet import read_rows

                yield from jsonl_calls(read_rows(stream, encoder.check_names, encoder.report), encoder)
                return
            lines = _text_lines(stream, source)
            if format_ == "jsonl":
                yield from jsonl_calls(enumerate(lines, 1), encoder)
            else:
                yield from _table(lines, encoder, format_)
    except OSError as error:
        raise _bad_file(encoder.path, _explain_os_error(source, error)) from None


def _open(source: str, stdin: BinaryIO | None) -> AbstractContextManager[BinaryIO]:
    return Path(source).open("rb") if source != "-" else nullcontext(stdin or sys.stdin.buffer)


def _bad_file(path: str, message: str) -> BadInputs:
    return BadInputs([InputError(path, None, message)], 1)


def _explain_os_error(source: str, error: OSError) -> str:
    if not isinstance(error, FileNotFoundError):
        return str(error.strerror or error).lower()
    path = Path(source)
    try:
        close = difflib.get_close_matches(path.name, os.listdir(path.parent), n=1)  # noqa: PTH208 (names alone)
    except OSError:
        close = []
    return f"no such file{f' (did you mean {path.with_name(close[0])}?)' if close else ''}"


def _text_lines(stream: BinaryIO, source: str) -> Iterator[bytes]:
    """Yield the lines of a file without its byte order mark; raises BadInputs if it does not begin like text."""
    lines = iter(stream)
    first = next(lines, b"")
    path, name = ("<stdin>", "FILE") if source == "-" else (source, shlex.quote(source))
    if first.startswith(b"PAR1"):
        raise _bad_file(path, "this is a Parquet file; add --input-format parquet")
    for magic, what, tool in _NO_TEXT:
        if first.startswith(magic):
            raise _bad_file(path, f"this is {what}; try: {tool} {name} | htrun ... --args -")
    yield first.removeprefix(_BOM)
    yield from lines


def jsonl_calls(lines: Iterable[tuple[int, bytes]], encoder: Encoder) -> Iterator[bytes]:
    """Yield the calls that numbered lines of JSON say; what is wrong with the others is reported to the encoder."""
    parse = json.JSONDecoder(object_pairs_hook=_object).scan_once  # type: ignore[attr-defined]
    fits_keywords, fits_positions = encoder.binding.fits_keywords, encoder.binding.fits_positions
    has_converters = encoder.binding.has_converters
    for number, raw in lines:
        line = raw.strip(b" \t\r\n")
        if not line:
            continue
        try:
            text = line.decode("utf-8")
            value, end = parse(text, 0)
            if end != len(text):
                raise json.JSONDecodeError("Extra data", text, len(text) - len(text[end:].lstrip()))
            # As an escape, any character of the key begins with \u00.
            has_path_key = _QUOTED_KEY in text or "\\u00" in text
            kind = type(value)
            if has_path_key and kind is dict and encoder.detect and is_transfer(value):
                value, kind = [value], list  # a file as the only argument: no parameter is called $path
                line = b"[%b]" % line
            elif kind is not dict and kind is not list:
                value, kind = [value], list
                line = b"[%b]" % line
            right = encoder.columns is None or encoder.take_options(number, value)
            if not (fits_keywords(value) if kind is dict else fits_positions(len(value))):
                for problem in _problems(value, encoder.binding):
                    encoder.report(number, problem)
                continue
            if not right:
                continue
            call = None
            if has_path_key or has_converters:
                call = encoder.encode(number, value, has_path_key=has_path_key)
            if call is None:  # mostly, so that most lines are not written anew
                as_is = "\t" not in text and "\r" not in text and encoder.columns is None
                call = line if as_is else dumps(value)
        except (ValueError, StopIteration, RecursionError, UsageError) as error:
            if raw.isspace():
                continue
            message = _explain(error, raw)
            encoder.report(number, message)
            if encoder.total == 1 and line in _OPENINGS:
                return  # all other lines are wrong as well, and for the same reason
            continue
        yield call


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise UsageError(f"the key {quoted(twice)} is there twice in one object")
    return result


def _problems(value: dict[str, Any] | list[Any], binding: Binding) -> list[str]:
    if isinstance(value, dict):
        problems = binding.keyword_problems(tuple(value))
        wants_it = bool(value) and binding.wants_one(value)
        hint = "to pass the object itself, write [{...}]"
    else:
        problems = binding.position_problems(len(value))
        wants_it = binding.wants_one() and len(value) > 1
        hint = "to pass the array itself, write [[...]]"
    return [*problems[:-1], f"{problems[-1]}; {hint}"] if wants_it else problems


def _explain(error: Exception, raw: bytes) -> str:
    """Say what is wrong with a line of JSONL."""
    if isinstance(error, StopIteration):  # of the scanner, where no value begins
        error = json.JSONDecodeError("Expecting value", raw.strip(b" \t\r\n").decode("utf-8"), error.value)
    if isinstance(error, json.JSONDecodeError):
        opening = _OPENINGS.get(raw.strip())
        if opening:
            return f"this is one JSON document over several lines, not a call a line; {opening} makes JSONL of it"
        return _explain_json(error, len(raw) - len(raw.lstrip(b" \t\r\n")))
    if isinstance(error, UnicodeDecodeError):
        position = raw.index(error.object) + error.start
        return f"invalid UTF-8 at byte {position + 1} (0x{raw[position]:02x})"
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UsageError):
        return str(error)
    return "an integer of too many digits" if "integer string conversion" in str(error) else str(error)


def _explain_json(error: json.JSONDecodeError, indent: int) -> str:
    text, at = error.doc, error.pos
    before, after = text[max(0, at - 50) : at].rstrip(), text[at : at + 50]
    word = re.match(r"\w*", after)
    hint = ""
    if after.startswith("\0"):
        hint = "a NUL byte; is this text, and in UTF-8?"
    elif after.startswith("'"):
        hint = "strings take double quotes"
    elif error.msg == "Extra data" and after.startswith(","):
        hint = "no comma follows a line's value"
    elif before.endswith(",") and after[:1] in ("]", "}"):
        hint = "no comma follows the last item"
    elif word and word[0] in _CONSTANTS:
        hint = f"{word[0]} is written {_CONSTANTS[word[0]]}"
    elif not after and text.startswith("["):
        hint = "the line ends too early; of one JSON array over several lines, jq -c '.[]' makes JSONL"
    elif not after:
        hint = "the line ends too early"
    elif at == 0 and re.match(r"[\w./~]", text):
        hint = "strings take double quotes; a table needs --input-format csv or tsv"
    message = error.msg.removesuffix(" starting at").removesuffix(" at")
    return f"column {indent + at + 1}: {message}{f' ({hint})' if hint else ''}"


def _table(lines: Iterable[bytes], encoder: Encoder, format_: str) -> Iterator[bytes]:
    for line, arguments in read_table(
        lines, "," if format_ == "csv" else "\t", encoder.binding, encoder.report, encoder.columns
    ):
        has_path_key, call = PATH_KEY in arguments, None
        if has_path_key or encoder.binding.has_converters:
            call = encoder.encode(line, arguments, has_path_key=has_path_key)
        yield dumps(arguments) if call is None else call
