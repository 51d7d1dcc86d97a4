"""URLs: how they are written, and what arrives from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from htrun.engines.htcondor.s3 import signed
from htrun.engines.htcondor.transfer import InputUrls, check_urls, output_remaps, per_job
from htrun.engines.local.remote import _s3
from htrun.exceptions import EngineError, UsageError
from htrun.transfers import FileTable, TransferPath
from htrun.urls import landing_name, normalized, public

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "sent", "name"),
    [
        ("https://h/a/b.txt", "https://h/a/b.txt", "b.txt"),
        ("https://h/a%20b.txt?v=1/2#top", "https://h/a%20b.txt?v=1/2", "a b.txt"),
        ("https://h/ü n,o;$(x)'\".txt", "https://h/%C3%BC%20n%2Co%3B%24(x)%27%22.txt", "ü n,o;$(x)'\".txt"),
        ("https://h/100%.txt", "https://h/100%25.txt", "100%.txt"),
        ("https://h/o/images%2Fcat.jpg", "https://h/o/images%2Fcat.jpg", "cat.jpg"),
        ("https://h/line\nbreak", "https://h/line%0Abreak", "line\nbreak"),
        ("https://h/\udcff", "https://h/%FF", "\udcff"),
        ("https://h/a=b&c", "https://h/a=b&c", "a=b&c"),
        ("HTTPS://[::1]:8/x", "HTTPS://[::1]:8/x", "x"),
        ("https://bücher.example:8/x", "https://xn--bcher-kva.example:8/x", "x"),
        ("Token+https://h/x", "Token+https://h/x", "x"),
        ("osdf:///ns/a%20b?pack=auto", "osdf:///ns/a%20b?pack=auto", "a b"),
        ("file:///a/b%41", "file:///a/b%41", "bA"),
        ("s3://b/a%20b ü?#x", "s3://b/a%20b ü?#x", "a%20b ü?#x"),
        ("gs://b/d/x", "gs://b/d/x", "x"),
    ],
)
def test_how_urls_are_sent_and_what_arrives(url: str, sent: str, name: str) -> None:
    """Odd characters are percent-encoded, but not in names of objects; a file has its name without the encoding."""
    assert normalized(url) == sent
    assert landing_name(sent) == name
    table = FileTable()
    assert table.find("", url) is table.find("elsewhere", url)
    assert [(file.path, file.name, file.is_remote) for file in table] == [(sent, name, True)]
    assert TransferPath.parse(url).name == name


@pytest.mark.parametrize(
    "server", ["a, /etc/passwd#", "a b", "a;b", 'a"b', "a\nb", "$(x)", "a\\b", "u:p,w@h", "bü,cher.example"]
)
def test_servers_of_urls_are_names(server: str) -> None:
    """What begins something else in a submit description is refused: it is no name of a server."""
    with pytest.raises(ValueError, match="no server"):
        normalized(f"http://{server}/x")


def test_urls_in_messages_tell_no_secrets() -> None:
    """Passwords and queries are left out."""
    assert public("https://me:pw@h:8/a?X-Amz-Signature=s#x") == "https://h:8/a?..."
    assert public("s3://b/a?x@y") == "s3://b/a?x@y"


def test_paths_of_urls_go_on_without_their_query() -> None:
    """What is derived from a URL with a query has none."""
    path = TransferPath.parse("https://h/a/b.txt?v=1")
    assert str(path) == "https://h/a/b.txt?v=1"
    assert (path.stem, path.suffix) == ("b", ".txt")
    assert str(path.parent / "c") == "https://h/a/c"
    assert str(path.with_suffix(".d")) == "https://h/a/b.d"


def test_urls_of_a_job_land_under_names_of_ours() -> None:
    """Fragments name files where they can, and remaps elsewhere, which need different spellings of names."""
    urls = InputUrls(["htrun.pyz", "f7"])
    assert urls.add("https://h/htrun.pyz", "f0") == "https://h/htrun.pyz#/f0"
    assert urls.add("my+https://h/x", "f1") == "my+https://h/x#/f1"
    assert urls.remaps == ""
    assert urls.add("s3://b/k=1/a b=$(x)", "f2") == "s3://b/k=1/a b=$(DOLLAR)(x)"
    assert urls.add("osdf:///ns/%2F-x%20y?a=/b", "f3") == "osdf:///ns/%2F-x%20y?a=/b"
    assert urls.add("osdf:///ns/f4", "f4") == "osdf:///ns/f4"
    assert urls.add("https://h/k=1/get=?id=1", "f5") == "https://h/k=1/get%3D?id=1"
    assert urls.add("https://h/get=?id=2", "f6") == "https://h/%67et%3D?id=2"
    assert urls.add("https://h/get=?id=3", "f7") == "https://h/g%65t%3D?id=3"
    assert urls.add("https://h/htrun.pyz?id=4", "f8") == "https://h/%68trun.pyz?id=4"
    assert urls.add("osdf:///other/%2F-x%20y", "f9") == "osdf:///other/%2F-%78%20y"
    assert urls.remaps == (
        "a%20b%3D%24%28x%29=f2;%2F-x%20y=f3;get%3D=f5;%67et%3D=f6;g%65t%3D=f7;%68trun.pyz=f8;%2F-%78%20y=f9"
    )


@pytest.mark.parametrize("url", ["s3://c/x y", "s3://b/htrun.pyz", "gs://b/f7", "osdf:///a/-?x=2"])
def test_urls_that_cannot_be_told_apart(url: str) -> None:
    """Names of objects are spelled in one way only."""
    urls = InputUrls(["htrun.pyz", "f7"])
    for number, other in enumerate(["s3://b/x y", "s3://b/x%20y", "osdf:///a/-?x=1"]):
        urls.add(other, f"f{number}")
    with pytest.raises(EngineError, match=r"same name.*--chunk-size 1"):
        urls.add(url, "f9")


def test_urls_that_no_submit_description_holds() -> None:
    """Names of objects are refused where they have characters that a list of HTCondor's cannot have."""
    credentials = {"aws_access_key_id_file", "s3_secret_access_key_file"}
    check_urls(["https://h/a,b", "s3://b/it's fine=$(x)%20&"], credentials)
    for name in ("a,b", "a;b", 'a"b', "a\\b", "a\nb", "a ", "$$(x)", "\udcff"):
        with pytest.raises(UsageError, match="HTCondor"):
            check_urls([f"s3://b/{name}"], credentials)
    for url, option in {"s3://b/x": "aws_access_key_id_file", "gs://b/x": "gs_access_key_id_file"}.items():
        with pytest.raises(UsageError, match=f"needs the option {option}, .* -o {option}=FILE"):
            check_urls([url], ())


