"""Looking after maps from Python: tags, loading, removing, cleaning, renaming, tables, versions, exceptions."""

from __future__ import annotations

import builtins
import contextlib
import copy
import csv
import io
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import htrun
from htrun import exceptions
from htrun.exceptions import (
    EmptyMap,
    InvalidTag,
    MapWasRemoved,
    MisalignedInputData,
    NoMapYet,
    ReservedOptionKeyword,
    TagAlreadyExists,
    TagNotFound,
    UsageError,
)
from tests.behaviour.conftest import until
from tests.behaviour.gates import Gates

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.behaviour.conftest import Shell


def same(x: Any) -> Any:
    """Return what was given."""
    return x


def test_there_is_one_object_of_a_map(api: Shell) -> None:
    """Whatever way one gets to a map, it is the same object, after a new tag as well."""
    m = htrun.map(same, [1], tag="one")
    assert not m.is_transient
    assert htrun.load("one") is m
    assert htrun.Map.load("one") is m
    assert htrun.load_maps() == (m,)
    m.retag("two")
    assert (m.tag, m.is_transient) == ("two", False)
    assert htrun.load("two") is m
    with pytest.raises(TagNotFound):
        htrun.load("one")
    other = htrun.map(same, [2], tag="one")
    assert htrun.load("one") is other
    assert other is not m
    assert set(htrun.load_maps("[ot]*")) == {m, other}
    assert htrun.load_maps("x*") == ()
    assert htrun.get_tags() == ("one", "two")
    assert htrun.get_tags("t*") == ("two",)
    assert m.get(0, timeout=60) == 1


def test_renaming_by_another_process_is_seen(api: Shell) -> None:
    """A map that a command has given another tag is loaded by that one, as the same object."""
    m = htrun.map(same, [1], tag="one")
    m.wait(timeout=60)
    api("retag", "one", "two")
    assert htrun.load("two") is m
    assert m.tag == "two"
    assert m[0] == 1


def test_a_map_can_be_renamed_while_it_runs(api: Shell) -> None:
    """A running map keeps running under its new tag, and its results and state are those of it."""
    gates = Gates(api)
    gates.wait_for(0)
    with pytest.raises(InvalidTag):
        gates.map.retag("a/b")
    htrun.map(same, [1], tag="taken")
    with pytest.raises(TagAlreadyExists):
        gates.map.retag("taken")
    gates.map.retag("t")
    assert gates.map.tag == "t"
    gates.map.retag("new")
    gates.check()
    assert gates.began(0) == 1
    assert api("collect", "new", "--values").lines == ["0", "10", "20"]


@pytest.mark.parametrize("state", ["running", "held", "paused", "done"])
def test_a_removed_map_is_gone(api: Shell, state: str) -> None:
    """Whatever its components are at, removing a map ends them, frees its tag and its disk, and ends its object."""
    gates = Gates(api, number=2)
    m = gates.map
    if state == "done":
        gates.check()
    else:
        gates.wait_for(0)
    if state == "held":
        m.hold()
    elif state == "paused":
        m.pause()
    path = m.path
    assert m.exists
    m.remove()
    assert not m.exists
    assert not path.exists()
    assert htrun.get_tags() == ()
    assert m.tag == "t"
    asks: list[Callable[[], Any]] = [
        lambda: m.remove(),
        lambda: m.wait(),
        lambda: m.wait(timeout=0.1),
        lambda: m.get(0),
        lambda: m[0],
        lambda: m.get_err(0),
        lambda: m.stdout[0],
        lambda: m.stderr.get(0),
        lambda: m.output_files[0],
        lambda: list(m),
        lambda: list(m.iter_as_available()),
        lambda: list(m.iter_inputs()),
        lambda: list(m.error_reports()),
        lambda: m.components_by_status(),
        *(lambda name=name: getattr(m, name)() for name in ("status", "hold_report", "hold", "release", "pause")),
        *(lambda name=name: getattr(m, name)() for name in ("resume", "vacate", "rerun")),
        *(lambda name=name: getattr(m, name) for name in ("is_done", "is_active", "is_transient", "errors", "holds")),
        *(lambda name=name: getattr(m, name) for name in ("component_statuses", "memory_usage", "runtime")),
        lambda: m.local_data,
        lambda: m.set_memory(1),
        lambda: m.set_disk(1),
        lambda: m.retag("other"),
    ]
    for number, ask in enumerate(asks):
        with pytest.raises(MapWasRemoved):
            raise AssertionError(f"{number} gave {ask()}")
    again = htrun.map(same, [5], tag="t")
    assert not m.exists
    assert again.get(0, timeout=60) == 5
    with pytest.raises(MapWasRemoved):
        m.get(0)


