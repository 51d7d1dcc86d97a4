"""The tree of htrun's errors, and the exit code that each means."""

from __future__ import annotations

import builtins
import errno
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any


class ExitCode(IntEnum):
    """What the command's exit status says, the same for every command."""

    OK = 0
    ERRORED = 1  # at least one component errored
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4  # the command line or the input is wrong
    EMPTY = 5  # nothing to run
    HELD = 6  # components are held and nothing else is left to wait for


def is_write_failure(error: OSError) -> bool:
    """Tell whether an error means that there is no room, or no way, to write what is to be written."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class HtrunError(Exception):
    """The base of every error that htrun raises on purpose."""

    exit_code = ExitCode.USAGE

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args), self.__dict__  # what __init__ takes is not what is in args

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of it: where the user's code raised it, and not how htrun came to."""
        from htrun import tracebacks  # which only who makes maps has

        return tracebacks.lines(self, _copy(self))


def _restore(kind: type[HtrunError], args: tuple[Any, ...]) -> HtrunError:
    error = kind.__new__(kind)
    error.args = args
    return error


def _copy(error: HtrunError, *args: Any) -> HtrunError:
    """Return an error of the same kind that nothing was the cause of."""
    copy = _restore(type(error), args or error.args)
    copy.__dict__.update(error.__dict__)
    return copy


HTMapException = HtrunError
"""The name that HTMap has for it."""


class UsageError(HtrunError):
    """What was asked for makes no sense as it was asked."""


class InvalidTag(HtrunError):
    """A tag has a form that no map may have.

    Attributes
    ----------
    tag : str
    reason : str
        What is wrong with it.
    """

    def __init__(self, tag: str, reason: str) -> None:
        super().__init__(f"invalid tag {tag!r}: {reason}")
        self.tag = tag
        self.reason = reason


class TagAlreadyExists(HtrunError):
    """A map with this tag exists already.

    Attributes
    ----------
    tag : str
    path : pathlib.Path
        The directory of the map that has it.
    """

    def __init__(self, tag: str, path: Path) -> None:
        super().__init__(
            f'The requested tag "{tag}" already exists. Load the map with htrun.load("{tag}"), '
            f'or remove it using htrun.remove("{tag}").'
        )
        self.tag = tag
        self.path = path


class TagNotFound(HtrunError):
    """No map has this tag.

    Attributes
    ----------
    tag : str
    """

    def __init__(self, tag: str, similar: Sequence[str] = ()) -> None:
        hint = f", did you mean {' or '.join(similar)}?" if similar else "; 'htrun tags' lists the tags there are"
        super().__init__(f"no map has the tag {tag!r}{hint}")
        self.tag = tag


class MapWasRemoved(HtrunError):
    """A map was removed, or another one has taken its place, while something was done with it.

    Attributes
    ----------
    tag : str
    """

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, tag: str) -> None:
        super().__init__(f"map {tag!r} was removed, or replaced by another one, meanwhile")
        self.tag = tag


class RunDied(HtrunError):
    """What worked on a map has ended before its time.

    Attributes
    ----------
    tag : str
    reason : str
        How it ended.
    """

    exit_code = ExitCode.INTERNAL

    def __init__(self, tag: str, reason: str, command: str = "wait") -> None:
        super().__init__(
            f"map {tag!r} has stopped: {reason}; nothing that was finished is lost, and "
            f"'htrun {command} {tag}' carries on"
        )
        self.tag = tag
        self.reason = reason


class NotPrivate(HtrunError):
    """Somebody else owns a directory, or can write to it, in which there is what htrun executes.

    Attributes
    ----------
    path : pathlib.Path
    reason : str
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is not used, since htrun executes what is in it: {reason}")
        self.path = path
        self.reason = reason


class InvalidMapDirectory(HtrunError):
    """A directory is not a map, or is one that this version of htrun cannot read.

    Attributes
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}; 'htrun remove --force' removes it for good")
        self.path = path


class TargetError(HtrunError):
    """A target cannot be used: not found, not importable or not callable.

    Attributes
    ----------
    target : str
        The target as it was typed.
    """

    def __init__(self, target: str, message: str) -> None:
        super().__init__(f"{target}: {message}")
        self.target = target


class InputError(HtrunError):
    """One thing that is wrong with the inputs; prints as ``path:line: message``.

    Attributes
    ----------
    path : str
    line : int or None
        Counted from 1; None where the whole file is meant.
    """

    def __init__(self, path: str, line: int | None, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}" if line is not None else f"{path}: {message}")
        self.path = path
        self.line = line
        self.message = message


class BadInputs(HtrunError):
    """All that is wrong with the inputs.

    Attributes
    ----------
    errors : tuple of InputError
        The first of them, in the order of the file.
    total : int
        How many there are in all.
    """

    def __init__(self, errors: Sequence[InputError], total: int) -> None:
        lines = [str(error) for error in errors]
        if total > len(errors):
            lines.append(f"... and {total - len(errors):,} more ({total:,} errors in all)")
        super().__init__("\n".join(lines))
        self.errors = tuple(errors)
        self.total = total


