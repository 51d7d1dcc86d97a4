"""The Python installation that runs this, file by file, as it is packed to run elsewhere."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import site
import stat
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from htrun.exceptions import CannotTransplantPython
from htrun.runner.files import left_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_INSTEAD = (
    "run htrun with a standalone Python (of conda, pyenv or 'uv python install', say) or in a virtual environment made "
    "from one, or choose another --delivery"
)
_LIBRARY = os.path.basename(os.path.dirname(os.__file__))
"""The name of the standard library's directory, such as ``python3.12``."""
_SHARED_PREFIX = "/usr/local"  # where Python's own files are not alone
_PYTHONS = re.compile(rf"bin(/python[\d.]*t?|/pip[\d.]*)?|lib(/{_LIBRARY}(/.*)?|/libpython.*)?")
_NOT_NEEDED = re.compile(rf"lib/{_LIBRARY}/(test|config-[^/]*)|lib/[^/]*\.a|.*\.opt-[12]\.pyc")
_MODULES = (".py", ".so", ".pyd", ".pyc")
_FINDER = re.compile(r"import\s+(__editable__\w*_finder)\b")


class Member(NamedTuple):
    """What is put in an archive.

    Attributes
    ----------
    name : str
        Its path there.
    path : str
        Where it is now; empty for what is made.
    data : bytes or None
        Its content, if that is not the file's.
    target : str or None
        Where it leads, if it is a symbolic link.
    """

    name: str
    path: str = ""
    data: bytes | None = None
    target: str | None = None


class Installation(NamedTuple):
    """A Python installation.

    Attributes
    ----------
    prefix : str
    python : str
        The executable, from there.
    environment : str or None
        The virtual environment on top of it, if there is one.
    inherits : bool
        Whether the packages of the installation itself are there too.
    user : str or None
        Where the user's own packages are, if they are used.
    """

    prefix: str
    python: str
    environment: str | None
    inherits: bool
    user: str | None

    @property
    def roots(self) -> dict[str, str]:
        """What is packed, and as what."""
        roots = {self.prefix: "base"}
        if self.environment:
            roots[self.environment] = "env"
        if self.user:
            roots[self.user] = f"user/{os.path.relpath(self.user, site.getuserbase())}"
        return roots

    @property
    def site_directories(self) -> list[str]:
        """Where packages are looked for."""
        return [path for path in (*site.getsitepackages(), self.user) if path and os.path.isdir(path)]

    @property
    def script(self) -> str:
        """What starts it wherever the archive has been unpacked, in the language of ``sh``."""
        lines = ["# Starts this Python, wherever it is.", 'here=$(cd "$(dirname "$0")" && pwd)', "unset PYTHONHOME"]
        usual = "${PATH:-/usr/local/bin:/usr/bin:/bin}"
        python, flags, path = f"base/{self.python}", " -s", "$here/base/bin"
        if self.environment:
            keys = {"home": "%s/base/bin", "include-system-site-packages": str(self.inherits).lower()}
            text = "".join(f"{key} = {value}\\n" for key, value in keys.items())
            lines.append(f'printf \'{text}\' "$here" > "$here/env/pyvenv.cfg"')
            python, path = "env/bin/python", f"$here/env/bin:{path}"
        if self.user:
            lines.append("PYTHONUSERBASE=$here/user; export PYTHONUSERBASE")
            flags = ""
        if self._looks_elsewhere_for_libpython():
            lines.append("LD_LIBRARY_PATH=$here/base/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; export LD_LIBRARY_PATH")
        lines += [
            f"PATH={path}:{usual}; export PATH",
            f'exec "$here/{python}"{flags} "$@"',
        ]
        return "".join(f"{line}\n" for line in lines)

    def _looks_elsewhere_for_libpython(self) -> bool:
        executable = Path(self.prefix, self.python)
        return bool(sysconfig.get_config_var("Py_ENABLE_SHARED")) and b"$ORIGIN" not in executable.read_bytes()


def this_installation() -> Installation:
    """Return the installation that runs this.

    Raises
    ------
    CannotTransplantPython
        If it cannot run elsewhere.
    """
    prefix = os.path.realpath(sys.base_prefix)
    executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    environment = None if sys.prefix == sys.base_prefix else os.path.realpath(sys.prefix)
    made = f", from which {environment} was made," if environment else ""
    if prefix in ("/", "/usr"):
        raise CannotTransplantPython(
            f"the system's own Python, {executable},{made} cannot be transplanted: {_INSTEAD}".replace(",,", ",")
        )
    for what, path in (("executable", executable), ("standard library", os.path.realpath(os.__file__))):
        if not path.startswith(f"{prefix}/"):
            raise CannotTransplantPython(
                f"the Python in {prefix}{made} cannot be transplanted, since its {what} is elsewhere, at {path}: "
                f"{_INSTEAD}"
            )
    user = site.getusersitepackages() if site.ENABLE_USER_SITE else ""
    return Installation(
        prefix,
        os.path.relpath(executable, prefix),
        environment,
        inherits=any(
            path.startswith(f"{prefix}/") and not (environment and path.startswith(f"{environment}/"))
            for path in map(os.path.realpath, site.getsitepackages())
        ),
        user=user if user and os.path.isdir(user) else None,
    )


