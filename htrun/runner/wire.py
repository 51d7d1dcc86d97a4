"""Names that both sides of the wire know: files, fields and statuses."""

from __future__ import annotations

import os

FORMAT = 1
"""The version of the map directory and of the records in it."""

# In a job's directory, and with the same names in the scratch directory of an HTCondor job.
CALLS = "calls.jsonl"
RECORDS = "records.jsonl"
STDOUT = "stdout"
STDERR = "stderr"
ENVIRONMENT = "environment.json"
RUNNER_LOG = "runner.log"

# In the zip file that is the runner on a node.
BUNDLE = "htrun.pyz"
JOB = "job.json"
SOURCES = "sources"

SCRATCH = "scratch"

COMPLETED = "COMPLETED"
ERRORED = "ERRORED"

SIDE_FILE = "output."
"""What the names of files with large outputs begin with."""

INLINE_LIMIT = 1 << 20
"""Encoded outputs of more bytes than this go to a file of their own beside the records."""


def record_prefix(component: int, status: str) -> str:
    """Return the text that every record of a component begins with; readers rely on it to skip the rest."""
    return '{"component":%d,"status":"%s"' % (component, status)


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
