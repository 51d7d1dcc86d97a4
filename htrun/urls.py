"""URLs of files: what is one, how it is written, and what the file behind it is called."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from urllib.parse import quote, unquote

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SERVER = re.compile(r"[\w.~%!&()*+=:@\[\]-]*", re.ASCII)  # nothing that ends it in a list, or begins a macro
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SAFE = "%:/?#[]@!&()*+="  # beside letters, digits and -._~; commas and the like end a URL in lists of HTCondor's
_WITH_SERVER = {"http", "https", "ftp", "dav", "davs", "s3", "gs"}
_MAX_NAME = 255  # bytes

_LITERAL = {"s3", "gs"}


def is_url(text: str) -> bool:
    """Tell whether a text names something by its URL."""
    return _URL.match(text) is not None


def is_literal(protocol: str) -> bool:
    """Tell whether URLs have names of objects as they are: nothing is percent-encoded, and there is no query."""
    return protocol.lower() in _LITERAL


def split(url: str) -> tuple[str, str, str]:
    """Return the protocol of a URL, the server, bucket or the like, and the rest from its slash on."""
    protocol, _, rest = url.partition("://")
    found = re.search(r"/" if is_literal(protocol) else r"[/?#]", rest)
    end = found.start() if found else len(rest)
    return protocol, rest[:end], rest[end:]


def path_of(protocol: str, rest: str) -> str:
    """Return the path in what follows the server in a URL: without query and fragment, if there may be any."""
    return rest if is_literal(protocol) else re.split(r"[?#]", rest, maxsplit=1)[0]


def file_name(protocol: str, path: str) -> str:
    """Return the name of a file that arrives from a path in a URL."""
    return (path if is_literal(protocol) else unquote(path, errors="surrogateescape")).rpartition("/")[2]


def landing_name(url: str) -> str:
    """Return the name of a file that arrives from a URL."""
    protocol, _, rest = split(url)
    return file_name(protocol, path_of(protocol, rest))


def normalized(text: str) -> str:
    """Return a URL as it is sent: characters that no URL can have are percent-encoded, a fragment is left out.

    Raises
    ------
    ValueError
        If it cannot be the URL of a file; the message says why.
    """
    protocol, server, rest = split(text)
    if not server and protocol.lower() in _WITH_SERVER:
        raise ValueError(f"a URL that names no {'bucket' if is_literal(protocol) else 'server'}")
    name = landing_name(text)
    if not name:
        raise ValueError("a URL that names no file")
    if name in (".", "..") or "\0" in name or len(os.fsencode(name)) > _MAX_NAME:
        raise ValueError("no file can have the name at the end of this URL")
    if is_literal(protocol):
        return text
    with suppress(UnicodeError):
        server = server if server.isascii() else server.encode("idna").decode("ascii")
    if not _SERVER.fullmatch(server):
        raise ValueError("no server can have the name in this URL")
    rest = _NO_ESCAPE.sub("%25", rest.partition("#")[0])
    return f"{protocol}://{server}{quote(rest, _SAFE, errors='surrogateescape')}"


def public(url: str) -> str:
    """Return a URL for messages that others may read: without a password, and the query, which may hold a signature."""
    protocol, server, rest = split(url)
    path = path_of(protocol, rest)
    return f"{protocol}://{server.rpartition('@')[2]}{path}{'?...' if path != rest else ''}"


def joined(url: str, name: str) -> str:
    """Return the URL of a file in a directory, whose URL ends in a slash."""
    return url + (name if is_literal(split(url)[0]) else quote(name, "", errors="surrogateescape"))
