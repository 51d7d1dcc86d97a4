"""The results of a run as text: Markdown, which reads well on a terminal too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from benchmarks import pool, scale
from benchmarks.cases import CASES, HTRUN, SUBMITIT, Case
from benchmarks.results import Results, median
from benchmarks.targets import of_ideal, targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def text(results: Results) -> str:
    """Return everything: the machine, a table for each case, and the targets."""
    parts = [about(results)]
    for case in CASES:
        sizes = results.sizes(case.name)
        if len(sizes) > 1:
            parts += sized(results, case, sizes)
        elif sizes:
            parts.append(single(results, case, sizes[0]))
    parts += [table for table in (on_pool(results), scaled(results), maps(results)) if table]
    parts.append(judged(results))
    return "\n" + "\n\n".join(parts) + "\n\n"


def about(results: Results) -> str:
    """Return what the numbers were measured on and with."""
    m = results.machine
    lines = [
        f"{m['cpu']}, {m['cpus']} CPUs used, {m['memory_gb']} GB, {m['system']}.",
        f"{m['date']}, load {m['load']} at the beginning.",
        ", ".join(f"{name} {version}" for name, version in results.versions.items()) + ".",
        *(f"Left out: {name} ({why})." for name, why in results.left_out.items()),
    ]
    return "\n".join(lines)


def sized(results: Results, case: Case, sizes: Sequence[int]) -> list[str]:
    """Return the tables of a case with several sizes: times, and ratios."""
    head = [f"{size:,}" for size in sizes]
    subjects = results.subjects(case.name)
    times = [[name, *(seconds(results.wall_s(case.name, size, name)) for size in sizes)] for name in subjects]
    submitit = results.wall_s(case.name, 100, SUBMITIT)
    note = f"\n\n({SUBMITIT}: 10,000 would take {100 * submitit:,.0f} s, extrapolated from 100.)" if submitit else ""
    ratios = [
        [name, *(spread(results.ratios(case.name, size, HTRUN, name)) for size in sizes)]
        for name in subjects
        if name != HTRUN
    ]
    return [
        table(f"{case.name}: wall time in seconds, median, by the number of components", ["", *head], times) + note,
        table(f"{case.name}: htrun's time over that of a peer in the same round, median (range)", ["", *head], ratios),
    ]


def single(results: Results, case: Case, size: int) -> str:
    """Return the table of a case with one size."""
    cpu = case.cpu_s(size) / results.machine["cpus"]
    found = [
        [
            name,
            seconds(results.wall_s(case.name, size, name)),
            f"{of_ideal(results, case, size, name) or 0:.1f} %",
            seconds(median([t.cpu_s for t in results.of(case.name, size, name)])),
            "" if name == HTRUN else spread(results.ratios(case.name, size, HTRUN, name)),
        ]
        for name in results.subjects(case.name)
    ]
    head = ["", "wall, s", "of the ideal", "CPU, s", "htrun's time over it"]
    return table(f"{case.name}: {size:,} components, {cpu:.2f} s of CPU time on each CPU", head, found)


def on_pool(results: Results) -> str:
    """Return the table of the cases on a pool, empty if there are none."""
    found = []
    for case, size in (("pool-jobs", pool.JOBS), ("pool-double", pool.CHUNKS)):
        for name in results.subjects(case):
            number = 1 if name == pool.ONE_JOB else size
            wall = results.wall_s(case, size, name) or 0.0
            ratio = "" if name == HTRUN else spread(results.ratios(case, size, HTRUN, name))
            found.append([case, name, f"{number:,}", seconds(wall), f"{number / wall:.1f}", ratio])
    head = ["case", "", "components", "wall, s", "a second", "htrun's time over it"]
    return table("On an HTCondor pool on this machine", head, found) if found else ""


def scaled(results: Results) -> str:
    """Return the table of growing maps, empty if there are none."""
    found = []
    for case, where in (("scale", "local"), ("pool-scale", "pool")):
        for size in results.sizes(case):
            wall = {name: results.wall_s(case, size, name) for name in results.subjects(case)}
            create, collect = wall[scale.CREATE] or 0.0, wall.get(scale.COLLECT)
            row = [where, f"{size:,}", seconds(create), f"{create / size * 1e6:.1f}"]
            row.append(f"{results.rss_mb(case, size, scale.CREATE):.0f}")
            for name in (scale.STATUS_RUNNING, scale.STATUS_ENDED):
                rss = results.rss_mb(case, size, name)
                row.append("" if rss is None else f"{seconds(wall[name])}, {rss:.0f}")
            if collect:
                row += [f"{size / collect:,.0f}", str(results.files[str(size)])]
            found.append(row)
    head = ["", "components", "create, s", "µs each", "MB", "status running: s, MB", "ended: s, MB"]
    return table("htrun alone", [*head, "collect, lines/s", "files"], found) if found else ""


def maps(results: Results) -> str:
    """Return the table of looks at many maps, empty if there are none."""
    sizes = results.sizes("maps")
    found = [[name, seconds(results.wall_s("maps", sizes[0], name))] for name in results.subjects("maps")]
    return table(f"{sizes[0]} maps in one HTRUN_DIR", ["command", "wall, s"], found) if found else ""


def judged(results: Results) -> str:
    """Return the table of targets."""
    found = [
        [t.what, f"{t.bound} {t.limit:,g}", "" if t.found is None else f"{t.found:,.4g}", t.verdict]
        for t in targets(results)
    ]
    return table("Targets", ["", "target", "found", ""], found)


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a title, all numbers as they are written."""
    align = ("left", *("right" for _ in head[1:]))
    return f"**{title}**\n\n" + tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=align)


def seconds(value: float | None) -> str:
    """Return a time with three significant digits, empty if there is none."""
    if value is None:
        return ""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def spread(ratios: list[float]) -> str:
    """Return the median of ratios, with their range if there are several."""
    middle = median(ratios)
    if middle is None:
        return ""
    return f"{middle:.2f}" if len(ratios) == 1 else f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
