"""Map options: what they may be called and have as values, and what becomes of them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htrun.creation import asked_options
from htrun.engines.local.work import cpus_each
from htrun.exceptions import HtrunError, MisalignedInputData, ReservedOptionKeyword, UsageError
from htrun.input_files import InputFiles
from htrun.options import MapOptions, Resolved, cut, option_key, option_value, resolve
from htrun.remaps import Remaps
from htrun.transfers import FileTable, Landing, TransferPath

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the manual of HTMap reserves, and each alias of it that HTCondor knows (submit_utils.h, condor_attributes.h).
RESERVED = [
    "IsHTRunJob",
    "component",
    "HtrunMap",
    "HtrunSubmission",
    "htrun_job",
    "htrun_files",
    "executable",
    "Cmd",
    "transfer_executable",
    "TransferExecutable",
    "arguments",
    "args",
    "arguments2",
    "shell",
    "universe",
    "JobUniverse",
    "input",
    "stdin",
    "In",
    "output",
    "stdout",
    "Out",
    "error",
    "stderr",
    "Err",
    "transfer_input",
    "transfer_output",
    "transfer_error",
    "TransferIn",
    "TransferOut",
    "TransferErr",
    "log",
    "UserLog",
    "log_xml",
    "UserLogUseXML",
    "initialdir",
    "initial_dir",
    "Iwd",
    "job_iwd",
    "remote_initialdir",
    "RemoteIwd",
    "transfer_input_files",
    "TransferInput",
    "TransferInputFiles",
    "transfer_common_input",
    "public_input_files",
    "transfer_output_files",
    "TransferOutput",
    "TransferOutputFiles",
    "transfer_output_remaps",
    "TransferOutputRemaps",
    "file_remaps",
    "output_destination",
    "output_directory",
    "when_to_transfer_output",
    "WhenToTransferOutput",
    "preserve_relative_paths",
    "batch_name",
    "JobBatchName",
    "submit_event_notes",
    "SubmitEventNotes",
    "queue",
    "noop_job",
    "IsNoopJob",
    "skip_if_dataflow",
    "success_exit_code",
    "max_materialize",
    "JobMaterializeLimit",
    "materialize_max_idle",
    "JobMaterializeMaxIdle",
    "ClusterId",
    "ProcId",
    "JobStatus",
    "GlobalJobId",
]
FREE = [
    "request_memory",
    "request_cpus",
    "request_disk",
    "request_gpus",
    "requirements",
    "rank",
    "priority",
    "prio",
    "environment",
    "getenv",
    "accounting_group",
    "concurrency_limits",
    "max_retries",
    "periodic_remove",
    "on_exit_hold",
    "retry_request_memory",
    "docker_image",
    "container_image",
    "stream_output",
    "leave_in_queue",
    "notification",
    "notify_user",
    "submit_event_user_notes",
    "my_log",
    "inputs",
    "transfer_plugins",
    "+LogAll",
    "MY.Project",
    "MY.output_size",
]


def spellings(name: str) -> Iterator[str]:
    """Yield what is the same option to HTCondor, or would set the same attribute of jobs."""
    for text in (name, name.upper(), name.lower(), name.title(), name.replace("_", "")):
        yield from (text, f"+{text}", f"MY.{text}", f"my.{text}", f" {text} ", f"+ {text}")


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_options_are_refused_in_every_spelling(name: str) -> None:
    """An option that is ours is refused however it is spelled, and the error names it as it was given."""
    for key in spellings(name):
        with pytest.raises(ReservedOptionKeyword) as caught:
            MapOptions(**{key: "x"})
        assert caught.value.key == key.strip()
        assert f"the option {key.strip()} is reserved: " in str(caught.value)
    with pytest.raises(ReservedOptionKeyword):
        MapOptions(custom_options={name: "x"})
    with pytest.raises(ReservedOptionKeyword):
        MapOptions()[name] = "x"
    assert name not in MapOptions()


@pytest.mark.parametrize("key", sorted(MapOptions.RESERVED_KEYS - {"should_transfer_files", "ShouldTransferFiles"}))
def test_the_reserved_keys_that_are_told_are_reserved(key: str) -> None:
    """Every key in RESERVED_KEYS is refused."""
    with pytest.raises(ReservedOptionKeyword):
        option_key(key)


@pytest.mark.parametrize("key", ["should_transfer_files", "ShouldTransferFiles", "Should_Transfer_Files"])
def test_whether_files_are_transferred_can_be_said(key: str) -> None:
    """Files are transferred or not, for all components alike; other values, and the job's attribute, are reserved."""
    assert MapOptions(**{key: "no"}) == {"should_transfer_files": "NO"}
    assert MapOptions(**{key: " Yes "}) == {"should_transfer_files": "YES"}
    for value in ("IF_NEEDED", "x", "", True):
        with pytest.raises(ReservedOptionKeyword, match="YES or NO"):
            MapOptions(**{key: value})
    with pytest.raises(UsageError, match="for all inputs alike"):
        MapOptions(**{key: ["NO", "YES"]})
    with pytest.raises(ReservedOptionKeyword, match="-o should_transfer_files=NO"):
        MapOptions(custom_options={key: "NO"})


