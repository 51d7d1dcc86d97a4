"""Servers on this machine: one that keeps files for HTTP or HTTPS, and one for S3."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.parts import authority
from tests.parts.errors import PartError

if TYPE_CHECKING:
    from collections.abc import Iterator


# Moto's server, which ends with the process that started it, however that ends.
MOTO = """
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(sys.argv[1:])
"""


class Handler(SimpleHTTPRequestHandler):
    """What a server of files answers: reading, and writing as WebDAV knows it."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        """Store a file; as with WebDAV, its directory must be there."""
        path = Path(self.translate_path(self.path))
        content = self.content()
        if not path.parent.is_dir():
            self.answer(409)
            return
        new = not path.exists()
        path.write_bytes(content)
        self.answer(201 if new else 204)

    def do_MKCOL(self) -> None:
        """Make a directory."""
        path = Path(self.translate_path(self.path))
        if path.exists():
            self.answer(405)
        elif not path.parent.is_dir():
            self.answer(409)
        else:
            path.mkdir()
            self.answer(201)

    def do_DELETE(self) -> None:
        """Remove a file."""
        path = Path(self.translate_path(self.path))
        there = path.is_file()
        path.unlink(missing_ok=True)
        self.answer(204 if there else 404)

    def content(self) -> bytes:
        """Return what came with the request, in one piece or in many."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self, code: int) -> None:
        """Send an answer without content."""
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Remember the request instead of printing it."""
        number = getattr(code, "value", code)
        self.server.seen.append(f"{self.command} {self.path} {number}")  # type: ignore[attr-defined]

    def log_message(self, format: str, *words: Any) -> None:  # noqa: A002
        """Print nothing."""


@dataclass(frozen=True)
class FileServer:
    """A server of the files in a directory: its URL, and the requests that it had, such as ``GET /a 200``."""

    directory: Path
    url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def file_server(directory: Path, *, tls: bool = False) -> Iterator[FileServer]:
    """Serve a directory while the context lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory))) as server:
        server.daemon_threads = True
        server.seen = []  # type: ignore[attr-defined]
        if tls:
            # The handshake is left to the connection's thread.
            context = authority.server_context()
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.05))
        thread.start()
        try:
            scheme = "https" if tls else "http"
            yield FileServer(directory, f"{scheme}://localhost:{server.server_port}", server.seen)  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class S3:
    """An S3 server: where it is (``host:port``), and files with the two halves of a key to it."""

    endpoint: str
    access_key_id_file: Path
    secret_access_key_file: Path
    client: Any

    @property
    def commands(self) -> dict[str, Path]:
        """Return the submit commands that name the key."""
        files = (self.access_key_id_file, self.secret_access_key_file)
        return dict(zip(("aws_access_key_id_file", "aws_secret_access_key_file"), files, strict=True))

    def bucket(self, name: str) -> str:
        """Make a bucket and return its name."""
        self.client.create_bucket(Bucket=name)
        return name

    def url(self, bucket: str, key: str) -> str:
        """Return the URL of an object as HTCondor takes it."""
        return f"s3://{self.endpoint}/{bucket}/{key}"

    def put(self, bucket: str, key: str, content: bytes) -> str:
        """Store an object and return its URL."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content)
        return self.url(bucket, key)

    def get(self, bucket: str, key: str) -> bytes:
        """Return the content of an object."""
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def keys(self, bucket: str) -> list[str]:
        """Return the names of the objects in a bucket."""
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]


@contextmanager
def s3_server(directory: Path) -> Iterator[S3]:
    """Run an S3 server while the context lasts; its keys are put into a directory."""
    import boto3
    from botocore.config import Config

    pem = str(authority.server_pem())
    command = [sys.executable, "-c", MOTO, "-s", "-c", pem, "-k", pem, "-p", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            said = []
            for line in process.stderr:
                said.append(line.decode())
                if found := re.search(r"https://127\.0\.0\.1:(\d+)", said[-1]):
                    break
            else:
                raise PartError(f"the S3 server did not start: {''.join(said[-1:]).strip()}")
            threading.Thread(target=process.stderr.read, daemon=True).start()  # its log, which nobody wants
            endpoint = f"127.0.0.1:{found[1]}"
            key = {"aws_access_key_id": "tests", "aws_secret_access_key": "not-a-secret"}
            for name, value in key.items():
                (directory / name).write_text(value + "\n", encoding="utf-8")
            client = boto3.client(
                "s3",
                endpoint_url=f"https://{endpoint}",
                region_name="us-east-1",
                verify=str(authority.certificate()),
                config=Config(proxies={}),
                **key,
            )
            id_file, secret_file = (directory / name for name in key)
            yield S3(endpoint, id_file, secret_file, client)
            client.close()
        finally:
            process.terminate()
