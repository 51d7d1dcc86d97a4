"""The tutorials of the documentation, executed as notebooks from top to bottom, on each engine."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.notebooks import execute_notebook, text

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell
    from tests.behaviour.notebooks import Cell

TUTORIALS = Path(__file__).resolve().parents[2] / "docs/tutorials"
NAMES = sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))

# What cells that end with a line show as their value; all of it, as regular expressions.
VALUES = {
    "first-steps": {"list(made) == estimates": "True", "made.exists": "False"},
    "basic-mapping": {
        "list(longer)": r"\[25, 25, 25, 87, .*33\]",
        "longer[3], longer[-1], longer[:5]": r"\(87, 33, \[25, 25, 25, 87, 12\]\)",
        'htrun.get_tags("collatz-*")': r"\('collatz-1', 'collatz-100'\)",
        'htrun.load("collatz-100") is longer': "True",
        "list(builder.map)": r"\[1, 1, 1, 2, 4, 8, 3, 9, 27\]",
    },
    "working-with-files": {
        "list(means)": r"\[20.875, 21.875, 22.875\]",
        "list(htrun.map(warmer_by, pairs))": r"\[1.0, 1.0\]",
        'htrun.map(sizes, [htrun.TransferPath("measurements")]).get(0)': r"\{'night-0.txt': 43, .*\}",
        "list(htrun.map(calibrated, nights, map_options=options))": r"\[21.375, 22.375, 23.375\]",
    },
    "map-options": {
        "list(primes)": r"\[9973, 99991, 999983\]",
        "list(htrun.map(moody, [str(flag)], map_options=htrun.MapOptions(retries=2)))": r"\['well, now'\]",
    },
    "advanced-mapping": {
        "dict(zip(planets, periods))": r"\{'Mercury': 0.24.*, 'Jupiter': 11.8.*\}",
        "list(energies)": r"\[800.0, 0.0, 4.5\]",
        "list(hits)": r"\[Body\('bullet and block', 2.01, 1.99.*\), Body\('bullet and cart', .*\)\]",
        "list(lost)": r"\[796.0.*, 775.7.*\]",
    },
    "error-handling": {
        "growths[0], growths[2]": r"\(3.0, 0.19.*\)",
        "growths.stdout[1]": "from 0 to 6",
        "growths.components_by_status()[htrun.ComponentStatus.ERRORED]": r"\(1, 3\)",
        "list(htrun.map(mended, [years[component] for component in failed]))": r"\[inf, 0.0\]",
        "held.get(0)": "'Here I am!'",
    },
}
# The maps whose tables are shown, in their order, and what they come to say.
TABLES = {
    "first-steps": ["8 of 8"],
    "basic-mapping": ["20 of 20"],
    "working-with-files": ["3 of 3"],
    "map-options": ["2: 1 errored, 1 completed", "1,000 of 1,000"],
    "advanced-mapping": ["2 of 2"],
    "error-handling": ["4: 2 errored, 2 completed", "1: 1 held"],
}


def cells_of(name: str) -> list[dict[str, Any]]:
    """Return the cells of a tutorial as it is in the repository."""
    cells: list[dict[str, Any]] = json.loads((TUTORIALS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return cells


def tables(cells: list[Cell]) -> list[str]:
    """Return the HTML of the maps that cells show."""
    shown = [output for cell in cells for output in cell.outputs if output["output_type"] == "display_data"]
    return [text(output["data"]["text/html"]) for output in shown]


@pytest.mark.parametrize("name", NAMES)
def test_tutorial(shell: Shell, name: str) -> None:
    """Each cell shows what its text says, or raises where it is tagged so; at the end all is tidy."""
    cells = execute_notebook(shell, Path(shutil.copy(TUTORIALS / f"{name}.ipynb", shell.cwd)))
    expected = dict(VALUES[name])
    for cell in cells:
        last = cell.source.rpartition("\n")[2]
        if last in expected and cell.value is not None:
            assert re.fullmatch(expected[last], " ".join(cell.value.split())), cell
            del expected[last]
        # The progress bar is all that writes there: no warnings.
        assert re.fullmatch(r"([\w-]+: +\d+%\|[#0-9 ]*\| .*component.*\]|\s)*", cell.stderr), cell.stderr
    assert not expected, "these were not shown"
    for html, said in zip(tables(cells), TABLES[name], strict=True):
        assert said in html
    assert {path.name for path in shell.cwd.iterdir()} == {f"{name}.ipynb"}
    listed = shell("status", "--format", "json").stdout
    assert all(row["transient"] for row in json.loads(listed).values()), "maps with tags are left"


def test_failures_are_the_components_own(local: Shell) -> None:
    """What the tutorial on errors shows of a failed component is where it failed, and nothing of htrun's."""
    cells = execute_notebook(local, Path(shutil.copy(TUTORIALS / "error-handling.ipynb", local.cwd)))
    (failed,) = (cell for cell in cells if cell.source == "growths.get(1)")
    assert "Captured stdout" in failed.traceback
    assert re.search(r"^>       return last / first - 1$", failed.traceback, re.MULTILINE)
    assert "in get" not in failed.traceback


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_clean(name: str) -> None:
    """Notebooks are kept without outputs, which the documentation's build makes; their links lead somewhere."""
    for cell in cells_of(name):
        source = text(cell["source"])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", source) if cell["cell_type"] == "markdown" else ():
            assert (TUTORIALS / target).exists(), target
