"""The installed `htrun` command, in a working directory and with an `HTRUN_DIR` of its own, on each engine."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import htrun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tests.conftest import Once
    from tests.pool.pool import Pool

HTRUN = Path(sys.executable).with_name("htrun")
PACKAGE = Path(htrun.__file__).parent
ENGINES = ("local", "htcondor")
PATIENCE_S = 120.0

# Where tests run in the background of a script interrupts are ignored, which commands would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Done:
    """What a command has left: its exit code and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """The lines on stdout."""
        return self.stdout.splitlines()

    @property
    def rows(self) -> list[Any]:
        """The lines on stdout, as JSON that is strict."""
        return [parse(line) for line in self.lines]


def parse(line: str | bytes) -> Any:
    """Parse JSON, refusing the NaN and the infinities that Python's parser would take."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(line, parse_constant=refuse)


@dataclass
class Shell:
    """A place to run commands in: a working directory, and a registry of tags beside it."""

    home: Path
    engine: str
    environ: Mapping[str, str]
    command: tuple[str | Path, ...] = (HTRUN,)
    cwd: Path = field(init=False)

    def __post_init__(self) -> None:
        self.cwd = self.home / "work"
        self.cwd.mkdir(exist_ok=True)

    @property
    def env(self) -> dict[str, str]:
        """The environment of commands."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HTRUN_", "_CONDOR_", "PYTEST_", "CONDOR_"))}
        ours = {
            "HOME": str(self.home),  # with no settings of whoever runs the tests
            "HTRUN_DIR": str(self.home / "registry"),
            "HTRUN_ENGINE": self.engine,
            "PATH": os.pathsep.join([str(HTRUN.parent), kept.get("PATH", os.defpath)]),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "100",
        }
        return {**kept, **ours, **self.environ}

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file below the working directory, its text without the indentation of the test."""
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode("utf-8", "surrogateescape"))
        return path

    def jsonl(self, name: str, values: Iterable[Any]) -> Path:
        """Write a file of JSON lines below the working directory."""
        return self.write(name, "".join(json.dumps(value) + "\n" for value in values).encode())

    def start(self, *words: object, **options: Any) -> subprocess.Popen[str]:
        """Start the command and return its process."""
        env = {**self.env, **options.pop("env", {})}
        where = options.pop("cwd", self.cwd)
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        arguments = [os.fspath(word) if isinstance(word, Path) else str(word) for word in words]
        return subprocess.Popen(
            [*self.command, *arguments], cwd=where, env=env, text=True, encoding="utf-8", **pipes, **options
        )

    def __call__(self, *words: object, input: str | None = None, code: int = 0, **options: Any) -> Done:  # noqa: A002
        """Run the command and return what it has left; whatever it is about, it must never end in a traceback."""
        process = self.start(*words, **options)
        try:
            out, err = process.communicate(input, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"htrun {' '.join(map(str, words))} took longer than {PATIENCE_S:g} s\n{out}\n{err}")
        done = Done(process.returncode, out, err)
        what = f"htrun {' '.join(map(str, words))}\n--- exit code {done.code}, stdout\n{out}--- stderr\n{err}"
        assert done.code == code, what
        ours = err.partition(" FAILURES ")[0]  # what the user's functions have printed is shown after that
        assert f'File "{PACKAGE}' not in ours, what
        assert "bug in htrun" not in ours, what
        return done

    def run(self, target: str, calls: Iterable[Any] | None = None, *words: object, **options: Any) -> list[Any]:
        """Map a function over calls with the tag ``t``, and return the rows of ``outputs.jsonl``."""
        arguments: list[object] = [target, "--tag", "t", *words]
        if calls is not None:
            arguments += ["--args", self.jsonl("calls.jsonl", calls)]
        self(*arguments, **options)
        return self.outputs()

    def path(self, tag: str = "t") -> Path:
        """Return the directory of a map below the working directory."""
        return self.cwd / "results" / tag

    def outputs(self, tag: str = "t") -> list[Any]:
        """Return the rows of a map's ``outputs.jsonl``."""
        return [parse(line) for line in (self.path(tag) / "outputs.jsonl").read_bytes().splitlines()]

    def errors(self, tag: str = "t") -> list[Any]:
        """Return the rows of a map's ``errors.jsonl``."""
        return [parse(line) for line in (self.path(tag) / "errors.jsonl").read_bytes().splitlines()]

    def counts(self, tag: str = "t") -> dict[str, int]:
        """Return how many components of a map are in each status, statuses without any left out."""
        table = json.loads(self("status", tag, "--format", "json_compact", "--no-meta").stdout)
        return {status: n for status, n in table[tag]["component_status_counts"].items() if n}

    def processes(self) -> dict[int, str]:
        """Return the processes on this machine that belong here, by their ``HTRUN_DIR``: ids and command lines."""
        mark = f"HTRUN_DIR={self.home / 'registry'}".encode()
        found = {}
        for process in Path("/proc").iterdir():
            # Processes end at any time, and those of other users show no environment.
            with contextlib.suppress(OSError):
                if process.name.isdigit() and mark in (process / "environ").read_bytes().split(b"\0"):
                    words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    if words:  # a zombie has none
                        found[int(process.name)] = words
        return found

    def close(self) -> None:
        """End what still runs of this place's maps."""
        if self.engine == "htcondor" and (self.home / "registry" / "tags").exists():
            self("remove", "--all", "--force")
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Wait until a condition holds and return what it returned; fail after some time."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:g} s still not: {what}")
        time.sleep(0.05)
    return result


