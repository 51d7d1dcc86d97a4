"""Measure and show: ``python -m benchmarks run [--quick] [CASE...] > FILE``, ``python -m benchmarks docs FILE``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks import report, suite
from benchmarks.measure import BenchmarkError
from benchmarks.results import Results


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and return an exit code, 1 if a command fails or gives wrong results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="measure; the report goes to stderr, all timings as JSON to stdout")
    run.add_argument("--quick", action="store_true", help="one round of small sizes, no pool: does it work?")
    run.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(suite.NAMES)}; by default all")
    docs = actions.add_parser("docs", help="put the tables and the plot of a run into docs/")
    docs.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    if options.action == "docs":
        from benchmarks import docs as pages

        pages.write(Results.from_json(options.file.read_text(encoding="utf-8")))
        return 0
    unknown = set(options.cases) - set(suite.NAMES)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}: there are {', '.join(suite.NAMES)}")
    try:
        results = suite.run(options.cases or suite.NAMES, quick=options.quick)
    except (BenchmarkError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 2
    sys.stderr.write(report.text(results))
    sys.stdout.write(results.to_json())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
