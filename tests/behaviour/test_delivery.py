"""How Python gets to execute nodes: images, methods of users' own, and which one is chosen."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

import htrun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.behaviour.conftest import Shell

ON_THE_POOL = pytest.mark.parametrize("engine", ["htcondor"], indirect=True)
WHERE = """
    import os
    import sys
    from pathlib import Path

    def f(path: Path):
        print("printed")
        return [list(sys.version_info[:2]), path.read_text(), os.path.exists({marker!r})]
    """


def write_where(shell: Shell) -> None:
    """Write a function that tells which Python runs it, and whether it sees a directory of the machine's."""
    shell.write("m.py", WHERE.format(marker=os.path.dirname(os.__file__)))
    shell.write("data.txt", "some data")


def run(shell: Shell, delivery: str, *words: object) -> str:
    """Run it and return the header's line about the delivery."""
    done = shell(
        "m.py:f", "--args", "-", "--tag", "t", "--overwrite", "--delivery", delivery, *words, input='"data.txt"\n'
    )
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("delivery: ")]
    return line


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_a_plain_docker_image_runs_components(condor: Shell, docker_images: Mapping[str, str], version: str) -> None:
    """An image with Python and nothing else is enough; files come along, and what is printed comes back."""
    write_where(condor)
    image = docker_images[version]
    assert f"delivery: docker:{image} (as asked): python3 in a container" in run(condor, f"docker:{image}")
    (row,) = condor.outputs()
    assert row["output"] == [[int(part) for part in version.split(".")], "some data", version == "3.11"]
    assert condor("stdout", "t", 0).stdout == "printed\n"
    assert json.loads((condor.path() / "run.json").read_text())["delivery"] == f"docker:{image}"


@pytest.mark.parametrize(("kind", "version"), [("sif", [3, 13]), ("sandbox", [3, 11])])
def test_images_of_singularity_run_components(
    condor: Shell, request: pytest.FixtureRequest, kind: str, version: list[int]
) -> None:
    """A file of any name is brought along, and a directory used where it is."""
    image: Path = request.getfixturevalue(kind)
    write_where(condor)
    link = condor.cwd / ("an, image (1)" if kind == "sif" else "a directory.sif")
    link.symlink_to(image)
    line = run(condor, f"singularity:{link.name}")
    assert f"delivery: singularity:{link} (as asked)" in line
    (row,) = condor.outputs()
    assert row["output"][:2] == [version, "some data"]
    condor("rerun", "map", "t")
    condor("wait", "t")
    assert condor.outputs() == [row]


def test_a_docker_image_may_be_named_to_singularity(condor: Shell, docker_images: Mapping[str, str]) -> None:
    """It runs by what the node has."""
    write_where(condor)
    image = f"docker://{docker_images['3.13']}"
    assert f"delivery: singularity:{image} (as asked)" in run(condor, f"singularity:{image}")
    assert condor.outputs()[0]["output"][:2] == [[3, 13], "some data"]


def test_an_image_that_is_not_there_holds_its_components(condor: Shell, docker_images: Mapping[str, str]) -> None:
    """The hold says which image, and ``htrun why`` what to do."""
    image = docker_images["3.13"].rpartition(":")[0] + ":missing"
    condor("math:sqrt", "--args", "-", "--tag", "t", "--delivery", f"docker:{image}", code=6, input="1\n")
    assert image in condor("reasons", "t").stdout
    assert "The container's image cannot be used: check its name" in condor("why", "t").stdout


def test_the_image_of_the_settings_is_the_default(condor: Shell, docker_images: Mapping[str, str]) -> None:
    """``docker`` alone takes DOCKER.IMAGE, and ``auto`` an image that somebody has set; the map keeps which it was."""
    write_where(condor)
    image = docker_images["3.13"]
    condor("set", "DOCKER.IMAGE", image)
    assert f"delivery: docker:{image} (as asked)" in run(condor, "docker")
    assert f"delivery: docker:{image} (auto: DOCKER.IMAGE is set, ~/.htrunrc)" in run(condor, "auto")
    assert condor.outputs()[0]["output"][0] == [3, 13]


