"""What is distributed: sdist and wheel, what is in them, and that the wheel works where nothing else of ours is."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import htrun
from tests.behaviour.conftest import Shell
from tests.parts.fixtures import needed
from tests.parts.interpreters import fetch, interpreters

if TYPE_CHECKING:
    from tests.conftest import Once

ROOT = Path(__file__).resolve().parents[2]
INTERPRETERS = interpreters()
USERS_PROGRAM = """\
from __future__ import annotations

from pathlib import Path

import htrun


def measure(path: Path, scale: float = 1.0) -> float:
    return scale * len(path.read_text())


@htrun.mapped(map_options=htrun.MapOptions(request_memory="1GB", request_disk=["1GB", "2GB"]))
def double(x: int) -> int:
    return 2 * x


made: htrun.Map = htrun.map(measure, [htrun.TransferPath("a.txt")], tag="a")
made.wait(timeout=10, show_progress_bar=True)
first: float = made[0]
states: list[htrun.ComponentStatus] = made.component_statuses
for component, error in made.errors.items():
    print(component + 1, error.exception_msg.upper())
try:
    print(double(3) + 1, list(double.map(range(10))), made.stdout[0].upper())
except htrun.exceptions.MapComponentError as failure:
    print(failure.summary.upper())
print([other.tag.upper() for other in htrun.load_maps("*")], htrun.settings["ENGINE"])
"""


def run(*command: object, cwd: Path) -> str:
    """Run a program and return what it has printed; fail with all of it where it fails."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def distributions(once: Once) -> tuple[Path, Path]:
    """Return an sdist, and the wheel that was built from it."""

    def build(directory: Path) -> None:
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT, cwd=directory)

    directory, _ = once("distributions", build)
    (sdist,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    return sdist, wheel


@pytest.fixture
def installed(distributions: tuple[Path, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """Return a place with the command of the wheel, installed for the Python whose version is the parameter."""
    version: str = request.param
    python = INTERPRETERS[version]
    if python is None:
        with needed(f"Python {version}"):
            python = fetch(version)
    environment = tmp_path / "environment"
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", "--quiet", "--offline", "--python", python, environment, cwd=tmp_path)
    where = ["--python", environment / "bin/python"]
    run(*uv, "pip", "install", "--quiet", *where, distributions[1], cwd=tmp_path)
    return Shell(tmp_path, "local", {}, (environment / "bin/htrun",))


def test_the_wheel_has_the_package_and_nothing_else(distributions: tuple[Path, Path]) -> None:
    """All that git has of the package is in it, type information and licence too, but no tests."""
    with zipfile.ZipFile(distributions[1]) as wheel:
        names = set(wheel.namelist())
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "htrun").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert package <= names
    assert "htrun/py.typed" in names
    info = f"htrun-{htrun.__version__}.dist-info"
    others = {name for name in names - package if not re.match(r"htrun-[\d.]+\.data/data/share/man/", name)}
    assert others == {
        f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }


def test_the_sdist_has_what_is_needed_to_work_on_it(distributions: tuple[Path, Path]) -> None:
    """Tests, examples and documentation are in it, and nothing that was made from them."""
    with tarfile.open(distributions[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = ("pyproject.toml", "Makefile", "LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff")
    assert {*wanted, "tests/conftest.py", "docs/architecture.md", "examples/ising.py", "htrun/py.typed"} <= names
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|(^|/)\.venv|(^|/)results/.*Z\.json$", name)]


def test_metadata(distributions: tuple[Path, Path]) -> None:
    """An index takes both; version, licence and Pythons are what other files say."""
    checked = run(sys.executable, "-m", "twine", "check", "--strict", *distributions, cwd=ROOT)
    assert checked.count("PASSED") == 2
    with zipfile.ZipFile(distributions[1]) as wheel:
        data = email.message_from_bytes(wheel.read(f"htrun-{htrun.__version__}.dist-info/METADATA"))
    assert data["Version"] == htrun.__version__
    assert data["License-Expression"] == "Apache-2.0"
    assert data["Description"] or data.get_payload()
    stated = re.findall(r":: Python :: (3\.\d+)", "\n".join(data.get_all("Classifier") or ()))
    assert data["Requires-Python"] == f">={stated[0]}"
    assert set(INTERPRETERS) <= set(stated)
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {htrun.__version__}\n" in citation
    assert "\nlicense: Apache-2.0\n" in citation


@pytest.mark.parametrize("installed", INTERPRETERS, indirect=True)
def test_the_wheel_works(installed: Shell) -> None:
    """In an environment with nothing but what the wheel requires, the command maps, and so does Python."""
    assert installed("--version").stdout == f"htrun {htrun.__version__}\n"
    installed.write("power.py", "import os\n\ndef power(x, y=2):\n    return x**y, os.environ['HOME']\n")
    rows = installed.run("power.py:power", [{"x": 3}, [2, 10]])
    assert [row["output"][0] for row in rows] == [9, 1024]
    python = installed.command[0].parent / "python" if isinstance(installed.command[0], Path) else "python"
    code = "import htrun\nprint(list(htrun.map(lambda x: {x, 2 * x}, [1, 2])))\nimport htcondor2\n"
    done = subprocess.run(
        [python, "-c", code], cwd=installed.cwd, env=installed.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[{1, 2}, {2, 4}]"


@pytest.mark.parametrize("installed", ["{}.{}".format(*sys.version_info)], indirect=True)
def test_type_information(installed: Shell) -> None:
    """Mypy understands a user's program by what is installed, strictly, and sees its mistakes."""
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", installed.home / "mypy"]
    mypy += ["--python-executable", installed.home / "environment/bin/python"]
    run(*mypy, installed.write("good.py", USERS_PROGRAM), cwd=installed.cwd)
    bad = USERS_PROGRAM.replace("made.wait(timeout=10", 'made.wait(timeout="10"').replace("other.tag", "other.tags")
    done = subprocess.run(
        list(map(str, [*mypy, installed.write("bad.py", bad)])),
        cwd=installed.cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert re.findall(r"\[([a-z-]+)\]$", done.stdout, re.MULTILINE) == ["arg-type", "attr-defined"], done.stdout
