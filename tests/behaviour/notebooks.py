"""Notebooks that are executed as Jupyter does it: in a kernel, from top to bottom."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.behaviour.conftest import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.conftest import Shell

MAY_RAISE = "raises-exception"
# In a process of its own, as the variables of the client become those of the kernel. Where a cell fails that should
# not, this ends in a traceback that shows the cell.
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
try:
    NotebookClient(notebook, kernel_name="python3", timeout=float(sys.argv[2])).execute()
finally:
    nbformat.write(notebook, sys.argv[1])
"""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Cell:
    """A cell that has been executed.

    Attributes
    ----------
    outputs : list of dict
        What it has left, in the notebooks' format.
    source : str
    """

    outputs: list[dict[str, Any]]
    source: str

    @property
    def stdout(self) -> str:
        """What it has printed."""
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        """What it has printed to its standard error."""
        return self._stream("stderr")

    def _stream(self, name: str) -> str:
        return "".join(text(output["text"]) for output in self.outputs if output.get("name") == name)

    @property
    def value(self) -> str | None:
        """The value of its last expression, as the notebook shows it."""
        values = [text(o["data"]["text/plain"]) for o in self.outputs if o["output_type"] == "execute_result"]
        return values[0] if values else None

    @property
    def error(self) -> tuple[str, str]:
        """The name and the message of the exception that it has raised."""
        (error,) = (output for output in self.outputs if output["output_type"] == "error")
        return error["ename"], error["evalue"]

    @property
    def traceback(self) -> str:
        """The traceback of that exception, without its colours."""
        (error,) = (output for output in self.outputs if output["output_type"] == "error")
        return COLOURS.sub("", "\n".join(error["traceback"]))


def text(lines: str | list[str]) -> str:
    """Return text, which notebooks keep as lines."""
    return lines if isinstance(lines, str) else "".join(lines)


def execute(shell: Shell, script: str) -> list[Cell]:
    """Execute the cells of a script, which start with ``# %%`` and tags, as a notebook in the working directory."""
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {"tags": header.split()},
            "execution_count": None,
            "outputs": [],
            "source": source.strip("\n"),
        }
        for number, (header, source) in enumerate(re.findall(r"^# %%(.*)\n((?:(?!# %%).*\n)*)", script, re.MULTILINE))
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}
    return execute_notebook(shell, shell.write("notebook.ipynb", json.dumps(notebook).encode()))


def execute_notebook(shell: Shell, path: Path) -> list[Cell]:
    """Execute a notebook in the working directory, and return its code cells; those raise that are tagged so."""
    home = shell.home / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, path, str(PATIENCE_S)],
        cwd=shell.cwd,
        # Warnings are for the cells' outputs; they must not break the kernel.
        env={**shell.env, "HOME": str(home), "PYTHONWARNINGS": "default"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    executed = json.loads(path.read_text())
    assert done.returncode == 0, COLOURS.sub("", done.stderr) + json.dumps(executed["cells"], indent=1)
    code = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
    result = [Cell(cell["outputs"], text(cell["source"])) for cell in code]
    for made, cell in zip(code, result, strict=True):
        raised = any(output["output_type"] == "error" for output in cell.outputs)
        assert raised == (MAY_RAISE in made["metadata"].get("tags", ())), cell.source
    return result