def test_removing_idle_components_ends(api: Shell) -> None:
    """A map that never ran is removed, even if its log never says that its jobs were aborted."""
    options = {"requirements": "TARGET.IsNowhere =?= True"} if api.engine == "htcondor" else {}
    gates = Gates(api, **options)
    if api.engine == "htcondor":
        log = next((gates.map.path / ".htrun").glob("events.log"))
        log.unlink()
        log.symlink_to("/dev/null")
    else:
        gates.map.hold()
    gates.map.remove()
    assert not gates.map.exists
    until(lambda: not api.processes(), "no process is left")


def test_removing_by_tag_and_cleaning(api: Shell) -> None:
    """``remove`` takes a tag, ``clean`` the transient maps, or all of them; they tell what was removed."""
    htrun.map(same, [1], tag="named").wait(timeout=60)
    transient = htrun.map(same, [2])
    kept = htrun.map(same, [3])
    kept.retag("kept")
    assert htrun.clean() == [transient.tag]
    assert not transient.exists
    assert htrun.get_tags() == ("kept", "named")
    htrun.remove("named")
    htrun.remove("named")
    with pytest.raises(TagNotFound):
        htrun.remove("named", not_exist_ok=False)
    assert htrun.clean() == []
    assert htrun.clean(all=True) == ["kept"]
    assert htrun.clean(all=True) == []
    assert not kept.exists


def test_tables_of_maps(api: Shell) -> None:
    """All maps, or those given, are shown as text, JSON and CSV with their states and sizes."""
    m = htrun.map(same, range(3), tag="one")
    m.wait(timeout=60)
    other = htrun.map(same, range(2))
    other.wait(timeout=60)
    table = json.loads(htrun.status_json())
    assert set(table) == {"one", other.tag}
    assert table["one"]["component_status_counts"]["COMPLETED"] == 3
    assert table["one"]["local_data"] > 1000
    assert "local_data" not in json.loads(htrun.status_json([m], include_meta=False))["one"]
    assert "component_status_counts" not in json.loads(htrun.status_json([m], include_state=False))["one"]
    assert "\n" not in htrun.status_json(compact=True)
    assert " " not in htrun.status_json(compact=True)
    assert "\n" in htrun.status_json()
    rows = list(csv.DictReader(io.StringIO(htrun.status_csv([m]))))
    assert [row["tag"] for row in rows] == ["one"]
    assert rows[0]["COMPLETED"] == "3"
    text = htrun.status()
    assert "one" in text
    assert f"* {other.tag}" in text or f"*{other.tag}" in text
    assert other.tag not in htrun.status([m])
    assert "Completed" not in htrun.status([m], include_state=False)
    assert "Data" not in htrun.status([m], include_meta=False)


def test_tables_of_no_maps(api: Shell) -> None:
    """Without maps there are the same columns, so that what reads a table need not care."""
    made = [htrun.map(same, [1])]
    made[0].wait(timeout=60)
    for what in (
        {},
        {"include_state": False},
        {"include_meta": False},
        {"include_state": False, "include_meta": False},
    ):
        assert htrun.status([], **what).split("\n")[0].split() == htrun.status(made, **what).split("\n")[0].split()
        assert htrun.status_csv([], **what).splitlines() == htrun.status_csv(made, **what).splitlines()[:1]
    assert json.loads(htrun.status_json([])) == {}


def test_what_makes_no_map(api: Shell) -> None:
    """What cannot be mapped is an error of its own kind, and leaves neither a map nor a tag."""
    with pytest.raises(EmptyMap):
        htrun.map(same, [])
    with pytest.raises(InvalidTag):
        htrun.map(same, [1], tag="a b")
    with pytest.raises(MisalignedInputData):
        htrun.map(same, [1, 2], map_options=htrun.MapOptions(request_memory=["1", "2", "3"]))
    with pytest.raises(ReservedOptionKeyword):
        htrun.MapOptions(universe="vanilla")
    options: Any = {"request_memory": "1GB"}
    for make in (htrun.mapped(options), lambda f: htrun.build_map(f, options), lambda f: htrun.map(f, [1], options)):
        with pytest.raises(UsageError, match=r"MapOptions\(\*\*options\)"):
            make(same)
    with pytest.raises(InvalidTag, match="no text"):
        htrun.map(same, [1], tag=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="component 1: an argument cannot be pickled"):
        htrun.map(same, [1, threading.Lock()])
    builder = htrun.build_map(same)
    with pytest.raises(NoMapYet):
        _ = builder.map
    with pytest.raises(EmptyMap), builder:
        assert len(builder) == 0
    assert htrun.get_tags() == ()


