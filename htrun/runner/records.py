"""Reading and mending files of records, from the beginnings of their lines alone."""

from __future__ import annotations

import os

from . import wire

PREFIX = '{"component":%d,"status":"%s"'
"""What every record begins with, for a component and its status; readers rely on it to skip the rest."""


def record_prefix(component: int, status: str) -> str:
    """Return the text that the record of a component begins with."""
    return PREFIX % (component, status)


def drop_torn_line(path: str) -> int:
    """Cut off what a killed writer left of a last line; return the number of bytes kept."""
    try:
        with open(path, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            end = size
            while end > 0:
                start = max(0, end - 65536)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    end = start + newline + 1
                    break
                end = start
            if end != size:
                file.truncate(end)
            return end
    except FileNotFoundError:
        return 0


def last_recorded(directory: str) -> int:
    """Return the component of the last whole record in a job directory, or -1."""
    path = os.path.join(directory, wire.RECORDS)
    end = drop_torn_line(path)
    if not end:
        return -1
    with open(path, "rb") as file:
        position = max(0, end - 65536)
        while True:
            file.seek(position)
            block = file.read(end - position)[:-1]
            newline = block.rfind(b"\n")
            if newline >= 0 or position == 0:
                return component_of(block[newline + 1 :])
            position = max(0, position - 1048576)


def component_of(line: bytes) -> int:
    """Return the component of a record, from the beginning of its line alone."""
    return int(line[len(b'{"component":') : line.index(b",")])


def recorded_components(path: str) -> set[int]:
    """Return the set of components that have a whole record in a file of records."""
    drop_torn_line(path)
    try:
        with open(path, "rb") as file:
            return {component_of(line) for line in file}
    except FileNotFoundError:
        return set()
