"""Files behind URLs, for components that run on this machine: fetched and sent through fsspec.

Each transfer is a process of its own. What fsspec and its protocols load, and the threads that they start, would
otherwise be part of the process that the user's function runs in.
"""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from htrun.exceptions import UsageError
from htrun.urls import is_literal, path_of, public, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CONNECT_SECONDS = 60
_SILENCE_SECONDS = 300
_SAME = {"dav": "http", "davs": "https"}
_PACKAGES = {"s3": "htrun[s3]", "osdf": "htrun[osdf]", "pelican": "htrun[osdf]", "gs": "gcsfs"}
_AMAZON = re.compile(r"(?P<bucket>.+)\.(?P<server>s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?)")
_RUN = "import sys; sys.path = [p for p in sys.path if p]; from htrun.engines.local.remote import main; main()"


def check(urls: Iterable[str]) -> None:
    """Raise UsageError if there are URLs that nothing on this machine can fetch or send."""
    import fsspec  # only now: most maps do without

    for protocol, url in {split(url)[0].lower(): url for url in urls}.items():
        if protocol in _SAME or protocol == "file":
            continue
        try:
            fsspec.get_filesystem_class(protocol)
        except (ImportError, ValueError) as error:
            if protocol in _PACKAGES:
                problem = f"what speaks {protocol} is not installed: pip install '{_PACKAGES[protocol]}'"
            elif isinstance(error, ImportError):
                problem = f"what speaks {protocol} is not installed: {error}"  # fsspec says what to install
            else:
                problem = f"nothing on this machine speaks {protocol}"
            raise UsageError(f"{url}: {problem}") from None


def fetch(url: str, path: str, options: Mapping[str, str]) -> None:
    """Write the file behind a URL to ``path``, without holding it in memory.

    Parameters
    ----------
    url : str
    path : str
        Absolute.
    options : mapping of str to str
        The map's submit commands: those with credentials count here too.

    Raises
    ------
    OSError
        With the URL as its filename if it is not to be had, and with the path if that cannot be written.
    """
    _transfer("fetch", url, path, options)


def send(path: str, url: str, options: Mapping[str, str]) -> None:
    """Write the file at ``path`` to a URL; see ``fetch``. Errors name it without what may be secret in it."""
    try:
        _transfer("send", url, path, options)
    except OSError as error:
        where = public(url) if error.filename == url else error.filename
        raise OSError(error.errno, error.strerror, where) from None


def _transfer(what: str, url: str, path: str, options: Mapping[str, str]) -> None:
    request = {"what": what, "url": url, "path": path, "options": dict(options)}
    done = subprocess.run(  # what is secret in a URL is not for the list of processes
        [sys.executable, "-c", _RUN],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
    )
    try:
        error = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        error = {"number": errno.EIO, "message": said or "the process that transfers it was killed", "at": url}
    if error is not None:
        raise OSError(error["number"], error["message"], error["at"])


def main() -> None:
    """Carry out the request on standard input, and tell on standard output what went wrong."""
    request = json.load(sys.stdin)
    url, path = request["url"], request["path"]
    answer: dict[str, Any] | None = None
    try:
        {"fetch": _fetch, "send": _send}[request["what"]](url, path, request["options"])
    except Exception as failure:  # noqa: BLE001 (each protocol has errors of its own)
        reason = getattr(failure, "reason", None)
        error = reason if isinstance(reason, OSError) else failure  # urllib wraps them
        answer = {"number": _number(error), "message": _words(error, url), "at": url}
        if isinstance(error, OSError) and error.filename == path:
            answer["at"] = path
    json.dump(answer, sys.stdout)


def _fetch(url: str, path: str, options: Mapping[str, str]) -> None:
    system, name = _open(url, options)
    with open(path, "wb"):  # noqa: PTH123 (what is wrong with the path is told with it)
        pass
    system.get_file(name, path)


def _send(url: str, path: str, options: Mapping[str, str]) -> None:
    with open(path, "rb") as file:  # noqa: PTH123
        protocol = split(url)[0].lower()
        if _SAME.get(protocol, protocol) in ("http", "https"):
            _put(url, file)
            return
    system, name = _open(url, options)
    if protocol == "file":
        system.makedirs(os.path.dirname(name), exist_ok=True)
    system.put_file(path, name)


