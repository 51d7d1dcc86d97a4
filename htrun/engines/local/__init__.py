"""The engine of this machine: a detached process with warm workers.

The process holds a lock for as long as it lives, appends to an event log what it does, and writes nothing that a kill
could tear beyond a last line; so any later command sees what there is, and whether anybody still works on it.
"""

from htrun.engines.local.engine import LocalEngine

__all__ = ["LocalEngine"]