def test_what_htmap_reserves_is_told() -> None:
    """Every key of RESERVED_KEYS in HTMap's manual (6.7) is there, spelled as it is there."""
    assert {
        *("+IsHTMapJob", "+component", "IsHTMapJob", "MY.IsHTMapJob", "MY.component", "arguments", "component"),
        *("executable", "jobbatchname", "log", "should_transfer_files", "stderr", "stdout", "submit_event_notes"),
        *("transfer_executable", "transfer_input_files", "transfer_output_files", "transfer_output_remaps", "universe"),
        "when_to_transfer_output",
    } <= MapOptions.RESERVED_KEYS


@pytest.mark.parametrize("key", FREE)
def test_other_options_are_free(key: str) -> None:
    """What does not interfere with our jobs can be asked for."""
    assert list(MapOptions(**{key: "x"}).values()) == ["x"]


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("transfer_input_files", "use input_files or fixed_input_files"),
        ("input_files", "use input_files or fixed_input_files"),
        ("TransferOutputRemaps", "use output_remaps"),
        ("JobBatchName", "tag"),
        ("arguments", "target"),
    ],
)
def test_the_error_says_what_to_use_instead(key: str, instead: str) -> None:
    """Where there is another way to what is asked for, the error names it."""
    with pytest.raises(ReservedOptionKeyword, match=instead):
        option_key(key)


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("Request_Memory", "request_memory"),
        ("RequestMemory", "request_memory"),
        ("request_cpu", "request_cpus"),
        ("RequestGPUs", "request_gpus"),
        ("+Project", "MY.Project"),
        ("my.Project", "MY.Project"),
        (" + Project ", "MY.Project"),
        ("Foo", "foo"),
    ],
)
def test_an_option_has_one_spelling(key: str, kept: str) -> None:
    """Options are found under any of their spellings, and kept under one."""
    options = MapOptions(**{key: "1"})
    assert list(options) == [kept]
    assert options[key] == options[kept] == "1"
    assert key in options
    del options[key]
    assert not options


