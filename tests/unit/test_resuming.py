"""Which calls are the same, and the results that a map takes over: whatever is done to the lines of the inputs."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.adoption import adopt, never_submitted
from htrun.filestate import state
from htrun.index import Records
from htrun.matches import match
from htrun.store import DirectoryBuilder, MapDirectory

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence
    from pathlib import Path

LINES = st.lists(
    st.sampled_from([b'{"a":1,"b":2}', b'{"b": 2, "a": 1}', b"[1]", b"[1.0]", b"[2]", b'["x"]']), max_size=12
)


def build(parent: Path, calls: Sequence[bytes], **files: str) -> MapDirectory:
    """Return the directory of a map that has these calls, and files that they name."""
    builder = DirectoryBuilder(parent)
    count = builder.write_calls(calls)
    builder.write_files({"id": name, "path": text, "given": text, "state": state(text)} for name, text in files.items())
    builder.write_info({"format": 1, "components": count, "uid": "x", "engine": "local"})
    return builder.directory


def plain(call: bytes) -> str:
    """Return what a call means."""
    return json.dumps(json.loads(call), sort_keys=True)


def find(old: MapDirectory, new: MapDirectory, good: bytearray | None = None) -> array[int]:
    """Return what is matched if all components of the earlier map are good."""
    return match(old, new, new.components, bytearray(b"\1") * old.components if good is None else good)


@given(before=LINES, now=LINES, data=st.data())
def test_as_much_is_matched_as_can_be(
    tmp_path_factory: pytest.TempPathFactory, before: list[bytes], now: list[bytes], data: st.DataObject
) -> None:
    """Each call gets a result of the same call, each result goes to one, and none that would do is left over."""
    parent = tmp_path_factory.mktemp("maps")
    good = bytearray(data.draw(st.lists(st.integers(0, 1), min_size=len(before), max_size=len(before))))
    there = [plain(call) for call, is_good in zip(before, good, strict=True) if is_good]
    taken = find(build(parent, before), build(parent, now), bytearray(good))
    pairs = [(component, source) for component, source in enumerate(taken) if source >= 0]
    assert all(plain(now[component]) == plain(before[source]) and good[source] for component, source in pairs)
    assert len({source for _, source in pairs}) == len(pairs)
    assert len(pairs) == (Counter(there) & Counter(map(plain, now))).total()
    stays = [n for n, (a, b) in enumerate(zip(before, now, strict=False)) if a == b and good[n]]
    assert [taken[n] for n in stays] == stays


def test_those_of_the_first_choice_go_first(tmp_path: Path) -> None:
    """Where a call is there several times, results that are there are taken before those that are waited for."""
    old, new = build(tmp_path, [b"[1]"] * 3), build(tmp_path, [b"[1]", b"[1]"])
    taken = match(old, new, 2, bytearray([0, 0, 1]), bytearray([1, 0, 0]))
    assert sorted(taken) == [0, 2]


@pytest.mark.parametrize("change", ["text", "touch", "path", "link", "inside", "new inside"])
def test_a_file_that_has_changed_makes_another_call(tmp_path: Path, change: str) -> None:
    """A call is another one if a file that it names, or one in a directory, has another size, time or path."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("a")
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/x").write_text("x")
    call = b'[{"$path":"a"}]\t[["f0","a"],["f1","d"]]'
    a, b, d = (str(tmp_path / name) for name in "abd")
    old = build(tmp_path, [call], f0=a, f1=d)
    assert list(find(old, build(tmp_path, [call], f0=a, f1=d))) == [0]
    assert list(find(old, build(tmp_path, [call.replace(b"f0", b"f7")], f7=a, f1=d))) == [0]
    if change == "text":
        (tmp_path / "a").write_text("longer")
    elif change == "touch":
        (tmp_path / "a").touch()
    elif change == "path":
        a = b
    elif change == "link":
        (tmp_path / "a").unlink()
        (tmp_path / "a").symlink_to("d/e/x")
    elif change == "inside":
        (tmp_path / "d/e/x").write_text("longer")
    else:
        (tmp_path / "d/e/y").touch()
    assert list(find(old, build(tmp_path, [call], f0=a, f1=d))) == [-1]


def test_a_map_of_before_states_were_kept(tmp_path: Path) -> None:
    """Files of which it is not known whether they have changed make other calls; URLs are as unknown as they are now."""
    (tmp_path / "a").write_text("a")
    calls = [b'[{"$path":"a"}]\t[["f0","a"]]', b'[{"$path":"b"}]\t[["f1","b"]]', b"[1]"]
    files = {"f0": str(tmp_path / "a"), "f1": "https://example.org/b"}
    old, new = build(tmp_path, calls, **files), build(tmp_path, calls, **files)
    rows = [json.loads(line) for line in old.files_table.read_text().splitlines()]
    old.files_table.write_text(
        "".join(json.dumps({key: row[key] for key in row if key != "state"}) + "\n" for row in rows)
    )
    assert list(find(old, new)) == [-1, 1, 2]


