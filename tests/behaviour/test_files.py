"""Files that components bring along, and the names that users give to files and directories."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

import htrun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.behaviour.conftest import Shell

    Shared = Callable[..., tuple[Shell, Any]]

NAMES = [
    "with space",
    " space before",
    "space after ",
    "two  spaces",
    "tab\there",
    "line\nbreak",
    "carriage\rreturn",
    "it's",
    'dou"ble"',
    "comma,comma",
    "semi;colon",
    "$(macro)",
    "$$(target)",
    "$HOME",
    "${HOME}",
    "$(DOLLAR)",
    "equal=sign",
    "-dash",
    "--args",
    "*",
    "?",
    "[abc]",
    "{a,b}",
    "~",
    "#hash",
    "back\\slash",
    "per%cent",
    "%41",
    "colon:colon",
    "pipe|amp&",
    "<angle>",
    "`tick`",
    "ünï☃𝄞",
    "e\u0301 combining",
    "\x01control",
    "\udcff\udcfe not utf-8",
    ".hidden",
    "...",
    "calls.jsonl",
    "records.jsonl",
    "htrun.pyz",
    "stdout",
    "sources",
    "f0",
    "1",
    "l" * 200,
]

READ = """
import os
from pathlib import Path

def read(path: Path, text: str = ""):
    assert isinstance(path, Path)
    assert path.resolve().is_relative_to(Path.cwd().resolve()), path
    return [path.name, path.read_text()]

def read_all(paths: list[Path]):
    return [[path.name, path.read_text()] for path in paths]
