"""What notebooks show of maps, their errors and holds: from data to HTML.

The page around it decides about font and colours of the text, in the dark as well; JupyterLab's variables give those of
bars and lines. Nothing is told by colour alone, and all is plain tables and lists where styles are not let through, as
in notebooks that are not trusted.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, tostring

from htrun import reports, words
from htrun.state import ComponentStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from htrun.view import ComponentHold, MapView

    Content = Element | str | None

_MAX_GROUPED = 200  # errors of a map that are read to tell of which kinds there are
_MAX_KINDS = 10  # of errors, and reasons of holds
_MAX_REPORTS = 20  # in a list of them
_COLORS = {
    ComponentStatus.COMPLETED: "var(--jp-success-color1, #388e3c)",
    ComponentStatus.ERRORED: "var(--jp-error-color1, #d32f2f)",
    ComponentStatus.HELD: "var(--jp-warn-color1, #f57c00)",
    ComponentStatus.RUNNING: "var(--jp-info-color1, #0097a7)",
}
_LINE = "1px solid var(--jp-border-color1, #8888)"
_STYLE = f"""
.htrun {{ max-width: 60em; overflow-x: auto; }}
.htrun table {{ border-collapse: collapse; margin: .4em 0; table-layout: auto; }}
.htrun caption {{ text-align: left; font-weight: bold; padding: .2em 0; white-space: nowrap; }}
.htrun th, .htrun td {{ text-align: left !important; vertical-align: top; padding: .2em 1em .2em 0;
  border-bottom: {_LINE}; white-space: normal; overflow-wrap: anywhere; max-width: none; }}
.htrun th {{ white-space: nowrap; }}
.htrun td.htrun-number {{ text-align: right !important; white-space: nowrap; font-variant-numeric: tabular-nums; }}
.htrun .htrun-bar {{ display: flex; height: .8em; min-width: 8em; max-width: 40em; border: {_LINE}; }}
.htrun pre {{ font-family: var(--jp-code-font-family, monospace); overflow-x: auto;
  margin: .3em 0; padding: .3em .6em; border-left: {_LINE}; }}
