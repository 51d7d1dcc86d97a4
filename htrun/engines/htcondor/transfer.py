"""URLs in submit descriptions: how they are written there, and under which names their files arrive.

At the top of a job's scratch directory only names of ours may arrive. HTCondor calls a file by what follows the last
slash of its URL, without a query. So a fragment such as ``#/f0`` is all that it takes where a plugin drops that before
it asks the server. Elsewhere, and beside a query, there is the job attribute TransferInputRemaps. It goes by that name,
and for files that come from the access point as well, so a job can have no two of the same; but a name in a URL can be
spelled in many ways, with letters that are percent-encoded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from htrun.delivery import escape
from htrun.engines.htcondor.s3 import signed
from htrun.exceptions import EngineError, UsageError
from htrun.runner import wire
from htrun.urls import is_literal, path_of, split

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_WITH_FRAGMENT = {"http", "https", "ftp", "dav", "davs", "file"}
_NOT_CARRIED = re.compile(r"[,;\"\\\x00-\x1f\x7f\ud800-\udfff]|\s$")  # in lists, and in the quotes around remaps
_MAX_LETTERS = 16
_NOTHING = "remap.none=remap.none"
"""A remap that says nothing: without any a job would have those of the first job of its submission."""


def check_urls(urls: Collection[str], options: Collection[str]) -> None:
    """Raise UsageError if a submit description cannot hold a URL, or lacks the credentials that it needs."""
    for url in urls:
        protocol = split(url)[0].lower()
        if not is_literal(protocol):
            continue  # whatever is odd is percent-encoded
        found = _NOT_CARRIED.search(url)
        if found:
            raise UsageError(f"HTCondor takes no {protocol} URL with {found[0]!r} there in it: {url!r}")
        try:
            escape(url)
        except EngineError as error:
            raise UsageError(str(error)) from None
        kinds = ("gs",) if protocol == "gs" else ("aws", "s3")
        for option in ("access_key_id_file", "secret_access_key_file"):
            if not any(f"{kind}_{option}" in options for kind in kinds):
                raise UsageError(
                    f"{url}: HTCondor needs the option {kinds[0]}_{option}, a file that holds what it says, "
                    f"on the command line -o {kinds[0]}_{option}=FILE"
                )


class InputUrls:
    """The URLs among the input files of a job.

    Parameters
    ----------
    taken : collection of str
        The names under which other files arrive.
    """

    def __init__(self, taken: Collection[str]) -> None:
        self._names = dict.fromkeys(taken, "a file of htrun's own")
        self._remaps: list[str] = []

    def add(self, url: str, identifier: str) -> str:
        """Return what makes a file arrive under its id, for the list of input files; raises EngineError."""
        protocol, server, rest = split(url)
        path = path_of(protocol, rest)
        # Before a plus is the name of a credential.
        if path == rest and protocol.lower().rpartition("+")[2] in _WITH_FRAGMENT:
            return f"{url}#/{identifier}"
        parent, _, name = path.rpartition("/")
        if is_literal(protocol):
            key = quote(name, "")  # the URL that it becomes is signed and encoded
        else:
            name = key = next((n for n in _spellings(name.replace("=", "%3D")) if n not in self._names), name)
        if key == identifier:
            return escape(url)
        other = self._names.setdefault(key, url)
        if other != url:
            raise EngineError(
                f"{other} and {url} have the same name, by which HTCondor tells the {protocol} files of a job apart: "
                "use --chunk-size 1, and let each component have one of them only, or give the files other names"
            )
        self._remaps.append(f"{key}={identifier}")
        return escape(f"{protocol}://{server}{parent}/{name}{rest[len(path) :]}")

    @property
    def remaps(self) -> str:
        """The job attribute that goes with them; empty if there is no need of it."""
        return ";".join(self._remaps)


def _spellings(name: str) -> Iterator[str]:
    """Yield a name with other and other letters percent-encoded; a server takes them all for the same."""
    parts = re.findall(r"%..|.", name)
    letters = [n for n, part in enumerate(parts) if part.isalnum()][:_MAX_LETTERS]
    for number in range(1 << len(letters)):
        encoded = {letter for bit, letter in enumerate(letters) if number >> bit & 1}
        yield "".join(f"%{ord(part):02X}" if n in encoded else part for n, part in enumerate(parts))


def output_remaps(
    destinations: Mapping[int, Mapping[str, str]], options: Mapping[str, str]
) -> tuple[dict[str, dict[str, str]], str]:
    """Return how a job's output files are called that go to URLs, and the remaps that send them there.

    Parameters
    ----------
    destinations : mapping of int to mapping of str to str
        By component, the URLs by the names of its output files.
    options : mapping of str to str
        The submit commands of all jobs.

    Returns
    -------
    names : dict of str to dict of str to str
        By component, the names at the top of the job's scratch directory by those of the output files.
    remaps : str
    """
    names = {
        str(component): {name: f"{wire.REMAP}{component}.{number}" for number, name in enumerate(urls)}
        for component, urls in destinations.items()
        if urls
    }
    remaps = []
    for component, urls in destinations.items():
        for name, url in urls.items():
            to = signed(url, options) if split(url)[0].lower() == "s3" else url
            remaps.append(f"{names[str(component)][name]}={escape(to)}")
    return names, ";".join(remaps)


def per_job(values: list[str]) -> list[str]:
    """Return remaps for each job of a submission, of which some or all have none; none at all if no job has any."""
    return [value or _NOTHING for value in values] if any(values) else []