class EmptyMap(HtrunError):
    """There is no input, so there is nothing to run."""

    exit_code = ExitCode.EMPTY


class EngineError(HtrunError):
    """An engine cannot do what it is asked for: not there, not reachable, refused."""


class UnknownEngine(EngineError):
    """No engine of this name is installed."""


class UnknownPythonDeliveryMethod(HtrunError):
    """No delivery method of this name is installed."""


class NotExportable(HtrunError):
    """An output has no form in the format asked for.

    Attributes
    ----------
    tag : str
    component : int
    """

    exit_code = ExitCode.ERRORED

    def __init__(self, tag: str, component: int, reason: str) -> None:
        super().__init__(
            f"component {component}: {reason}; 'htrun collect {tag} --default repr' exports its repr() instead, "
            "--default skip leaves it out"
        )
        self.tag = tag
        self.component = component


class TimeoutError(HtrunError, builtins.TimeoutError):  # noqa: A001 (the name HTMap's users know)
    """Something took longer than the time it was given."""

    exit_code = ExitCode.ERRORED


class OutputNotFound(TimeoutError, FileNotFoundError):
    """An output, or what a component printed, is not there yet, and nobody wanted to wait for it."""


class NoMapYet(HtrunError):
    """A map builder has no map before its ``with`` block has ended."""


class CannotRetagMap(HtrunError):
    """A map cannot be given another tag now.

    Attributes
    ----------
    tag : str
    """

    def __init__(self, tag: str, reason: str) -> None:
        super().__init__(f"map {tag!r} cannot be given another tag: {reason}")
        self.tag = tag


class CannotRerunComponents(HtrunError):
    """Components cannot be run again, since they have not ended yet.

    Attributes
    ----------
    tag : str
    components : tuple of int
        Those that have not.
    """

    def __init__(self, tag: str, components: Sequence[int], status: str) -> None:
        more = f", and {len(components) - 1:,} more have not ended" if len(components) > 1 else ""
        hint = f"'htrun release {tag}' lets it run" if status == "HELD" else f"'htrun wait {tag}' waits for it"
        super().__init__(f"component {components[0]} of {tag!r} cannot be rerun while it is {status}{more}; {hint}")
        self.tag = tag
        self.components = tuple(components)


class MapComponentError(HtrunError):
    """A component has errored; the message holds its error report.

    Attributes
    ----------
    summary : str
        The error on one line.
    remote : str
        The traceback from where the component ran, with colours for a terminal; empty if it was removed.
    """

    exit_code = ExitCode.ERRORED

    def __init__(self, message: str, summary: str = "", remote: str = "") -> None:
        super().__init__(message)
        self.summary = summary or message
        self.remote = remote

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of it: where the user's code asked for the output, and what went wrong there."""
        from htrun import tracebacks

        return tracebacks.lines(self, _copy(self, self.summary), self.remote)


class MapComponentHeld(HtrunError):
    """A component is held, and does not run before it is released."""

    exit_code = ExitCode.HELD


class ExpectedError(HtrunError):
    """The error of a component was asked for that has completed."""


class InvalidOutputStatus(HtrunError):
    """A component's record does not say what became of it."""

    exit_code = ExitCode.INTERNAL


class OutputNotLoadable(HtrunError):
    """What a component has returned does not unpickle here; the message says why.

    Attributes
    ----------
    component : int
    """

    exit_code = ExitCode.ERRORED

    def __init__(self, component: int, reason: str) -> None:
        super().__init__(
            f"the output of component {component} cannot be loaded: {reason}; "
            "what could be exported of it is in outputs.jsonl and 'htrun collect'"
        )
        self.component = component


class CannotTransplantPython(HtrunError):
    """The Python installation in use cannot be moved to another machine."""


class InsufficientHTCondorVersion(EngineError):
    """HTCondor is too old for what was asked for."""


class CorruptEventLog(EngineError):
    """A map's event log cannot be understood."""

    exit_code = ExitCode.INTERNAL


class MissingSetting(HtrunError, KeyError):
    """There is no such setting.

    Attributes
    ----------
    name : str
    """

    __str__ = HtrunError.__str__  # not KeyError's, which is the repr of the message

    def __init__(self, name: str, similar: Sequence[str] = ()) -> None:
        hint = f", did you mean {' or '.join(similar)}?" if similar else ""
        super().__init__(f"there is no setting {name!r}{hint}")
        self.name = name


class WrongPython(HtrunError):
    """What another version of Python has pickled cannot be loaded here."""


class ReservedOptionKeyword(HtrunError):
    """A map option is one that htrun sets itself, or that would break its jobs.

    Attributes
    ----------
    key : str
        The option, as it was given.
    """

    def __init__(self, key: str, instead: str) -> None:
        super().__init__(f"the option {key} is reserved: {instead}")
        self.key = key


class MisalignedInputData(HtrunError):
    """Something is given for each component, but not as many times as there are components."""