@pytest.mark.parametrize("key", ["", "a b", "1a", "a=b", "ä", "a\nb", "$(x)", "+", "MY.", "MY.1", "a.", "a-b"])
def test_names_that_no_option_can_have(key: str) -> None:
    """What HTCondor cannot take for the name of a command is refused."""
    with pytest.raises(UsageError):
        MapOptions(**{key: "x"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2GB", "2GB"),
        (Path("a/key"), "a/key"),
        (" x ", "x"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (1.5, "1.5"),
        ('"bar"', '"bar"'),
        ("$(component)", "$(component)"),
        ("", ""),
        ((n for n in (1, "2", True)), ["1", "2", "true"]),
        ([], []),
        (range(2), ["0", "1"]),
        ({1: 0, 2: 0}.keys(), ["1", "2"]),
    ],
)
def test_values_stand_as_in_a_submit_file(value: Any, text: Any) -> None:
    """A string, a number or a bool is a fixed option; any other iterable is a variadic one."""
    assert MapOptions(foo=value)["foo"] == text


@pytest.mark.parametrize(
    "value",
    [None, b"x", {"a": 1}, {"x"}, object(), float("nan"), float("inf"), [None], [["x"]], "a\nb", "a\rb",
     "a\0b", "a\x1fb", "a\\", "\ud800", ["fine", "a\nb"], ["fine", " "]],
)  # fmt: skip
def test_values_that_no_option_can_have(value: Any) -> None:
    """What cannot be written in a submit description is refused, with the option's name."""
    with pytest.raises(UsageError, match=r"^foo: "):
        MapOptions(foo=value)


@pytest.mark.parametrize(
    "value", ["2048", "2GB", "1.5 TB", "512 mib", "10g", "ifThenElse(x, 1, 2)", "$(mem)", "1024 * 2"]
)
def test_sizes_and_expressions(value: str) -> None:
    """A size has a number and perhaps a unit; ClassAd expressions are left to HTCondor."""
    assert option_value("request_memory", value) == value
    assert option_value("request_disk", value) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [("request_memory", "2 parsecs"), ("request_disk", "-1"), ("request_cpus", "0"), ("request_cpus", "1.5"),
     ("request_gpus", "2GB"), ("request_memory", "1.2.3")],
)  # fmt: skip
def test_amounts_that_cannot_be(key: str, value: str) -> None:
    """An amount that HTCondor would refuse, or take for something else, is an error that says how it is written."""
    with pytest.raises(UsageError, match=f"{key}: '{value}' is not right: "):
        MapOptions(**{key: value})


def test_options_are_shown_as_they_are_kept() -> None:
    """The representation is that of a dict, as HTMap's."""
    assert repr(MapOptions()) == "{}"
    assert repr(MapOptions(Foo=1, custom_options={"Bar": '"x"', "+Baz": True})) == (
        "{'foo': '1', 'MY.Bar': '\"x\"', 'MY.Baz': 'true'}"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retries": 2}, "{'retries': 2}"),
        ({"timeout": "5m", "request_memory": "1GB"}, "{'request_memory': '1GB', 'timeout': 300.0}"),
        ({"fixed_input_files": "a"}, "{'fixed_input_files': ['a']}"),
        ({"input_files": []}, "{'input_files': []}"),
        ({"output_remaps": {"a": "b"}}, "{'output_remaps': {'a': 'b'}}"),
    ],
)
def test_options_are_what_is_asked_for(options: dict[str, Any], text: str) -> None:
    """How components are run, and their files, are shown, make options true, and tell them from others."""
    asked = MapOptions(**options)
    assert repr(asked) == text
    assert asked
    assert asked == MapOptions(**options)
    assert asked == MapOptions.merge(asked)
    assert asked != MapOptions()
    assert not MapOptions()


def test_an_option_cannot_be_given_twice() -> None:
    """Two spellings of one option in one place are an error; setting it later replaces it."""
    for twice in ({"request_memory": 1, "RequestMemory": 2}, {"+a": 1, "MY.A": 2}):
        with pytest.raises(UsageError, match="given twice"):
            MapOptions(**twice)
    with pytest.raises(UsageError, match="given twice"):
        MapOptions(custom_options={"a": 1}, **{"+A": 2})
    options = MapOptions(**{"+a": 1})
    options["MY.A"] = 2
    assert dict(options) == {"MY.a": "2"}


