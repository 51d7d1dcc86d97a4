"""Size, documentation and complexity of Python source files: files in, JSON out.

    python3 examples/source_metrics.py | htrun examples/source_metrics.py:measure --args - --tag stdlib --overwrite

Run from the repository's root, with htrun on the PATH. As a script, this prints an input for each source file of the
standard library; ``measure`` gets each file as a copy in the scratch directory of its component, since its parameter
is annotated as a path. Afterwards, as a table with the names of the files:

    htrun collect stdlib --format csv --flatten --with-inputs > metrics.csv
"""

from __future__ import annotations

import ast
import io
import json
import sys
import sysconfig
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Function = ast.FunctionDef | ast.AsyncFunctionDef

LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
DECISIONS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension, ast.Assert)
NOT_MEASURED = {"test", "tests", "idle_test", "site-packages", "dist-packages"}


def measure(path: Path) -> dict[str, Any]:
    """Return the metrics of a Python source file.

    Parameters
    ----------
    path : pathlib.Path
        Decoded as its PEP 263 encoding declaration says, UTF-8 without one.

    Returns
    -------
    dict
        Counts of lines (see ``count_lines``), definitions and imported modules; ``documentation``, how many of the
        module, its classes and its public functions have a docstring; ``complexity`` of its functions (see
        ``branches``).

    Raises
    ------
    SyntaxError
        If it is no Python source, or newer than this Python.
    """
    with tokenize.open(path) as file:
        text = file.read()
    tree = ast.parse(text, filename=str(path))
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    return {
        "file": path.name,
        **count_lines(text),
        "functions": len(functions),
        "classes": len(classes),
        "imports": len(set(imported(nodes))),
        "documentation": documentation([tree, *classes, *(f for f in functions if not f.name.startswith("_"))]),
        "complexity": complexity(functions),
    }


def count_lines(text: str) -> dict[str, int]:
    """Return how many lines there are in all, blank, with code or docstrings, and with comments; some have both."""
    code: set[int] = set()
    comments: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    lines = io.StringIO(text).readlines()  # not splitlines(), to which a form feed is an end of line too
    blank = {number for number, line in enumerate(lines, 1) if not line.strip()}
    return {"lines": len(lines), "blank": len(blank), "code": len(code - blank), "comments": len(comments)}


def imported(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield the modules that are imported, relative ones with their dots."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def documentation(definitions: list[Any]) -> dict[str, float]:
    """Return how many definitions there are, how many have a docstring, and the latter's share."""
    documented = sum(ast.get_docstring(definition, clean=False) is not None for definition in definitions)
    return {"public": len(definitions), "documented": documented, "share": round(documented / len(definitions), 3)}


def complexity(functions: list[Function]) -> dict[str, Any]:
    """Return the largest and the mean complexity of functions, and the name of the most complex one."""
    if not functions:
        return {"max": 0, "mean": 0.0, "most": None}
    numbers = {function: branches(function) for function in functions}
    most = max(functions, key=numbers.__getitem__)
    return {"max": numbers[most], "mean": round(sum(numbers.values()) / len(numbers), 2), "most": most.name}


def branches(function: Function) -> int:
    """Return one more than there are decisions in a function, those of functions inside it included.

    This is the cyclomatic complexity of T. J. McCabe, IEEE Trans. Softw. Eng. SE-2 (1976) 308, where ``and`` and
    ``or`` count as decisions.
    """
    count = 1
    for node in ast.walk(function):
        if isinstance(node, DECISIONS) or type(node).__name__ == "match_case":  # in ast from Python 3.10 on
            count += 1
        elif isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
    return count


def standard_library() -> Iterator[Path]:
    """Yield the source files of this Python's standard library, without its tests, in order."""
    top = Path(sysconfig.get_path("stdlib"))
    for path in sorted(top.rglob("*.py")):
        packages = path.relative_to(top).parts[:-1]
        if path.is_file() and all(name.isidentifier() and name not in NOT_MEASURED for name in packages):
            yield path


if __name__ == "__main__":
    for source in standard_library():
        json.dump({"path": str(source)}, sys.stdout)
        sys.stdout.write("\n")