"""


def run_names(shell: Shell) -> None:
    """Give each component a file of an odd name, and one component all of them."""
    shell.write("m.py", READ)
    for number, name in enumerate(NAMES):
        shell.write(name, f"this is {number}")
    calls = shell.jsonl("in put.jsonl", [*NAMES, {"path": "with space", "text": "$(x)"}])
    shell("m.py:read", "--args", calls, "--tag", "t", "--chunk-size", 12, "--detach")
    shell("m.py:read_all", "--args", shell.jsonl("all.jsonl", [[NAMES]]), "--tag", "all", "--detach")
    shell("wait", "--all")


@pytest.mark.parametrize("number", range(len(NAMES)), ids=map(ascii, NAMES))
def test_an_input_file_may_have_any_name(shared: Shared, number: int) -> None:
    """A file arrives whatever its name, with its name and content as they are."""
    shell, _ = shared("names", run_names)
    name = re.sub("[\ud800-\udfff]", "\ufffd", NAMES[number])  # as JSON for all programs can have it
    assert shell.outputs()[number].get("output") == [name, f"this is {number}"]
    assert shell.outputs("all")[0]["output"][number] == [name, f"this is {number}"]


def run_files(shell: Shell) -> None:
    """Bring files along in every way."""
    shell.write(
        "m.py",
        """
        import os
        from pathlib import Path
        from typing import Dict, List, Optional, Union
        import htrun

        def annotated(path: Path):
            return [type(path).__name__ == "PosixPath", path.is_relative_to(Path.cwd()), path.read_text()]

        def spoils(path: Path):
            before = path.read_text()
            path.write_text("spoilt")
            return before

        def spoils_tree(path: Path):
            before = sorted(str(p.relative_to(path)) for p in path.rglob("*"))
            for file in path.rglob("*"):
                if file.is_file():
                    file.write_text("spoilt")
            (path / "new").write_text("new")
            return before

        def several(one: Path, many: List[Path], named: Dict[str, Path], maybe: Optional[Path] = None,
                    either: Union[int, Path] = 3, like: os.PathLike = "", own: "htrun.TransferPath" = ""):
            paths = [one, *many, *named.values()] + [p for p in (maybe, either, like, own) if isinstance(p, Path)]
            return [p.read_text() for p in paths]

        def tree(path: Path):
            return sorted([str(p.relative_to(path)), p.read_text() if p.is_file() else None] for p in path.rglob("*"))

        def mode(path: Path):
            return [oct(path.stat().st_mode & 0o777), path.is_symlink()]

        def plain(text):
            return [isinstance(text, Path), text.read_text() if isinstance(text, Path) else text]

        def nested(value):
            return value["deep"][1]["file"].read_text()

        def act(what, path: Path):
            return globals()[what](path)

        def listing(a: Path, b: Path):
            return sorted(str(p.relative_to(Path.cwd())) for p in Path.cwd().rglob("*") if p.is_file())
        """,
    )
    shell.write("data/a.txt", "a")
    shell.write("data/b.txt", "b")
    shell.write("other/a.txt", "other a")
    shell.write("third/a.txt", "third a")
    shell.write("empty", "")
    shell.write("tree/top.txt", "top")
    shell.write("tree/deep/er/file $(x).txt", "deep")
    (shell.cwd / "tree/empty").mkdir()
    (shell.cwd / "tree/link.txt").symlink_to("top.txt")
    (shell.cwd / "link.txt").symlink_to("data/a.txt")
    (shell.cwd / "link to tree").symlink_to("tree")
    shell.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    shell.write("locked", "locked").chmod(0o444)
    start_all(shell)
    shell("wait", "--all")


JOBS: dict[str, tuple[str, list[Any], list[str]]] = {
    "annotated": ("annotated", ["data/a.txt", "./data/../data/b.txt", "{cwd}/data/a.txt", "empty", "link.txt"], []),
    "spoils": ("spoils", ["data/a.txt"] * 4, ["--chunk-size", "4"]),
    "tree": ("tree", ["tree", "tree/", "link to tree"], []),
    "spoilstree": ("spoils_tree", ["tree"] * 2, ["--chunk-size", "2"]),
    "modes": ("mode", ["run.sh", "locked", "link.txt"], []),
    "several": (
        "several",
        [
            {"one": "data/a.txt", "many": ["data/b.txt", "other/a.txt"], "named": {"x": "third/a.txt"}},
            {
                "one": "data/a.txt",
                "many": [],
                "named": {},
                "maybe": "other/a.txt",
                "either": "third/a.txt",
                "like": "data/b.txt",
                "own": "empty",
            },
            {"one": "data/a.txt", "many": ["data/a.txt", "data/a.txt"], "named": {}, "maybe": None, "either": 4},
        ],
        [],
    ),
    "same": ("listing", [["data/a.txt", "other/a.txt"], ["data/a.txt", "data/a.txt"]], []),
    "dollar": ("plain", [{"$path": "data/a.txt"}, {"text": {"$path": "data/b.txt"}}, "data/a.txt"], []),
    "nested": ("nested", [[{"deep": [1, {"file": {"$path": "data/b.txt"}}]}]], []),
    "transfer": ("plain", ["data/a.txt", {"text": "data/b.txt"}], ["--transfer", "text"]),
    "notransfer": ("plain", ["data/a.txt", {"text": {"$path": "nowhere"}}], ["--no-transfer"]),
}


def start_all(shell: Shell) -> None:
    """Start a map for each of the JOBS."""
    for tag, (function, calls, options) in JOBS.items():
        values = [value.format(cwd=shell.cwd) if isinstance(value, str) else value for value in calls]
        shell(f"m.py:{function}", "--args", shell.jsonl(f"{tag}.jsonl", values), "--tag", tag, "--detach", *options)


def outputs(shared: Shared, tag: str) -> list[Any]:
    """Return the outputs of one of the JOBS."""
    shell, _ = shared("files", run_files)
    return [row.get("output", row) for row in shell.outputs(tag)]


def test_a_parameter_annotated_as_path_receives_the_file(shared: Shared) -> None:
    """A string for a parameter annotated ``Path`` arrives as a ``pathlib.Path`` to the file, in the scratch directory."""
    assert outputs(shared, "annotated") == [[True, True, text] for text in ("a", "b", "a", "", "a")]


def test_files_are_found_inside_containers_and_unions(shared: Shared) -> None:
    """Annotations inside list, dict, Optional and Union count as well; values of other types stay what they are."""
    assert outputs(shared, "several") == [
        ["a", "b", "other a", "third a"],
        ["a", "other a", "third a", "b", ""],
        ["a"] * 3,
    ]


def test_files_of_the_same_name_all_arrive(shared: Shared) -> None:
    """Two files of one component that have the same name both arrive; the same file twice arrives once."""
    assert outputs(shared, "same") == [["1/a.txt", "a.txt"], ["a.txt"]]


def test_a_component_gets_a_fresh_copy_of_each_file(shared: Shared) -> None:
    """What a component does to its input files reaches neither the original nor the next component of its job."""
    shell, _ = shared("files", run_files)
    assert outputs(shared, "spoils") == ["a"] * 4
    tree = ["deep", "deep/er", "deep/er/file $(x).txt", "empty", "link.txt", "top.txt"]
    assert outputs(shared, "spoilstree") == [tree] * 2
    assert (shell.cwd / "data/a.txt").read_text() == "a"
    assert (shell.cwd / "tree/top.txt").read_text() == "top"
    assert not (shell.cwd / "tree/new").exists()


def test_a_directory_arrives_whole(shared: Shared) -> None:
    """A directory is brought along with all that is in it, empty directories and linked files included."""
    whole = [
        ["deep", None],
        ["deep/er", None],
        ["deep/er/file $(x).txt", "deep"],
        ["empty", None],
        ["link.txt", "top"],
        ["top.txt", "top"],
    ]
    assert outputs(shared, "tree") == [whole] * 3


def test_programs_stay_executable_and_links_become_files(shared: Shared) -> None:
    """An executable file can be executed where it arrives, and a symbolic link arrives as what it points to."""
    program, locked, link = outputs(shared, "modes")
    assert program[0].endswith(("755", "700", "775"))
    assert locked[0][2] in "4567"
    assert link[1] is False


def test_path_objects_and_transfer_name_files_too(shared: Shared) -> None:
    """``{"$path": ...}`` anywhere, and the strings of a parameter named with ``--transfer``, are files."""
    assert outputs(shared, "dollar") == [[True, "a"], [True, "b"], [False, "data/a.txt"]]
    assert outputs(shared, "nested") == ["b"]
    assert outputs(shared, "transfer") == [[True, "a"], [True, "b"]]


def test_no_transfer_switches_detection_off(shared: Shared, local: Shell) -> None:
    """With ``--no-transfer`` the arguments arrive as they were written, and no file has to be there."""
    assert outputs(shared, "notransfer") == [[False, "data/a.txt"], [False, {"$path": "nowhere"}]]
    local.write(
        "m.py", "from pathlib import Path\n\ndef f(path: Path):\n    return [str(path), Path('in.jsonl').exists()]\n"
    )
    local.jsonl("in.jsonl", ["nowhere"])
    local("m.py:f", "--args", "in.jsonl", "--no-transfer", "--tag", "t")
    assert local.outputs()[0]["output"] == ["nowhere", False]


def test_what_components_leave_in_their_scratch_stays_there(shared: Shared) -> None:
    """Only what is asked for comes back: files that a component makes do not pile up in the map's directory."""
    shell, _ = shared("files", run_files)
    assert sorted(p.name for p in shell.path("spoilstree").iterdir()) == [
        ".htrun",
        "errors.jsonl",
        "outputs.jsonl",
        "run.json",
    ]
    assert [p for p in shell.path("spoilstree").rglob("new") if "stage" not in p.parts] == []