@ON_THE_POOL
def test_python_maps_into_containers(
    api: Shell, docker_images: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``htrun.settings`` takes NAME:ARGUMENT, and pickled functions and values go from one Python to another."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version not in ("3.9", "3.11", "3.13"):
        pytest.skip(f"there is no image with Python {version}")
    monkeypatch.setattr(htrun.settings, "maps", [{}, *htrun.settings.maps])
    htrun.settings["DOCKER.IMAGE"] = docker_images[version]
    for name, delivery in {"named": f"docker:{docker_images[version]}", "set": "docker"}.items():
        htrun.settings["DELIVERY_METHOD"] = delivery
        map_ = htrun.map(lambda x: {x: 1j}, [1, 2], tag=name)
        assert list(map_) == [{1: 1j}, {2: 1j}]
        info = json.loads((map_.path / ".htrun/map.json").read_text())
        assert info["delivery"] == f"docker:{docker_images[version]}"


@ON_THE_POOL
def test_byte_code_of_another_python_is_refused(
    api: Shell, docker_images: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function from memory runs with its own version of Python only; another one would crash."""
    other = "3.13" if sys.version_info[:2] != (3, 13) else "3.11"
    monkeypatch.setenv("HTRUN_DELIVERY", f"docker:{docker_images[other]}")
    map_ = htrun.map(lambda x: x, [1])
    with pytest.raises(
        htrun.exceptions.MapComponentError, match=rf"byte code by Python .*, which Python {other}\..* cannot run"
    ):
        map_.get(0)


def test_auto_is_shared_where_the_pool_shares_its_files(condor: Shell) -> None:
    """It is the default, and the header says why."""
    write_where(condor)
    done = condor("m.py:f", "--args", "-", "--collect-only", input='"data.txt"\n')
    assert "delivery: shared (auto: the pool's machines share this one's file system domain, " in done.stderr
    condor.environ = {**condor.environ, "_CONDOR_FILESYSTEM_DOMAIN": "far.away"}
    done = replace(condor)("m.py:f", "--args", "-", "--collect-only", input='"data.txt"\n')
    assert (
        "delivery: assume (auto: no machine of the pool shares this one's file system domain, far.away)" in done.stderr
    )


def test_auto_is_an_image_where_one_is_set(condor: Shell) -> None:
    """Docker comes first, or what is set of the two."""
    shown = {}
    for docker, singularity in (("a:1", ""), ("", "docker://b:2")):
        condor.environ = {**condor.environ, "HTRUN_DOCKER_IMAGE": docker, "HTRUN_SINGULARITY_IMAGE": singularity}
        done = condor("math:sqrt", "--args", "-", "--collect-only", input="1\n")
        shown[docker] = next(line for line in (done.stdout + done.stderr).splitlines() if line.startswith("delivery"))
    assert shown["a:1"].startswith("delivery: docker:a:1 (auto: DOCKER.IMAGE is set, HTRUN_DOCKER_IMAGE)")
    assert shown[""].startswith("delivery: singularity:docker://b:2 (auto: SINGULARITY.IMAGE is set, ")


@pytest.mark.parametrize(
    ("delivery", "message"),
    [
        ("docker:", "'' is no name of a Docker image"),
        ("docker:a b", "'a b' is no name of a Docker image"),
        ("singularity:", "needs an image"),
        ("singularity:nowhere.sif", "there is no image "),
        ("singularity:.", "is no image, since it has no .singularity.d"),
        (f"singularity:{__file__}", "is no image (SIF): 'apptainer build IMAGE.sif SOURCE' makes one"),
        ("auto:x", "the delivery method auto takes no argument: auto:x"),
        ("dokcer:x", "there is no delivery method 'dokcer' (did you mean 'docker'?); there are auto, assume, docker, "),
        ("Docker:x", "there is no delivery method 'Docker' (did you mean 'docker'?); there are auto, assume, docker, "),
        ("boat", "there is no delivery method 'boat'; there are auto, assume, docker, "),
        ("assume:x", "takes no argument"),
    ],
)
def test_what_is_no_delivery_is_told_before_anything_is_made(condor: Shell, delivery: str, message: str) -> None:
    """The message says what was wrong."""
    done = condor("math:sqrt", "--args", "-", "--delivery", delivery, code=4, input="1\n")
    assert message in done.stderr
    assert not (condor.cwd / "results").exists()


def test_a_method_that_is_installed_by_others(condor: Shell) -> None:
    """A distribution's entry point is a delivery method as htrun's own are, in the list of names as well."""
    site = condor.home / "site"
    about = site / "ferry-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ferry\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[htrun.delivery]\nferry = ferry:Ferry\nwreck = ferry:Missing\n")
    (site / "ferry.py").write_text(
        dedent(
            """
            from htrun.delivery import Prepared, arguments, escape
            from htrun.exceptions import UsageError

            class Ferry:
                name = "ferry"

                def __init__(self, argument=None):
                    if not argument:
                        raise UsageError("the delivery method ferry needs a python")
                    self._python = argument
                    self.summary = f"over the water with {argument}"

                def prepare(self, place):
                    place.directory.delivery.mkdir()
                    (place.directory.delivery / "freight.txt").write_text(f"for {place.tag}")
                    script = 'FREIGHT=$(cat freight.txt) exec "$1" "$0"'
                    submit = {"executable": "/bin/sh", "transfer_executable": "false",
                              "arguments": arguments("-c", script, "htrun.pyz", self._python)}
                    return Prepared(submit)
            """
        )
    )
    condor.environ = {**condor.environ, "PYTHONPATH": str(site)}
    condor.write("m.py", "import os\n\ndef f():\n    return os.environ['FREIGHT']\n")
    done = condor("m.py:f", "--tag", "t", "--delivery", f"ferry:{sys.executable}")
    assert f"(as asked): over the water with {sys.executable}" in done.stderr
    assert condor.outputs()[0]["output"] == "for t"
    assert "ferry needs a python" in condor("m.py:f", "--delivery", "ferry", code=4).stderr
    assert "shared, ferry" not in condor("m.py:f", "--delivery", "boat", code=4).stderr
    assert "docker, ferry, packaged, shared" in condor("m.py:f", "--delivery", "boat", code=4).stderr
    assert (
        "the delivery method wreck is installed, but cannot be loaded"
        in condor("m.py:f", "--delivery", "wreck", code=4).stderr
    )


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other test of this process find what a test registers."""
    monkeypatch.setattr("htrun.delivery._registered", {})


@pytest.fixture
def registered(api: Shell, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what registers a delivery method and chooses it, on the pool."""

    def register(*functions: object) -> None:
        htrun.register_delivery_method("own", *functions)  # type: ignore[arg-type]
        monkeypatch.setenv("HTRUN_DELIVERY", "own")

    return register


@ON_THE_POOL
def test_a_method_that_is_registered_in_python(api: Shell, registered: Callable[..., None]) -> None:
    """As HTMap's manual has it: two functions of tag and directory; other processes can run the map again."""
    seen = []

    def set_up(tag: str, directory: Path) -> None:
        (directory / "freight.txt").write_text(f"for {tag}")

    def descriptors(tag: str, directory: Path) -> dict[str, object]:
        seen.append((tag, (directory / "freight.txt").exists()))
        return {
            "transfer_input_files": [str(directory / "freight.txt")],
            "environment": '"FREIGHT=freight.txt"',
            "Request_Memory": 200,
            "want_graceful_removal": True,
        }

    registered(descriptors, set_up)

    def freight(_: int) -> list[object]:
        path = os.environ["FREIGHT"]
        return [os.path.exists(os.path.join("..", path)) or os.path.exists(path), path]

    map_ = htrun.map(freight, [1], tag="first")
    assert next(iter(map_))[1] == "freight.txt"
    assert seen == [("first", True)]
    (description,) = (map_.path / ".htrun").glob("submit.*.sub")
    text = description.read_text()
    assert f"{map_.path}/freight.txt" in text
    assert "request_memory = 200\n" in text
    assert "want_graceful_removal = true\n" in text
    api("rerun", "map", "first")
    api("wait", "first")
    registered(lambda tag, directory: {"environment": '"FREIGHT=none"'})
    assert next(iter(htrun.map(freight, [1], tag="second"))) == [False, "none"]


@ON_THE_POOL
def test_an_executable_of_a_registered_method_gets_the_runner(api: Shell, registered: Callable[..., None]) -> None:
    """Without arguments it is called with the runner as its argument."""

    def descriptors(tag: str, directory: Path) -> dict[str, object]:
        return {"executable": sys.executable, "transfer_executable": False}

    registered(descriptors)
    assert list(htrun.map(lambda _: sys.executable, [1])) == [sys.executable]


@ON_THE_POOL
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (3, "is to return a dict of submit commands, not 3"),
        ({"requirements": [1]}, r"for requirements what is no text, number or bool: \[1\]"),
        ({1: "x"}, "a submit command that is no name: 1"),
        ({"rank": "a\nb"}, "with a line break"),
    ],
)
def test_what_a_registered_method_may_not_return(
    api: Shell, registered: Callable[..., None], returned: object, message: str
) -> None:
    """The message names the method, and no map is left."""
    registered(lambda tag, directory: returned)
    with pytest.raises(htrun.exceptions.UsageError, match=f"the delivery method own .*{message}"):
        htrun.map(str, [1], tag="t")
    assert htrun.get_tags() == ()


@ON_THE_POOL
def test_a_registered_method_that_fails(api: Shell, registered: Callable[..., None]) -> None:
    """What it raises is told with its name, and is the cause of the error."""
    registered(lambda tag, directory: {}[tag])
    with pytest.raises(htrun.exceptions.UsageError, match="the delivery method own failed: KeyError: 't'") as caught:
        htrun.map(str, [1], tag="t")
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("name", ["docker", "auto", "a:b", "a b", "", 3])
def test_names_that_no_method_of_ones_own_can_have(name: str) -> None:
    """Installed methods cannot be replaced, and colons begin an argument."""
    with pytest.raises(htrun.exceptions.UsageError, match="delivery method"):
        htrun.register_delivery_method(name, lambda tag, directory: {})


def test_the_module_of_the_target_may_register_one(condor: Shell) -> None:
    """On the command line, a method is known that the target's module registers; on the node, that does nothing."""
    condor.write(
        "m.py",
        """
        import os

        import htrun

        htrun.register_delivery_method("mine", lambda tag, directory: {"environment": f'"TAG={tag}"'})
        htrun.settings["DELIVERY_METHOD"] = "mine"

        def f():
            return os.environ["TAG"]
        """,
    )
    (row,) = condor.run("m.py:f", None, "--delivery", "mine")
    assert row["output"] == "t"
