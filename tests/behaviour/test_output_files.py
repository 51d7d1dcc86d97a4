"""Output files: what functions hand over is in the map's directory, byte by byte, on each engine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import htrun
from tests.behaviour.test_files import NAMES

if TYPE_CHECKING:
    from tests.behaviour.conftest import Shell

HANDED = """\
    import os, subprocess, sys, threading
    from pathlib import Path

    import htrun

    def fill(path, text):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def deep(n):
        def deeper():
            htrun.transfer_output_files(fill("deep.txt", f"deep {n}"))
        deeper()

    def f(n):
        fill("one.txt", f"one {n}")
        htrun.transfer_output_files("one.txt")
        assert not os.path.exists("one.txt"), "it was moved"
        deep(n)
        thread = threading.Thread(target=lambda: htrun.transfer_output_files(fill("thread.bin", "t" * n)))
        thread.start(); thread.join()
        fill("tree/a/x.txt", f"x {n}"); fill("tree/b/x.txt", ""); Path("tree/empty").mkdir()
        os.symlink("a/x.txt", "tree/inner"); fill("other", "other"); os.symlink("../other", "tree/outer")
        os.chmod(fill("tree/run.sh", "#!/bin/sh\\n"), 0o755)
        htrun.transfer_output_files(Path("tree"), "sub/../deeper/../" + str(fill("sub/in.txt", "in")))
        fill("not.txt", "not handed over")
        fill("again.txt", "old"); htrun.transfer_output_files("again.txt")
        fill("again.txt", f"new {n}"); htrun.transfer_output_files(os.path.abspath("again.txt"))
        os.mkdir("elsewhere"); os.chdir("elsewhere")
        htrun.transfer_output_files(fill("cwd.txt", "cwd"))
        if n == 2:
            raise ValueError("after all")
        return n
    """


def tree(directory: Path, prefix: str = "") -> dict[str, Any]:
    """Return what is below a directory: the contents of files, the targets of links, None for empty directories."""
    found: dict[str, Any] = {}
    for root, directories, names in os.walk(directory):
        where = Path(root).relative_to(directory)
        if root != str(directory) and not directories and not names:
            found[str(where)] = None
        for name in [*names, *(d for d in directories if (Path(root) / d).is_symlink())]:
            path = Path(root) / name
            found[str(where / name)] = f"-> {os.readlink(path)}" if path.is_symlink() else path.read_bytes()
    return {str(Path(prefix) / name): data for name, data in found.items()}


def handed(n: int) -> dict[str, Any]:
    """Return what ``HANDED`` hands over."""
    return {
        "one.txt": b"one %d" % n,
        "deep.txt": b"deep %d" % n,
        "thread.bin": b"t" * n,
        "tree/a/x.txt": b"x %d" % n,
        "tree/b/x.txt": b"",
        "tree/empty": None,
        "tree/inner": "-> a/x.txt",
        "tree/outer": b"other",
        "tree/run.sh": b"#!/bin/sh\n",
        "sub/in.txt": b"in",
        "again.txt": b"new %d" % n,
        "elsewhere/cwd.txt": b"cwd",
    }


@pytest.mark.parametrize("size", [1, 3])
def test_files_come_back_apart(shell: Shell, size: int) -> None:
    """What each component hands over is in a directory of its own, also of one that fails; all else stays behind."""
    shell.write("m.py", HANDED.replace("sub/../deeper/../", ""))
    shell.run("m.py:f", [0, 1, 2, 3, 4], "--chunk-size", size, code=1)
    for n in range(5):
        assert tree(shell.path() / "files" / str(n)) == handed(n)
        assert os.access(shell.path() / "files" / str(n) / "tree/run.sh", os.X_OK)
    assert sorted(os.listdir(shell.path() / "files")) == ["0", "1", "2", "3", "4"]


def test_names_of_files(shell: Shell) -> None:
    """Whatever files and directories are called, they come back under their names."""
    shell.write(
        "m.py",
        """\
        import htrun, os

        def f(names):
            for name in names:
                name = name.encode("utf-8", "surrogateescape")
                with open(name, "wb") as file:
                    file.write(name)
                os.makedirs(b"d/" + name)
                with open(b"d/" + name + b"/" + name, "wb") as file:
                    file.write(name)
                htrun.transfer_output_files(os.fsdecode(name))
            htrun.transfer_output_files("d")
        """,
    )
    names = [name for name in NAMES if name != "d"]
    shell.run("m.py:f", [[names]])
    expected = {name: os.fsencode(name) for name in names} | {f"d/{n}/{n}": os.fsencode(n) for n in names}
    assert tree(shell.path() / "files/0") == expected


def test_a_file_that_is_not_there_is_the_components_error(shell: Shell) -> None:
    """A file that is handed over but does not exist fails that component, with its traceback, and no other."""
    shell.write(
        "m.py",
        """\
        import htrun

        def f(n):
            if n != 1:
                open("out.txt", "w").close()
            htrun.transfer_output_files("out.txt")
        """,
    )
    done = shell("m.py:f", "--args", shell.jsonl("c.jsonl", [0, 1, 2]), "--tag", "t", "--chunk-size", 3, code=1)
    assert 'htrun.transfer_output_files("out.txt")' in done.stderr
    assert "FileNotFoundError" in done.stderr
    assert "'out.txt'" in done.stderr
    assert [row["component"] for row in shell.errors()] == [1]
    assert sorted(os.listdir(shell.path() / "files")) == ["0", "2"]


def test_a_rerun_replaces_files(shell: Shell) -> None:
    """Files of a component that is run again are those of its last run; others stay."""
    (shell.cwd / "which").write_text("first")
    shell.write(
        "m.py",
        f"""\
        import htrun

        def f(n):
            which = open({str(shell.cwd / "which")!r}).read()
            open(which, "w").write(str(n))
            htrun.transfer_output_files(which)
        """,
    )
    shell.run("m.py:f", [0, 1])
    (shell.cwd / "which").write_text("second")
    shell("rerun", "components", "t", "1")
    shell("wait", "t")
    assert tree(shell.path() / "files") == {"0/first": b"0", "1/second": b"1"}


@pytest.mark.parametrize("engine", ["local"])
@pytest.mark.parametrize("chosen", [[1], None], ids=["one", "all"])
@pytest.mark.parametrize("then", ["wait", "rerun"])
def test_a_rerun_that_is_killed_before_it_has_submitted_anything(
    api: Shell, monkeypatch: pytest.MonkeyPatch, chosen: list[int] | None, then: str
) -> None:
    """Output files that were put away are put back by whoever waits for the map or runs something again."""

    def f(n: int) -> None:
        Path(f"{n}.txt").write_text(str(n))
        htrun.transfer_output_files(f"{n}.txt")

    m = htrun.map(f, range(3), tag="t")
    m.wait(60)
    files = {f"{n}/{n}.txt": str(n).encode() for n in range(3)}
    assert tree(m.path / "files") == files
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr("htrun.engines.local.engine.LocalEngine.submit", lambda *_: os.kill(os.getpid(), 9))
        m.rerun(chosen)
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    if then == "wait":
        api("wait", "t")
    else:
        m.rerun([0])
        m.wait(60)
    assert tree(m.path / "files") == files
    assert not list((m.path / ".htrun").glob("old*"))


def test_a_large_file_comes_back_whole(shell: Shell) -> None:
    """A file of 200 MB comes back as it was."""
    shell.write(
        "m.py",
        """\
        import hashlib, os, htrun

        def f():
            digest = hashlib.sha256()
            with open("big", "wb") as file:
                for _ in range(200):
                    block = os.urandom(1 << 20)
                    digest.update(block)
                    file.write(block)
            htrun.transfer_output_files("big")
            return digest.hexdigest()
        """,
    )
    digest = hashlib.sha256()
    [row] = shell.run("m.py:f")
    with (shell.path() / "files/0/big").open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    assert row["output"] == digest.hexdigest()


def test_files_of_a_component_that_brings_many_along(shell: Shell) -> None:
    """However long the list of files before the call is in a record, output files are found behind it."""
    for number in range(50):
        shell.write(f"inputs/{number}-{'long' * 20}.txt", "")
    shell.write(
        "m.py",
        """\
        from pathlib import Path

        import htrun

        def f(inputs: Path):
            Path("out.txt").write_text(str(len(list(inputs.iterdir()))))
            htrun.transfer_output_files("out.txt")
        """,
    )
    shell.run("m.py:f", [["inputs"]])
    assert tree(shell.path() / "files") == {"0/out.txt": b"50"}


def test_output_files_in_python(api: Shell) -> None:
    """``Map.output_files`` has the directory of each component; one without files has an empty one."""

    def repeat(text: str, number: int) -> None:
        from pathlib import Path

        import htrun

        Path("repeated.txt").write_text(" ".join([text] * number))
        if number:
            htrun.transfer_output_files(Path("repeated.txt"))

    m = htrun.starmap(repeat, [("foo", 3), ("none", 0), ("wiz", 1)])
    assert m.get(2, timeout=120) is None
    assert (m.output_files[2] / "repeated.txt").read_text() == "wiz"
    assert [tree(directory) for directory in m.output_files] == [
        {"repeated.txt": b"foo foo foo"},
        {},
        {"repeated.txt": b"wiz"},
    ]
    m.rerun([0])
    m.wait(120)
    assert tree(m.output_files[0]) == {"repeated.txt": b"foo foo foo"}


def test_files_from_elsewhere(shell: Shell) -> None:
    """Files from outside the component's directory are copied, by their names; a process of the function's may do so."""
    outside = shell.write("outside.txt", "outside")
    shell.write(
        "m.py",
        f"""\
        import multiprocessing, os, tempfile, htrun

        def child():
            htrun.transfer_output_files(os.getcwd() + "/child.txt")

        def f():
            htrun.transfer_output_files({str(outside)!r})
            with open("child.txt", "w") as file:
                file.write("of a child")
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start(); process.join()
            os.symlink({str(outside)!r}, "link.txt")
            htrun.transfer_output_files("link.txt")
            for wrong in ("/dev/null", os.getcwd() + "/nothing", "link.txt/below"):
                try:
                    htrun.transfer_output_files(wrong)
                except OSError as error:
                    print(error)
        """,
    )
    shell.run("m.py:f")
    expected = {"outside.txt": b"outside", "child.txt": b"of a child", "link.txt": b"outside"}
    assert tree(shell.path() / "files/0") == expected
    assert outside.read_text() == "outside"
    assert len(shell("stdout", "t", "0").lines) == 3


def test_it_does_nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a component nothing is moved or saved, not even looked for."""
    monkeypatch.chdir(tmp_path)
    Path("a").touch()
    htrun.transfer_output_files("a", "not there")
    htrun.checkpoint("a", "not there")
    assert os.listdir() == ["a"]