DIRECTORIES = [
    "with space",
    " ends with a space ",
    'it\'s "quoted"',
    "a,b;c=d",
    "$(macro) $HOME $$ $ENV(HOME) $F(x)",
    "-dash",
    "ünï☃",
    "per%cent #hash &amp; back\\slash",
    "q'\"q {a} [b] *",
    "tab\there",
]


def test_maps_may_live_in_directories_of_any_name(shell: Shell) -> None:
    """The working directory, the results directory, the registry and the tag may have odd names, all at once."""
    tag = "tag,with;odd=$(x)'ü%"
    for name in DIRECTORIES:
        place = shell.cwd / name
        place.mkdir()
        (place / "m.py").write_text("from pathlib import Path\n\ndef f(p: Path):\n    return p.read_text()\n")
        (place / "data.txt").write_text(name)
        env = {"HTRUN_DIR": str(place / "registry of" / name)}
        options = ["--tag", tag, f"--results={name}", "--detach"]
        shell("m.py:f", "--args", "-", *options, cwd=place, env=env, input='"data.txt"\n')
    for name in DIRECTORIES:
        place = shell.cwd / name
        env = {"HTRUN_DIR": str(place / "registry of" / name)}
        shell("wait", tag, env=env)
        assert '"output":"' in (place / name / tag / "outputs.jsonl").read_text()
        assert shell("collect", tag, "--values", env=env).rows == [name]
        shell("remove", "--all", env=env)
        assert os.listdir(place / name) == []


