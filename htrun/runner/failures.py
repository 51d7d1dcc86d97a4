"""What went wrong in a component, as plain data."""

from __future__ import annotations

import errno
import itertools
import os
import reprlib
import signal
import sys

from . import loading
from .values import safe_repr

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    import types
    from collections.abc import Iterator
    from typing import Any

WORKER_FAILED = 70
"""The exit code of a worker that failed by itself (EX_SOFTWARE of sysexits.h)."""
SPENT = 124
"""The exit code of a worker that no other component can have; what became of its last one is noted."""
NO_SPACE = 74
"""The exit code of a worker that found no space for what a component has left (EX_IOERR)."""

_CONTEXT_LINES = 4
_MAX_FRAMES = 30
_MAX_LOCALS = 20
_MAX_EXCEPTIONS = 10
_MAX_TEXT = 10_000
_MAX_FILES = 50


class _Repr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 120
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 6

    def repr_instance(self, value: Any, level: int) -> str:  # noqa: ARG002 (reprlib calls it so)
        return safe_repr(value, self.maxother)


_repr = _Repr().repr


def _trimmed_repr(value: Any) -> str:
    try:
        return _repr(value)
    except BaseException:  # a container whose len() or iteration raises
        return safe_repr(value, 120)


def is_no_space(error: BaseException) -> bool:
    """Tell whether an error means that a disk is full, or a quota used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def describe_exception(error: BaseException, sources: str) -> dict[str, Any]:
    """Return an exception as data: type, message, frames with source and trimmed locals, causes.

    Parameters
    ----------
    error : BaseException
    sources : str
        The directory that the user's modules were imported from; frames in it are marked ``user`` and named
        relative to it.
    """
    return _describe(error, os.path.join(os.path.abspath(sources), ""), [_MAX_EXCEPTIONS])


def _describe(error: BaseException, sources: str, budget: list[int]) -> dict[str, Any]:
    budget[0] -= 1
    result: dict[str, Any] = {
        "type": _type_name(type(error)),
        "message": _message(error),
        "frames": _frames(error.__traceback__, sources),
    }
    if isinstance(error, SyntaxError) and error.filename:
        import traceback  # only now: most jobs do without, and are started sooner

        result["message"] = "".join(traceback.format_exception_only(type(error), error)).strip()[:_MAX_TEXT]
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list) and notes:
        result["notes"] = [str(note)[:_MAX_TEXT] for note in notes[:_MAX_EXCEPTIONS]]
    if error.__cause__ is not None and budget[0] > 0:
        result["cause"] = _describe(error.__cause__, sources, budget)
    elif error.__context__ is not None and not error.__suppress_context__ and budget[0] > 0:
        result["context"] = _describe(error.__context__, sources, budget)
    group = getattr(error, "exceptions", None)
    if isinstance(group, tuple) and group:
        parts = []
        for part in group:
            if budget[0] <= 0:
                break
            if isinstance(part, BaseException):
                parts.append(_describe(part, sources, budget))
        result["exceptions"] = parts
    return result


def _type_name(kind: type) -> str:
    bare = kind.__module__ in ("builtins", "__main__") or kind.__module__.rpartition(".")[0] == __package__
    return kind.__qualname__ if bare else kind.__module__ + "." + kind.__qualname__


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as failure:
        return "<the exception's str() raised %s>" % type(failure).__name__
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "... (%d characters)" % len(text)


def _frames(tb: types.TracebackType | None, sources: str) -> list[dict[str, Any]]:
    entries = []
    while tb is not None:
        if not _is_ours(tb.tb_frame):
            entries.append((tb.tb_frame, tb.tb_lineno))
        tb = tb.tb_next
    if len(entries) > _MAX_FRAMES:  # endless recursion: its first and its last frames tell the story
        entries = entries[: _MAX_FRAMES // 3] + entries[-(_MAX_FRAMES - _MAX_FRAMES // 3) :]
    return [_frame(frame, line, sources) for frame, line in entries]


def _is_ours(frame: types.FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).rpartition(".")[0] == __package__


def _frame(frame: types.FrameType, line: int, sources: str) -> dict[str, Any]:
    code = frame.f_code
    name = os.path.abspath(code.co_filename) if not code.co_filename.startswith("<") else code.co_filename
    shipped = name.startswith(sources)
    user = shipped or code.co_filename in loading.pickled_files
    first = max(code.co_firstlineno, line - _CONTEXT_LINES + 1) if line else line
    result: dict[str, Any] = {
        "file": name[len(sources) :] if shipped else name,
        "line": line,
        "function": getattr(code, "co_qualname", code.co_name),
        "user": user,
        "source": _source(code.co_filename, first, line) if line else [],
    }
    if user:
        variables = [
            (name, value)
            for name, value in frame.f_locals.items()
            if not name.startswith("__") and not isinstance(value, type(sys))
        ]
        result["locals"] = {name: _trimmed_repr(value) for name, value in variables[:_MAX_LOCALS]}
    return result


def _source(name: str, first: int, last: int) -> list[str]:
    try:
        import linecache  # only now: most jobs do without, and are started sooner
    except Exception:  # the function may have left nothing to import with, such as no more files that can be open
        return []
    return [linecache.getline(name, n).rstrip()[:500] for n in range(first, last + 1)]


def describe_death(status: int, log: str) -> dict[str, Any]:
    """Return the error of a component whose process ended under it.

    Parameters
    ----------
    status : int
        The process's status as ``os.waitpid`` gives it.
    log : str
        The file where a worker that fails by itself says why.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = "an unnamed signal"
        message = "the process was killed by signal %d (%s)" % (number, name)
        hints: dict[int, str] = {
            signal.SIGSEGV: "a crash in compiled code, or recursion too deep for the stack",
            signal.SIGKILL: "most often memory ran out, or somebody killed it",
            signal.SIGABRT: "compiled code gave up; its stderr may say why",
        }
        if number in hints:
            message += ": " + hints[number]
    elif os.WEXITSTATUS(status) == WORKER_FAILED and os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as file:
            reason = file.read().rstrip().rpartition("\n")[2]
        message = "what the component left could not be recorded" + (": " + reason if reason else "")
    else:
        message = "the process ended by itself with exit code %d, as os._exit() does" % os.WEXITSTATUS(status)
    return {"type": "ProcessDied", "message": message, "frames": []}


def list_scratch(directory: str) -> list[list[Any]]:
    """Return the names (relative) and sizes in bytes of the first files below a scratch directory."""

    def walk(top: str) -> Iterator[list[Any]]:
        for root, directories, names in os.walk(top):
            directories.sort()
            for name in sorted(names):
                path = os.path.join(root, name)
                try:
                    yield [os.path.relpath(path, top), os.lstat(path).st_size]
                except OSError:
                    continue

    return list(itertools.islice(walk(directory), _MAX_FILES))
