"""The most frequent words of DNA sequences: other programs, which work with files in the scratch directory.

    htrun examples/kmers.py:count --args examples/inputs/kmers.jsonl --tag kmers-example --overwrite

Run from the repository's root, with htrun on the PATH. It uses awk, sort and uniq, which every Unix has; any program
that reads and writes files is used in the same way. What a failing one said is in the error report of its component.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

WORDS = """\
/^>/ { sequence = ""; next }
{
    sequence = sequence toupper($0)  # a word can go over the end of a line
    for (i = 1; i + k - 1 <= length(sequence); i++) print substr(sequence, i, k)
    sequence = substr(sequence, length(sequence) - k + 2)
}
"""


def count(sequences: Path, k: int = 3, top: int = 5) -> dict[str, object]:
    """Count the words of ``k`` letters in the sequences of a FASTA file.

    Parameters
    ----------
    sequences : pathlib.Path
        FASTA; it arrives in the scratch directory.
    k : int
        At least 2.
    top : int
        How many words are returned.

    Returns
    -------
    dict
        The number of ``words`` and of ``distinct`` ones, and the most frequent with their counts, equally frequent
        ones in alphabetical order.

    Raises
    ------
    subprocess.CalledProcessError
        If one of the programs fails.
    """
    # The current directory is the scratch directory: it was empty, and is removed with all that is left in it.
    run("awk", "-v", f"k={k}", WORDS, str(sequences), output="words.txt")
    run("sort", "words.txt", output="sorted.txt")
    run("uniq", "-c", "sorted.txt", output="counted.txt")
    run("sort", "-k1,1nr", "-k2", "counted.txt", output="table.txt")
    table = [line.split() for line in Path("table.txt").read_text(encoding="ascii").splitlines()]
    counts = {word: int(number) for number, word in table}
    return {
        "words": sum(counts.values()),
        "distinct": len(counts),
        "top": dict(list(counts.items())[:top]),
    }


def run(*command: str, output: str) -> None:
    """Run a program with its standard output going to a file; what it says on stderr is kept with the component."""
    with Path(output).open("wb") as file:
        subprocess.run(command, stdout=file, env={**os.environ, "LC_ALL": "C"}, check=True)