def test_a_component_that_dies_leaves_what_it_has_handed_over(shell: Shell) -> None:
    """Files that were handed over before the process died come back too, and only to their own component."""
    shell.write(
        "m.py",
        """\
        import htrun, os

        def f(n):
            with open(f"{n}.txt", "w") as file:
                file.write(str(n))
            htrun.transfer_output_files(f"{n}.txt")
            if n == 1:
                os._exit(3)
        """,
    )
    shell.run("m.py:f", [0, 1, 2], "--chunk-size", 3, code=1)
    assert tree(shell.path() / "files") == {f"{n}/{n}.txt": b"%d" % n for n in range(3)}


def test_files_that_nobody_may_read(shell: Shell) -> None:
    """Files and directories without permissions come back too, and hold no job with what else is in it."""
    shell.write(
        "m.py",
        """\
        import htrun, os
        from pathlib import Path

        def f(n):
            Path("plain").write_text(f"plain {n}")
            if n == 1:
                os.makedirs("closed/deep")
                Path("closed/deep/file").write_text("deep")
                os.symlink("file", "closed/deep/link")
                for path in ("plain", "closed/deep/file", "closed/deep", "closed"):
                    os.chmod(path, 0)
                os.mkdir("fixed"); Path("fixed/file").write_text("fixed"); os.chmod("fixed", 0o555)
                htrun.transfer_output_files("closed", "fixed")
            htrun.transfer_output_files("plain")
        """,
    )
    shell.run("m.py:f", [0, 1, 2], "--chunk-size", 3)
    closed = {"closed/deep/file": b"deep", "closed/deep/link": "-> file", "fixed/file": b"fixed"}
    expected = {f"{n}/plain": b"plain %d" % n for n in range(3)} | {f"1/{name}": data for name, data in closed.items()}
    assert tree(shell.path() / "files") == expected


