"""``htrun init``: something small that works, to start from."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click

from htrun.exceptions import ExitCode, UsageError
from htrun.settings import load
from htrun.tags import TagRegistry

_MODEL = '''\
"""What is computed: a function, which is called once for each line of inputs.jsonl."""

import random


def simulate(seed, steps=1000):
    """Take a random walk; what is returned stands in results.csv, a column a key."""
    rng = random.Random(seed)
    position = farthest = 0.0
    for _ in range(steps):
        position += rng.gauss(0, 1)
        farthest = max(farthest, abs(position))
    return {"end": position, "farthest": farthest}
'''
_INPUTS = "".join(f'{{"seed": {seed}, "steps": {steps}}}\n' for steps in (100, 1000) for seed in range(1, 6))
_MAKEFILE = """\
# make          run what has no result yet, and write results.csv
# make status   show how far it has got
# make clean    delete the results
#
# It may be interrupted, and called again at any time: --resume runs what is new in inputs.jsonl, or has failed, and
# everything if model.py has changed.

TAG := {tag}

results.csv: results/$(TAG)/outputs.jsonl
	htrun collect $(TAG) --with-inputs --format csv --output $@

results/$(TAG)/outputs.jsonl: inputs.jsonl model.py
	htrun model.py:simulate --args inputs.jsonl --tag $(TAG) --resume --quiet

.PHONY: status clean
status:
	htrun status $(TAG)
clean:
	htrun remove -p $(TAG)
	rm -f results.csv

.DELETE_ON_ERROR:
"""


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(directory: Path) -> ExitCode:
    """Write a function, inputs and a Makefile to start from.

    They are put into DIRECTORY, which is made if need be, or into the current one. No file is overwritten.

    \b
    Example:
      htrun init walk
      cd walk && make
    """
    texts = {"model.py": _MODEL, "inputs.jsonl": _INPUTS, "Makefile": _MAKEFILE.format(tag=_free_tag(directory))}
    paths = {directory / name: text for name, text in texts.items()}
    there = [str(path) for path in (*paths, directory / "makefile", directory / "GNUmakefile") if os.path.lexists(path)]
    if there:
        raise UsageError(f"{' and '.join(there)} would be overwritten, or not be used: name another directory")
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in paths.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    click.echo(f"wrote {', '.join(map(str, paths))}", err=True)
    enter = "" if directory == Path() else f"cd {shlex.quote(str(directory))} && "
    click.echo(f"next: {enter}make", err=True)
    return ExitCode.OK


def _free_tag(directory: Path) -> str:
    """Return a tag after the directory's name that no map has: with --resume another one's would be replaced."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", directory.absolute().resolve().name).strip("-.")[:50] or "start"
    taken = TagRegistry(load().tags).tags(f"{name}*")
    return next(tag for tag in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if tag not in taken)
