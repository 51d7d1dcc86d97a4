"""A certificate authority of our own, whom the pool and the tests' clients believe, and its one certificate."""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from tests.pool.prefix import cache_dir

if TYPE_CHECKING:
    from cryptography.x509 import Name

NAMES = ("localhost", "*.localhost", "127.0.0.1", "::1")


def directory() -> Path:
    """Return the directory with the authority's certificate under the name by which OpenSSL finds it."""
    return cache_dir() / "authority/trusted"


def certificate() -> Path:
    """Return the authority's own certificate, made at the first time."""
    return make() / "authority.pem"


def server_context() -> ssl.SSLContext:
    """Return what a server on this machine needs to be believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pem())
    return context


def server_pem() -> Path:
    """Return the file with the key and the certificate of a server on this machine."""
    return make() / "server.pem"


def make() -> Path:
    """Return the directory of the authority, with everything in it."""
    made = directory().parent
    made.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(made.with_suffix(".lock")):
        if not made.exists():
            import trustme
            from cryptography import x509

            with tempfile.TemporaryDirectory(prefix="building-", dir=made.parent) as work:
                new = Path(work) / "new"
                (new / "trusted").mkdir(parents=True)
                authority = trustme.CA()
                pem = authority.cert_pem.bytes()
                (new / "authority.pem").write_bytes(pem)
                name = subject_hash(x509.load_pem_x509_certificate(pem).subject)
                (new / "trusted" / f"{name}.0").write_bytes(pem)
                issued = authority.issue_cert(*NAMES)
                with open(os.open(new / "server.pem", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(issued.private_key_and_cert_chain_pem.bytes())
                new.rename(made)
    return made


def subject_hash(subject: Name) -> str:
    """Return OpenSSL's hash of a certificate's subject, whose text it puts in lower case with single spaces."""
    from cryptography import x509

    parts = []
    for attribute in subject:
        plain = " ".join(str(attribute.value).lower().split())
        parts.append(x509.Name([x509.NameAttribute(attribute.oid, plain)]).public_bytes()[2:])  # less its own header
    return hashlib.sha1(b"".join(parts)).digest()[3::-1].hex()
