"""Files that components bring along: naming them, checking that they are there, and where they land on the node."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import total_ordering
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from htrun.exceptions import UsageError
from htrun.runner.calls import PATH_KEY
from htrun.urls import file_name, is_url, landing_name, normalized, path_of, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_MAX_SHOWN = 200
_SAME_DIRECTORY = {"absolute", "resolve", "expanduser"}
"""Methods of paths that return the same one, written otherwise."""


@total_ordering
class TransferPath:
    """Where a file or directory is: on this machine, or behind a URL if there is a protocol.

    What it lacks itself it takes from its ``pathlib`` counterpart: ``Path`` for local paths, ``PurePosixPath`` for the
    path of a URL, without its query. Paths that come from there are TransferPaths again. A slash at the end of a local
    path is kept: it means what is in the directory.

    Parameters
    ----------
    path : str, os.PathLike or TransferPath
        A TransferPath is copied. The path of a URL is kept as it is written.
    protocol : str, optional
        Such as ``https`` or ``s3``; None for a local path.
    location : str, optional
        The server, bucket or the like in a URL.

    Raises
    ------
    UsageError
        If the path is empty, a URL, or has a location but no protocol.
    """

    __slots__ = ("_path", "location", "path", "protocol")

    def __init__(
        self, path: str | os.PathLike[str] | TransferPath, protocol: str | None = None, location: str | None = None
    ) -> None:
        if isinstance(path, TransferPath):
            protocol, location = protocol or path.protocol, location or path.location
            path = path.path
        text = os.fspath(path)
        if protocol is None:
            if location is not None:
                raise UsageError(f"the location {location!r} needs a protocol, such as https")
            if not text:
                raise UsageError("a path cannot be empty")
            if is_url(text):
                raise UsageError(f"{shown(text)} is a URL: use TransferPath.parse() or give protocol and location")
        self._path: PurePath = Path(text) if protocol is None else PurePosixPath(path_of(protocol, text))
        self.path: str = text if protocol is not None else str(self._path) + ("/" if _means_contents(text) else "")
        self.protocol: str | None = protocol
        self.location: str | None = location

    @classmethod
    def parse(cls, text: str) -> TransferPath:
        """Return what a URL or a local path names."""
        if not is_url(text):
            return cls(text)
        protocol, location, path = split(text)
        return cls(path, protocol, location or None)

    @classmethod
    def cwd(cls) -> TransferPath:
        """Return the current directory."""
        return cls(Path.cwd())

    @classmethod
    def home(cls) -> TransferPath:
        """Return the home directory."""
        return cls(Path.home())

    @property
    def is_remote(self) -> bool:
        """Whether it has a protocol."""
        return self.protocol is not None

    @property
    def name(self) -> str:
        """The last part of the path; of a URL the name that the file has when it arrives."""
        return self._path.name if self.protocol is None else file_name(self.protocol, self._path.name)

    @property
    def parent(self) -> TransferPath:
        """The directory that it is in."""
        return self._sibling(self._path.parent)

    @property
    def parents(self) -> tuple[TransferPath, ...]:
        """The directories that it is in, the innermost first."""
        return tuple(map(self._sibling, self._path.parents))

    def as_uri(self) -> str:
        """Return the URL of a remote path as it is written, and what pathlib does of a local one."""
        return self._path.as_uri() if self.protocol is None else str(self)

    def __truediv__(self, other: str | os.PathLike[str]) -> TransferPath:
        return self._sibling(self._path / other, slash=_means_contents(os.fspath(other)))

    def __rtruediv__(self, other: str | os.PathLike[str]) -> TransferPath:
        return self._sibling(other / self._path)

    def __lt__(self, other: TransferPath) -> bool:
        if not isinstance(other, TransferPath):
            return NotImplemented
        return self._key() < other._key()

    def _key(self) -> tuple[Any, ...]:
        """Return what paths are sorted by: first the local ones, then by server, and there as pathlib does."""
        return (self.is_remote, self.protocol or "", self.location or "", self._path.parts, str(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)  # copy and pickle ask before there is a _path
        if not hasattr(self._path, name):
            where = "is not on this machine, so it " if self.is_remote else ""
            raise AttributeError(f"{self} {where}has no {name}")
        value = getattr(self._path, name)
        if not callable(value):
            return self._wrap(value)
        slash = name in _SAME_DIRECTORY and _means_contents(self.path)

        def method(*args: Any, **kwargs: Any) -> Any:
            return self._wrap(value(*(a._path if isinstance(a, TransferPath) else a for a in args), **kwargs), slash)

        return method

    def _wrap(self, value: Any, slash: bool = False) -> Any:
        if isinstance(value, PurePath):
            return self._sibling(value, slash=slash)
        return map(self._wrap, value) if hasattr(value, "__next__") and not hasattr(value, "read") else value

    def _sibling(self, path: PurePath, *, slash: bool = False) -> TransferPath:
        return TransferPath(f"{path}{'/' if slash else ''}", self.protocol, self.location)

    def __str__(self) -> str:
        if self.protocol is None:
            return self.path
        slash = "/" if self.location and self.path and not self.path.startswith("/") else ""
        return f"{self.protocol}://{self.location or ''}{slash}{self.path}"

    def __fspath__(self) -> str:
        if self.protocol is not None:
            raise TypeError(f"{self} is not on this machine, so there is no path to it")
        return self.path

    def __repr__(self) -> str:
        parts = (f"{name}={getattr(self, name)!r}" for name in ("path", "protocol", "location") if getattr(self, name))
        return f"TransferPath({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TransferPath):
            return NotImplemented
        return self.is_remote == other.is_remote and str(self) == str(other)

    def __hash__(self) -> int:
        return hash((self.is_remote, str(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return TransferPath, (self.path, self.protocol, self.location)


def _means_contents(text: str) -> bool:
    """Tell whether a path means what is in a directory, instead of the directory itself."""
    return text.endswith("/") and bool(text.strip("/"))


def shown(text: str) -> str:
    """Return a text as a message can show it: on one line, of limited length and without control characters."""
    if not text or not text.isprintable():
        return quoted(text)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def quoted(text: str) -> str:
    """Return a text in quotes, of limited length."""
    return repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")


class TransferFile(NamedTuple):
    """A file or directory that at least one component brings along.

    Attributes
    ----------
    id : str
        Its name in calls.
    path : str
        Absolute, without ``.`` and ``..``, symbolic links as they were given; or a URL.
    given : str
        What the user wrote where it was named first.
    is_dir : bool
    contents : frozenset of str or None
        The names in the directory, if what is in it comes along instead of the directory itself.
    """

    id: str
    path: str
    given: str
    is_dir: bool
    contents: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """The name that it has when it arrives."""
        return landing_name(self.path) if self.is_remote else os.path.basename(self.path)  # noqa: PTH119

    @property
    def is_remote(self) -> bool:
        """Whether it is behind a URL."""
        return is_url(self.path)


class FileTable:
    """The files that a map's components bring along, each of them once; iterates in the order of adding.

    Parameters
    ----------
    must_exist : bool
        Whether a file that is not there is an error. If not, HTCondor holds the jobs that need it. Nobody asks for
        what is behind a URL before it is needed.
    """

    def __init__(self, *, must_exist: bool = True) -> None:
        self._must_exist = must_exist
        self._entries: list[TransferFile] = []
        self._seen: dict[str, TransferFile | str] = {}  # by path; a text says what is wrong with it

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[TransferFile]:
        return iter(self._entries)

    def add(self, path: str | os.PathLike[str], given: str, beside: Path | None = None) -> str:
        """Add a file unless it is there already, and return its id.

        Parameters
        ----------
        path : str or os.PathLike
            Absolute; of no meaning for a URL.
        given : str
            What the user wrote for it.
        beside : pathlib.Path, optional
            The directory of the file in which it was named: if a relative name is right there, the error says so.

        Returns
        -------
        str

        Raises
        ------
        UsageError
            If it is not there, cannot be read, or is neither a file nor a directory.
        """
        return self.find(path, given, beside).id

    def find(self, path: str | os.PathLike[str], given: str, beside: Path | None = None) -> TransferFile:
        """Do as ``add`` does, and return all that is known of the file."""
        if not given:
            raise UsageError("an empty file name")
        remote = is_url(given)
        where = given if remote else os.path.normpath(path) + ("/" if _means_contents(given) else "")
        entry = self._seen.get(where)
        if entry is None:
            entry = self._seen[where] = self._take_url(given) if remote else self._look(where, given)
        if isinstance(entry, TransferFile):
            return entry
        raise UsageError(f"{entry}: {shown(given)}{_hint(given, beside) if entry == _MISSING else ''}")

    def _look(self, path: str, given: str) -> TransferFile | str:
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 (no Path for each of a million lines)
        except (FileNotFoundError, NotADirectoryError):
            if not self._must_exist and path.strip("/"):
                return self._enter(path, given, is_dir=path.endswith("/"))
            if os.path.isfile(path.rstrip("/")):  # noqa: PTH113
                return "not a directory"
            return "a symbolic link that leads nowhere" if Path(path).is_symlink() else _MISSING
        except OSError as error:
            return str(error.strerror).lower()
        except ValueError:  # NUL, or a lone surrogate
            return "no file can have this name"
        is_dir = stat.S_ISDIR(mode)
        if not is_dir and not stat.S_ISREG(mode):
            return f"{_special(mode)} cannot be brought along"
        if not os.access(path, os.R_OK | os.X_OK if is_dir else os.R_OK):
            return "permission denied"
        if not path.strip("/"):
            return "the root directory cannot be brought along"
        return self._enter(path, given, is_dir=is_dir)

    def _take_url(self, given: str) -> TransferFile | str:
        try:
            return self._enter(normalized(given), given, is_dir=False)
        except ValueError as error:
            return str(error)

    def _enter(self, path: str, given: str, *, is_dir: bool) -> TransferFile:
        contents = None
        if path.endswith("/"):
            with suppress(OSError):  # it is not there yet
                contents = frozenset(os.listdir(path))  # noqa: PTH208 (names alone)
            contents = contents or frozenset()
        entry = TransferFile(f"f{len(self._entries)}", path, given, is_dir, contents)
        self._entries.append(entry)
        return entry


_MISSING = "no such file"


def _hint(given: str, beside: Path | None) -> str:
    if given.startswith("~"):
        return " (only the shell knows what ~ is)"
    if beside is not None and not given.startswith("/"):
        path = os.path.join(beside, given)
        if os.path.exists(path):  # noqa: PTH110 (Path.exists raises where a directory cannot be searched)
            return f" (there is one beside the inputs: {shown(path)})"
    return ""


def _special(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


class Landing:
    """Where the files of one component land in its scratch directory, each under a name of its own.

    Parameters
    ----------
    taken : iterable of str
        Names at the top of that directory that other files have, such as those of map options.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._names: dict[str, str] = {}
        self._top: set[str] = set(taken)
        self._directories: set[str] = set()
        self._within: set[str] = set()
        self._next: dict[str, int] = {}

    def place(self, file: TransferFile) -> str:
        """Return where a file lands, relative to the scratch directory: ``.`` for what is in a directory, if it can."""
        name = self._names.get(file.id)
        if name is None:
            name = self._names[file.id] = (
                self._free_name(file.name) if file.contents is None else self._free_directory(file.contents)
            )
        return name

    def _free_directory(self, contents: frozenset[str]) -> str:
        taken = self._top | self._directories
        if "." not in self._names.values() and taken.isdisjoint(contents):
            self._top |= contents
            return "."
        number = 1
        while str(number) in taken:
            number += 1
        self._top.add(str(number))
        return f"{number}/."

    def _free_name(self, name: str) -> str:
        if name not in self._top and name not in self._directories:
            self._top.add(name)
            return name
        number = self._next.get(name, 1)
        while str(number) in self._top or f"{number}/{name}" in self._within:
            number += 1
        self._next[name] = number + 1
        self._directories.add(str(number))
        self._within.add(f"{number}/{name}")
        return f"{number}/{name}"

    def files(self) -> list[list[str]]:
        """Return the [id, name] of each file, as calls have them on the wire."""
        return [[identifier, name] for identifier, name in self._names.items()]


class OnWire(dict[str, Any]):
    """An object in the form of ``runner.calls``, where any other dict in a call is the user's data."""


def is_transfer(value: dict[str, Any]) -> bool:
    """Tell whether a user's object names a file to bring along."""
    return len(value) == 1 and type(value.get(PATH_KEY)) is str


def to_wire(value: Any, bring: Callable[[str], Any] | None) -> Any:
    """Put a user's value in the form of ``runner.calls``.

    Parameters
    ----------
    value : Any
        As JSON gives it, with OnWire objects in it.
    bring : callable or None
        From the file in ``{"$path": file}`` to what stands for it on the wire; None if such objects are plain data.
    """
    if type(value) is list:
        return [to_wire(item, bring) for item in value]
    if type(value) is not dict:
        return value
    if bring is not None and is_transfer(value):
        return bring(value[PATH_KEY])
    return escape({key: to_wire(item, bring) for key, item in value.items()})


def escape(value: dict[str, Any]) -> dict[str, Any]:
    """Return a dict in a form that is not taken for a path, whatever its keys are."""
    return OnWire({PATH_KEY: {"items": list(map(list, value.items()))}}) if PATH_KEY in value else value
