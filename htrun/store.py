"""What a map is on disk: paths, atomic writes, the records and their index."""

from __future__ import annotations

import array
import contextlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock

from htrun.exceptions import InvalidMapDirectory, MapWasRemoved
from htrun.runner import wire
from htrun.runner.records import drop_torn_line
from htrun.runner.worker import remove_tree

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

Ranges = tuple[tuple[int, int], ...]
"""Components as half-open ranges."""


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
    fd, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fchmod(fd, 0o666 & ~_umask())
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
    """Write a value as indented JSON, atomically."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; raises OSError or ValueError."""
    return json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))


class MapDirectory:
    """A map's directory: what users read lies at its top, what htrun needs in ``.htrun`` inside it.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inner = path / ".htrun"
        self.info_file = self.inner / "map.json"
        self.calls = self.inner / wire.CALLS
        self.call_index = self.inner / "calls.idx"
        self.files_table = self.inner / "files.jsonl"
        self.sources = self.inner / wire.SOURCES
        self.jobs = self.inner / "jobs"
        self.submissions = self.inner / "submissions.jsonl"
        self.outputs_file = path / "outputs.jsonl"
        self.errors_file = path / "errors.jsonl"
        self.run_file = path / "run.json"

    @cached_property
    def info(self) -> dict[str, Any]:
        """What was said when the map was made (``map.json``); raises InvalidMapDirectory."""
        try:
            info: dict[str, Any] = read_json(self.info_file)
        except FileNotFoundError:
            raise InvalidMapDirectory(self.path, "this directory is no map") from None
        except (OSError, ValueError) as error:
            raise InvalidMapDirectory(self.path, f"the map's description cannot be read: {error}") from None
        if not isinstance(info, dict) or info.get("format") != wire.FORMAT:
            raise InvalidMapDirectory(self.path, "the map is damaged, or another version of htrun made it")
        return info

    @property
    def components(self) -> int:
        """The number of components."""
        return int(self.info["components"])

    def job(self, name: str | int) -> Path:
        """Return the directory of a job."""
        return self.jobs / str(name)

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
        file = FileLock(self.inner / f"{name}.lock", timeout=timeout)
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

    def files(self) -> dict[str, dict[str, Any]]:
        """Return the files that components bring along: by id, their ``path`` here and the text ``given`` for it."""
        try:
            with self.files_table.open("rb") as lines:
                rows = [json.loads(line.decode("utf-8", "surrogateescape")) for line in lines]
        except FileNotFoundError:
            return {}
        return {row["id"]: row for row in rows}

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


@dataclass
class Submission:
    """Components that were given to an engine at once.

    Attributes
    ----------
    submission : int
        Its number, counted from 0.
    first_job : int
    chunk_size : int
        Components a job.
    components : tuple of (int, int)
    cluster : int or None
        HTCondor's number for it, once known.
    """

    submission: int
    first_job: int
    chunk_size: int
    components: Ranges
    cluster: int | None = None

    @property
    def size(self) -> int:
        """The number of components."""
        return sum(stop - start for start, stop in self.components)

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return -(-self.size // self.chunk_size)

    def chunk(self, job: int) -> Ranges:
        """Return the components of one of its jobs."""
        skip = (job - self.first_job) * self.chunk_size
        left = self.chunk_size
        result = []
        for start, stop in self.components:
            if skip >= stop - start:
                skip -= stop - start
                continue
            take = min(left, stop - start - skip)
            result.append((start + skip, start + skip + take))
            skip = 0
            left -= take
            if not left:
                break
        return tuple(result)


class MapBuilder:
    """Builds a map's directory beside where it is to be, so that it appears whole or not at all.

    Parameters
    ----------
    parent : pathlib.Path
        The directory that the map's directory will be in; made when missing.
    """

    def __init__(self, parent: Path) -> None:
        self.directory = MapDirectory(_make_temporary(parent))
        self.directory.path.chmod(0o777 & ~_umask())
        self.directory.inner.mkdir(mode=0o700)
        self.directory.jobs.mkdir()

    def write_calls(self, calls: Iterable[bytes]) -> int:
        """Write encoded calls and their index; return how many there are."""
        offsets = array.array("Q")
        position = 0
        with self.directory.calls.open("wb") as file:
            for call in calls:
                offsets.append(position)
                file.write(call)
                file.write(b"\n")
                position += len(call) + 1
        count = len(offsets)
        offsets.append(position)
        self.directory.call_index.write_bytes(offsets.tobytes())
        return count

    def write_files(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write the table of files to bring along."""
        lines = [json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n" for row in rows]
        if lines:
            self.directory.files_table.write_bytes(b"".join(lines))

    def write_sources(self, sources: Iterable[tuple[Path, str]]) -> None:
        """Copy source files (path here, name below the sources directory)."""
        self.directory.sources.mkdir()
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


def _make_temporary(parent: Path) -> Path:
    while True:
        parent.mkdir(parents=True, exist_ok=True)
        # Another process may be tidying up the parent that it made for a map that came to nothing.
        with contextlib.suppress(FileNotFoundError):
            return Path(tempfile.mkdtemp(prefix=".htrun-new-", dir=parent))


def remove_directory(path: Path) -> None:
    """Remove a directory with all that is in it, in one step for those who look; nothing happens if it is not there."""
    grave = path.parent / f".htrun-removed-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        path.rename(grave)
    except FileNotFoundError:
        return
    except OSError:
        grave = path  # a mount point, say: it cannot be moved
    remove_tree(str(grave))


@dataclass(frozen=True)
class Record:
    """One component's record.

    Attributes
    ----------
    line : bytes
        The record as it is on disk, without the newline.
    directory : pathlib.Path
        The job directory that it is in.
    """

    line: bytes
    directory: Path

    @cached_property
    def data(self) -> dict[str, Any]:
        """The record as a dict."""
        data: dict[str, Any] = json.loads(self.line)
        return data

    def output_json(self) -> bytes | None:
        """Return the output as JSON without parsing it; None where it has no such form."""
        at = self.line.find(b',"output":')
        if at >= 0:
            return self.line[at + 10 : -1]
        if self.line.find(b',"output_file":') >= 0:
            file = self.directory / str(self.data["output_file"])
            return file.read_bytes()
        return None

    def printed(self, stream: str) -> str:
        """Return what the component printed to ``stdout`` or ``stderr``."""
        span = self.data.get(stream)
        if span is None:
            return ""
        start, stop = span
        try:
            with (self.directory / stream).open("rb") as file:
                file.seek(start)
                return file.read(stop - start).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def environment(self) -> dict[str, Any]:
        """Return what Python and packages ran the component, where that was recorded."""
        try:
            environment: dict[str, Any] = read_json(self.directory / wire.ENVIRONMENT)
        except (OSError, ValueError):
            return {}
        return environment


_NONE, _COMPLETED, _ERRORED = 0, 1, 2


class Records:
    """The index of a map's records: where each component's latest one is. It grows by reading what is new.

    Parameters
    ----------
    directory : MapDirectory
    """

    def __init__(self, directory: MapDirectory) -> None:
        count = directory.components
        self._directory = directory
        self.outcomes = bytearray(count)
        self._sources: dict[str, int] = {}
        self._names: list[str] = []
        self._source = array.array("i", bytes(4 * count))
        self._offset = array.array("q", bytes(8 * count))
        self._length = array.array("q", bytes(8 * count))
        self._read: dict[str, int] = {}
        self.errored: set[int] = set()
        self.finished = 0

    def read(self, name: str) -> list[int]:
        """Take in what is new in the records of a job directory; return the components it is of."""
        position = self._read.get(name, 0)
        try:
            with (self._directory.job(name) / wire.RECORDS).open("rb") as file:
                file.seek(position)
                data = file.read()
        except FileNotFoundError:
            return []
        data = data[: data.rfind(b"\n") + 1]
        if not data:
            return []
        source = self._sources.setdefault(name, len(self._names))
        if source == len(self._names):
            self._names.append(name)
        fresh = []
        start = len(b'{"component":')
        for line in data.splitlines(keepends=True):
            comma = line.find(b",")
            try:
                component = int(line[start:comma])
                completed = line[comma + 11 : comma + 12] == b"C"  # ,"status":"C...
                if component < 0 or component >= len(self.outcomes):
                    raise IndexError
            except (ValueError, IndexError):
                position += len(line)  # a torn line that a later one was appended to
                continue
            if self.outcomes[component] == _NONE:
                self.finished += 1
            self.outcomes[component] = _COMPLETED if completed else _ERRORED
            if completed:
                self.errored.discard(component)
            else:
                self.errored.add(component)
            self._source[component] = source
            self._offset[component] = position
            self._length[component] = len(line) - 1
            fresh.append(component)
            position += len(line)
        self._read[name] = position
        return fresh

    def has(self, component: int) -> bool:
        """Tell whether a component has a record."""
        return self.outcomes[component] != _NONE

    def status(self, component: int) -> str:
        """Return the status that a component's record says; KeyError without one."""
        outcome = self.outcomes[component]
        if outcome == _NONE:
            raise KeyError(component)
        return wire.COMPLETED if outcome == _COMPLETED else wire.ERRORED

    def get(self, component: int) -> Record | None:
        """Return a component's record, or None."""
        return next(iter(self.walk([component])), None)

    def walk(self, components: Iterable[int]) -> Generator[Record | None]:
        """Yield the records of components, None for one without."""
        files: dict[int, BinaryIO] = {}
        try:
            for component in components:
                if self.outcomes[component] == _NONE:
                    yield None
                    continue
                source = self._source[component]
                directory = self._directory.job(self._names[source])
                file = files.get(source)
                if file is None:
                    if len(files) >= 64:
                        files.pop(next(iter(files))).close()
                    file = files[source] = (directory / wire.RECORDS).open("rb")
                file.seek(self._offset[component])
                yield Record(file.read(self._length[component]), directory)
        finally:
            for file in files.values():
                file.close()
