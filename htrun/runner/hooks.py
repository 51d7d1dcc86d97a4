"""What a function calls while it runs as a component: handing over output files, and saving checkpoints."""

from __future__ import annotations

import errno
import os
import stat

from . import wire
from .files import is_within, leads_back, remove_tree, walk

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    import tarfile
    from collections.abc import Callable, Iterator


class Place:
    """Where a component runs.

    Parameters
    ----------
    scratch : str
        Its working directory; beside it there is room for what htrun keeps of it.
    checkpoints : str
        The directory of checkpoints.
    on_checkpoint : callable
        Called with the file of a checkpoint once it has been saved.
    component : int
        Which one it is.

    Attributes
    ----------
    outputs : str
        The directory of its output files; while it is not there, the component has called nothing of this module.
    """

    def __init__(
        self, scratch: str, checkpoints: str, on_checkpoint: Callable[[str], None] = lambda _: None, component: int = -1
    ) -> None:
        self.scratch = scratch
        self.outputs = os.path.join(os.path.dirname(scratch), wire.OUTPUTS)
        self.component = component
        self.on_checkpoint = on_checkpoint
        self._checkpoints = checkpoints

    @property
    def checkpoint(self) -> str:
        """The file that its checkpoint is kept in."""
        return checkpoint_path(self._checkpoints, self.component)


current: Place | None = None
"""Set by the worker, whatever the functions that it runs do to the environment."""


def checkpoint_path(directory: str, component: int) -> str:
    """Return where the checkpoint of a component is kept in the directory of checkpoints."""
    return "%s/%s%d" % (directory, wire.CHECKPOINT, component)


