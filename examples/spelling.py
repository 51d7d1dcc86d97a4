"""Mistyped names of chemical elements, corrected: packages that are not installed go with the target.

    htrun examples/spelling.py:nearest --args examples/inputs/names.jsonl --delivery packaged --tag elements --overwrite

Run from the repository's root, with htrun on the PATH. The block below is a script's own list of what it needs (PEP
723), which uv and pipx understand as well. Execute nodes need the same version of Python as here, and nothing else.
"""
# /// script
# requires-python = ">=3.9"
# dependencies = ["rapidfuzz>=3"]
# ///

from __future__ import annotations

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

NAMES = """
hydrogen helium lithium beryllium boron carbon nitrogen oxygen fluorine neon sodium magnesium aluminium silicon
phosphorus sulfur chlorine argon potassium calcium scandium titanium vanadium chromium manganese iron cobalt nickel
copper zinc gallium germanium arsenic selenium bromine krypton rubidium strontium yttrium zirconium niobium molybdenum
"""


def nearest(name: str) -> dict[str, object]:
    """Return the element whose name takes the fewest changes, insertions, omissions and swaps of letters."""
    element, distance, number = process.extractOne(name.lower(), NAMES.split(), scorer=DamerauLevenshtein.distance)
    return {"element": element, "number": number + 1, "distance": int(distance)}
