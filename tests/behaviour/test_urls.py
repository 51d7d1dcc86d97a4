"""Files behind URLs as inputs: fetched where the component runs, whatever they are called there."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

import htrun
from tests.behaviour.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.behaviour.conftest import Shell


class Web:
    """A server on this machine whose files lie in a dict, by decoded path and query; it notes what it is asked for."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def __setitem__(self, path: str, text: str | bytes) -> None:
        self.files[path] = text if isinstance(text, bytes) else text.encode()


@contextmanager
def serving() -> Iterator[Web]:
    """Run a server."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            asked = unquote(self.path)
            web.asked.append(asked)
            data = web.files.get(asked)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def do_PUT(self) -> None:
            web.files[unquote(self.path)] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web = Web(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield web
        server.shutdown()


@pytest.fixture
def web() -> Iterator[Web]:
    """Return a server."""
    with serving() as web:
        yield web


READ = """
import os, sys, threading
from pathlib import Path

def read(path: Path):
    assert path.resolve().is_relative_to(Path.cwd().resolve()), path
    text = path.read_text()
    path.write_text("spoilt")
    return [path.name, text]

def plain(text):
    return [text.name, text.read_text()]

def many(paths: list[Path], x=None):
    found = [[path.name, path.read_text()] for path in paths]
    return found + [[name, open(name).read()] for name in sorted(os.listdir()) if name.startswith("given")]

def table(path: Path, number: int):
    return [path.read_text(), number]

def process():
    return [threading.active_count(), [name for name in ("aiohttp", "fsspec") if name in sys.modules]]

def fetched(path: Path):
    return process()
