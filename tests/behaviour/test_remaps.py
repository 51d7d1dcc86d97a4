"""Saying where output files go: what is taken, and what is refused before anything is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import htrun
from htrun.store import MapDirectory
from tests.behaviour.test_output_files import tree
from tests.parts.authority import certificate

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell
    from tests.parts.servers import S3, FileServer


@pytest.fixture(scope="session")
def trusted() -> str:
    """Return the file with the authority that S3 on this machine is certified by, from the home of who runs the tests."""
    return str(certificate())


FUNCTION = "def f(n):\n    return n\n"


def test_remaps_are_kept_with_the_map(local: Shell) -> None:
    """What is the same for all components is kept once; fields of the inputs say it for each."""
    local.write("m.py", FUNCTION)
    calls = [{"n": 1, "to": "x/"}, {"n": 2, "to": "https://h/@at"}]
    local.run("m.py:f", [1, 2, 3], "--output-remap", "a=d/$(component)", "--output-remap", "b=@@$(component)=/")
    directory = MapDirectory(local.path())
    here = str(local.cwd)
    assert directory.remaps(2) == {"a": f"{here}/d/2", "b": f"{here}/@2=/b"}
    assert (local.path() / ".htrun/remaps.json").stat().st_size < 300
    local.run("m.py:f", calls, "--output-remap", "a=d/$(component)", "--output-remap", "b=@to", "--overwrite")
    directory = MapDirectory(local.path())
    assert directory.remaps(0) == {"a": f"{here}/d/0", "b": f"{here}/x/b"}
    assert directory.remaps(1) == {"a": f"{here}/d/1", "b": "https://h/@at"}
    assert [row["output"] for row in local.outputs()] == [1, 2], "the field is not passed on"
    local.run("m.py:f", [1], "--overwrite")
    assert not (local.path() / ".htrun/remaps.json").exists()


@pytest.mark.parametrize(
    ("remaps", "said"),
    [
        (["a"], "--output-remap 'a': say NAME=DESTINATION"),
        (["a=@"], "--output-remap 'a=@': say NAME=DESTINATION"),
        (["a=x", "a=@to"], "--output-remap: 'a' is there twice"),
        (["d/a=x"], "'d/a' is no name of an output file"),
        (["a=out"], "the output files of 2 components cannot all go to out: put $(component) in it"),
        (["a=$(component)", "b=./$(component)"], "two output files of component 0 would go to"),
        (["a=@to"], "two output files of components 0, 1 would go to"),
        (["a=@none"], "in.jsonl:1: no field 'none', which is to say where the output file 'a' goes"),
        (["a=@n"], "in.jsonl:1: field 'n': a destination is a text, not 1"),
        (["a=https://h"], "nothing can be sent to a URL that names no file: https://h"),
        (["a=m.py/$(component)"], "m.py is no directory"),
        (["a=nosuch://h/$(component)"], "nothing on this machine speaks nosuch"),
        (["a=gs://h/$(component)"], "pip install 'gcsfs'"),
    ],
)
def test_remaps_that_make_no_sense(local: Shell, remaps: list[str], said: str) -> None:
    """They are told before anything is made."""
    local.write("m.py", FUNCTION)
    local.jsonl("in.jsonl", [{"n": 1, "to": "same"}, {"n": 2, "to": "same"}])
    options = [f"--output-remap={remap}" for remap in remaps]
    if "@to" not in str(remaps):
        local.jsonl("in.jsonl", [{"n": 1}, {"n": 2}])
    done = local("m.py:f", "--args", "in.jsonl", *options, code=4)
    assert said in done.stderr, done.stderr
    assert not (local.cwd / "results").exists()


def test_remaps_from_python(api: Shell) -> None:
    """Destinations are texts, paths and TransferPaths, one mapping for all components or one for each."""
    bucket = htrun.TransferPath("bucket", protocol="http", location="127.0.0.1:9")
    options = htrun.MapOptions(output_remaps=[{Path("in/a.txt"): bucket / "b.txt"}, {"a": Path("here")}])
    map_ = htrun.map(lambda n: n, [1, 2], map_options=options)
    assert list(map_) == [1, 2]
    directory = MapDirectory(Path(map_.path))
    assert directory.remaps(0) == {"a.txt": "http://127.0.0.1:9/bucket/b.txt"}
    assert directory.remaps(1) == {"a": str(api.cwd / "here")}
    with pytest.raises(htrun.exceptions.UsageError, match=r"2 components cannot all go to .*\$\(component\)"):
        htrun.map(lambda n: n, [1, 2], map_options=htrun.MapOptions(output_remaps={"a": bucket / "a"}))
    if api.engine == "htcondor":
        header = (directory.job(0) / "calls.jsonl").read_text().splitlines()[0]
        assert json.loads(header)["remaps"] == {"0": {"a.txt": "remap.0.0"}}
        assert "transfer_output_remaps" in (directory.inner / "submit.0.sub").read_text()


OUTPUTS = """\
    import htrun, os

    def f(n):
        for name in ("a.txt", "b.txt", "c d.txt"):
            with open(name, "w") as file:
                file.write(f"{name} {n}")
        os.makedirs("sub/tree")
        with open("sub/tree/x", "w") as file:
            file.write(f"x {n}")
        htrun.transfer_output_files("a.txt", "b.txt", "sub", "c d.txt")
    """


@pytest.mark.parametrize("size", [1, 2])
def test_outputs_go_elsewhere_on_this_machine(shell: Shell, size: int) -> None:
    """Files and directories go where they are to go, directories are made for them, all else comes back."""
    shell.write("m.py", OUTPUTS)
    remaps = [
        "a.txt=deep/down/$(component)/A;,=",
        "tree=trees/$(component)",
        "c d.txt=all/$(component)/",
        "none=x/$(component)",
    ]
    shell.run("m.py:f", [1, 2], "--chunk-size", size, *(f"--output-remap={remap}" for remap in remaps))
    for n in range(2):
        assert tree(shell.path() / "files" / str(n)) == {"b.txt": b"b.txt %d" % (n + 1)}
    expected = {f"deep/down/{n}/A;,=": b"a.txt %d" % (n + 1) for n in range(2)}
    expected |= {f"trees/{n}/x": b"x %d" % (n + 1) for n in range(2)}
    expected |= {f"all/{n}/c d.txt": b"c d.txt %d" % (n + 1) for n in range(2)}
    found = {name: data for top in ("deep", "trees", "all") for name, data in tree(shell.cwd / top, top).items()}
    assert found == expected


def test_outputs_go_to_servers(shell: Shell, http_server: FileServer) -> None:
    """Files go to URLs by HTTP PUT, under the name of WebDAV too, whatever they are called, and do not come back."""
    shell.write("m.py", OUTPUTS)
    webdav = http_server.url.replace("http:", "dav:")
    remaps = [f"a.txt={webdav}/$(component)", f"c d.txt={http_server.url}/odd;,='ü $(component)"]
    shell.run("m.py:f", [1, 2], *(f"--output-remap={remap}" for remap in remaps), "--chunk-size", 2)
    assert tree(http_server.directory) == {
        **{f"{n}": b"a.txt %d" % (n + 1) for n in range(2)},
        **{f"odd;,='ü {n}": b"c d.txt %d" % (n + 1) for n in range(2)},
    }
    assert tree(shell.path() / "files/0") == {"b.txt": b"b.txt 1", "sub/tree/x": b"x 1"}


def test_outputs_go_to_s3(shell: Shell, s3: S3, trusted: str) -> None:
    """The example of HTMap's manual: a file from a bucket goes back there under another name."""
    bucket = s3.bucket(f"bucket-{shell.engine}")
    s3.put(bucket, "in.txt", b"from the bucket\n")
    shell.write(
        "m.py",
        """\
        from pathlib import Path
        import htrun

        def move_file(input_path: Path):
            htrun.transfer_output_files(input_path)
        """,
    )
    credentials = [f"-o{name}={value}" for name, value in s3.commands.items()]
    to = s3.url(bucket, "dir/out $(component)=.txt")
    env = {"AWS_CA_BUNDLE": trusted}
    shell.run("m.py:move_file", [s3.url(bucket, "in.txt")], "--output-remap", f"in.txt={to}", *credentials, env=env)
    assert s3.get(bucket, "dir/out 0=.txt") == b"from the bucket\n"
    assert not (shell.path() / "files/0").exists() or tree(shell.path() / "files/0") == {}