def test_the_scratch_directory_itself(shell: Shell) -> None:
    """All that is in the scratch directory can be handed over at once; what that lies in cannot."""
    shell.write(
        "m.py",
        """\
        import htrun, os

        def f(path):
            os.mkdir("d")
            os.symlink("../..", "d/up"); os.symlink("..", "up"); os.symlink(".", "here")
            open("d/file", "w").close()
            os.symlink("d/file", "near"); os.symlink(os.path.abspath("d/file"), "far"); os.symlink("none", "broken")
            htrun.transfer_output_files(path)
        """,
    )
    rows = shell.run("m.py:f", [".", "..", "../..", "/", "up", "here"], code=1)
    assert [row["status"] for row in rows] == ["COMPLETED"] + 5 * ["ERRORED"]
    assert "the directory that the component runs in is in it: '..'" in shell.errors()[0]["error"]["message"]
    assert tree(shell.path() / "files") == {
        "0/d/file": b"",
        "0/near": "-> d/file",
        "0/far": b"",
        "0/broken": "-> none",
    }


def test_a_directory_from_elsewhere_with_links_to_itself(shell: Shell) -> None:
    """A link that leads back to where it is is left out, as it is of directories that are brought along."""
    shell.write("outside/file", "outside")
    (shell.cwd / "outside/self").symlink_to(".")
    shell.write("m.py", f"import htrun\ndef f():\n    htrun.transfer_output_files({str(shell.cwd / 'outside')!r})\n")
    shell.run("m.py:f")
    assert tree(shell.path() / "files") == {"0/outside/file": b"outside"}
