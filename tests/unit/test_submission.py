"""What goes to an HTCondor pool, as text; no pool is needed for it."""

from __future__ import annotations

import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.config import Config
from htrun.delivery import Place, arguments, escape, get_delivery
from htrun.engines.base import choose_engine, get_engine
from htrun.engines.htcondor.jobs import format_description, submit_description, write_jobs
from htrun.exceptions import EngineError, UnknownEngine, UnknownPythonDeliveryMethod, UsageError
from htrun.remaps import Remaps
from htrun.store import DirectoryBuilder, MapDirectory
from htrun.submissions import Submission

INFO = {"tag": "scan", "uid": "0123abcd"}


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("$(x)", "$(DOLLAR)(x)"),
        ("$ENV(HOME)", "$(DOLLAR)ENV(HOME)"),
        ("5 $", "5 $"),
        ("$HOME $$ (x)", "$HOME $$ (x)"),
        ("a,b;c\"d'e\\ü", "a,b;c\"d'e\\ü"),
    ],
)
def test_text_is_taken_literally(text: str, escaped: str) -> None:
    """A ``$`` that would begin a macro is written as one; everything else stays as it is."""
    assert escape(text) == escaped


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "$$(Memory)", "$$([1+1])", "$$ENV(x)", "$(DOLLAR)", "$(dollar)"])
def test_what_no_submit_description_can_hold_is_refused(text: str) -> None:
    """Text that cannot be written in a submit description is an error that shows it."""
    with pytest.raises(EngineError) as caught:
        escape(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("htrun.pyz",), '"htrun.pyz"'),
        (("-c", "echo $(x)", "a'b", 'a"b', ""), "\"-c 'echo $(DOLLAR)(x)' 'a''b' a\"\"b ''\""),
    ],
)
def test_arguments_are_quoted_as_condor_submit_reads_them(words: tuple[str, ...], text: str) -> None:
    """Words are quoted as condor_submit(1) says under "arguments"."""
    assert arguments(*words) == text


def test_the_submit_description() -> None:
    """The submit description names paths of ours only, returns records on eviction, and can be found by its map."""
    description = submit_description(
        INFO, Submission(2, 10, 3, ((0, 7),)), "/data/my maps/$(x)/scan/.htrun", {"executable": "/bin/python"}
    )
    assert format_description(description) == (
        "universe = vanilla\n"
        "executable = /bin/python\n"
        "batch_name = scan\n"
        "initialdir = /data/my maps/$(DOLLAR)(x)/scan/.htrun/jobs/$(htrun_job)/.\n"
        "transfer_input_files = ../../htrun.pyz, calls.jsonl$(htrun_files)\n"
        "should_transfer_files = YES\n"
        "when_to_transfer_output = ON_EXIT_OR_EVICT\n"
        "output = runner.log\n"
        "error = runner.log\n"
        "log = /data/my maps/$(DOLLAR)(x)/scan/.htrun/events.log\n"
        "want_io_proxy = true\n"
        "on_exit_remove = ExitBySignal =!= true || NumJobCompletions > 2\n"
        "request_cpus = 1\n"
        'My.HtrunMap = "0123abcd"\n'
        "My.HtrunSubmission = 2\n"
    )


def test_the_submit_description_without_transfer() -> None:
    """Where nothing is transferred, nothing is said about what, and when."""
    info = {**INFO, "options": {"submit": {"should_transfer_files": "NO"}}}
    description = submit_description(info, Submission(2, 10, 3, ((0, 7),)), "/data/scan/.htrun", {})
    assert description["should_transfer_files"] == "NO"
    assert [name for name in description if "transfer" in name] == ["should_transfer_files"]


@pytest.mark.parametrize("name", ["assume", "shared"])
def test_a_delivery_says_how_to_start_the_runner(name: str, tmp_path: Path) -> None:
    """Each delivery method gives an executable that HTCondor does not transfer, and its arguments."""
    place = Place("scan", MapDirectory(tmp_path), tmp_path, Config(tmp_path))
    commands = get_delivery(name).prepare(place).submit
    assert commands["executable"].startswith("/")
    assert commands["transfer_executable"] == "false"
    assert "htrun.pyz" in commands["arguments"]