def record(component: int, status: str, output: Any, span: tuple[int, int], **more: Any) -> bytes:
    """Return a record as the runner writes it."""
    head = f'{{"component":{component},"status":"{status}","attempt":0,"stdout":[{span[0]},{span[1]}]'
    tail = "".join(f',"{name}":{json.dumps(value)}' for name, value in more.items())
    return f'{head}{tail},"output":{json.dumps(output)}}}\n'.encode()


def run(directory: MapDirectory, number: int, components: Sequence[int], failing: bytes = b"") -> None:
    """Give components of a map to an engine whose function returns its call, and prints it."""
    directory.append_submission(
        {
            "submission": number,
            "first_job": 100 * number,
            "chunk_size": 1,
            "components": [[c, c + 1] for c in components],
        }
    )
    for job, chosen in enumerate((components[::2], components[1::2])):
        path = directory.job(100 * number + job)
        path.mkdir()
        printed = b""
        lines = []
        for component in chosen:
            call = directory.call(component)
            span = (len(printed), len(printed) + len(call))
            printed += call
            lines.append(record(component, "ERRORED" if call == failing else "COMPLETED", call.decode(), span))
        (path / "records.jsonl").write_bytes(b"".join(lines))
        (path / "stdout").write_bytes(printed)


def read(directory: MapDirectory) -> Records:
    """Return the index of all records of a map."""
    records = Records(directory)
    for submission in directory.read_submissions()[1:]:
        records.supersede(submission.components, submission.first_job)
    for name in sorted(directory.job_names(), key=int):
        records.read(name)
    return records


@given(versions=st.lists(LINES, min_size=2, max_size=4), failing=st.sampled_from([b"", b"[1]", b"[2]"]))
def test_results_are_those_of_a_fresh_run(
    tmp_path_factory: pytest.TempPathFactory, versions: list[list[bytes]], failing: bytes
) -> None:
    """After any edits of the inputs, each followed by a run of what is left, each call has its own result and print."""
    parent = tmp_path_factory.mktemp("maps")
    old = build(parent, versions[0])
    run(old, 0, range(old.components), failing)
    for calls in versions[1:]:
        new = build(parent, calls)
        records = read(old)
        good = bytearray(outcome == 1 for outcome in records.outcomes)
        adopt(records, old, new, find(old, new, good))
        left = [component for start, stop in never_submitted(new) for component in range(start, stop)]
        there = set(range(new.components)) - set(left)
        assert all(read(new).get(component) is not None for component in there)
        run(new, len(new.read_submissions()), left, failing)
        assert never_submitted(new) == ()
        for component, found in enumerate(read(new).walk(range(new.components))):
            assert found is not None
            assert found.data["component"] == component
            assert plain(found.value()) == plain(calls[component])
            assert plain(found.printed("stdout")) == plain(calls[component])
        old = new


def test_files_of_results_are_taken_over(tmp_path: Path) -> None:
    """Large outputs and output files come along, with links as links; no file is taken that a record should not name."""
    old, new = build(tmp_path, [b"[0]", b"[1]", b"[2]"]), build(tmp_path, [b"[2]", b"[1]", b"[0]"])
    job = old.job(0)
    job.mkdir()
    (tmp_path / "secret").write_text("secret")
    (job / "output.7.json").write_text('"large"')
    (job / "records.jsonl").write_bytes(
        record(0, "COMPLETED", 0, (0, 0), files=[["f", "x", 0]])
        + b'{"component":1,"status":"COMPLETED","output_file":"output.7.json"}\n'
        + b'{"component":2,"status":"COMPLETED","output_file":"../../../secret"}\n'
    )
    old.append_submission({"submission": 0, "first_job": 0, "chunk_size": 3, "components": [[0, 3]]})
    (old.output_files / "0/sub").mkdir(parents=True)
    (old.output_files / "0/sub/x").write_text("x")
    (old.output_files / "0/link").symlink_to("sub")
    adopt(read(old), old, new, find(old, new))
    assert [path.name for path in new.output_files.iterdir()] == ["2"]
    assert (new.output_files / "2/link/x").read_text() == "x"
    assert (new.output_files / "2/link").is_symlink()
    assert (new.output_files / "2/sub/x").samefile(old.output_files / "0/sub/x")
    found = read(new).get(1)
    assert found is not None
    assert found.value() == "large"
    assert sorted(path.name for path in new.job(0).iterdir()) == ["output.7.json", "records.jsonl"]
    assert sorted(path.name for path in new.jobs.iterdir()) == ["0"]