def test_merging_prefers_the_left() -> None:
    """The leftmost value of an option counts, whatever the spelling; what is merged stays as it was."""
    left = MapOptions(request_memory="1GB", **{"+Project": "1"})
    right = MapOptions(RequestMemory="2GB", request_disk="3GB", **{"my.project": "2"})
    merged = MapOptions.merge(left, right, MapOptions(request_disk=4, rank="x"))
    assert dict(merged) == {"request_memory": "1GB", "MY.Project": "1", "request_disk": "3GB", "rank": "x"}
    assert dict(left) == {"request_memory": "1GB", "MY.Project": "1"}
    assert MapOptions.merge() == {}


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        (["a"], "a"),
        (["a", "b"], "(a) && (b)"),
        (["a", "b || c", "d"], "((a) && (b || c)) && (d)"),
        (["a", ["b", "c"]], ["(a) && (b)", "(a) && (c)"]),
        ([["a", "b"], "c"], ["(a) && (c)", "(b) && (c)"]),
        ([["a", "b"], ["c", "d"]], ["(a) && (c)", "(b) && (d)"]),
        ([["a", "b"], ""], ["a", "b"]),
        (["", "b"], "b"),
    ],
)
def test_all_requirements_have_to_be_met(given: list[Any], merged: Any) -> None:
    """Requirements are combined, for each component where any are variadic."""
    assert MapOptions.merge(*(MapOptions(Requirements=value) for value in given))["requirements"] == merged


def test_requirements_of_different_lengths() -> None:
    """Variadic requirements that do not go together are an error."""
    with pytest.raises(MisalignedInputData, match="2 components in one place, for 3"):
        MapOptions.merge(MapOptions(requirements=["a", "b"]), MapOptions(requirements=["a", "b", "c"]))


def test_merging_files_and_remaps() -> None:
    """Fixed input files add up, each of them once; input files and output remaps are those of the leftmost."""
    to = {"out": TransferPath("x", "s3", "bucket")}
    first = MapOptions(fixed_input_files=["a", "b"], output_remaps=to)
    second = MapOptions(fixed_input_files="b", input_files=["c"], output_remaps=[{}])
    third = MapOptions(fixed_input_files=[Path("d"), TransferPath("e")], input_files=["f"])
    merged = MapOptions.merge(first, second, third)
    assert merged.fixed_input_files == ["a", "b", "d", TransferPath("e")]
    assert merged.input_files == [["c"]]
    assert merged.output_remaps == {"out": "s3://bucket/x"}
    assert first.fixed_input_files == ["a", "b"]


@pytest.mark.parametrize(
    "options",
    [{"input_files": "a"}, {"input_files": Path("a")}, {"input_files": 3}, {"input_files": [3]}, {"fixed_input_files": 3},
     {"fixed_input_files": [["a"]]}, {"fixed_input_files": [b"a"]}, {"output_remaps": "x"}, {"output_remaps": 3}, {"output_remaps": [["a"]]},
     {"output_remaps": {"a/b": "x"}}, {"output_remaps": {3: "x"}}, {"output_remaps": {"a": 3}}],
)  # fmt: skip
def test_files_that_cannot_be(options: dict[str, Any]) -> None:
    """Files are given as paths, and input files for each component."""
    with pytest.raises(UsageError, match=f"^{next(iter(options))}: "):
        MapOptions(**options)


def test_options_are_resolved() -> None:
    """Fixed options and variadic ones are told apart; what names the component is variadic as well."""
    options = MapOptions(a=1, b=["x", "y"], c="$(component)", d="$INT(component,%05d)", e="$(components) component")
    assert resolve(options, 2, Path("/x")) == Resolved(
        {"a": "1", "e": "$(components) component"},
        {"b": ["x", "y"], "c": ["$(component)"] * 2, "d": ["$INT(component,%05d)"] * 2},
        Remaps("/x"),
    )


@pytest.mark.parametrize(
    ("options", "count", "said"),
    [
        ({"request_memory": ["1", "2"]}, 3, "the option request_memory has 2 values, but there are 3 inputs"),
        ({"request_memory": ["1", "2"]}, 1, "the option request_memory has 2 values, but there is 1 input"),
        ({"input_files": ["a"]}, 2, "the option input_files has 1 value, but there are 2 inputs"),
        ({"output_remaps": [{}]}, 2, "the option output_remaps has 1 value, but there are 2 inputs"),
    ],
)
def test_lengths_that_do_not_match(options: dict[str, Any], count: int, said: str) -> None:
    """The error names the option, its length, and the number of inputs."""
    with pytest.raises(MisalignedInputData) as caught:
        resolve(MapOptions(**options), count, Path("/"))
    assert str(caught.value) == said