def test_arguments_may_have_any_name(api: Shell) -> None:
    """Builders and mapped functions pass on arguments that are called as their own ones are."""
    names = {"self": 1, "func": 2, "args": 3, "kwargs": 4, "tag": 5}
    with htrun.build_map(lambda **given: given) as builder:
        builder(**names)
    assert builder.map.get(0, timeout=60) == names
    assert htrun.mapped(lambda **given: given)(**names) == names


# Names and bases are those of HTMap's manual, 6.14.
EXCEPTIONS = (
    "TimeoutError",
    "MissingSetting",
    "OutputNotFound",
    "NoMapYet",
    "TagAlreadyExists",
    "InvalidTag",
    "TagNotFound",
    "EmptyMap",
    "ReservedOptionKeyword",
    "MisalignedInputData",
    "CannotRetagMap",
    "UnknownPythonDeliveryMethod",
    "MapWasRemoved",
    "InvalidOutputStatus",
    "MapComponentError",
    "MapComponentHeld",
    "ExpectedError",
    "CannotTransplantPython",
    "CannotRerunComponents",
    "InsufficientHTCondorVersion",
    "CorruptEventLog",
)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_are_known_by_their_names(name: str) -> None:
    """Each exception of HTMap's manual is there, and is one of the base."""
    assert issubclass(getattr(exceptions, name), exceptions.HTMapException)
    assert getattr(htrun.exceptions, name) is getattr(exceptions, name)


def test_exceptions_are_those_of_python_where_there_are_such() -> None:
    """What took too long, is not there, or is no setting, is also Python's own exception for that."""
    assert exceptions.HTMapException is exceptions.HtrunError
    assert issubclass(exceptions.TimeoutError, builtins.TimeoutError)
    assert issubclass(exceptions.OutputNotFound, FileNotFoundError)
    assert issubclass(exceptions.MissingSetting, KeyError)


def test_statuses() -> None:
    """Statuses are texts: all of HTMap's members, some of which tables show."""
    names = ["UNKNOWN", "UNMATERIALIZED", "IDLE", "RUNNING", "REMOVED", "COMPLETED", "HELD", "SUSPENDED", "ERRORED"]
    assert [status.name for status in htrun.ComponentStatus] == names
    assert [status.value for status in htrun.ComponentStatus] == names
    assert all(isinstance(status, str) and f"{status}" == status for status in htrun.ComponentStatus)
    assert set(htrun.ComponentStatus.display_statuses()) <= set(htrun.ComponentStatus)


def test_versions() -> None:
    """The version is there as text and as a tuple that compares."""
    assert htrun.version() == f"htrun version {htrun.__version__}"
    version = htrun.version_info()
    assert len(version) == 5
    assert all(isinstance(part, int) for part in version[:3])
    assert htrun.__version__.startswith(".".join(map(str, version[:3])))


@pytest.mark.parametrize("engine", ["local"])
@pytest.mark.parametrize("what", ["remove", "retag", "hold"])
def test_a_tag_that_has_passed_to_another_map(api: Shell, what: str) -> None:
    """Where another process has renamed a map, and its old tag is another map's by now, that one is left alone."""
    m = htrun.map(same, range(2), tag="a")
    m.wait(timeout=60)
    api("retag", "a", "b")
    api.write("script.py", "import htrun\nhtrun.map(lambda x: x, range(3), tag='a').wait()\n")
    subprocess.run([sys.executable, "script.py"], cwd=api.cwd, env=api.env, check=True)
    if what == "remove":
        m.remove()
        assert not m.exists
        assert api("tags").lines == ["a"]
    elif what == "retag":
        m.retag("c")
        assert api("tags").lines == ["a", "c"]
    else:
        m.hold()
        assert m.tag == "b"
    assert len(htrun.load("a")) == 3


@pytest.mark.parametrize("engine", ["local"])
def test_a_copy_of_a_map_is_that_map(api: Shell) -> None:
    """A map that is copied or pickled is the one object of it in this process, in whatever it was."""
    m = htrun.map(same, [1], tag="one")
    assert copy.copy(m) is m
    assert copy.deepcopy({"maps": [m]})["maps"][0] is m
    assert pickle.loads(pickle.dumps(m)) is m
    assert api("tags").lines == ["one"]


@pytest.mark.parametrize("engine", ["local"])
def test_maps_pile_up_no_processes(api: Shell) -> None:
    """A process that makes map after map keeps at most one zombie of those that have worked on them."""
    for _ in range(3):
        m = htrun.map(same, [1])
        api("wait", m.tag)
    children = [stat for stat in Path("/proc").glob("[0-9]*/stat") if is_zombie_of_ours(stat)]
    assert len(children) <= 1


def is_zombie_of_ours(stat: Path) -> bool:
    """Tell whether a file ``stat`` of /proc is of a dead child of this process."""
    with contextlib.suppress(OSError):
        state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        return state == "Z" and int(parent) == os.getpid()
    return False
