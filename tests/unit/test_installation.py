"""A Python installation, packed and unpacked elsewhere; no pool is needed for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from htrun import installation
from htrun.exceptions import CannotTransplantPython
from tests.parts import standalone

if TYPE_CHECKING:
    from tests.conftest import Once

PACK = """
import sys
from pathlib import Path
from htrun.installation import this_installation
from htrun.packing import pack
print(pack(this_installation(), Path(sys.argv[1])))
"""
FINDER = "MAPPING: dict[str, str] = {mapping!r}\nNAMESPACES: dict[str, list[str]] = {{}}\ndef install():\n    pass\n"


@pytest.fixture
def python(once: Once, tmp_path: Path) -> Path:
    """Return the interpreter of a standalone Python of the test's own."""
    original, _ = once("standalone", lambda path: str(standalone.make(path / "python")))
    copy = tmp_path / "python"
    shutil.copytree(original / "python", copy, symlinks=True, copy_function=os.link)
    return copy / "bin/python3"


def pack(python: Path, place: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Pack the installation of an interpreter."""
    env = {"PATH": os.defpath, "HOME": str(place), **environ}
    return subprocess.run([python, "-c", PACK, place], env=env, capture_output=True, text=True, check=False)


def packed(python: Path, place: Path, **environ: str) -> Path:
    """Pack it and return where it is."""
    done = pack(python, place, **environ)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def elsewhere(archive: Path, place: Path, code: str) -> Any:
    """Unpack an installation and return what code prints there, with what it was packed from hidden, as JSON."""
    place.mkdir()
    subprocess.run(["tar", "xzf", archive / "python.tar.gz"], cwd=place, check=True)
    hidden = archive.parent.parent / "python"
    hidden.rename(hidden.with_name("hidden"))
    try:
        words = ["/bin/sh", "htrun-python/start", "-c", f"import json; print(json.dumps({code}))"]
        done = subprocess.run(words, cwd=place, env={}, capture_output=True, text=True, check=False)
    finally:
        hidden.with_name("hidden").rename(hidden)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_runs_elsewhere(python: Path, tmp_path: Path) -> None:
    """Prefix, packages and programs are those of the copy, even if there is no PATH."""
    archive = packed(python, tmp_path / "transplants")
    code = "[__import__('sys').prefix, __import__('click').__file__, __import__('shutil').which('python3'), \
            __import__('shutil').which('ls') is not None]"
    prefix, package, program, usual = elsewhere(archive, tmp_path / "node", code)
    base = str(tmp_path / "node/htrun-python/base")
    assert prefix == base
    assert package.startswith(base)
    assert program == f"{base}/bin/python3"
    assert usual


def test_a_virtual_environment_comes_with_what_it_was_made_from(python: Path, tmp_path: Path) -> None:
    """Its packages are there, those of the installation below it are not."""
    site = standalone.site_packages(python)
    (site / "below.py").touch()
    environment = tmp_path / "env"
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
    own = next(environment.glob("lib/python3*/site-packages"))
    shutil.copytree(site, own, dirs_exist_ok=True)
    (own / "below.py").unlink()
    (own / "above.py").touch()
    script = environment / "bin/tool"
    script.write_text(f"#!{environment}/bin/python3\nimport sys\nprint(sys.prefix)\n")
    script.chmod(0o755)
    archive = packed(environment / "bin/python", tmp_path / "transplants")
    find = "__import__('importlib.util').util.find_spec"
    run = "__import__('subprocess').run(['tool'], capture_output=True, text=True).stdout.strip()"
    code = f"[__import__('sys').prefix, {find}('above') is None, {find}('below') is None, {run}]"
    env = str(tmp_path / "node/htrun-python/env")
    assert elsewhere(archive, tmp_path / "node", code) == [env, False, True, env]


def project(path: Path, module: str) -> Path:
    """Make the directory of a project with a package, data in that, and much else."""
    for name, text in {
        f"{module}/__init__.py": "",
        f"{module}/data.txt": "data",
        "single.py": "",
        "big/data.bin": "x",
        ".git/config": "",
        "venv/pyvenv.cfg": "",
        "venv/module.py": "",
        "results/t/.htrun/map.json": "{}",
    }.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


def test_what_is_installed_in_place_comes_along(python: Path, tmp_path: Path) -> None:
    """A path in a ``.pth`` file, and the finder that setuptools makes for ``pip install -e``; of a project no more."""
    site = standalone.site_packages(python)
    there = project(tmp_path / "python/../project", "flat").resolve()
    mapped = project(tmp_path / "other", "src")
    (site / "flat.pth").write_text(f"{there}\n# a remark\n/not/there\n")
    (site / "__editable__.mapped-1.pth").write_text(
        "import __editable___mapped_1_finder; __editable___mapped_1_finder.install()"
    )
    mapping = {"mapped": str(mapped / "src"), "one": str(mapped / "single")}
    (site / "__editable___mapped_1_finder.py").write_text(FINDER.format(mapping=mapping))
    archive = packed(python, tmp_path / "transplants")
    modules = [f"__import__({name!r}).__file__" for name in ("flat", "single", "mapped", "one")]
    there.rename(tmp_path / "moved")
    mapped.rename(tmp_path / "moved-too")
    files = elsewhere(archive, tmp_path / "node", f"[{', '.join(modules)}]")
    assert all(file.startswith(str(tmp_path / "node")) for file in files)
    assert (Path(files[0]).parent / "data.txt").read_text() == "data"
    with tarfile.open(archive / "python.tar.gz") as packed_files:
        place = "htrun-python" + files[0].partition("htrun-python")[2].removesuffix("flat/__init__.py")
        names = {name[len(place) :] for name in packed_files.getnames() if name.startswith(place)}
    assert names == {"flat", "flat/__init__.py", "flat/data.txt", "single.py"}


def test_what_cannot_be_moved_is_told(python: Path, tmp_path: Path) -> None:
    """A package that is installed in place by other means is named, with what to do."""
    site = standalone.site_packages(python)
    about = site / "strange-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1\n")
    (about / "RECORD").write_text("strange.pth,,\n")
    (about / "direct_url.json").write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": True}}))
    (site / "strange.pth").write_text("import sys\n")
    done = pack(python, tmp_path / "transplants")
    assert "the package strange is installed in place" in done.stderr
    assert not list(tmp_path.glob("transplants/*/*"))


def test_packages_of_the_users_own_come_along(python: Path, tmp_path: Path) -> None:
    """What ``pip install --user`` has installed is found before what is installed for all."""
    code = "import site; print(site.getusersitepackages())"
    home = {"HOME": str(tmp_path / "transplants"), "PATH": os.defpath}
    user = Path(
        subprocess.run([python, "-c", code], env=home, capture_output=True, text=True, check=True).stdout.strip()
    )
    user.mkdir(parents=True)
    (user / "mine.py").touch()
    (user / "click.py").touch()
    archive = packed(python, tmp_path / "transplants")
    shutil.rmtree(user)
    files = elsewhere(archive, tmp_path / "node", "[__import__(name).__file__ for name in ('mine', 'click')]")
    assert [file.startswith(str(tmp_path / "node/htrun-python/user")) for file in files] == [True, True]


def test_it_is_packed_once_for_as_long_as_nothing_changes(python: Path, tmp_path: Path) -> None:
    """Two at once pack it once; a file more, or another one, makes another transplant; byte code does not."""
    done: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda: done.append(pack(python, tmp_path / "t"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("packing" in one.stderr for one in done) == [False, True]
    first = {one.stdout for one in done}
    assert len(first) == 1
    site = standalone.site_packages(python)
    subprocess.run([python, "-c", "import click, tabulate"], check=True)
    again = pack(python, tmp_path / "t")
    assert (again.stdout, again.stderr) == (done[0].stdout, "")
    (site / "more.py").write_text("1")
    more = pack(python, tmp_path / "t")
    assert more.stdout not in first
    assert "packing" in more.stderr
    about = json.loads((Path(more.stdout.strip()) / "transplant.json").read_text())
    assert any(package.startswith("click==") for package in about["packages"])


def test_a_pack_that_fails_leaves_nothing(python: Path, tmp_path: Path) -> None:
    """A file that goes while it is packed is an error, and there is no transplant then."""
    (standalone.site_packages(python) / "gone.py").write_text("x" * 10)
    code = PACK.replace(
        "print",
        "import htrun.packing as p; real = p._add\n"
        "def add(archive, member):\n    if member.name.endswith('gone.py'): raise OSError(28, 'No space left')\n"
        "    return real(archive, member)\np._add = add\nprint",
    )
    env = {"PATH": os.defpath, "HOME": str(tmp_path)}
    done = subprocess.run([python, "-c", code, tmp_path / "t"], env=env, capture_output=True, text=True, check=False)
    assert "No space left" in done.stderr
    assert [path.name for path in (tmp_path / "t").iterdir()] == [".lock"]


@pytest.mark.parametrize("environment", [False, True])
def test_the_systems_own_python_is_refused(monkeypatch: pytest.MonkeyPatch, environment: bool) -> None:
    """Its parts are all over the machine; the message says what to use instead."""
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "prefix", "/srv/env" if environment else "/usr")
    with pytest.raises(CannotTransplantPython, match=r"system's own Python.*standalone Python") as caught:
        installation.this_installation()
    assert ("/srv/env" in str(caught.value)) is environment
