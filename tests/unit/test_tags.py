"""The tag registry, and the errors that users see."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from pathlib import Path

import pytest

import htrun
from htrun import exceptions
from htrun.exceptions import ExitCode, InvalidTag, TagAlreadyExists, TagNotFound
from htrun.store import DirectoryBuilder
from htrun.tags import TagRegistry, check_tag, make_up_tag


def make(registry: TagRegistry, tag: str, parent: Path) -> None:
    """Make a map that has a tag."""
    builder = DirectoryBuilder(parent)
    builder.write_info({"format": 1, "components": 0, "uid": f"uid of {tag}"})
    builder.move_to(parent / tag)
    with registry.lock():
        registry.set(tag, f"uid of {tag}", parent / tag)


@pytest.mark.parametrize("tag", ["a", "scan-1", "a,b;c=d", "$(x)", "ünï☃", "a'b", "0", "x" * 200])
def test_a_tag_may_be_almost_anything(tag: str) -> None:
    """Whatever can be the name of a directory, and no pattern or option, can be a tag."""
    assert check_tag(tag) == tag


@pytest.mark.parametrize("tag", ["", ".", "..", "-x", ".x", "a/b", "a b", "a\nb", "a*", "a?", "[a]", "a:b", "x" * 201])
def test_other_tags_are_refused(tag: str) -> None:
    """Other tags are an error that shows the tag and says what is wrong with it."""
    with pytest.raises(InvalidTag) as caught:
        check_tag(tag)
    assert caught.value.tag == tag
    assert caught.value.reason in str(caught.value)


def test_a_tag_is_a_text() -> None:
    """A tag of another type is refused as well."""
    with pytest.raises(InvalidTag, match="of type int"):
        check_tag(5)  # type: ignore[arg-type]


def test_made_up_tags_are_tags() -> None:
    """A made-up tag has three words, and is one that users could have chosen."""
    for _ in range(50):
        tag = make_up_tag()
        assert check_tag(tag).count("-") == 2


def test_a_tag_means_a_map_as_long_as_that_is_there(tmp_path: Path) -> None:
    """A tag is found until its map's directory is gone; then it is free."""
    registry = TagRegistry(tmp_path / "home" / "tags")
    assert registry.tags() == ()
    for tag in ("scan-1", "scan-2", "other"):
        make(registry, tag, tmp_path)
    assert registry.tags() == ("other", "scan-1", "scan-2")
    assert registry.tags("scan-*") == ("scan-1", "scan-2")
    assert registry.get("other").path == tmp_path / "other"
    with pytest.raises(TagAlreadyExists, match="other"):
        registry.check_free("other")
    with pytest.raises(TagNotFound, match=r"did you mean scan-[12] or scan-[12]"):
        registry.get("scan-")
    (tmp_path / "other").rename(tmp_path / "away")
    assert registry.find("other") is None
    registry.check_free("other")


def test_a_tag_does_not_mean_another_map_in_the_same_place(tmp_path: Path) -> None:
    """Where another map has taken the place of the one that was registered, the tag is free."""
    registry = TagRegistry(tmp_path / "tags")
    make(registry, "t", tmp_path)
    info = tmp_path / "t" / ".htrun" / "map.json"
    info.write_text(json.dumps({"format": 1, "uid": "another"}))
    assert registry.find("t") is None


def test_every_error_has_an_exit_code_and_a_text() -> None:
    """Errors are one tree, each means one of the documented exit codes, and says what it is about."""
    errors = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, Exception)]
    assert len(errors) > 10
    for kind in errors:
        assert issubclass(kind, exceptions.HtrunError)
        assert kind.exit_code in ExitCode
        assert kind.__doc__


@pytest.mark.parametrize(
    "error",
    [
        exceptions.TagNotFound("a", ["b"]),
        exceptions.TagAlreadyExists("a", Path("/b")),
        exceptions.CannotRerunComponents("a", [1, 2], "IDLE"),
        exceptions.MissingSetting("a"),
        exceptions.OutputNotFound("not there"),
        exceptions.MapComponentError("errored"),
        exceptions.BadInputs([exceptions.InputError("a", 1, "b")], 2),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_between_processes(error: exceptions.HtrunError) -> None:
    """Errors that are pickled or copied, as process pools do, have the same text and the same attributes."""
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert (str(other), other.args) == (str(error), error.args)
        assert {**vars(other), "errors": ()} == {**vars(error), "errors": ()}


def test_what_the_package_offers() -> None:
    """``htrun`` offers what ``__all__`` names, and nothing else by mistake."""
    for name in htrun.__all__:
        assert getattr(htrun, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        htrun.nothing_such  # noqa: B018
