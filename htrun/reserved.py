"""The options that users cannot set, since htrun's jobs depend on them, in every spelling that HTCondor knows."""

from __future__ import annotations

import re

_FILES = "use input_files or fixed_input_files, on the command line --input-file, for files to bring along"
_OUTPUTS = "call htrun.transfer_output_files() in the function for files to bring back"
_PRINTED = "what components print is kept, see 'htrun stdout' and 'htrun stderr'"
_TRANSFER = "it follows from should_transfer_files"
_WHETHER = "give should_transfer_files as an option of that name, on the command line -o should_transfer_files=NO"
_RUNNER = "what a job runs is htrun's own, see the target and the delivery method"
_DIRECTORY = "components run in a scratch directory of their own"
_LOG = "htrun follows jobs by their event log"
_NAME = "jobs are named by the map's tag"
_COMPONENT = "$(component) is the component, by its index in the inputs"
_INTERNAL = "htrun finds its jobs by it"
_STATE = "HTCondor counts jobs by it"
_HELD = "the event log of such jobs does not say that they are held; 'htrun hold' holds those of a map"
_EXIT = "a job exits with 0 whatever becomes of its components; max_retries runs jobs again that do not"
_NO_RUN = "such jobs may end without running anything"
_POLICY = "give {0} to MapOptions(), on the command line --{1}"
_KEYWORD = "it is a keyword of submit files, and no option"
_CUSTOM = "give custom options by their own names, with + or MY. before them"

# By what is to be said: names of submit commands, their aliases, and the job attributes that they set, which
# custom options would set behind their back (HTCondor's submit_utils.h and condor_attributes.h).
_REASONS: dict[str, str] = {
    _FILES: (
        "transfer_input_files TransferInputFiles TransferInput transfer_input input stdin In TransferIn "
        "TransferInputRemaps transfer_common_input CommonInputFiles public_input_files PublicInputFiles "
        "input_files fixed_input_files"
    ),
    _OUTPUTS: (
        "transfer_output_files TransferOutputFiles TransferOutput transfer_output output_destination "
        "OutputDestination output_directory OutputDirectory"
    ),
    "use output_remaps": "transfer_output_remaps TransferOutputRemaps file_remaps FileRemaps output_remaps",
    _PRINTED: (
        "output stdout Out error stderr Err transfer_error TransferErr TransferOut "
        "StdoutRemapped StderrRemapped transfer_stdout transfer_stderr"
    ),
    _TRANSFER: ("when_to_transfer_output transfer_files preserve_relative_paths preserve_relative_executable"),
    _WHETHER: "should_transfer_files ShouldTransferFiles",
    _RUNNER: "executable Cmd transfer_executable arguments args arguments2 shell universe JobUniverse",
    _DIRECTORY: "initialdir initial_dir Iwd job_iwd remote_initialdir remote_initial_dir RemoteIwd",
    _LOG: "log UserLog log_xml UserLogUseXML submit_event_notes LogNotes SubmitEventNotes",
    _NAME: "batch_name JobBatchName jobbatchname",
    _COMPONENT: "component",
    _INTERNAL: "IsHTRunJob HtrunMap HtrunSubmission IsHTMapJob",
    _STATE: "ClusterId ProcId JobStatus GlobalJobId Cluster Process",
    _HELD: "hold",
    _EXIT: "success_exit_code SuccessExitCode JobSuccessExitCode",
    _NO_RUN: "noop_job IsNoopJob skip_if_dataflow SkipIfDataflow",
    _POLICY.format("max_running", "max-running"): "max_running max_materialize JobMaterializeLimit",
    _POLICY.format("max_idle", "max-idle"): "max_idle materialize_max_idle JobMaterializeMaxIdle",
    **{_POLICY.format(n, n.replace("_", "-")): n for n in ("chunk_size", "max_jobs", "retries", "timeout")},
    _CUSTOM: "custom_options",
    _KEYWORD: "queue iterate if elif else endif include use warning",
}
_PREFIX = re.compile(r"(?:\+|my\.)", re.IGNORECASE)


def _normalized(key: str) -> str:
    return _PREFIX.sub("", re.sub(r"[\s_]", "", key), count=1).lower()


RESERVED_KEYS: frozenset[str] = frozenset(name for names in _REASONS.values() for name in names.split()) | {
    f"{prefix}{name}"
    for prefix in ("+", "MY.")
    for name in ("component", "IsHTRunJob", "IsHTMapJob", "HtrunMap", "HtrunSubmission")
}
"""Reserved options as they are mostly spelled; case, underscores, and a leading ``+`` or ``MY.`` change nothing.

``should_transfer_files`` is reserved as a custom option only, and its values but for two of them (``htrun.options``).
"""

_INSTEAD = {_normalized(name): reason for reason, names in _REASONS.items() for name in names.split()}


def why_reserved(key: str) -> str | None:
    """Return why an option is reserved, or what to use instead of it; None if it is free."""
    name = _normalized(key)
    if _INSTEAD.get(name) is _WHETHER and not _PREFIX.match(key):
        return None
    return _INSTEAD.get(name, _INTERNAL if name.startswith("htrun") else None)