def saved(directory: str) -> set[int]:
    """Return the components that have a checkpoint."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return set()
    numbers = (name[len(wire.CHECKPOINT) :] for name in names if name.startswith(wire.CHECKPOINT))
    return set(map(int, filter(str.isdecimal, numbers)))


def _place() -> Place | None:
    """Return where the component runs, after changing the time of that directory, by which the worker knows of us."""
    place = _here()
    if place is not None:
        try:
            os.utime(place.scratch)
        except OSError:
            pass  # it is gone, which the worker sees as well
    return place


def _here() -> Place | None:
    if current is not None:
        return current
    environ = os.environ  # a process that the function has started
    variables = (wire.SCRATCH_VARIABLE, wire.CHECKPOINTS_VARIABLE, wire.COMPONENT_VARIABLE)
    if environ.get(wire.ON_EXECUTE) != "1" or any(name not in environ for name in variables):
        return None
    component = int(environ[wire.COMPONENT_VARIABLE])
    return Place(environ[wire.SCRATCH_VARIABLE], environ[wire.CHECKPOINTS_VARIABLE], component=component)


def transfer_output_files(*paths: str | os.PathLike[str]) -> None:
    """Hand over files and directories that a component has made, to be brought back.

    They are moved away from where they are, and end up in the map's directory under ``files/<component>/``, with their
    paths relative to the directory that the component runs in. Files from anywhere else are copied, and end up there
    under their names alone. What a symbolic link leads to is copied as well, but for relative links within a directory
    that is handed over, which are kept.

    It may be called several times, from any function, thread or process of the component; the last file of a path
    counts. Outside of a component it does nothing.

    Parameters
    ----------
    *paths : str or os.PathLike

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If it is neither a file nor a directory, cannot be moved, or is a directory that the one that the component runs
        in lies in.
    """
    place = _place()
    if place is None:
        return
    staged = place.outputs
    for given in paths:
        path, name = _locate(given, place.scratch)
        if name == os.curdir:
            _replace_links(path)
            for entry in sorted(os.listdir(path)):
                source, target = os.path.join(path, entry), os.path.join(staged, entry)
                if os.path.islink(source):
                    os.makedirs(staged, exist_ok=True)
                    _copy_link(source, target)
                    os.unlink(source)
                else:
                    _hand_over(source, target, move=True)
        else:
            if is_within(place.scratch, os.path.realpath(path)):
                raise OSError(errno.EINVAL, "the directory that the component runs in is in it", os.fsdecode(given))
            inside = name is not None
            target = os.path.join(staged, os.path.basename(path) if name is None else name)
            _hand_over(path, target, move=inside and not os.path.islink(path))


def checkpoint(*paths: str | os.PathLike[str]) -> None:
    """Save files and directories, so that they are there again if the component has to start anew.

    They are copied. A component that is vacated, or whose process or machine fails, starts again with those of its last
    checkpoint in its working directory. A checkpoint is saved as a whole: a kill in the midst of it leaves the earlier
    one, and files of earlier ones that are not named again are not part of it.

    Outside of a component it does nothing.

    Parameters
    ----------
    *paths : str or os.PathLike
        In the directory that the component runs in.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not in that directory.
    """
    place = _place()
    if place is None:
        return
    import tarfile
    import tempfile

    located = []
    for given in paths:
        path, name = _locate(given, place.scratch)
        if name is None:
            raise ValueError(
                "checkpoint: %s is not in the directory that the component runs in, %s: a checkpoint holds what is "
                "there, since only that is at the same place when the component starts again" % (path, place.scratch)
            )
        located.append((os.path.realpath(path), name))
    # Beside the scratch directory, since nothing half written may be where checkpoints are looked for.
    fd, part = tempfile.mkstemp(prefix=wire.CHECKPOINT, dir=os.path.dirname(place.scratch))
    try:
        os.close(fd)
        with tarfile.open(part, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
            for path, name in located:
                tar.add(path, arcname=name)
        os.makedirs(place.outputs, exist_ok=True)  # by which the worker knows that there may be a checkpoint
        os.makedirs(os.path.dirname(place.checkpoint), exist_ok=True)
        os.replace(part, place.checkpoint)
    except BaseException:
        os.unlink(part)
        raise
    place.on_checkpoint(place.checkpoint)


def restore(path: str, scratch: str) -> None:
    """Put the files of a checkpoint in the scratch directory."""
    import tarfile

    with tarfile.open(path, mode="r:", errors="surrogateescape") as tar:
        if hasattr(tarfile, "fully_trusted_filter"):  # its own: a component has saved it just so
            tar.extraction_filter = staticmethod(tarfile.fully_trusted_filter)
        directories = []
        for member in tar:
            target = os.path.join(scratch, member.name)
            if not _is_of_scratch(member, scratch):
                raise OSError(errno.EPERM, "a checkpoint holds what leads out of the scratch directory", member.name)
            if os.path.islink(target) or not (member.isdir() and os.path.isdir(target)):
                remove_tree(target)  # an input file, which may be one that cannot be written to
            tar.extract(member, scratch, set_attrs=not member.isdir())
            if member.isdir():
                directories.append((target, member))
        for target, member in reversed(directories):  # last: nothing can be put in one that is read-only
            os.utime(target, (member.mtime, member.mtime))
            os.chmod(target, member.mode)


def _is_of_scratch(member: tarfile.TarInfo, scratch: str) -> bool:
    """Tell whether what was saved is put below the scratch directory, whatever was put there before it.

    A component has saved it just so; but it has been on other machines since.
    """
    names = [member.name, member.linkname] if member.islnk() else [member.name]
    top = os.path.realpath(scratch)
    return not member.isdev() and all(
        os.pardir not in name.split("/") and is_within(os.path.realpath(os.path.join(top, os.path.dirname(name))), top)
        for name in names
    )


def _locate(given: str | os.PathLike[str], scratch: str) -> tuple[str, str | None]:
    """Return the absolute path of a file, and that relative to the scratch directory; None if it is not in there."""
    path = os.path.abspath(os.fsdecode(given))
    path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    mode = _mode(path)
    if mode is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(given))
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "neither a file nor a directory", os.fsdecode(given))
    name = os.path.relpath(path, scratch)
    return path, None if name == os.pardir or name.startswith(os.path.join(os.pardir, "")) else name


def _mode(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _hand_over(source: str, target: str, *, move: bool) -> None:
    import shutil

    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.isdir(source):
        if os.path.isdir(target) and not os.path.islink(target):
            remove_tree(target)
        if move:
            os.replace(source, target)
        else:
            shutil.copy2(source, target)
        return
    if os.path.lexists(target) and not os.path.isdir(target):
        os.unlink(target)
    if move:
        _replace_links(source)
        if not os.path.isdir(target):
            os.rename(source, target)
            return
    os.makedirs(target, exist_ok=True)  # what was handed over before stays
    for entry in os.listdir(source):
        path = os.path.join(source, entry)
        if os.path.islink(path) and _stays_within(path, source):
            _copy_link(path, os.path.join(target, entry))
        elif _mode(path) is not None and not (os.path.islink(path) and leads_back(source, path)):
            _hand_over(path, os.path.join(target, entry), move=move and not os.path.islink(path))
    if move:
        remove_tree(source)


def _copy_link(path: str, target: str) -> None:
    if os.path.lexists(target) and not os.path.isdir(target):
        os.unlink(target)
    os.symlink(os.readlink(path), target)


def _stays_within(link: str, directory: str) -> bool:
    """Tell whether a symbolic link means the same wherever the directory is that it is in."""
    target = os.readlink(link)
    if os.path.isabs(target):
        return False
    leads_to = os.path.normpath(os.path.join(os.path.dirname(link), target))
    return leads_to.startswith(os.path.join(directory, ""))


def _replace_links(directory: str) -> None:
    """Put what they lead to in the place of symbolic links that lead out of a directory, if there is anything."""
    import shutil

    for link in list(_links(directory)):
        real = os.path.realpath(link)
        if _stays_within(link, directory) or not os.path.exists(real):
            continue
        os.unlink(link)
        if not os.path.isdir(real):
            shutil.copy2(real, link)
        elif not is_within(link, real):
            shutil.copytree(real, link)


def _links(directory: str) -> Iterator[str]:
    for root, directories, names in walk(directory):
        for name in (*directories, *names):
            path = os.path.join(root, name)
            if os.path.islink(path):
                yield path
