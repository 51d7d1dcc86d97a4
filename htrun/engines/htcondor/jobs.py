"""What goes to an HTCondor pool: the jobs' files, and the submit description as text."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.delivery import escape
from htrun.engines.htcondor.bundle import write_bundle
from htrun.engines.htcondor.transfer import InputUrls, output_remaps, per_job
from htrun.exceptions import EngineError
from htrun.options import is_in_place
from htrun.runner import wire
from htrun.runner.files import left_out, remove_tree
from htrun.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from htrun.store import MapDirectory
    from htrun.submissions import Submission

MAP_ATTRIBUTE = "HtrunMap"
SUBMISSION_ATTRIBUTE = "HtrunSubmission"
_USERS = {"request_cpus", "request_disk", "want_io_proxy"}
"""What jobs ask for if users do not ask for something else."""
_RETRIES = {"on_exit_remove", "max_retries", "retry_until"}
"""Options by which users say themselves which jobs run again."""
_ON_EXIT_REMOVE = "ExitBySignal =!= true || NumJobCompletions > 2"  # else its machine may be to blame
_REMAPS = {"My.TransferInputRemaps": "htrun_input_remaps", "transfer_output_remaps": "htrun_output_remaps"}
"""Names in the item data of what only some submissions need."""


def map_constraint(directory: MapDirectory) -> str:
    """Return the ClassAd expression that is true for the jobs of a map."""
    return f'{MAP_ATTRIBUTE} == "{directory.info["uid"]}"'


def place_constraint(directory: MapDirectory) -> str:
    """Return the constraint for the jobs of other maps whose results go to the same place."""
    place = f"{directory.jobs}/".replace("\\", "\\\\").replace('"', '\\"')
    others = f'{MAP_ATTRIBUTE} =!= undefined && {MAP_ATTRIBUTE} != "{directory.info["uid"]}"'
    return f'{others} && substr(Iwd, 0, {len(os.fsencode(place))}) == "{place}"'


def write_jobs(directory: MapDirectory, submission: Submission) -> list[dict[str, str]]:
    """Write what the jobs of a submission bring along; return the item data of the submit description.

    Item data is trimmed by HTCondor and cannot hold every character, so of files it holds numbers only: names of job
    directories, and ids of files that are staged under names of ours. Besides, it holds URLs and the values of variadic
    options, whose characters were checked when they were given.
    """
    write_bundle(directory, directory.inner / wire.BUNDLE)
    files = directory.files
    staged: set[str] = set()
    remaps: dict[str, list[str]] = {command: [] for command in _REMAPS}
    offsets = directory.offsets()
    options = directory.variadic_options.values()
    items = []
    with directory.calls.open("rb") as calls:
        for job in range(submission.first_job, submission.first_job + submission.jobs):
            components = submission.chunk(job)
            lines = []
            for start, stop in components:
                calls.seek(offsets[start])
                lines.append(calls.read(offsets[stop] - offsets[start]))
            data = b"".join(lines)
            ids = _file_ids(data) if files else []
            urls = InputUrls([wire.BUNDLE, wire.CALLS, *ids])
            brought = []
            for identifier in ids:
                source = files[identifier]["path"]
                if is_url(source):
                    brought.append(urls.add(source, identifier))
                    continue
                brought.append(f"../../{wire.STAGE}/{identifier}")
                if identifier not in staged:
                    staged.add(identifier)
                    _stage(Path(source), directory.inner / wire.STAGE / identifier)
            sent = {c: _remote(directory.remaps(c)) for start, stop in components for c in range(start, stop)}
            names, outputs = output_remaps(sent, directory.submit_options)
            for command, text in zip(_REMAPS, (urls.remaps, outputs), strict=True):
                remaps[command].append(text)
            path = directory.job(job)
            path.mkdir(exist_ok=True)
            header = {"components": components, **({"remaps": names} if names else {})}
            (path / wire.CALLS).write_bytes(json.dumps(header).encode() + b"\n" + data)
            first = components[0][0]
            items.append(
                {
                    "htrun_job": str(job),
                    "htrun_files": "".join(f", {file}" for file in brought),
                    **{_item_variable(n): values[first] for n, values in enumerate(options)},
                    "component": str(first),  # last: the end of a line is where HTCondor would see more in a value
                }
            )
    for command, values in remaps.items():
        for item, value in zip(items, per_job(values), strict=False):
            item.update({_REMAPS[command]: value, "component": item.pop("component")})
    return items


def _remote(remaps: Mapping[str, str]) -> dict[str, str]:
    return {name: destination for name, destination in remaps.items() if is_url(destination)}


def _item_variable(number: int) -> str:
    """Return the name under which item data has the values of a variadic option."""
    return f"htrun_option{number}"


def _file_ids(calls: bytes) -> list[str]:
    ids: dict[str, None] = {}
    for line in calls.split(b"\n"):
        _, tab, files = line.partition(b"\t")
        if tab:
            ids.update((identifier, None) for identifier, _ in json.loads(files))
    return list(ids)


def _stage(source: Path, link: Path) -> None:
    """Make a file or directory available under a name that any submit description can hold.

    HTCondor follows symbolic links to files but refuses those to directories, so of a directory a tree of links to its
    files is made.
    """
    link.parent.mkdir(exist_ok=True)
    if link.is_symlink() or link.exists():
        return
    if not source.is_dir():
        link.symlink_to(source)
        return
    tree = link.with_name(f"{link.name}.part")  # a kill half way must leave nothing that looks whole
    if tree.exists():
        remove_tree(str(tree))
    tree.mkdir()
    for root, directories, names in os.walk(source, followlinks=True, onerror=_raise):
        here = tree / Path(root).relative_to(source)
        if len(here.parts) - len(tree.parts) > 100:
            raise EngineError(
                f"{source}: its symbolic links lead in a circle, or its directories are nested too deeply"
            )
        skipped = set(left_out(root, [*directories, *names]))
        directories[:] = [name for name in directories if name not in skipped]
        for name in directories:
            (here / name).mkdir(exist_ok=True)
        for name in names:
            if name not in skipped:
                (here / name).symlink_to(Path(root) / name)
    tree.rename(link)


def stage_again(directory: MapDirectory) -> None:
    """Stage anew what was not there, or was something else, when it was staged."""
    for identifier, file in directory.files.items():
        link = directory.inner / wire.STAGE / identifier
        if link.is_symlink() and link.is_dir():
            link.unlink()
            _stage(Path(file["path"]), link)


def _raise(error: OSError) -> None:
    raise EngineError(f"{error.filename}: {error.strerror}")


def submit_description(
    info: Mapping[str, Any],
    submission: Submission,
    inner: str,
    delivery: Mapping[str, str],
    variadic: Collection[str] = (),
    files: Iterable[str] = (),
    item: Collection[str] = (),
) -> dict[str, str]:
    """Return the submit description of a submission.

    Parameters
    ----------
    info : mapping
        The map's description.
    submission : Submission
    inner : str
        The absolute path of the map's ``.htrun`` directory.
    delivery : mapping of str to str
        The submit commands of the delivery method.
    variadic : collection of str
        The options whose values are in the item data, in order.
    files : iterable of str
        The names of the files that the delivery method brings along.
    item : collection of str
        The names in the item data.

    Raises
    ------
    EngineError
        If the path is one that no submit description can hold, see ``escape``.
    """
    options = dict(info.get("options", {}).get("submit", {}))
    ours = {
        "universe": "vanilla",
        **{key: value for key, value in delivery.items() if key != "transfer_input_files"},
        "batch_name": escape(info["tag"]),
        # The dot keeps a space at the end of a name from being trimmed.
        "initialdir": escape(f"{inner}/jobs/") + "$(htrun_job)/.",
        **({"should_transfer_files": "NO"} if is_in_place(options) else _transfer(delivery, files)),
        "output": wire.RUNNER_LOG,
        "error": wire.RUNNER_LOG,
        "log": escape(f"{inner}/events.log"),
        "want_io_proxy": "true",  # see htrun.runner.access_point
        "on_exit_remove": delivery.get("on_exit_remove", _ON_EXIT_REMOVE),
        "request_cpus": "1",
        f"My.{MAP_ATTRIBUTE}": f'"{info["uid"]}"',
        f"My.{SUBMISSION_ATTRIBUTE}": str(submission.submission),
        **{command: f'"$({name})"' for command, name in _REMAPS.items() if name in item},
    }
    options |= {key: f"$({_item_variable(number)})" for number, key in enumerate(variadic)}
    if _RETRIES & options.keys():
        del ours["on_exit_remove"]
        ours.pop(f"My.{wire.MAX_COMPLETIONS}", None)
    for key in ours:
        # Reserved options were refused when they were given; what is left is a delivery's own.
        if key in options and key not in _USERS:
            both = key == "requirements" and options[key]
            options[key] = f"({options[key]}) && ({ours[key]})" if both else ours[key]
    return {**ours, **options}


def _transfer(delivery: Mapping[str, str], files: Iterable[str]) -> dict[str, str]:
    return {
        "transfer_input_files": f"../../{wire.BUNDLE}, {wire.CALLS}{_brought(delivery, files)}$(htrun_files)",
        "should_transfer_files": "YES",
        # Records of finished components come back to a job that was vacated. No output files are named: those made or
        # changed at the top of the job's scratch directory are transferred, and a job that died early is not held
        # for lack of one.
        "when_to_transfer_output": "ON_EXIT_OR_EVICT",
    }


def _brought(delivery: Mapping[str, str], files: Iterable[str]) -> str:
    """Return what a delivery method brings along, to go on a list of files."""
    named = delivery.get("transfer_input_files", "")
    paths = [f"../../delivery/{name}" for name in files]
    image = delivery.get("container_image")  # HTCondor puts it on the list itself
    return "".join(f", {path}" for path in paths if path != image) + (f", {named}" if named else "")


def format_description(description: Mapping[str, str]) -> str:
    """Return a submit description as the text of a submit file, for reading."""

    def lines() -> Iterator[str]:
        for name, value in description.items():
            yield f"{name} = {value}"

    return "\n".join(lines()) + "\n"
