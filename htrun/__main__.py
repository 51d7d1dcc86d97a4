"""``python -m htrun`` is the command ``htrun``."""

from htrun.cli import main

main()
