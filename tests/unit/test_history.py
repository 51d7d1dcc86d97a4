"""What is kept of what targets took."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from htrun import history
from htrun.config import Config
from htrun.functions import Function
from htrun.history import Spread
from htrun.index import Records
from htrun.sources import Source
from htrun.store import DirectoryBuilder

if TYPE_CHECKING:
    from pathlib import Path

    from htrun.store import MapDirectory


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return the settings of a registry that is there."""
    (tmp_path / "registry").mkdir()
    return Config(tmp_path / "registry")


def target(tmp_path: Path, source: str = "def f(x): return x", qualname: str = "f") -> Any:
    """Return a target in a file with this source."""
    file = tmp_path / "t.py"
    file.write_text(source)
    reference = {"module": "t", "qualname": qualname, "file": None}
    return SimpleNamespace(file=file, reference=reference, sources=(Source(file, "t.py"),), function=None)


def map_of(tmp_path: Path, config: Config, name: str, of: Any, count: int) -> MapDirectory:
    """Return the directory of a map of a target."""
    builder = DirectoryBuilder(tmp_path)
    identity = history.identify(config, of)
    builder.write_info({"format": 1, "uid": name, "components": count, "options": {}, "history": identity})
    return builder.move_to(tmp_path / name)


def run(directory: MapDirectory, times: list[float], status: str = "COMPLETED") -> Records:
    """Let components take these seconds and as many MiB, and return the records."""
    directory.job(0).mkdir()
    head = '{"component":%d,"status":"%s","wall_s":%.6f,"cpu_s":%.6f,"memory_mb":%.1f,"output":1}\n'
    lines = [head % (n, status, seconds, seconds / 2, seconds) for n, seconds in enumerate(times)]
    (directory.job(0) / "records.jsonl").write_text("".join(lines))
    records = Records(directory)
    records.read("0")
    return records


def remember(tmp_path: Path, config: Config, name: str, times: list[float], of: Any, status: str = "COMPLETED") -> None:
    """Let a map of a target run."""
    directory = map_of(tmp_path, config, name, of, len(times))
    history.remember(directory, run(directory, times, status))


def test_what_a_target_took_is_known_next_time(tmp_path: Path, config: Config) -> None:
    """Numbers, spreads and a time are known of a target that was mapped, and nothing of others."""
    f = target(tmp_path)
    assert history.recall(config, f) is None
    remember(tmp_path, config, "a", [1.0] * 18 + [3.0, 7.0], f)
    known = history.recall(config, f)
    assert known is not None
    assert known.components == 20
    assert known.wall_s == Spread(mean=1.4, median=1.0, p95=3.0, max=7.0)
    assert known.cpu_s == Spread(mean=0.7, median=0.5, p95=1.5, max=3.5)
    assert known.memory_mb == known.wall_s
    assert known.disk_kb is None
    assert known.is_current
    assert history.recall(config, target(tmp_path, qualname="g")) is None
    file = next(config.history.iterdir())
    assert set(json.loads(file.read_text())) == {"components", "when", "source", "wall_s", "cpu_s", "memory_mb"}


def test_a_target_that_has_changed(tmp_path: Path, config: Config) -> None:
    """What is known of other sources is known, but not current."""
    remember(tmp_path, config, "a", [1.0], target(tmp_path))
    known = history.recall(config, target(tmp_path, "def f(x): return x + 1"))
    assert known is not None
    assert known.wall_s.mean == 1.0
    assert not known.is_current


def test_a_few_components_do_not_outweigh_many(tmp_path: Path, config: Config) -> None:
    """The newest map counts; one of far fewer components only raises what is the most."""
    f = target(tmp_path)
    for name, times, expected in (
        ("a", [1.0] * 30, (30, 1.0, 1.0)),
        ("b", [2.0, 50.0], (30, 1.0, 50.0)),
        ("c", [2.0] * 3, (3, 2.0, 2.0)),
    ):
        remember(tmp_path, config, name, times, f)
        known = history.recall(config, f)
        assert known is not None
        assert (known.components, known.wall_s.median, known.wall_s.max) == expected


def test_failures_teach_nothing(tmp_path: Path, config: Config) -> None:
    """A function that fails at once is not taken for a quick one."""
    f = target(tmp_path)
    remember(tmp_path, config, "a", [0.001] * 5, f, "ERRORED")
    assert history.recall(config, f) is None


def test_a_sample_stands_for_many(tmp_path: Path, config: Config) -> None:
    """Of many components some are looked at, and not every n-th, which may all be slow."""
    f = target(tmp_path)
    remember(tmp_path, config, "a", [1.0 if n % 10 == 0 else 0.0 for n in range(20_000)], f)
    known = history.recall(config, f)
    assert known is not None
    assert known.components == 20_000
    assert 0.05 < known.wall_s.mean < 0.2


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"wall_s": 3}', '{"wall_s": {"mean": 1}}'])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, config: Config, text: str) -> None:
    """A damaged file is as none, and replaced by the next map."""
    f = target(tmp_path)
    remember(tmp_path, config, "a", [1.0], f)
    next(config.history.iterdir()).write_text(text)
    assert history.recall(config, f) is None
    remember(tmp_path, config, "b", [1.0], f)
    assert history.recall(config, f) is not None


def test_what_cannot_be_kept_hinders_nothing(tmp_path: Path, config: Config) -> None:
    """A registry that is gone, or where nothing can be written, is no error."""
    f = target(tmp_path)
    config.history.write_text("in the way")
    remember(tmp_path, config, "a", [1.0], f)
    shutil.rmtree(config.directory)
    remember(tmp_path, config, "b", [1.0], f)
    assert not config.directory.exists()


def test_functions_of_no_file_have_no_history(config: Config) -> None:
    """Python's functions are known by the file that they are in; those of a prompt are not."""
    here = history.identify(config, Function(test_failures_teach_nothing))
    there = history.identify(config, Function(target))
    assert here is not None
    assert there is not None
    assert here["file"] != there["file"]
    scope: dict[str, Any] = {}
    exec("def f(x): return x", scope)
    assert history.identify(config, Function(scope["f"])) is None
