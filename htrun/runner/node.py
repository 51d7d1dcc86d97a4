"""What ``import htrun`` gives on an execute node, where htrun itself is not installed."""

import pathlib

TransferPath = pathlib.Path
"""A function gets its files as paths, so that is what the annotation means here."""