def test_output_files_that_go_to_urls_have_names_of_ours() -> None:
    """They are numbered for each component; a job without any must not have another one's."""
    urls = {3: {"a;b": "https://h/x", "c": "dav://b/$(y)=z"}, 4: {}, 7: {"c": "https://h/y"}}
    names, remaps = output_remaps(urls, {})
    assert names == {"3": {"a;b": "remap.3.0", "c": "remap.3.1"}, "7": {"c": "remap.7.0"}}
    assert remaps == "remap.3.0=https://h/x;remap.3.1=dav://b/$(DOLLAR)(y)=z;remap.7.0=https://h/y"
    assert per_job([remaps, ""]) == [remaps, "remap.none=remap.none"]
    assert per_job(["", ""]) == []


def test_s3_urls_are_signed_before_jobs_are_submitted(tmp_path: Path) -> None:
    """They name the key as it is, encoded, and are good for a week; without credentials there are none."""
    (tmp_path / "id").write_text("me\n")
    (tmp_path / "secret").write_text("shh\n")
    options = {"aws_access_key_id_file": str(tmp_path / "id"), "aws_secret_access_key_file": str(tmp_path / "secret")}
    url = signed("s3://127.0.0.1:9/bucket/a b%20=;,ü", options)
    assert url.startswith("https://127.0.0.1:9/bucket/a%20b%2520%3D%3B%2C%C3%BC?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert "X-Amz-Expires=604800" in url
    assert ";" not in url
    url = signed("s3://bucket/key", {**options, "aws_region": "eu-west-1"})
    assert url.startswith("https://bucket.s3.eu-west-1.amazonaws.com/key?")
    with pytest.raises(EngineError, match="needs the option aws_access_key_id_file"):
        signed("s3://bucket/key", {})
    with pytest.raises(EngineError, match="No such file"):
        signed("s3://bucket/key", {"aws_access_key_id_file": "/nowhere"})


@pytest.mark.parametrize(
    ("server", "rest", "endpoint", "name"),
    [
        ("bucket", "/a/b", None, "bucket/a/b"),
        ("s3.example.org:9000", "/bucket/a", "https://s3.example.org:9000", "bucket/a"),
        ("localhost:9000", "/bucket/a", "https://localhost:9000", "bucket/a"),
        ("s3.eu-west-1.amazonaws.com", "/bucket/a", "https://s3.eu-west-1.amazonaws.com", "bucket/a"),
        ("my.b.s3.eu-west-1.amazonaws.com", "/a", "https://s3.eu-west-1.amazonaws.com", "my.b/a"),
        ("b.s3.amazonaws.com", "/a", "https://s3.amazonaws.com", "b/a"),
    ],
)
def test_forms_of_s3_urls(server: str, rest: str, endpoint: str | None, name: str) -> None:
    """A dot in what follows ``s3://`` makes it a server, and the bucket is the next part."""
    settings, found = _s3(server, rest, {})
    assert (settings.get("endpoint_url"), found) == (endpoint, name)
