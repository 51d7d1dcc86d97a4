"""Put the tables and the plot of a run into docs/performance.md, and keep the run that it shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks import report
from benchmarks.cases import DOUBLE, HTRUN, IDEAL
from benchmarks.session import ROOT

if TYPE_CHECKING:
    from benchmarks.results import Results

PAGE = ROOT / "docs/performance.md"
PLOT = PAGE.with_suffix(".svg")
INK = "#767676"  # is read on white and on black (4.5 to 1)
STYLES = {HTRUN: {"color": INK, "linewidth": 3}, IDEAL: {"color": INK, "linewidth": 1.2, "linestyle": ":"}}
REFERENCE = ROOT / "benchmarks/results/reference.json"
BEGIN, END = "<!-- by `python -m benchmarks docs` from here -->", "<!-- to here -->"


def write(results: Results) -> None:
    """Write the reference, the plot, and the part of the page between the marks."""
    REFERENCE.write_text(results.to_json(), encoding="utf-8")
    plot(results)
    page = PAGE.read_text(encoding="utf-8")
    image = f"![time per component against the number of components]({PLOT.name})"
    part = f"{BEGIN}\n\n{image}\n{report.text(results)}{END}"
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: part, page, flags=re.DOTALL), encoding="utf-8")


def plot(results: Results) -> None:
    """Draw the cost of a component against the number of components."""
    # Text as text, and the same picture of the same results: small, and a diff shows changes only.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "htrun", "font.size": 9})
    parts = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    mpl.rcParams.update(dict.fromkeys(parts, INK))
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot()
    for name in results.subjects(DOUBLE.name):
        found = [(size, results.wall_s(DOUBLE.name, size, name)) for size in results.sizes(DOUBLE.name)]
        points = [(size, wall / size * 1e6) for size, wall in found if wall is not None]
        style = STYLES.get(name, {"linewidth": 1.2})
        axes.loglog(*zip(*points, strict=True), marker="o", markersize=4, label=name, **style)
    axes.set_xlabel("components")
    axes.set_ylabel("wall time of the whole command per component, µs")
    axes.set_title(f"x -> 2 * x, {results.machine['cpus']} CPUs")
    axes.grid(which="major", alpha=0.3)
    axes.legend(loc="upper right", frameon=False)
    figure.savefig(PLOT, metadata={"Date": None}, transparent=True)