def test_files_with_credentials_are_found_from_here(tmp_path: Path) -> None:
    """They are relative to the current directory, not to where HTCondor would look, and have to be there."""
    (tmp_path / "key").write_text("key")
    option = "aws_access_key_id_file"
    assert resolve(MapOptions(aws_access_key_id_file="key"), 1, tmp_path).fixed == {option: str(tmp_path / "key")}
    each = resolve(MapOptions(aws_access_key_id_file=["key", "$(component)"]), 2, tmp_path)
    assert each.variadic == {option: [str(tmp_path / "key"), "$(component)"]}
    with pytest.raises(UsageError, match=f"^{option}: none: no such file or directory$"):
        resolve(MapOptions(aws_access_key_id_file="none"), 1, tmp_path)


@given(st.lists(st.sampled_from("abc"), min_size=1), st.lists(st.booleans()), st.data())
def test_ranges_are_cut_where_options_change(values: list[str], other: list[bool], data: st.DataObject) -> None:
    """Within a range all values are the same, ranges cover the same components, and none could be longer."""
    second = [str(flag) for flag in (other * len(values) or [True] * len(values))[: len(values)]]
    begin = data.draw(st.integers(0, len(values) - 1))
    ranges = cut(((begin, len(values)),), {"a": values, "b": second})
    assert [n for start, stop in ranges for n in range(start, stop)] == list(range(begin, len(values)))
    rows = list(zip(values, second, strict=True))
    assert all(len(set(rows[start:stop])) == 1 for start, stop in ranges)
    assert all(rows[a] != rows[c] for (a, _), (c, _) in itertools.pairwise(ranges))


def test_what_names_its_component_is_cut_everywhere() -> None:
    """A value that names the component differs for each, though it reads the same."""
    assert cut(((0, 5),), {"a": ["x", "x", "$(Component)", "$(Component)", "x"]}) == (
        (0, 2), (2, 3), (3, 4), (4, 5),
    )  # fmt: skip


def test_input_files_are_attached_to_calls(tmp_path: Path) -> None:
    """A call lists the option's files under their own names, before the files of its arguments."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).write_text(name)
    table = FileTable()
    argument = table.find(tmp_path / "d", "d")
    options = MapOptions(fixed_input_files="a", input_files=[["b", TransferPath("c")], [], [tmp_path / "a"]])
    files = InputFiles(options, table, tmp_path)
    calls = [b"[1]", b'[2]\t[["%b","1/a"]]' % argument.id.encode(), b"[3]"]
    attached = [line.split(b"\t") for line in files.attach(calls)]
    assert [arguments for arguments, _ in attached] == [b"[1]", b"[2]", b"[3]"]
    names = {entry.id: entry.given for entry in table}
    assert [[(names[i], name) for i, name in json.loads(listed)] for _, listed in attached] == [
        [("a", "a"), ("b", "b"), ("c", "c")],
        [("a", "a"), ("d", "1/a")],
        [("a", "a")],
    ]
    assert files.names(0) == {"a", "b", "c"}
    assert files.names(7) == files.fixed_names == {"a"}
    assert list(InputFiles(MapOptions(), table, tmp_path).attach(calls)) == calls


def test_files_of_arguments_land_elsewhere(tmp_path: Path) -> None:
    """A name that an option's file has is taken, as a file's and as a directory's."""
    (tmp_path / "a").write_text("")
    file = FileTable().find(tmp_path / "a", "a")
    assert Landing().place(file) == "a"
    assert Landing(["a"]).place(file) == "1/a"
    assert Landing(["a", "1"]).place(file) == "2/a"


