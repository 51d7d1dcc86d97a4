"""Byte code from a pickle."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any


def build(version: tuple[int, int], *values: Any) -> CodeType:
    """Make a code object of a Python version; another version may crash when it runs such code, without a word."""
    mine = sys.version_info[:2]
    if version != mine:
        raise RuntimeError(
            "the function was made by Python %d.%d, and this is Python %d.%d, which cannot run its byte code: choose a "
            "--delivery with Python %d.%d (DELIVERY_METHOD), or name the function to the command htrun, which brings "
            "its source" % (*version, *mine, *version)
        )
    return CodeType(*values)