def test_a_line_break_in_the_directory_is_no_trouble_here(local: Shell) -> None:
    """On this machine even a working directory with a line break in its name is as good as any."""
    place = local.cwd / "line\nbreak\r"
    place.mkdir()
    (place / "m.py").write_text("def f(x):\n    return x\n")
    local("m.py:f", "--args", "-", "--tag", "t", cwd=place, input="1\n")
    assert local("collect", "t", "--values").rows == [1]


@pytest.mark.parametrize("name", ["line\nbreak", "$$(Memory)", "$$([1+1])", "$(DOLLAR)"], ids=ascii)
def test_a_directory_that_htcondor_cannot_name_is_refused(condor: Shell, name: str) -> None:
    """A path that no submit description can hold is refused in words, and nothing is left behind."""
    place = condor.cwd / name
    place.mkdir()
    (place / "m.py").write_text("def f(x):\n    return x\n")
    done = condor("m.py:f", "--args", "-", "--tag", "t", cwd=place, input="1\n", code=4)
    assert "HTCondor can use no name or path with" in done.stderr
    assert condor("tags").stdout == ""
    assert [p.name for p in place.iterdir() if p.name != "__pycache__"] == ["m.py"]


def test_a_directory_comes_without_the_maps_in_it(shell: Shell) -> None:
    """A directory may hold the results directory, of this map too: maps do not travel in it, nor do pipes and the like."""
    shell.write("m.py", "import os\n\ndef f(x):\n    return sorted(os.listdir(x))\n")
    shell.write("top/data.txt", "data")
    shell.write("top/results/notes.txt", "notes")
    os.mkfifo(shell.cwd / "top" / "pipe")
    options = ["--transfer", "x", "--results", "top/results"]
    for tag in ("first", "second"):
        shell("m.py:f", "--args", "-", "--tag", tag, *options, input='"top"\n"top/results"\n')
        assert shell("collect", tag, "--values").rows == [["data.txt", "results"], ["notes.txt"]]


def test_a_missing_file_is_told_before_anything_starts(local: Shell, tmp_path: Path) -> None:
    """Files that are not there, or cannot be brought along, are all told with their lines, and nothing is made."""
    local.write("m.py", "from pathlib import Path\n\ndef f(path: Path):\n    return 1\n")
    os.mkfifo(local.cwd / "pipe")
    (local.cwd / "dangling").symlink_to("nowhere")
    local.write("there", "")
    names = ["nowhere", "there", "pipe", "dangling", "", "there/below", "nul\0byte", "https://example.org/"]
    local.jsonl("in.jsonl", names)
    done = local("m.py:f", "--args", "in.jsonl", "--tag", "t", code=4)
    lines = done.stderr.splitlines()
    assert [line.split(":")[:2] for line in lines] == [["in.jsonl", str(n)] for n in (1, 3, 4, 5, 6, 7, 8)]
    assert "no such file: nowhere" in lines[0]
    assert not (local.cwd / "results").exists()
    assert local("tags").stdout == ""


def test_relative_paths_are_relative_to_the_current_directory(local: Shell) -> None:
    """Relative paths are relative to the current directory, not to that of the inputs file; the error has a hint."""
    local.write("m.py", "from pathlib import Path\n\ndef f(path: Path):\n    return path.read_text()\n")
    local.write("inputs/data.txt", "beside the inputs")
    local.write("data2.txt", "here")
    local.jsonl("inputs/in.jsonl", ["data2.txt"])
    local("m.py:f", "--args", "inputs/in.jsonl", "--tag", "t")
    assert local.outputs()[0]["output"] == "here"
    local.jsonl("inputs/bad.jsonl", ["data.txt"])
    assert "inputs/data.txt" in local("m.py:f", "--args", "inputs/bad.jsonl", code=4).stderr.partition(": ")[2]


def test_files_of_an_option_may_have_any_name(shell: Shell) -> None:
    """Input files that are no arguments keep their odd names as well."""
    shell.write(
        "m.py",
        "import os\n\ndef f(n):\n    return sorted(name for name in os.listdir() if open(name).read() == 'it')\n",
    )
    odd = [name for name in NAMES if name not in ("stdout", "1") and name.isprintable()]
    options = []
    for name in odd:
        shell.write(f"given/{name}", "it")
        options.append(f"--input-file=given/{name}")
    assert shell.run("m.py:f", [1], *options)[0]["output"] == sorted(odd)