def members(installation: Installation) -> Iterator[Member]:
    """Yield what is to be packed of an installation, directories before what is in them.

    Raises
    ------
    CannotTransplantPython
        If a package is installed in place in a way that cannot be moved.
    """
    places = _Places(installation)
    yield Member("start", data=installation.script.encode())
    for root, name in installation.roots.items():
        yield from _tree(root, name, places, _filter(installation, root))
    for path, name in places.sources:
        if os.path.isfile(path):
            yield Member(name, path)
        elif name.count("/") == 1:  # a directory that is on sys.path
            yield from _importable(path, name)
        else:
            yield from _copied(path, name)


def fingerprint(content: Sequence[Member]) -> str:
    """Return what tells one content from another: names, sizes and times of files; their byte code does not count."""
    digest = hashlib.sha256(sys.version.encode())
    for member in content:
        if "/__pycache__" in member.name:
            continue
        known: tuple[object, ...] = (member.name, member.data, member.target)
        if member.data is None and member.target is None:
            found = os.stat(member.path)
            if not stat.S_ISDIR(found.st_mode):
                known = (member.name, found.st_size, found.st_mtime_ns, found.st_mode & 0o111)
        digest.update(repr(known).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def packages(installation: Installation) -> list[str]:
    """Return what is installed, as ``name==version``."""
    from importlib_metadata import distributions

    paths = [*installation.site_directories, *(path for path, _ in _Places(installation).sources)]
    found = {f"{one.name}=={one.version}" for one in distributions(path=paths) if one.name}
    return sorted(found, key=str.lower)


class _Places:
    """Where things get in an archive, and what has to change in the files that name their places.

    Attributes
    ----------
    sources : list of (str, str)
        What is installed in place, and where it gets: directories below ``editable``.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._roots = [(os.path.realpath(root), name) for root, name in installation.roots.items()]
        self._roots.sort(key=lambda pair: -len(pair[0]))
        self._changed: dict[str, bytes] = {}
        self.sources: list[tuple[str, str]] = []
        self._places = 0
        for directory in installation.site_directories:
            for name in sorted(os.listdir(directory)):
                if name.endswith(".pth"):
                    self._read(directory, name)

    def of(self, path: str) -> str | None:
        """Return where a path gets, None if it stays behind."""
        path = os.path.realpath(path)
        for root, name in self._roots:
            if path == root or path.startswith(f"{root}/"):
                return os.path.normpath(f"{name}/{path[len(root) :]}")
        return None

    def changes(self, path: str) -> bytes | None:
        """Return the new content of a file, None if it stays as it is."""
        return self._changed.get(os.path.realpath(path)) if path.endswith(".pth") else None

    def _read(self, directory: str, name: str) -> None:
        path = os.path.join(os.path.realpath(directory), name)
        text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
        lines = [self._line(line, directory, name) for line in text.splitlines()]
        self._changed[path] = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")

    def _line(self, line: str, directory: str, name: str) -> str:
        text = line.strip()
        if not text or text.startswith("#"):
            return line
        if text.startswith(("import ", "import\t")):
            finder = _FINDER.match(text)
            if finder:
                return self._from(directory, self._new(self._mapped(directory, finder[1])))
            owner = _editable_owner(directory, name)
            if owner:
                raise CannotTransplantPython(
                    f"the package {owner} is installed in place (pip install -e) in a way that cannot be transplanted, "
                    f"see {os.path.join(directory, name)}: install it without -e, or choose another --delivery"
                )
            return line
        path = os.path.join(directory, text)
        if not os.path.isdir(path):
            return "#"  # it says nothing here
        place = self.of(path)
        return self._from(directory, place if place is not None else self._new({"": path}))

    def _new(self, things: dict[str, str]) -> str:
        place = f"editable/{self._places}"
        self._places += 1
        self.sources += [(path, f"{place}/{name}".rstrip("/")) for name, path in things.items()]
        return place

    def _from(self, directory: str, place: str) -> str:
        """Return a path in the archive, as it is from a site directory there."""
        here = self.of(directory)
        assert here is not None
        return os.path.relpath(place, here)

    def _mapped(self, directory: str, finder: str) -> dict[str, str]:
        """Return the packages of a finder that setuptools has made, by where they belong."""
        tree = ast.parse(Path(directory, f"{finder}.py").read_text(encoding="utf-8"))
        found: dict[str, str] = {}
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == "MAPPING" for target in targets):
                found = ast.literal_eval(getattr(node, "value"))  # noqa: B009 (either kind of node has it)
        things = {}
        for module, path in found.items():
            file = path if os.path.exists(path) else f"{path}.py"
            things[module.replace(".", "/") + (".py" if os.path.isfile(file) else "")] = file
        return things


def _editable_owner(directory: str, name: str) -> str | None:
    from importlib_metadata import distributions

    for one in distributions(path=[directory]):
        url = json.loads(one.read_text("direct_url.json") or "{}")
        if url.get("dir_info", {}).get("editable") and any(str(file) == name for file in one.files or ()):
            return one.name
    return None


def _filter(installation: Installation, root: str) -> Callable[[str], bool]:
    """Return what tells whether something of a root is left behind, by its path from there."""
    if root != installation.prefix:
        return lambda path: path == "pyvenv.cfg" or bool(_NOT_NEEDED.fullmatch(path))
    shared = root == _SHARED_PREFIX
    conda = os.path.isdir(os.path.join(root, "conda-meta"))
    hidden = () if installation.inherits else (f"lib/{_LIBRARY}/site-packages", f"lib/{_LIBRARY}/dist-packages")

    def left(path: str) -> bool:
        # Environments are no part of it, nor are the packages that conda unpacks.
        if path in hidden or path == "envs" or (conda and path == "pkgs") or _NOT_NEEDED.fullmatch(path):
            return True
        if os.path.join(root, path) == installation.environment:
            return True
        return shared and not _PYTHONS.fullmatch(path)

    return left


def _tree(root: str, name: str, places: _Places, left: Callable[[str], bool], above: str = "") -> Iterator[Member]:
    """Yield a directory and what is in it; links that lead out of what is packed become what they lead to."""
    yield Member(os.path.join(name, above).rstrip("/"), os.path.join(root, above))
    with os.scandir(os.path.join(root, above)) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = f"{above}/{entry.name}".lstrip("/")
        member = f"{name}/{path}"
        if left(path):
            continue
        if entry.is_symlink():
            target = places.of(entry.path)
            if target is not None:
                yield Member(member, target=os.path.relpath(target, os.path.dirname(member)))
            elif entry.is_dir():
                yield from _copied(entry.path, member)
            elif entry.is_file():
                yield Member(member, entry.path)
        elif entry.is_dir():
            yield from _tree(root, name, places, left, path)
        elif entry.is_file():
            yield Member(member, entry.path, places.changes(entry.path) or _script(entry, path))


def _script(entry: os.DirEntry[str], path: str) -> bytes | None:
    """Return a script that is installed beside Python so that it runs with that one; None for other files."""
    if os.path.dirname(path) != "bin" or entry.stat().st_size > 100_000:
        return None
    content = Path(entry.path).read_bytes()
    first, _, rest = content.partition(b"\n")
    if not re.match(rb"#!\s*/.*/bin/python[\d.]*(\s|$)", first):
        return None
    # Shell and Python both read it: for the one it is a command, for the other a text.
    return b"#!/bin/sh\n'''exec' \"$(dirname \"$0\")/python3\" \"$0\" \"$@\"\n' '''\n" + rest


def _copied(root: str, name: str) -> Iterator[Member]:
    """Yield a directory with all that is in it, links followed."""
    for directory, directories, files in os.walk(root, followlinks=True):
        skipped = {*left_out(directory, [*directories, *files]), "__pycache__"}
        directories[:] = sorted(one for one in directories if one not in skipped and not one.startswith("."))
        here = os.path.normpath(os.path.join(name, os.path.relpath(directory, root)))
        yield Member(here, directory)
        for file in sorted(files):
            if file not in skipped:
                yield Member(f"{here}/{file}", os.path.join(directory, file))


def _importable(root: str, name: str) -> Iterator[Member]:
    """Yield what can be imported of a directory that is on sys.path, with the data beside it.

    Mostly that is the directory of a project, with much else in it: environments, results, the repository.
    """
    yield Member(name, root)
    entries = sorted(os.listdir(root))
    skipped = set(left_out(root, entries))
    for entry in entries:
        path = os.path.join(root, entry)
        if entry in skipped or entry.startswith(".") or entry == "__pycache__":
            continue
        if not os.path.isdir(path):
            if entry.endswith(_MODULES):
                yield Member(f"{name}/{entry}", path)
        elif not os.path.exists(os.path.join(path, "pyvenv.cfg")):
            found = list(_copied(path, f"{name}/{entry}"))
            if entry.endswith((".egg-info", ".dist-info")) or any(one.path.endswith(_MODULES) for one in found):
                yield from found
