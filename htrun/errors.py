"""The error of a component, as Python users get it."""

from __future__ import annotations

from pathlib import Path
from traceback import FrameSummary, StackSummary
from typing import TYPE_CHECKING, Any

from htrun import words
from htrun.execution import failure_lines, transfer_times
from htrun.reports import CHAINED, printed_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from htrun.maps import Map
    from htrun.records import Record

_WIDTH = 80


class ComponentError:
    """What went wrong in a component while it ran.

    Attributes
    ----------
    map : Map
    component : int
    exception_msg : str
        The type and the message of the exception, as Python shows them.
    node_info : tuple
        Of where it ran: (name, address, time in seconds since the epoch); each None where it is not known.
    python_info : tuple
        Of the Python that it ran with: (executable, version, packages as a tuple of ``name==version``).
    scratch_dir_contents : list of pathlib.Path
        The files that were in its scratch directory, relative to it.
    stack_summary : traceback.StackSummary
        The user's frames, the outermost first, with the source lines and the local variables as text.
    """

    def __init__(self, map: Map, component: int, error: dict[str, Any], record: Record | None) -> None:  # noqa: A002
        data = {} if record is None else record.data
        environment = {} if record is None else record.environment()
        packages = environment.get("packages", {})
        self.map = map
        self.component = component
        self.exception_msg: str = ": ".join(filter(None, (error["type"], error["message"])))
        self.node_info = (data.get("node", error.get("node")), None, data.get("started"))
        self.python_info = (
            environment.get("executable"),
            environment.get("python"),
            tuple(sorted(f"{name}=={version}" for name, version in packages.items())),
        )
        self.scratch_dir_contents = [Path(name) for name, _ in error.get("scratch", ())]
        self.stack_summary = StackSummary.from_list(_frames(error["frames"]))
        self._error = error
        self._record = record
        self._before: list[list[Any]] = data.get("scratch_before", [])
        self._failures = [] if record is None else list(failure_lines(record))
        self._transfers = list(transfer_times(data, None))

    def __repr__(self) -> str:
        message = words.printable(self.exception_msg)
        return f"<ComponentError(map = {self.map}, component = {self.component}, {message})>"

    def _repr_html_(self) -> str:
        from htrun import notebook  # only now: it costs start-up time

        return notebook.error_html(self._element())

    def _element(self) -> Element:
        """Return the report as a part of HTML."""
        from htrun import notebook

        node, _, started = self.node_info
        executable, version, packages = self.python_info
        facts = {
            "Node": node,
            "Started": None if started is None else words.moment(started),
            "Python": None if executable is None else f"{version} ({executable})",
            "Transfers took": ", ".join(self._transfers),
        }
        texts = {
            "Standard output": printed_end(self._record, "stdout", f"map.stdout[{self.component}]"),
            "Standard error": printed_end(self._record, "stderr", f"map.stderr[{self.component}]"),
            "Attempts before that have failed": "\n".join(self._failures),
            "Files in the scratch directory": "\n".join(map(str, self.scratch_dir_contents)),
            "Installed packages": "\n".join(packages),
        }
        title = f"Component {self.component} of map {self.map.tag}"
        return notebook.error_report(title, self._error, facts, texts)

    def report(self) -> str:
        """Return all of it as text."""
        what = f"error report for component {self.component} of map {self.map.tag}"
        return "\n".join(
            [f" Start {what} ".center(_WIDTH, "="), *self._body(), "", f" End {what} ".center(_WIDTH, "=")]
        )

    def _body(self) -> Iterator[str]:
        node, _, started = self.node_info
        if node is not None:
            when = "" if started is None else f" at {words.moment(started)}"
            yield f"Landed on execute node {node}{when}"
        executable, version, packages = self.python_info
        if executable is not None:
            yield ""
            yield f"Python executable is {executable} (version {version})"
            yield "with installed packages"
            yield from (f"  {package}" for package in packages)
        if self._before:
            yield ""
            yield "Scratch directory contents before the call were"
            yield from (f"  {name}" for name, _ in self._before)
        if "scratch" in self._error:  # as it is of all that did not end their process
            yield ""
            yield "Scratch directory contents are"
            yield from (f"  {path}" for path in self.scratch_dir_contents or ("nothing",))
        if self._failures:
            yield ""
            yield "Attempts before that have failed"
            yield from (f"  {line}" for line in self._failures)
        if self._transfers:
            yield ""
            yield f"Transfers took {', '.join(self._transfers)}"
        yield ""
        yield "Exception and traceback (most recent call last):"
        yield from self._exception(self._error)

    def _exception(self, error: dict[str, Any]) -> Iterator[str]:
        for key, phrase in CHAINED:
            if key in error:
                yield from self._exception(error[key])
                yield from ("", phrase, "")
        for frame in error["frames"]:
            yield f'  File "{frame["file"]}", line {frame["line"]}, in {frame["function"]}'
            if frame["source"]:
                yield f"    {frame['source'][-1].strip()}"
            if frame.get("locals"):
                yield ""
                yield "    Local variables:"
                yield from (f"      {name} = {value}" for name, value in frame["locals"].items())
                yield ""
        yield from ": ".join(filter(None, (error["type"], error["message"]))).splitlines()
        yield from (f"  {note}" for note in error.get("notes", ()))


class ComponentErrors(dict[int, ComponentError]):
    """The errors of a map by component, which notebooks show as a list of reports that open."""

    def _repr_html_(self) -> str:
        from htrun import notebook  # only now: it costs start-up time

        shown = ((f"component {n}: {error.exception_msg}", error._element()) for n, error in self.items())
        return notebook.errors_html(shown, len(self))


def _frames(frames: list[dict[str, Any]]) -> list[FrameSummary]:
    return [
        FrameSummary(
            frame["file"],
            frame["line"],
            frame["function"],
            lookup_line=False,
            line=frame["source"][-1].strip() if frame["source"] else "",
            locals={name: Verbatim(value) for name, value in frame.get("locals", {}).items()},
        )
        for frame in frames
    ]


class Verbatim(str):
    """Text that is its own ``repr()``, so that notebooks and consoles show it as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
