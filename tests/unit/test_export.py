"""What is exported of records, cut out of many at once or one by one."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htrun.export import Exporter
from htrun.runner.attempts import Attempts
from htrun.runner.calls import Calls, index_lines
from htrun.runner.records import record_prefix
from htrun.runner.spec import Spec
from htrun.runner.supervisor import Supervisor
from htrun.state import ComponentStatus
from htrun.store import DirectoryBuilder, MapDirectory
from htrun.view import MapView

HEAD = ',"attempt":1,"node":"n.example.org","python":"3.11.2","started":1.5,"wall_s":0.1,"cpu_s":0.1,"memory_mb":30.1'
HEAD += ',"stdout":[0,0],"stderr":[10,12]'
LIKE_A_RECORD = json.loads(record_prefix(3, "COMPLETED") + HEAD + ',"output":[1]}')
KINDS: dict[str, tuple[str, str]] = {
    "a number": ("COMPLETED", HEAD + ',"output":1'),
    "an object": ("COMPLETED", HEAD + ',"output":{"x":[1,{"y":"}"}]}'),
    "what looks like a record": ("COMPLETED", f'{HEAD},"output":{json.dumps(LIKE_A_RECORD, separators=(",", ":"))}'),
    "a tuple": ("COMPLETED", HEAD + ',"pickle":"gASVBwAA+/==","output":[1,2]'),
    "a NaN": ("COMPLETED", HEAD + ',"nonfinite":2,"output":[null,null]'),
    "a NaN after a failure": ("COMPLETED", f'{HEAD},"failures":["{"x" * 400}"],"nonfinite":2,"output":[null,null]'),
    "what looks like a NaN": ("COMPLETED", HEAD + ',"scratch":[["f",3]],"output":{"x":1,"nonfinite":2}'),
    "no JSON": ("COMPLETED", HEAD + ',"pickle":"gASV","unexportable":"it is a set","repr":"{1}"'),
    "a file": ("COMPLETED", HEAD + ',"output_file":"output.0.json"'),
    "what was left": ("COMPLETED", HEAD + ',"scratch":[["f",3]],"output":"left"'),
    "an older record": ("COMPLETED", ',"output":"\\u00e9"'),
    "a strange node": ("COMPLETED", HEAD.replace("n.ex", 'n\\".ex') + ',"output":1'),
    "an error": ("ERRORED", HEAD + ',"error":{"type":"E","message":"m","frames":[],"status":"COMPLETED","output":7}'),
}


def make(home: Path, kinds: list[str | None]) -> MapView:
    """Return a map whose components have records of these kinds, in two files, some of them twice."""
    builder = DirectoryBuilder(home)
    builder.write_calls(b'{"x":1}' for _ in kinds)
    info = {"format": 1, "components": len(kinds), "uid": "u", "tag": "t", "engine": "local", "options": {}}
    builder.write_info(info)
    directory: MapDirectory = builder.move_to(home / "t")
    directory.append_submission({"submission": 0, "first_job": 0, "chunk_size": 1, "components": [[0, len(kinds)]]})
    for job in (0, 1):
        directory.job(job).mkdir()
        (directory.job(job) / "output.0.json").write_text('"large"')
    for component, kind in enumerate(kinds):
        if kind is not None:
            status, rest = KINDS[kind]
            with (directory.job(component // 20 % 2) / "records.jsonl").open("a") as file:
                file.write(record_prefix(component, status) + rest + "}\n")
    view = MapView("t", directory)
    view.refresh()
    return view


def export(view: MapView, statuses: list[ComponentStatus] | None, *, values: bool) -> tuple[Any, ...]:
    """Return what is written, and what is said of it."""
    exporter = Exporter(view, statuses=statuses, default="null")
    stream = io.BytesIO()
    exporter.write(stream, "jsonl", values_only=values)
    return stream.getvalue(), exporter.nonfinite, exporter.unexportable


def one_by_one(kinds: list[str | None], *, values: bool) -> bytes:
    """Return what is to be written of completed and errored components, in the plainest way."""
    lines = []
    for component, kind in enumerate(kinds):
        if kind == "an error" and not values:
            lines.append({"component": component, "status": "ERRORED", "error": {"type": "E", "message": "m"}})
        elif kind is not None and kind != "an error":
            record = json.loads(record_prefix(component, "COMPLETED") + KINDS[kind][1] + "}")
            output = "large" if kind == "a file" else record.get("output")
            line = {"component": component, "status": "COMPLETED", "output": output}
            if kind == "no JSON":
                line["reason"] = "it is a set"
            lines.append(output if values else line)
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.sampled_from([None, *KINDS]), st.integers(1, 30)), min_size=1, max_size=6),
    values=st.booleans(),
)
def test_many_records_are_exported_as_one_is(kinds: list[tuple[str | None, int]], values: bool) -> None:
    """Whatever records follow each other, what is exported of them is the same as of each alone."""
    all_kinds = list(itertools.chain.from_iterable([kind] * number for kind, number in kinds))
    home = Path(tempfile.mkdtemp())
    finished = [ComponentStatus.COMPLETED, ComponentStatus.ERRORED]
    try:
        view = make(home, all_kinds)
        text, nonfinite, unexportable = export(view, finished, values=values)
        expected = one_by_one(all_kinds, values=values)
        assert [json.loads(line) for line in text.splitlines()] == [json.loads(line) for line in expected.splitlines()]
        assert nonfinite == 2 * (all_kinds.count("a NaN") + all_kinds.count("a NaN after a failure"))
        assert unexportable == [c for c, kind in enumerate(all_kinds) if kind == "no JSON"]
        for statuses in (None, [ComponentStatus.ERRORED], [ComponentStatus.COMPLETED]):
            at_once = export(view, statuses, values=values)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("htrun.export._WORTH_CUTTING", 1_000)
                assert export(view, statuses, values=values) == at_once
    finally:
        shutil.rmtree(home)


def test_a_record_without_its_middle(tmp_path: Path) -> None:
    """A damaged record among others takes nothing from the one that follows it."""
    view = make(tmp_path, ["a number"] * 20)
    path = view.directory.job(0) / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[7] = lines[7][:60] + b',"output":7}\n'
    path.write_bytes(b"".join(lines))
    view = MapView("t", view.directory)
    view.refresh()
    text, _, _ = export(view, [ComponentStatus.COMPLETED], values=False)
    assert [json.loads(line)["component"] for line in text.splitlines()] == list(range(20))


def test_what_workers_record_is_cut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of records as workers write them, of whatever values, none is looked at by itself for its output or usage."""
    (tmp_path / "m.py").write_text("def f(x): return [x, str(x), (x,), {'x': x}, None][x % 5]")
    number = 100
    (tmp_path / "calls").write_text("".join(f"[{n}]\n" for n in range(number)))
    view = make(tmp_path, [None] * number)
    here = str(tmp_path)
    reference = {"module": "m", "qualname": "f", "file": "m.py"}
    supervisor = Supervisor(
        Spec(reference, here, lambda _: "", attempts=Attempts(), checkpoints=here),
        Calls(str(tmp_path / "calls"), index_lines(str(tmp_path / "calls")), range(number)),
        [(0, number)],
        [(str(view.directory.job(0)), str(tmp_path / "scratch"))],
        chunk_size=number,
    )
    assert supervisor.run()
    view.refresh()
    monkeypatch.setattr(Exporter, "_row", lambda *_: pytest.fail("a record was taken for a special one"))
    monkeypatch.setattr("htrun.index.read_usage", lambda *_: pytest.fail("a record was taken for a special one"))
    assert view.total_usage().total_wall_s > 0
    for values in (False, True):
        text, _, _ = export(view, [ComponentStatus.COMPLETED], values=values)
        rows = [json.loads(line) for line in text.splitlines()]
        outputs = [[n, str(n), [n], {"x": n}, None][n % 5] for n in range(number)]
        assert [row if values else row["output"] for row in rows] == outputs