"""

ODD = {
    "/a b.txt?v=1/2": "a b.txt",
    "/100%25#top": "100%",
    "/ünï☃.txt": "ünï☃.txt",
    "/d,e;f$(x)'\"=&+.txt": "d,e;f$(x)'\"=&+.txt",
    "/images%2Fcat.jpg?alt=media": "cat.jpg",
    "/-dash": "-dash",
    "/line%0Abreak": "line\nbreak",
    "/records.jsonl": "records.jsonl",
    "/htrun.pyz": "htrun.pyz",
    "/calls.jsonl": "calls.jsonl",
    "/f0": "f0",
    "/f1": "f1",
    "/stdout": "stdout",
    "/empty": "empty",
    "/calls.jsonl?again": "calls.jsonl",
    "/get?id=1": "get",
    "/get?id=2": "get",
    "/k=1/get?id=3": "get",
}


def test_a_file_behind_a_url_arrives_under_its_own_name(shell: Shell, web: Web) -> None:
    """It is fetched for the component that names it, and has the decoded name at the end of the path."""
    shell.write("m.py", READ)
    for path in ODD:
        web[unquote(path.partition("#")[0])] = "" if path == "/empty" else f"this is {path}"
    inputs = shell.jsonl("in.jsonl", [web.url + path for path in ODD])
    shell("m.py:read", "--args", inputs, "--tag", "t", "--chunk-size", 5)
    expected = [[name, "" if path == "/empty" else f"this is {path}"] for path, name in ODD.items()]
    assert [row["output"] for row in shell.outputs()] == expected


def test_urls_name_files_wherever_files_are_named(shell: Shell, web: Web) -> None:
    """Annotations, ``$path`` objects, ``--transfer``, ``--input-file`` and tables take URLs; a text is left alone."""
    shell.write("m.py", READ)
    shell.write("x.txt", "local")
    for name in ("a/x.txt", "b/x.txt", "given.txt"):
        web[f"/{name}"] = name
    one, two = f"{web.url}/a/x.txt", f"{web.url}/b/x.txt"
    given = ["given.txt", "given.txt"]
    jobs: dict[str, tuple[str, str, list[str], Any]] = {
        "many": ("many", json.dumps({"paths": [one, two, "x.txt", one], "x": two}),
                 ["--input-file", f"{web.url}/given.txt"],
                 [["x.txt", "a/x.txt"], ["x.txt", "b/x.txt"], ["x.txt", "local"], ["x.txt", "a/x.txt"], given]),
        "dollar": ("plain", json.dumps({"$path": one}), [], ["x.txt", "a/x.txt"]),
        "transfer": ("plain", json.dumps(one), ["--transfer", "text"], ["x.txt", "a/x.txt"]),
        "csv": ("table", f"path,number\n{two},3", ["--input-format", "csv"], ["b/x.txt", 3]),
    }  # fmt: skip
    for tag, (function, line, options, _) in jobs.items():
        shell(f"m.py:{function}", "--args", "-", "--tag", tag, "--detach", *options, input=line + "\n")
    shell("wait", "--all")
    for tag, (_, _, _, expected) in jobs.items():
        assert shell.outputs(tag)[0].get("output") == expected, shell.outputs(tag)
    asked = [path for path in web.asked if path == "/b/x.txt"]
    assert len(asked) == 2, "a text for a parameter that is no path is not fetched"
    shown = shell("m.py:read", "--args", "-", "--collect-only", input=json.dumps(one) + "\n").stdout
    assert one in shown


def test_urls_from_python(api: Shell, web: Web) -> None:
    """A TransferPath with a protocol arrives as a path, and inputs are TransferPaths again; options take URLs too."""
    for name in ("in/a.txt", "in/b.txt", "given.txt", "other"):
        web[f"/{name}"] = name
    base = htrun.TransferPath("in", protocol="http", location=web.url.partition("://")[2])

    def read(path: Path, more: dict[str, Any]) -> list[str]:
        with open("given.txt") as given, open("other") as other:
            return [path.name, path.read_text(), more["deep"][0].read_text(), given.read(), other.read()]

    options = htrun.MapOptions(
        fixed_input_files=htrun.TransferPath.parse(f"{web.url}/given.txt"), input_files=[f"{web.url}/other"]
    )
    map_ = htrun.starmap(read, [(base / "a.txt", {"deep": (base / "b.txt",)})], map_options=options)
    assert list(map_) == [["a.txt", "in/a.txt", "in/b.txt", "given.txt", "other"]]
    assert next(map_.iter_inputs())[0] == (base / "a.txt", {"deep": (base / "b.txt",)})


def test_what_is_not_there_holds_the_component_alone(shell: Shell, web: Web) -> None:
    """Nothing is asked for before it is needed; what is missing holds the component until it is there."""
    shell.write("m.py", READ)
    web["/there"] = "there"
    inputs = shell.jsonl("in.jsonl", [f"{web.url}/{name}" for name in ("there", "late")])
    shell("m.py:read", "--args", inputs, "--collect-only")
    assert web.asked == []
    done = shell("m.py:read", "--args", inputs, "--tag", "t", code=6)
    assert "\n'htrun why t' says what mends a hold, 'htrun release t' tries again\n" in done.stderr
    assert shell.counts() == {"COMPLETED": 1, "HELD": 1}
    reasons = shell("reasons", "t").stdout
    assert f"{web.url}/late" in reasons
    assert "404" in reasons or "No such file" in reasons
    web["/late"] = "late"
    shell("release", "t")
    shell("wait", "t")
    assert shell.outputs()[1]["output"] == ["late", "late"]


def test_a_server_that_does_not_answer_is_told(local: Shell, web: Web) -> None:
    """A component whose file cannot be had is held for a reason in words."""
    local.write("m.py", READ)
    urls = ["http://127.0.0.1:9/x", "http://nowhere.invalid/x", "https://" + web.url.partition("://")[2] + "/x"]
    local("m.py:read", "--args", local.jsonl("in.jsonl", urls), "--tag", "t", code=6)
    for row, url in zip(local.outputs(), urls, strict=True):
        assert row["reason"].startswith(f"error reading from {url}: (errno "), row


def test_urls_that_nothing_can_fetch_are_told_before_anything_is_made(local: Shell) -> None:
    """What is no URL of a file, and protocols without a package that speaks them, are errors."""
    local.write("m.py", READ)
    for url, said in {
        "https://example.org/": "in.jsonl:1: a URL that names no file: https://example.org/",
        "nosuch://x/y": "nosuch://x/y: nothing on this machine speaks nosuch",
        "gs://bucket/x": "gs://bucket/x: what speaks gs is not installed: pip install 'gcsfs'",
    }.items():
        done = local("m.py:read", "--args", local.jsonl("in.jsonl", [url]), "--tag", "t", code=4)
        assert said in done.stderr
    assert not (local.cwd / "results").exists()


def test_urls_that_htcondor_cannot_take_are_told_before_anything_is_made(condor: Shell) -> None:
    """Objects of the same name in one job, missing credentials and names that lists cannot hold are errors."""
    condor.write("m.py", READ)
    condor.write("key", "key")
    credentials = ["-o", "aws_access_key_id_file=key", "-o", "aws_secret_access_key_file=key"]
    for urls, options, said in [
        (["s3://b/x"], [], "-o aws_access_key_id_file=FILE"),
        (["s3://b/a,b"], credentials, "HTCondor takes no s3 URL with ','"),
        (["s3://b/1/x", "s3://b/2/x"], [*credentials, "--chunk-size", "2"], "same name"),
        (["s3://b/x"], ["-o", "aws_access_key_id_file=none"], "aws_access_key_id_file: none: no such file"),
    ]:
        done = condor("m.py:read", "--args", condor.jsonl("in.jsonl", urls), "--tag", "t", *options, code=4)
        assert said in done.stderr, done.stderr
    assert not (condor.cwd / "results").exists()
    assert condor("tags").stdout == ""


def test_what_fetches_leaves_nothing_in_the_process(local: Shell, web: Web) -> None:
    """The function runs in a process without the threads and modules of what has fetched its file."""
    local.write("m.py", READ)
    web["/x"] = "x"
    assert local.run("m.py:fetched", [f"{web.url}/x"])[0]["output"] == [1, []]


def test_a_url_is_fetched_anew_for_each_component(local: Shell, web: Web) -> None:
    """What a component does to its copy is not seen by the next one, and a rerun gets the file as it is then."""
    local.write("m.py", READ)
    web["/x"] = "x"
    rows = local.run("m.py:read", [f"{web.url}/x"] * 3, "--workers", 1)
    assert [row["output"] for row in rows] == [["x", "x"]] * 3
    assert web.asked == ["/x"] * 3
    web["/x"] = "new"
    local("rerun", "components", "t", 1)
    until(lambda: local.counts() == {"COMPLETED": 3} and len(web.asked) == 4, "it has run again")
    assert local("collect", "t", "--values").rows[1] == ["x", "new"]