def test_a_large_file_is_not_read_into_memory(shell: Shell) -> None:
    """A file of 1 GB arrives whole, in a process of which the memory is a small part of that."""
    shell.write(
        "m.py",
        """
        from pathlib import Path

        def f(path: Path):
            with open(path, "rb") as file:
                file.seek(-3, 2)
                return [path.stat().st_size, file.read().decode()]
        """,
    )
    with open(shell.cwd / "large", "wb") as file:
        file.truncate(10**9)
        file.seek(-3, 2)
        file.write(b"end")
    assert shell.run("m.py:f", ["large"])[0]["output"] == [10**9, "end"]
    with open(shell.path() / ".htrun/jobs/0/records.jsonl") as records:
        assert json.loads(records.readline())["memory_mb"] < 200


def test_files_are_taken_when_the_component_starts(shell: Shell) -> None:
    """A file that changes after the map was made arrives as it is when the component starts, or starts again."""
    shell.write("m.py", READ)
    shell.write("data/a.txt", "old")
    (shell.cwd / "link").symlink_to("data")
    shell("m.py:read", "--args", shell.jsonl("in.jsonl", ["data/a.txt", "link/a.txt"]), "--tag", "t")
    assert shell("collect", "t", "--values").rows == [["a.txt", "old"]] * 2
    shell.write("data/a.txt", "new")
    shell.write("data2/a.txt", "another")
    (shell.cwd / "link").unlink()
    (shell.cwd / "link").symlink_to("data2")
    shell("rerun", "map", "t")
    shell("wait", "t")
    assert shell("collect", "t", "--values").rows == [["a.txt", "new"], ["a.txt", "another"]]


def test_a_slash_at_the_end_brings_what_is_in_a_directory(shell: Shell) -> None:
    """The contents land where the component runs; if names are taken, those of an argument in a directory of their own."""
    shell.write(
        "m.py",
        """
        import os
        from pathlib import Path

        def f(paths: list[Path]):
            Path("mine").write_text("")
            files = sorted(str(p) for p in Path().rglob("*") if p.is_file())
            return [files, [str(p.relative_to(Path.cwd())) for p in paths]]
        """,
    )
    for name in ("tree/a", "tree/deep/b", "more/c", "more/.hidden", "other/a", "x/a"):
        shell.write(name, name)
    (shell.cwd / "tree/deep").chmod(0o555)
    (shell.cwd / "tree").chmod(0o555)
    (shell.cwd / "none").mkdir()
    calls = [{"paths": ["tree/", "tree", "x/a"]}, {"paths": ["x/a", "tree/", "other/"]}, {"paths": ["none/"]}]
    for chunk in (1, 3):
        rows = shell.run("m.py:f", calls, "--input-file", "more/", "--overwrite", "--chunk-size", chunk)
        assert [row["output"] for row in rows] == [
            [[".hidden", "1/a", "a", "c", "deep/b", "mine", "tree/a", "tree/deep/b"], [".", "tree", "1/a"]],
            [[".hidden", "1/a", "1/deep/b", "2/a", "a", "c", "mine"], ["a", "1", "2"]],
            [[".hidden", "c", "mine"], ["."]],
        ]


def test_contents_of_directories_that_collide(local: Shell) -> None:
    """Input files of which two would land in the same place, and a file with a slash at its end, are errors."""
    local.write("m.py", "def f(x):\n    return x\n")
    for name in ("a/x", "b/x", "x"):
        local.write(name, "")
    for files, said in {
        ("a/", "b/"): "a/ and b/ have files of the same name",
        ("a/", "x"): "a/ and x have files of the same name",
        ("x/",): "not a directory: x/",
    }.items():
        options = [f"--input-file={name}" for name in files]
        assert said in local("m.py:f", "--args", "-", *options, input="1\n", code=4).stderr


def test_the_contents_of_a_directory_from_python(api: Shell) -> None:
    """A TransferPath keeps the slash at its end."""
    api.write("tree/a", "a")
    api.write("tree/deep/b", "b")

    def names(path: Path) -> list[str]:
        return sorted(os.path.relpath(p) for p in path.rglob("*"))

    assert list(htrun.map(names, [htrun.TransferPath("tree/"), htrun.TransferPath("tree")])) == [
        ["a", "deep", "deep/b"],
        ["tree/a", "tree/deep", "tree/deep/b"],
    ]
    options = htrun.MapOptions(fixed_input_files="tree/", input_files=[htrun.TransferPath("tree/deep/")])
    assert list(htrun.map(lambda _: sorted(os.listdir()), [0], map_options=options)) == [["a", "b", "deep"]]