@pytest.mark.parametrize(
    ("alternate", "fetched", "name"),
    [
        ("/srv/python.tgz", "/srv/python.tgz", "python.tgz"),
        ("https://h/a/python.tgz", "https://h/a/python.tgz", "python.tgz"),
        ("https://h/a,b/python.tgz?sign=x/y", "https://h/a%2Cb/python.tgz?sign=x/y", "python.tgz"),
    ],
)
def test_a_transplant_from_elsewhere(alternate: str, fetched: str, name: str, tmp_path: Path) -> None:
    """The job unpacks what HTCondor calls the file: the query of a URL is no part of its name."""
    settings = Config(tmp_path, assume_exists=True, alternate_input_path=alternate)
    place = Place("scan", MapDirectory(tmp_path), tmp_path, settings)
    commands = get_delivery("transplant").prepare(place).submit
    assert commands["transfer_input_files"] == fetched
    assert commands["arguments"].endswith(f' htrun.pyz {name}"')


@pytest.mark.parametrize("text", ["assume:", "shared:python3"])
def test_an_argument_that_means_nothing_is_refused(text: str) -> None:
    """A delivery method that needs no argument takes none."""
    with pytest.raises(UsageError, match="takes no argument"):
        get_delivery(text)


def test_what_is_not_installed_is_told_with_what_is() -> None:
    """A name that no engine or delivery method has is an error that lists those there are."""
    with pytest.raises(
        UnknownPythonDeliveryMethod, match="there are auto, assume, docker, packaged, shared, singularity, transplant"
    ):
        get_delivery("ferry")
    with pytest.raises(UnknownEngine, match="there are auto, htcondor, local"):
        get_engine("slurm")


