"""Calls on the wire: their arguments as JSON, and after a TAB the files that they bring along.

In the JSON, an object with the key ``$path`` is one of three things, and nothing else ever has that key:

- ``{"$path": "name"}`` is a file brought along, by where it lands in the scratch directory;
- ``{"$path": ["text"]}`` is the path ``text``, as it is;
- ``{"$path": {"items": [[key, value], ...]}}`` is a dict of the user's that has the key ``$path`` itself.
"""

from __future__ import annotations

import array
import json

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

PATH_KEY = "$path"
_QUOTED_KEY = '"%s"' % PATH_KEY
_parse = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # as raw_decode, which translates an error


def decode_call(line: bytes, scratch: str, python: str | None = None) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments in a line of the file of calls.

    Parameters
    ----------
    line : bytes
        Without its newline.
    scratch : str
        The directory that the component runs in.
    python : str, optional
        The version of the Python that has encoded it.

    Returns
    -------
    args : list
    kwargs : dict
    """
    call = line.partition(b"\t")[0]
    return parse_arguments(call.decode("utf-8"), lambda name: _path(scratch, name), python)


def brought_files(line: bytes) -> list[tuple[str, str]]:
    """Return the files that a line of the file of calls brings along: their ids, and where they land in scratch."""
    rest = line.partition(b"\t")[2]
    return [(identifier, name) for identifier, name in json.loads(rest.decode("utf-8"))] if rest else []


def parse_arguments(
    text: str, file: Callable[[str], object], python: str | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the keyword arguments of a call; see ``parse_call`` and ``decode_call``.

    In a pickle, a file to bring along is an object with a persistent id: where it lands.
    """
    value = parse_call(text, file)
    if type(value) is list:
        return value, {}
    if type(value) is dict:
        return [], value
    import base64
    import io

    from .pythons import MOVE, unpickler

    class Unpickler(unpickler(python, MOVE)):  # type: ignore[misc]
        def persistent_load(self, pid: Any) -> object:
            return file(pid)

    args, kwargs = Unpickler(io.BytesIO(base64.b64decode(value))).load()
    return list(args), dict(kwargs)


def parse_call(text: str, file: Callable[[str], object]) -> Any:
    """Return the arguments of a call: a list by position, a dict by keyword, or a str, which is a pickle in base64.

    Parameters
    ----------
    text : str
        The JSON of the call, without the list of files.
    file : callable
        From where a file lands to what the function gets for it.
    """
    if _QUOTED_KEY not in text:  # the key is always written like this, never with escapes
        try:
            value, end = _parse(text, 0)
        except StopIteration:  # it is damaged, which json.loads has words for
            end = -1
        return value if end == len(text) else json.loads(text)

    def revive(item: dict[str, Any]) -> object:
        if PATH_KEY not in item:
            return item
        value = item[PATH_KEY]
        if type(value) is str:
            return file(value)
        if type(value) is list:
            return _path(value[0])
        return dict(value["items"])

    return json.loads(text, object_hook=revive)


def _path(*parts: str) -> Path:
    from pathlib import Path  # only now: most jobs do without, and are started sooner

    return Path(*parts)


class Calls:
    """The calls of a file, by position.

    Parameters
    ----------
    path : str
    offsets : array.array of unsigned 64-bit integers
        Where each call's line begins, and where the last one ends.
    components : sequence of int
        The component of each position.
    """

    def __init__(self, path: str, offsets: array.array[int], components: Sequence[int]) -> None:
        self.path = path
        self.offsets = offsets
        self.components = components

    def __len__(self) -> int:
        return len(self.components)

    def read(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Return the (component, line) pairs of the positions from ``start`` up to ``stop``."""
        with open(self.path, "rb") as file:
            file.seek(self.offsets[start])
            data = file.read(self.offsets[stop] - self.offsets[start])
        return zip(self.components[start:stop], data.split(b"\n"))


def index_lines(path: str, skip: int = 0) -> array.array[int]:
    """Return the offsets of the lines of a file after the first ``skip``, and of its end."""
    offsets = array.array("Q")
    position = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            if number >= skip:
                offsets.append(position)
            position += len(line)
    offsets.append(position)
    return offsets
