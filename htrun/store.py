"""What a map is on disk: paths, atomic writes, how a map's directory is built and removed."""

from __future__ import annotations

import array
import contextlib
import json
import os
import re
import shutil
import stat
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock

from htrun import private
from htrun.exceptions import InvalidMapDirectory, MapWasRemoved
from htrun.remaps import Remaps
from htrun.runner import wire
from htrun.runner.files import remove_tree
from htrun.runner.records import drop_torn_line
from htrun.submissions import Submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


_BLOCK_BYTES = 1 << 18  # what fits into a processor's cache is read sooner


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing bytes that appears under ``path`` whole, or not at all.

    A symbolic link at ``path`` is kept, and what it points to is replaced. What is no regular file, such as a device
    or a named pipe, is written to as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
    try:
        fd, name = tempfile.mkstemp(prefix=_hidden_prefix("part"), dir=path.parent)
    except OSError as error:
        error.filename = str(path)  # which somebody has asked for, as the made-up name was not
        raise
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically, to a directory of ours, and sweep what killed writers left there."""
    sweep(path.parent)
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; raises OSError or ValueError."""
    return json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield what there is to read up to the last end of a line, about 256 KiB at a time."""
    parts: list[bytes] = []
    while data := file.read(_BLOCK_BYTES):
        end = data.rfind(b"\n") + 1
        if end:
            yield b"".join([*parts, data[:end]])
            parts = []
        parts.append(data[end:])


class MapDirectory:
    """A map's directory: what users read lies at its top, what htrun needs in ``.htrun`` inside it.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.move(path)

    def move(self, path: Path) -> None:
        """Mean the same map where it is now."""
        self.path = path
        self.inner = path / wire.INNER
        self.info_file = self.inner / wire.INFO
        self.calls = self.inner / wire.CALLS
        self.call_index = self.inner / "calls.idx"
        self.files_table = self.inner / "files.jsonl"
        self.options_file = self.inner / "options.json"
        self.delivery = self.inner / "delivery"
        self.delivery_file = self.inner / "delivery.json"
        self.remaps_file = self.inner / "remaps.json"
        self.sources = self.inner / wire.SOURCES
        self.jobs = self.inner / "jobs"
        self.checkpoints = self.inner / "checkpoints"
        self.submissions = self.inner / "submissions.jsonl"
        self.outputs_file = path / "outputs.jsonl"
        self.errors_file = path / "errors.jsonl"
        self.run_file = path / "run.json"
        self.output_files = path / "files"

    @cached_property
    def info(self) -> dict[str, Any]:
        """What was said when the map was made (``map.json``); raises InvalidMapDirectory or NotPrivate."""
        private.check(self.path)
        private.check(self.inner)
        try:
            info: dict[str, Any] = read_json(self.info_file)
        except FileNotFoundError:
            raise InvalidMapDirectory(self.path, "this directory is no map") from None
        except (OSError, ValueError) as error:
            raise InvalidMapDirectory(self.path, f"the map's description cannot be read: {error}") from None
        if not isinstance(info, dict) or info.get("format") != wire.FORMAT:
            raise InvalidMapDirectory(self.path, "the map is damaged, or another version of htrun made it")
        return info

    def set_info(self, info: dict[str, Any]) -> None:
        """Write the map's description anew."""
        write_json(self.info_file, info)
        self.__dict__["info"] = info

    @property
    def components(self) -> int:
        """The number of components."""
        return int(self.info["components"])

    def job(self, name: str | int) -> Path:
        """Return the directory of a job."""
        return self.jobs / str(name)

    def lock_file(self, name: str) -> Path:
        """Return the path of one of the map's locks."""
        return self.inner / f"{name}.lock"

    def source_files(self) -> list[Path]:
        """Return the paths of the shipped sources, without the byte code that Pythons which ran them have put there."""
        return [p for p in sorted(self.sources.rglob("*")) if p.is_file() and p.parent.name != "__pycache__"]

    def delivery_names(self) -> list[str]:
        """Return the names of the files that bring Python along."""
        return sorted(os.listdir(self.delivery)) if self.delivery.is_dir() else []  # noqa: PTH208 (names alone)

    def job_names(self) -> set[str]:
        """Return the names of the job directories that there are."""
        try:
            return set(os.listdir(self.jobs))  # noqa: PTH208 (names alone)
        except FileNotFoundError:
            return set()

    @contextlib.contextmanager
    def lock(self, name: str, timeout: float = -1) -> Iterator[None]:
        """Hold one of the map's locks.

        Parameters
        ----------
        name : str
        timeout : float
            Seconds to wait for it; -1 for ever.

        Raises
        ------
        MapWasRemoved
            If there is no map here any more.
        filelock.Timeout
            If somebody else holds it for longer.
        """
        file = FileLock(self.lock_file(name), timeout=timeout)
        if not self.info_file.exists():
            raise MapWasRemoved(self.path.name)
        with file:
            if not self.info_file.exists():
                # Removed just now. A lock makes the directories of its file, and these must not be in anybody's way.
                for remove in (Path(file.lock_file).unlink, self.inner.rmdir, self.path.rmdir):
                    with contextlib.suppress(OSError):
                        remove()
                raise MapWasRemoved(self.path.name)
            yield

    def offsets(self) -> array.array[int]:
        """Return where each component's call begins in the file of calls, and where the last one ends."""
        offsets = array.array("Q")
        offsets.frombytes(self.call_index.read_bytes())
        return offsets

    def call(self, component: int) -> bytes:
        """Return a component's encoded call."""
        offsets = array.array("Q")
        with self.call_index.open("rb") as index:
            index.seek(component * offsets.itemsize)
            offsets.frombytes(index.read(2 * offsets.itemsize))
        with self.calls.open("rb") as calls:
            calls.seek(offsets[0])
            return calls.read(offsets[1] - offsets[0] - 1)

    @cached_property
    def files(self) -> dict[str, dict[str, Any]]:
        """The files that components bring along: by id, their ``path`` here and the text ``given`` for it."""
        try:
            with self.files_table.open("rb") as lines:
                rows = [json.loads(line.decode("utf-8", "surrogateescape")) for line in lines]
        except FileNotFoundError:
            return {}
        return {row["id"]: row for row in rows}

    @property
    def submit_options(self) -> dict[str, str]:
        """The submit commands that users have given for all components."""
        return dict(self.info.get("options", {}).get("submit", {}))

    @cached_property
    def variadic_options(self) -> dict[str, list[str]]:
        """The submit commands that have a value for each component."""
        try:
            options: dict[str, list[str]] = read_json(self.options_file)
        except FileNotFoundError:
            return {}
        return options

    @cached_property
    def delivered(self) -> dict[str, Any]:
        """What was prepared to bring Python along; see ``delivery.Prepared``."""
        try:
            delivered: dict[str, Any] = read_json(self.delivery_file)
        except FileNotFoundError:
            return {"submit": {}, "runner": {}}
        return delivered

    def remaps(self, component: int) -> dict[str, str]:
        """Return where a component's output files go instead of coming back: absolute paths and URLs, by name."""
        return self._remaps.component(component) if self._remaps else {}

    @cached_property
    def _remaps(self) -> Remaps | None:
        try:
            return Remaps.from_json(read_json(self.remaps_file))
        except FileNotFoundError:
            return None

    def read_submissions(self) -> list[Submission]:
        """Return what has been submitted so far, in order."""
        result: dict[int, Submission] = {}
        try:
            lines = self.submissions.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the torn end of a killed write: what it would have said did not happen
            if "cluster" in row:
                result[row["submission"]].cluster = row["cluster"]
                result[row["submission"]].schedd = row.get("schedd")
            else:
                row["components"] = tuple((a, b) for a, b in row["components"])
                result[row["submission"]] = Submission(**row)
        return list(result.values())

    def append_submission(self, row: dict[str, Any]) -> None:
        """Add a line to the list of submissions, durably."""
        drop_torn_line(str(self.submissions))
        with self.submissions.open("ab") as file:
            file.write(json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def submissions_size(self) -> int:
        """Return the size of the list of submissions, for ``cut_submissions``."""
        return self.submissions.stat().st_size if self.submissions.exists() else 0

    def cut_submissions(self, size: int) -> None:
        """Take back what was added to the list of submissions since it had a size."""
        os.truncate(self.submissions, size)


class DirectoryBuilder:
    """Builds a map's directory beside where it is to be, so that it appears whole or not at all.

    Parameters
    ----------
    parent : pathlib.Path
        The directory that the map's directory will be in; made when missing.
    """

    def __init__(self, parent: Path) -> None:
        self.directory = MapDirectory(make_temporary(parent))
        sweep(parent)
        private.make(self.directory.jobs)

    def write_calls(self, calls: Iterable[bytes]) -> int:
        """Write encoded calls and their index; return how many there are."""
        offsets = array.array("Q", [0])
        position = 0
        with self.directory.calls.open("wb", buffering=_BLOCK_BYTES) as file:
            for call in calls:
                position += file.write(b"%b\n" % call)
                offsets.append(position)
        self.directory.call_index.write_bytes(offsets.tobytes())
        return len(offsets) - 1

    def write_files(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write the table of files to bring along."""
        lines = [json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n" for row in rows]
        if lines:
            self.directory.files_table.write_bytes(b"".join(lines))

    def write_options(self, variadic: dict[str, list[str]]) -> None:
        """Write the submit commands that have a value for each component."""
        if variadic:
            write_json(self.directory.options_file, variadic)

    def write_delivery(self, submit: Mapping[str, str], runner: Mapping[str, Any], python: str | None) -> None:
        """Write what a delivery method has prepared."""
        row = {"submit": dict(submit), "runner": dict(runner), "python": python}
        write_json(self.directory.delivery_file, row)

    def write_remaps(self, remaps: Remaps) -> None:
        """Write where output files go, if any do."""
        if remaps:
            write_json(self.directory.remaps_file, remaps.to_json())

    def write_sources(self, sources: Iterable[tuple[Path, str]], made: Mapping[str, bytes]) -> None:
        """Copy source files (path here, name below the sources directory), and write others there."""
        self.directory.sources.mkdir()
        for name, data in made.items():
            (self.directory.sources / name).write_bytes(data)
        for path, name in sources:
            target = self.directory.sources / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def write_info(self, info: dict[str, Any]) -> None:
        """Write the map's description; the directory is a map from here on."""
        write_json(self.directory.info_file, info)

    def move_to(self, path: Path) -> MapDirectory:
        """Put the directory where it is to be; raises OSError where something other than an empty directory is."""
        self.directory.path.rename(path)
        return MapDirectory(path)

    def discard(self) -> None:
        """Remove what has been built."""
        remove_directory(self.directory.path)


def make_temporary(parent: Path) -> Path:
    """Return a new private directory for what is not there yet; ``sweep`` removes it if this process is killed."""
    while True:
        parent.mkdir(parents=True, exist_ok=True)
        # Another process may be tidying up the parent that it made for a map that came to nothing.
        with contextlib.suppress(FileNotFoundError):
            return Path(tempfile.mkdtemp(prefix=_hidden_prefix("new"), dir=parent))


def _hidden_prefix(kind: str) -> str:
    """Return how the names begin of what this process makes that is no map yet, or any more, or no whole file yet."""
    return f".htrun-{kind}-{os.uname().nodename}-{os.getpid()}-"


def sweep(parent: Path) -> None:
    """Remove what processes of this machine that were killed have left half made, half written or half removed."""
    host = re.compile(rf"\.htrun-(new|part|removed)-{re.escape(os.uname().nodename)}-([0-9]+)-")
    with contextlib.suppress(OSError):
        for entry in os.scandir(parent):
            found = host.match(entry.name)
            if found and not _is_running(int(found[2])):
                remove_tree(entry.path)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def move_aside(path: Path) -> Path | None:
    """Move a map's directory to where nobody takes it for one; return that path, None if it is not there.

    What cannot be moved, such as a mount point, stays where it is.
    """
    aside = path.parent / f"{_hidden_prefix('removed')}{os.urandom(4).hex()}"
    try:
        return path.rename(aside)
    except FileNotFoundError:
        return None
    except OSError:
        return path


def remove_directory(path: Path) -> None:
    """Remove a directory with all that is in it, in one step for those who look; nothing happens if it is not there."""
    aside = move_aside(path)
    if aside is not None:
        remove_tree(str(aside))