def test_auto_is_this_machine_where_there_is_no_schedd(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine ``auto`` says why it chose what it chose."""
    monkeypatch.setenv("CONDOR_CONFIG", "/nowhere/condor_config")
    engine, why = choose_engine("auto")
    assert engine.name == "local"
    assert "/nowhere/condor_config" in why
    assert choose_engine("local")[1] == "as asked"


@pytest.mark.parametrize(
    ("components", "size", "chunks"),
    [
        (((0, 5),), 2, [((0, 2),), ((2, 4),), ((4, 5),)]),
        (((0, 1), (3, 4), (6, 9)), 2, [((0, 1), (3, 4)), ((6, 8),), ((8, 9),)]),
        (((2, 4),), 10, [((2, 4),)]),
    ],
)
def test_components_are_cut_into_jobs(components: Any, size: int, chunks: Any) -> None:
    """Every component of a submission is in exactly one of its jobs, in order."""
    submission = Submission(1, 7, size, components)
    assert submission.jobs == len(chunks)
    assert [submission.chunk(job) for job in range(7, 7 + submission.jobs)] == chunks


@pytest.mark.parametrize(
    ("components", "size", "chunks"),
    [
        (((0, 3), (3, 5), (5, 6)), 2, [(0, 2), (2, 3), (3, 5), (5, 6)]),
        (((0, 1), (1, 2), (7, 9)), 5, [(0, 1), (1, 2), (7, 9)]),
    ],
)
def test_jobs_keep_to_their_ranges(components: Any, size: int, chunks: Any) -> None:
    """Where ranges are kept apart, no job has components of two of them."""
    submission = Submission(1, 7, size, components, apart=True)
    assert submission.jobs == len(chunks)
    assert [submission.chunk(job) for job in range(7, 7 + submission.jobs)] == [(chunk,) for chunk in chunks]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 7), st.booleans())
def test_every_component_is_in_one_job(sizes: list[int], size: int, apart: bool) -> None:
    """The jobs of a submission have all of its components, in order, and none has more than the chunk size."""
    stops = list(itertools.accumulate(n + 1 for n in sizes))
    components = tuple((stop - n, stop) for n, stop in zip(sizes, stops, strict=True))
    submission = Submission(0, 3, size, components, apart=apart)
    jobs = [submission.chunk(job) for job in range(3, 3 + submission.jobs)]
    expected = [n for start, stop in components for n in range(start, stop)]
    assert [n for job in jobs for start, stop in job for n in range(start, stop)] == expected
    assert all(0 < sum(stop - start for start, stop in job) <= size for job in jobs)


def test_options_of_users_and_ours() -> None:
    """Users' options stand beside ours and override no more than what jobs ask for; requirements add up."""
    submit = {"request_cpus": "2", "rank": "Memory", "docker_image": "theirs", "requirements": "a || b"}
    description = submit_description(
        {**INFO, "options": {"submit": submit}},
        Submission(0, 0, 1, ((0, 2),)),
        "/x/.htrun",
        {"executable": "/bin/python", "docker_image": "ours", "requirements": "HasDocker"},
        ["request_memory", "MY.Odd"],
    )
    assert description["request_cpus"] == "2"
    assert description["rank"] == "Memory"
    assert description["docker_image"] == "ours"
    assert description["requirements"] == "(a || b) && (HasDocker)"
    assert description["request_memory"] == "$(htrun_option0)"
    assert description["MY.Odd"] == "$(htrun_option1)"


def test_item_data_has_the_values_of_variadic_options(tmp_path: Path) -> None:
    """A job's item has its components' values, and the first of its components."""
    builder = DirectoryBuilder(tmp_path)
    builder.write_calls([b"[1]", b"[2]", b"[3]"])
    builder.write_options({"request_memory": ["1", "1", "2"], "MY.Odd": ['"a, b"', '"a, b"', ""]})
    builder.write_sources([], {})
    builder.write_info({"format": 1, "components": 3, "target": {"reference": {}}, **INFO})
    directory = builder.move_to(tmp_path / "scan")
    items = write_jobs(directory, Submission(0, 0, 5, ((0, 2), (2, 3)), apart=True))
    assert [list(item.values()) for item in items] == [["0", "", "1", '"a, b"', "0"], ["1", "", "2", "", "2"]]
    assert list(items[0]) == ["htrun_job", "htrun_files", "htrun_option0", "htrun_option1", "component"]


def test_item_data_has_urls_and_where_output_files_go(tmp_path: Path) -> None:
    """URLs stand in it as they are sent; jobs say in their calls under which names they leave files for URLs."""
    builder = DirectoryBuilder(tmp_path)
    builder.write_calls([b'["x"]\t[["f0","x"],["f1","y"]]', b'["x"]\t[["f1","y"]]', b"[3]"])
    urls = {"f0": "https://h/x%2C?v=1", "f1": "https://h/y"}
    builder.write_files({"id": name, "path": url, "given": url} for name, url in urls.items())
    builder.write_sources([], {})
    to = [
        {"a b": "https://h/$(component)/", "l": "local"},
        {"l": "local"},
        {"c": "davs://b/x=$(component)", "d": "http://h/"},
    ]
    builder.write_remaps(Remaps("/here", each=to))
    builder.write_info({"format": 1, "components": 3, "target": {"reference": {}}, **INFO})
    directory = builder.move_to(tmp_path / "scan")
    assert [directory.remaps(n) for n in range(3)] == [
        {"a b": "https://h/0/a%20b", "l": "/here/local"},
        {"l": "/here/local"},
        {"c": "davs://b/x=2", "d": "http://h/d"},
    ]
    submission = Submission(0, 0, 1, ((0, 3),))
    items = write_jobs(directory, submission)
    assert [item["htrun_files"] for item in items] == [", https://h/x%2C?v=1, https://h/y#/f1", ", https://h/y#/f1", ""]
    nothing = "remap.none=remap.none"
    assert [item["htrun_input_remaps"] for item in items] == ["x%2C=f0", nothing, nothing]
    assert [item["htrun_output_remaps"] for item in items] == [
        "remap.0.0=https://h/0/a%20b",
        nothing,
        "remap.2.0=davs://b/x=2;remap.2.1=http://h/d",
    ]
    assert all(list(item)[-1] == "component" for item in items)
    headers = [json.loads((directory.job(n) / "calls.jsonl").read_bytes().splitlines()[0]) for n in range(3)]
    assert [header.get("remaps") for header in headers] == [
        {"0": {"a b": "remap.0.0"}}, None, {"2": {"c": "remap.2.0", "d": "remap.2.1"}},
    ]  # fmt: skip
    description = submit_description(directory.info, submission, "/inner", {}, item=items[0])
    assert description["My.TransferInputRemaps"] == '"$(htrun_input_remaps)"'
    assert description["transfer_output_remaps"] == '"$(htrun_output_remaps)"'


@pytest.fixture
def directory(tmp_path: Path) -> MapDirectory:
    """Return the directory of a map of three calls, two of which name the same file."""
    (tmp_path / "odd, name;.txt").write_text("data")
    (tmp_path / "tree" / "empty").mkdir(parents=True)
    (tmp_path / "tree" / "leaf").write_text("leaf")
    builder = DirectoryBuilder(tmp_path)
    builder.write_calls([b'[1]\t[["f0","odd, name;.txt"]]', b"[2]", b'[3]\t[["f0","odd, name;.txt"],["f1","tree"]]'])
    builder.write_files(
        [
            {"id": "f0", "path": str(tmp_path / "odd, name;.txt"), "given": "odd, name;.txt"},
            {"id": "f1", "path": str(tmp_path / "tree"), "given": "tree"},
        ]
    )
    (tmp_path / "m.py").write_text("def f(x): return x\n")
    builder.write_sources([(tmp_path / "m.py", "m.py")], {})
    builder.write_info(
        {
            "format": 1,
            "components": 3,
            "target": {"reference": {"module": "m", "qualname": "f", "file": None}},
            **INFO,
        }
    )
    return builder.move_to(tmp_path / "scan")


def test_what_jobs_bring_along(directory: MapDirectory) -> None:
    """A job brings the runner, its calls and their files, under names of ours; item data holds nothing of a user's."""
    items = write_jobs(directory, Submission(0, 0, 2, ((0, 3),)))
    assert items == [
        {"htrun_job": "0", "htrun_files": ", ../../stage/f0", "component": "0"},
        {"htrun_job": "1", "htrun_files": ", ../../stage/f0, ../../stage/f1", "component": "2"},
    ]
    header, *calls = (directory.job(0) / "calls.jsonl").read_bytes().splitlines()
    assert json.loads(header) == {"components": [[0, 2]]}
    assert calls == [b'[1]\t[["f0","odd, name;.txt"]]', b"[2]"]
    stage = directory.inner / "stage"
    assert (stage / "f0").read_text() == "data"
    assert (stage / "f1" / "leaf").read_text() == "leaf"
    assert (stage / "f1" / "empty").is_dir()
    assert not (stage / "f1").is_symlink()  # HTCondor refuses links to directories
    with zipfile.ZipFile(directory.inner / "htrun.pyz") as archive:
        names = set(archive.namelist())
        assert {"__main__.py", "job.json", "sources/m.py", "htrun/__init__.py", "cloudpickle/__init__.py"} <= names
        assert json.loads(archive.read("job.json"))["reference"]["module"] == "m"
    first = (directory.inner / "htrun.pyz").read_bytes()
    write_jobs(directory, Submission(0, 0, 2, ((0, 3),)))
    assert (directory.inner / "htrun.pyz").read_bytes() == first  # after a crash it is written again


def test_staging_that_was_cut_short_is_done_again(directory: MapDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill while a directory is staged leaves nothing that looks whole: the next attempt stages all of it."""
    submission = Submission(0, 0, 2, ((0, 3),))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "symlink_to", stop)
    with pytest.raises(KeyboardInterrupt):
        write_jobs(directory, submission)
    monkeypatch.undo()
    write_jobs(directory, submission)
    assert (directory.inner / "stage" / "f1" / "leaf").read_text() == "leaf"
    assert (directory.inner / "stage" / "f1" / "empty").is_dir()


def test_a_file_that_is_missing_is_staged_all_the_same(directory: MapDirectory, tmp_path: Path) -> None:
    """A link stands for a file that is not there, so that HTCondor holds the job and not the submission."""
    (tmp_path / "odd, name;.txt").unlink()
    write_jobs(directory, Submission(0, 0, 2, ((0, 3),)))
    link = directory.inner / "stage" / "f0"
    assert link.is_symlink()
    assert not link.exists()