.htrun details {{ margin: .3em 0; }}
.htrun summary {{ cursor: pointer; }}
.htrun .htrun-error {{ border-left: 4px solid {_COLORS[ComponentStatus.ERRORED]}; padding-left: .8em; margin: .8em 0; }}
"""


def map_html(map_: MapView, note: str = "") -> str:
    """Return a map as of its last refresh: how far it is, what components took, what went wrong.

    Parameters
    ----------
    map_ : MapView
    note : str
        What else is to be said of it.
    """
    info, used = map_.directory.info, map_.total_usage()
    total, longest = words.duration(used.total_wall_s), words.duration(used.max_wall_s)
    facts = {
        "Map": f"{map_.tag}{' (transient)' if map_.is_transient else ''}",
        "Function": info["target"]["text"],
        "Engine": info["engine"],
        "Components": f"{len(map_):,}: {', '.join(reports.count_phrases(map_.counts()))}",
        "Finished": f"{map_.finished:,} of {len(map_):,} ({100 * map_.finished // max(1, len(map_))} %)",
        "Created": words.moment(info["created"]),
        "Last event": words.moment(map_.last_event()),
        "Run time": f"{total} in all, at most {longest} a component" if used.total_wall_s else None,
        "Peak memory": reports.size_text(used.max_memory_mb * 2**20) if used.max_memory_mb else None,
        "Note": note,
    }
    return _page(
        _bar(map_),
        _facts(facts),
        _kinds_of_errors(map_),
        _reasons("Held", map_.holds.values()),
        _reasons("Removed", map_.removals.values()),
    )


def maps_html(maps: Sequence[MapView]) -> str:
    """Return a table with a line a map, as of the last refresh of each."""
    shown = list(ComponentStatus.display_statuses())
    names = ["Tag", *(status.value.capitalize() for status in shown), "Progress", "Peak memory", "Run time"]
    rows: list[list[Content]] = []
    for map_ in maps:
        counts, used = map_.counts(), map_.total_usage()
        rows.append(
            [
                _head(f"{'* ' if map_.is_transient else ''}{map_.tag}"),
                *(_number(f"{counts[status]:,}") for status in shown),
                _bar(map_),
                _number(reports.size_text(used.max_memory_mb * 2**20)),
                _number(words.duration(used.total_wall_s)),
            ]
        )
    transient = any(map_.is_transient for map_ in maps)
    return _page(
        _table(names, rows, words.count(len(maps), "map")),
        _element("p", "* transient: htrun.clean() removes it") if transient else None,
    )


def holds_html(holds: Iterable[ComponentHold]) -> str:
    """Return a table of held components, and why they are."""
    rows: list[list[Content]] = [
        [_head(str(hold.component)), "" if hold.code is None else str(hold.code), hold.reason] for hold in holds
    ]
    return _page(_table(["Component", "Code", "Reason"], rows, words.count(len(rows), "held component")))


def errors_html(errors: Iterable[tuple[str, Element]], total: int) -> str:
    """Return errors as a list of reports that open under their titles."""
    folded = [_element("details", _element("summary", title), report) for title, report in islice(errors, _MAX_REPORTS)]
    more = _element("p", f"... and {total - _MAX_REPORTS:,} more") if total > _MAX_REPORTS else None
    return _page(_element("p", _element("strong", words.count(total, "error"))), *folded, more)


def error_html(report: Element) -> str:
    """Return the report of one error as HTML that stands by itself."""
    return _page(report)


def error_report(
    title: str, error: Mapping[str, Any], facts: Mapping[str, str | None], texts: Mapping[str, str]
) -> Element:
    """Return the report of one error.

    Parameters
    ----------
    title : str
    error : mapping
        The exception, as a record has it.
    facts : mapping of str to str or None
        What else is known, and what is not.
    texts : mapping of str to str
        Longer texts, which open under their names.
    """
    folded = [
        _element("details", _element("summary", name), _element("pre", text))
        for name, text in texts.items()
        if text.strip()
    ]
    body = (_element("p", _element("strong", title)), *_exception(error), _facts(facts), *folded)
    return _element("div", *body, **{"class": "htrun-error"})


def _exception(error: Mapping[str, Any]) -> Iterator[Element]:
    for key, phrase in reports.CHAINED:
        if key in error:
            yield from _exception(error[key])
            yield _element("p", phrase)
    frames = error["frames"]
    last_user = max((number for number, frame in enumerate(frames) if frame["user"]), default=-1)
    for number, frame in enumerate(frames):
        if not frame["user"] and number < last_user:
            continue  # a library's, which has called the user's function
        yield _element("p", _code(frame["file"]), f", line {frame['line']}, in ", _code(frame["function"]))
        source = "\n".join(reports.source_lines(frame["source"] if frame["user"] else frame["source"][-1:]))
        if source:
            yield _element("pre", source)
        if frame.get("locals"):
            yield _facts(frame["locals"], "Local variables", _code)
    message = ": ".join(filter(None, (error["type"], error["message"])))
    yield _element("pre", _element("strong", "\n".join([message, *error.get("notes", ())])))
    for part in error.get("exceptions", ()):
        yield _element("p", "One of the exceptions in the group:")
        yield from _exception(part)


def _kinds_of_errors(map_: MapView) -> Element | None:
    total = map_.errored
    if not total:
        return None
    kinds: dict[str, list[int]] = {}
    for component in islice(map_.components_with(ComponentStatus.ERRORED), _MAX_GROUPED):
        kinds.setdefault(reports.ErrorReport(map_, component).summary(), []).append(component)
    ordered = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    rows: list[list[Content]] = [
        [_number(f"{len(components):,}"), _code(summary), reports.shorten(reports.span_text(components), 60)]
        for summary, components in ordered[:_MAX_KINDS]
    ]
    caption = words.count(total, "error")
    if total > _MAX_GROUPED:
        caption += f", the first {_MAX_GROUPED} of them"
    if len(ordered) > _MAX_KINDS:
        caption += f", the {_MAX_KINDS} kinds of them that are most frequent"
    return _table(["Number", "Error", "Components"], rows, caption)


def _reasons(title: str, holds: Iterable[ComponentHold]) -> Element | None:
    lines = list(reports.hold_lines(holds))
    if not lines:
        return None
    more = [f"... and {len(lines) - _MAX_KINDS:,} more reasons"] if len(lines) > _MAX_KINDS else []
    items = [_element("li", line) for line in (*lines[:_MAX_KINDS], *more)]
    return _element("div", _element("p", _element("strong", title)), _element("ul", *items))


def _bar(map_: MapView) -> Element:
    counts = map_.counts()
    parts = [
        _element("div", style=f"width: {100 * counts[status] / len(map_):.4f}%; background: {color}")
        for status, color in _COLORS.items()
        if counts[status]
    ]
    said = f"{map_.tag}: {', '.join(reports.count_phrases(counts))}"
    return _element("div", *parts, **{"class": "htrun-bar", "role": "img", "aria-label": said, "title": said})


def _facts(facts: Mapping[str, str | None], caption: str = "", form: Callable[[str], Content] = str) -> Element:
    """Return a table of names and values, without those that have none."""
    rows = ([_head(form(name)), form(value)] for name, value in facts.items() if value)
    return _table([], rows, caption)


def _table(names: Sequence[str], rows: Iterable[Sequence[Content]], caption: str) -> Element:
    """Return a table; what is no cell is put into one."""
    parts = [_element("caption", caption)] if caption else []
    if names:
        parts.append(_element("thead", _element("tr", *(_head(name, "col") for name in names))))
    body = (_element("tr", *(cell if _is_cell(cell) else _element("td", cell) for cell in row)) for row in rows)
    return _element("table", *parts, _element("tbody", *body))


def _is_cell(content: Content) -> bool:
    return isinstance(content, Element) and content.tag in ("th", "td")


def _head(content: Content, scope: str = "row") -> Element:
    return _element("th", content, scope=scope)


def _number(text: str) -> Element:
    return _element("td", text, **{"class": "htrun-number"})


def _code(text: str) -> Element:
    return _element("code", text)


def _element(tag: str, *children: Content, **attributes: str) -> Element:
    """Return an element, of which all text is escaped when it is written."""
    element = Element(tag, {name: words.printable(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, str):
            if len(element):
                element[-1].tail = (element[-1].tail or "") + words.printable(child)
            else:
                element.text = (element.text or "") + words.printable(child)
        elif child is not None:
            element.append(child)
    return element


def _page(*parts: Element | None) -> str:
    page = _element("div", _element("style", _STYLE), *parts, **{"class": "htrun"})
    return tostring(page, encoding="unicode", method="html")
