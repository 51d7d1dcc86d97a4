"""What the workers of a job are told."""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .attempts import Attempts


class Spec:
    """What to run and where, for all workers of a supervisor.

    Parameters
    ----------
    reference : dict
        What ``loading.load_function`` imports.
    sources : str
        The directory of the user's modules.
    file : callable
        From the id of a file to bring along to where it lies on this node: an absolute path, or a URL.
    attempts : Attempts
        How often components are tried, and were.
    timeout : float or None
        How many seconds a component's function may take.
    checkpoints : str
        The directory of checkpoints.
    holds : bool
        Whether a component is held if a file to bring along is not there; elsewhere that is the batch system's part.
    remaps : callable
        From a component to where its output files go that do not come back, by their names.
    send : callable
        Called with the path of such an output file, and where it goes.
    after_component : callable
        Called when a component has its record, with the file of its checkpoint if it has had one.
    after_checkpoint : callable
        Called in the worker when a component has saved a checkpoint, with its file.
    fetch : callable
        Writes what is behind a URL to a path; raises OSError with the one that is to blame as its filename.
    python : str or None
        The version of the Python that has made the map.
    packages : str or None
        The directory of packages that came along for it.
    """

    def __init__(
        self,
        reference: Mapping[str, str | None],
        sources: str,
        file: Callable[[str], str],
        *,
        attempts: Attempts,
        timeout: float | None = None,
        checkpoints: str,
        holds: bool = False,
        remaps: Callable[[int], Mapping[str, str]] = lambda _: {},
        send: Callable[[str, str], None] = os.replace,
        after_component: Callable[[str | None], None] = lambda _: None,
        after_checkpoint: Callable[[str], None] = lambda _: None,
        fetch: Callable[[str, str], None] | None = None,
        python: str | None = None,
        packages: str | None = None,
    ) -> None:
        self.reference = reference
        self.sources = os.path.abspath(sources)
        self.file = file
        self.attempts = attempts
        self.timeout = timeout
        self.checkpoints = checkpoints
        self.holds = holds
        self.python = python
        self.packages = packages
        self.remaps = remaps
        self.send = send
        self.after_component = after_component
        self.after_checkpoint = after_checkpoint
        self.node = '%s,"python":"%s"' % (json.dumps(os.uname().nodename), sys.version.partition(" ")[0])
        self.fetch = fetch
