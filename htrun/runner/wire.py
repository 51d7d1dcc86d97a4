"""Names that both sides of the wire know: files, fields and statuses."""

from __future__ import annotations

FORMAT = 1
"""The version of the map directory and of the records in it."""

INNER = ".htrun"
"""The directory in a map's directory that holds what htrun needs."""
INFO = "map.json"
"""The file in it that makes the directory a map."""

# In a job's directory, and with the same names in the scratch directory of an HTCondor job.
CALLS = "calls.jsonl"
RECORDS = "records.jsonl"
STDOUT = "stdout"
STDERR = "stderr"
ENVIRONMENT = "environment.json"
HOLDS = "holds.jsonl"
ATTEMPTS = "attempts.jsonl"
RUNNER_LOG = "runner.log"
WORKER_LOG = "worker.log"

# In the zip file that is the runner on a node.
BUNDLE = "htrun.pyz"
JOB = "job.json"
SOURCES = "sources"

STAGE = "stage"
"""The directory of files to bring along, beside the runner."""

# What the delivery method packaged brings along, and where it is unpacked.
PACKAGES_ARCHIVE = "packages.zip"
PACKAGES = "packages"

SCRATCH = "scratch"
OUTPUTS = "outputs"
"""The directory of a component's output files, beside that in which it runs."""
OUTPUT_FILE = "file."
"""What the names of output files begin with, at the top of a job's directory."""
REMAP = "remap."
"""What the names of those begin with that go elsewhere by URL; the component follows, and a number."""
CHECKPOINT = "checkpoint."
"""What the names of checkpoints begin with; the component follows."""

# Environment variables of a component.
ON_EXECUTE = "HTRUN_ON_EXECUTE"
COMPONENT_VARIABLE = "HTRUN_COMPONENT"
SCRATCH_VARIABLE = "HTRUN_SCRATCH"
CHECKPOINTS_VARIABLE = "HTRUN_CHECKPOINTS"

STOPPED = 75
"""The exit code of a job that stopped after as many failures as it was told to (EX_TEMPFAIL of sysexits.h)."""

ELSEWHERE = 76
"""The exit code of a job that is to start again on another machine, for components that have failed on its own."""

# Attributes of such a job: how often it may end at the most before it counts as over, and where it would not run.
MAX_COMPLETIONS = "HtrunMaxCompletions"
AVOIDED_MACHINES = "HtrunAvoidedMachines"
AVOIDED_UNTIL = "HtrunAvoidedUntil"
SICK_MACHINES = "HtrunSickMachines"

COMPLETED = "COMPLETED"
ERRORED = "ERRORED"

SIDE_FILE = "output."
"""What the names of files with large outputs begin with."""

INLINE_LIMIT = 1 << 20
"""Encoded outputs of more bytes than this go to a file of their own beside the records."""
