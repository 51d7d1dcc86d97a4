"""What keeps a map from ending, in words: idle, held, suspended, running and lost components."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING

from htrun import reports
from htrun.exceptions import EngineError
from htrun.holds import advice
from htrun.state import ComponentStatus, EventKind
from htrun.words import count, elapsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from htrun.view import ComponentHold, MapView

_MAX_REASONS = 10


def paragraphs(map_: MapView) -> Iterator[str]:
    """Yield what is to be said of a map as of its last refresh, what keeps it from getting on first."""
    counts = map_.counts()
    if counts[ComponentStatus.IDLE] or counts[ComponentStatus.UNMATERIALIZED]:
        yield from idle(map_)
    yield from _held(map_)
    suspended = counts[ComponentStatus.SUSPENDED]
    if suspended:
        yield f"{count(suspended, 'component')} paused: 'htrun resume {map_.tag}' lets them go on."
    running = list(map_.components_with(ComponentStatus.RUNNING))
    if running:
        yield _running(map_, running)
    for line in reports.hold_lines(map_.removals.values()):
        yield f"Removed: {line}"
    errored = counts[ComponentStatus.ERRORED]
    if errored:
        yield f"{count(errored, 'component')} errored: 'htrun errors {map_.tag}' shows how."
    if map_.has_ended:
        yield f"It has ended; 'htrun collect {map_.tag}' has the results."


def idle(map_: MapView) -> Iterator[str]:
    """Yield why components are idle."""
    try:
        reason = map_.engine.left_behind(map_.directory)
        if reason is not None:
            yield f"Nothing works on it: {reason}. 'htrun wait {map_.tag}' carries on with what is left."
            return
        yield from map_.engine.explain(map_.directory)
    except EngineError as error:
        yield f"Why components are idle cannot be told: {error}."


def _held(map_: MapView) -> Iterator[str]:
    by_cause: dict[tuple[str, int | None, int | None], list[ComponentHold]] = defaultdict(list)
    for hold in map_.holds.values():
        by_cause[reports.cause(hold)].append(hold)
    by_advice: dict[str, list[str]] = defaultdict(list)
    for holds in list(by_cause.values())[:_MAX_REASONS]:
        by_advice[advice(holds[0], map_.tag)] += [f"Held: {line}" for line in reports.hold_lines(holds)]
    for said, lines in by_advice.items():
        yield "\n".join([*lines, said])
    if len(by_cause) > _MAX_REASONS:
        yield f"... and {len(by_cause) - _MAX_REASONS:,} more reasons: 'htrun reasons {map_.tag}' shows all of them."


def _running(map_: MapView, running: list[int]) -> str:
    """Return since when components run, and where the one that does so longest is."""
    starts: dict[int, float] = {}
    jobs: dict[int, list[int]] = defaultdict(list)
    for event in map_.engine.events(map_.directory).read({}):
        if event.kind is EventKind.EXECUTE:
            starts[event.job] = event.time
    for component in running:
        job = map_.job_number(component)
        if job in starts:
            jobs[job].append(component)
    text = f"{count(len(running), 'component')} running"
    if not jobs:
        return f"{text}."
    job = min(jobs, key=lambda job: starts[job])
    state = map_.job_of(jobs[job][0])
    where = f" on {state.node}" if state is not None and state.node else ""
    which = f"component{'s' * (len(jobs[job]) > 1)} {reports.span_text(jobs[job])}"
    longest = "the longest, " if len(jobs) > 1 else ""
    return f"{text}: {longest}{which}, for {elapsed(starts[job])}{where}."


def indented(paragraph: str, columns: int | None = None) -> str:
    """Return a paragraph below a headline, in lines that fit a terminal's columns where there are any."""
    lines = paragraph.splitlines()
    if columns is None:
        return "\n".join(f"  {line}" for line in lines)
    indents = {"initial_indent": "  ", "subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(textwrap.fill(line, max(40, columns - 1), **indents) for line in lines)  # type: ignore[arg-type]