def _put(url: str, file: Any) -> None:
    """Send a file by HTTP with its length, without which many servers refuse it, and as fsspec does not."""
    from urllib.request import Request, urlopen

    size = os.fstat(file.fileno()).st_size
    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
    request = Request(_plain(url), data=file, headers=headers, method="PUT")  # noqa: S310
    with urlopen(request, timeout=_SILENCE_SECONDS):  # noqa: S310
        pass


def _plain(url: str) -> str:
    """Return the URL of a server that speaks HTTP under another name."""
    protocol, _, rest = url.partition("://")
    return f"{_SAME.get(protocol.lower(), protocol.lower())}://{rest}"


def _open(url: str, options: Mapping[str, str]) -> tuple[Any, str]:
    """Return the file system behind a URL, and what the file is called there."""
    import fsspec

    protocol, server, rest = split(url)
    protocol = _SAME.get(protocol.lower(), protocol.lower())
    if protocol == "s3":
        settings, name = _s3(server, rest, options)
        return fsspec.filesystem("s3", **settings), name
    if protocol in ("http", "https"):
        import aiohttp
        from yarl import URL

        client = {
            "trust_env": True,  # proxies
            "auto_decompress": False,  # the file as it is, as on HTCondor
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS),
        }
        encoded = str(URL(_plain(url), encoded=True))
        headers = {"Accept-Encoding": "identity"}
        return fsspec.filesystem(protocol, encoded=True, client_kwargs=client, headers=headers), encoded
    if protocol in ("file", "ftp"):
        rest = unquote(path_of(protocol, rest))
        if protocol == "file":
            return fsspec.filesystem("file"), rest
        return fsspec.core.url_to_fs(f"ftp://{server}")[0], rest
    system, name = fsspec.core.url_to_fs(url)
    return system, name if is_literal(protocol) else unquote(name)


def _s3(server: str, rest: str, options: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Return how to reach an S3 server, and bucket and key there, from a URL in one of the forms that HTCondor takes.

    A dot in the place of the bucket means that it is a server's name, and the bucket follows. On Amazon's servers the
    name of the bucket may come first in that name.
    """
    settings: dict[str, Any] = {}
    name = f"{server}{rest}"
    if "." in server or ":" in server:
        amazon = _AMAZON.fullmatch(server)
        if amazon:
            server, name = amazon["server"], f"{amazon['bucket']}{rest}"
        else:
            name = rest.removeprefix("/")
        settings["endpoint_url"] = f"https://{server}"
        settings["config_kwargs"] = {"s3": {"addressing_style": "path"}}
    for setting, option in (("key", "access_key_id_file"), ("secret", "secret_access_key_file")):
        file = next((options[key] for key in (f"aws_{option}", f"s3_{option}") if key in options), None)
        if file is not None:
            with open(file, encoding="utf-8") as stream:  # noqa: PTH123
                settings[setting] = stream.read().strip()
    if "aws_region" in options:
        settings["client_kwargs"] = {"region_name": options["aws_region"].strip('"')}
    return settings, name


def _number(error: BaseException) -> int:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 1:
        return number
    if isinstance(error, FileNotFoundError) or _status(error) in (404, 410):
        return errno.ENOENT
    return errno.EACCES if isinstance(error, PermissionError) or _status(error) in (401, 403) else errno.EIO


def _status(error: BaseException) -> int | None:
    """Return the status of an HTTP answer that an error is about."""
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else None


def _words(error: BaseException, url: str) -> str:
    """Return what an error says, on one line."""
    status = _status(error)
    if status is not None:
        reason = getattr(error, "message", None) or getattr(error, "reason", None)
        return f"the server answered {status} {reason or ''}".strip()
    text = getattr(error, "strerror", None)
    if isinstance(error, FileNotFoundError) and (not isinstance(text, str) or str(error) == url):
        return os.strerror(errno.ENOENT)
    return " ".join((text if isinstance(text, str) else str(error)).split()) or type(error).__name__
