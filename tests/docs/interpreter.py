"""A Python for the blocks of a page, one after the other in one namespace, as in a notebook; see ``sessions``.

It reads a line of JSON for each block from standard input, and answers with one that says what failed, or null.
"""

from __future__ import annotations

import doctest
import json
import linecache
import os
import sys
import traceback
import types
from typing import Any


def main() -> None:
    """Run blocks until there are no more."""
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path[0] = ""
    main_module = sys.modules["__main__"] = types.ModuleType("__main__")
    for line in requests:
        print(json.dumps(run(json.loads(line), vars(main_module))), file=answers, flush=True)


def run(block: dict[str, Any], names: dict[str, Any]) -> str | None:
    """Return what is wrong with a block, None if nothing is."""
    text, place = block["text"], f"<{block['place']}>"
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    if block["doctest"]:
        examples = doctest.DocTestParser().get_doctest(text, names, block["place"], block["page"], block["line"] - 1)
        said: list[str] = []
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
        runner.run(examples, out=said.append, clear_globs=False)
        names.update(examples.globs)
        return "".join(said) or None
    try:
        exec(compile(text, place, "exec"), names)
    except BaseException:  # noqa: BLE001 (sys.exit in a page is one)
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    main()