def test_all_that_is_wrong_with_input_files_is_told(tmp_path: Path) -> None:
    """Missing files, bad URLs and files of one name are told at once; the same file twice is no error."""
    for name in ("a", "x/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    options = MapOptions(
        fixed_input_files=["a", "nope", "./a"], input_files=["x/a", TransferPath("k/", "https", "h"), ["a", "a"]]
    )
    with pytest.raises(UsageError) as caught:
        InputFiles(options, FileTable(), tmp_path)
    assert str(caught.value).splitlines() == [
        "an input file cannot be brought along: no such file: nope",
        "the input files a and x/a have the same name, by which a component finds them",
        "an input file cannot be brought along: a URL that names no file: https://h/k/",
    ]


def test_files_may_be_missing_where_nobody_checks(tmp_path: Path) -> None:
    """A table can take files that are not there, since they may come before they are needed."""
    table = FileTable(must_exist=False)
    assert InputFiles(MapOptions(fixed_input_files="nope/x"), table, tmp_path).fixed_names == {"x"}
    (tmp_path / "link").symlink_to("nowhere")
    assert table.find(tmp_path / "link", "link").name == "link"
    with pytest.raises(UsageError, match="empty"):
        table.find(tmp_path / "x", "")


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_is_given_is_kept_or_refused(key: str, value: str) -> None:
    """Any name and value make an option that a submit description can hold on one line, or an error of ours."""
    try:
        options = MapOptions(**{key: value})
    except HtrunError:
        return
    (line,) = [f"{k} = {v}" for k, v in options.items()]
    assert len(line.splitlines()) == 1 or not set(line) & set("\r\n\x1f\0")
    assert not line.endswith("\\")


def test_what_the_settings_ask_comes_last() -> None:
    """Options of the settings are defaults: what a map asks itself takes priority."""
    settings: Any = SimpleNamespace(map_options={"request_memory": "1GB", "request_disk": "2GB", "+project": "1"})
    request: Any = SimpleNamespace(map_options=MapOptions(request_memory="3GB"))
    asked = asked_options(request, settings)
    assert dict(asked) == {"request_memory": "3GB", "request_disk": "2GB", "MY.project": "1"}


@pytest.mark.parametrize(
    ("submit", "variadic", "cpus"),
    [
        ({}, {}, 1),
        ({"request_cpus": "4"}, {}, 4),
        ({"request_cpus": "$(x)"}, {}, 1),
        ({"request_cpus": "0"}, {}, 1),
        ({}, {"request_cpus": ["1", "3", "2", ""]}, 3),
    ],
)
def test_cpus_that_a_component_asks_for(submit: dict[str, str], variadic: dict[str, list[str]], cpus: int) -> None:
    """The local engine goes by the largest number; what is an expression counts as one CPU."""
    directory: Any = SimpleNamespace(submit_options=submit, variadic_options=variadic)
    assert cpus_each(directory) == cpus


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("chunk_size", "12", 12),
        ("chunk_size", "auto", "auto"),
        ("retries", 0, 0),
        ("max_idle", np.int64(3), 3),
        ("timeout", "90", 90.0),
        ("timeout", "1.5h", 5400.0),
        ("timeout", 0.25, 0.25),
    ],
)
def test_a_policy_is_kept_beside_the_submit_commands(key: str, value: object, kept: object) -> None:
    """What says how components are run is read from text and from Python, and is no submit command."""
    options = MapOptions(**{key: value})
    assert options.policy == {key: kept}
    assert list(options) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chunk_size", 0),
        ("chunk_size", "many"),
        ("retries", -1),
        ("retries", 1.5),
        ("max_jobs", True),
        ("timeout", 0),
        ("timeout", "nan"),
        ("timeout", "5 weeks"),
        ("timeout", float("inf")),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(key: str, value: object) -> None:
    """What is wrong is named by its option."""
    with pytest.raises(UsageError, match=f"^{key}: "):
        MapOptions(**{key: value})


def test_policies_are_merged_as_options_are() -> None:
    """Of what is said in several places the first counts."""
    merged = MapOptions.merge(MapOptions(retries=1), MapOptions(retries=2, timeout=3))
    assert merged.policy == {"retries": 1, "timeout": 3.0}