def environ_of(engine: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the variables that the commands of an engine's tests need; skips or fails where there is no pool."""
    if engine == "local":
        return {}
    pool: Pool = request.getfixturevalue("pool")
    path = os.pathsep.join([str(HTRUN.parent), pool.env["PATH"]])
    return {**pool.env, "PATH": path}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Return the name of an engine; a test that asks for it runs on each."""
    return str(request.param)


@pytest.fixture
def shell(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """Return a place to run commands in, on each engine."""
    place = Shell(tmp_path, engine, environ_of(engine, request))
    yield place
    place.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Shell]:
    """Return a place to run commands in, on this machine only: for what is the same whatever the engine."""
    place = Shell(tmp_path, "local", {})
    yield place
    place.close()


@pytest.fixture
def condor(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """Return a place to run commands in, on the pool only."""
    place = Shell(tmp_path, "htcondor", environ_of("htcondor", request))
    yield place
    place.close()


@pytest.fixture
def shared(engine: str, once: Once, request: pytest.FixtureRequest) -> Callable[..., tuple[Shell, Any]]:
    """Return a function that runs something once for all tests on an engine, and returns its place and result.

    It takes a name and what runs the thing in a place, and returns what JSON gives back.
    """
    environ = environ_of(engine, request)

    def make(name: str, maker: Callable[[Shell], Any]) -> tuple[Shell, Any]:
        directory, result = once(f"{name}-{engine}", lambda home: maker(Shell(home, engine, environ)))
        return Shell(directory, engine, environ), result

    return make


@pytest.fixture
def condor_tool(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Return a function that runs one of HTCondor's own programs and returns its standard output."""
    env = {**os.environ, **environ_of("htcondor", request)}

    def run(program: str, *words: object) -> str:
        where = shutil.which(program, path=env["PATH"])
        assert where, f"{program} is not on the PATH"
        done = subprocess.run([where, *map(str, words)], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def api(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    """Let this very process be a user of the Python API, with a home of its own, on each engine.

    It returns a place that has the same maps, for commands; at the end all maps are removed.
    """
    place = Shell(tmp_path, engine, environ_of(engine, request))
    for name in [name for name in os.environ if name.startswith(("HTRUN_", "_CONDOR_", "CONDOR_"))]:
        monkeypatch.delenv(name)
    ours = {"HTRUN_DIR": str(tmp_path / "registry"), "HTRUN_ENGINE": engine, "HOME": str(tmp_path)}
    for name, value in {**ours, **place.environ}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTRUN_WAIT_TIME", "0.1")
    monkeypatch.chdir(place.cwd)
    if engine == "htcondor":
        # Another test may have made the bindings read their configuration already, where there was none.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("htcondor2").reload_config()
    yield place
    for map_ in htrun.load_maps():
        map_.remove(force=True)
    place.close()