def test_outputs_go_to_s3_from_python(trusted: str, api: Shell, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is so from Python too, and the component's directory of output files is empty."""
    monkeypatch.setenv("AWS_CA_BUNDLE", trusted)
    bucket = s3.bucket(f"python-{api.engine}")
    s3.put(bucket, "in.txt", b"1" * 1000)

    def move_file(input_path: Path) -> None:
        htrun.transfer_output_files(input_path)

    place = htrun.TransferPath(bucket, protocol="s3", location=s3.endpoint)
    options = htrun.MapOptions(output_remaps=[{(place / "in.txt").name: place / "out.txt"}], **s3.commands)
    m = htrun.map(move_file, [place / "in.txt"], map_options=options)
    m.wait(120)
    assert s3.get(bucket, "out.txt") == b"1" * 1000
    assert tree(m.output_files[0]) == {}


def test_what_cannot_be_sent(local: Shell, http_server: FileServer) -> None:
    """A server that refuses a file, or a directory that was to go to one, is that component's error; no file is lost."""
    local.write("m.py", OUTPUTS)
    remaps = [f"a.txt={http_server.url}/no/such/directory?sign=secret", f"b.txt={http_server.url}/b", "c d.txt=c"]
    local.run("m.py:f", [1], *(f"--output-remap={remap}" for remap in remaps), code=1)
    message = local.errors()[0]["error"]["message"]
    assert f"{http_server.url}/no/such/directory?..." in message
    assert "secret" not in message
    assert tree(local.path() / "files") == {"0/a.txt": b"a.txt 1", "0/sub/tree/x": b"x 1"}
    assert tree(http_server.directory) == {"b": b"b.txt 1"}
    assert (local.cwd / "c").read_text() == "c d.txt 1"
    assert not local.errors()[0]["error"]["frames"], "no line of the function's failed"
    local.run("m.py:f", [1], "--overwrite", "--output-remap", f"tree={http_server.url}/tree", code=1)
    assert "a directory cannot be sent to a URL" in local.errors()[0]["error"]["message"]
    assert (local.path() / "files/0/sub/tree/x").exists()


def test_a_place_that_has_become_unusable(condor: Shell) -> None:
    """On HTCondor a file that cannot be put elsewhere in the end is in the map's directory, and a note says so."""
    condor.write(
        "m.py",
        f"""\
        import htrun, os

        def f():
            os.mkdir({str(condor.cwd / "there")!r})
            with open("a.txt", "w") as file:
                file.write("a")
            htrun.transfer_output_files("a.txt")
        """,
    )
    done = condor("m.py:f", "--tag", "t", "--output-remap", "a.txt=there")
    assert f"component 0: a.txt could not be moved to {condor.cwd / 'there'}" in done.stderr
    assert tree(condor.path() / "files") == {"0/a.txt": b"a"}
