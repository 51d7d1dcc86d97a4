"""The chain of settings, where they come from, and what is wrong with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import htrun
from htrun.exceptions import HtrunError, MissingSetting, UsageError
from htrun.layers import parse_toml
from htrun.settings import KnownSettings, Settings, config_of, load, standard_settings, user_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home directory."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def fresh(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> KnownSettings:
    """Return the settings that count, with nothing read yet, in a home and a project without any."""
    for name in list(os.environ):
        if name.startswith("HTRUN_"):
            monkeypatch.delenv(name)
    return standard_settings()


# --- the chain


def test_a_setting_is_looked_up_by_its_dotted_path() -> None:
    """A dotted path leads through tables."""
    settings = Settings({"foo": 5, "a": {"b": {"c": "d"}}})
    assert settings["foo"] == 5
    assert settings["a.b.c"] == "d"
    assert settings["a"] == {"b": {"c": "d"}}
    assert "a.b" in settings
    assert "a.x" not in settings


def test_the_first_dictionary_that_has_a_setting_wins() -> None:
    """Earlier dictionaries override later ones, table by table."""
    settings = Settings({"a": {"x": 1}}, {"a": {"x": 2, "y": 3}, "b": 4})
    assert settings["a.x"] == 1
    assert settings["a.y"] == 3
    assert settings["b"] == 4
    assert settings["a"] == {"x": 1, "y": 3}


@pytest.mark.parametrize("key", ["missing", "foo.bar", "a.missing", ""])
def test_a_missing_setting_is_an_error_that_names_it(key: str) -> None:
    """It is both an error of htrun and a KeyError, and reads well."""
    settings = Settings({"foo": 5, "a": {"b": 1}})
    with pytest.raises(MissingSetting) as caught:
        settings[key]
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, HtrunError)
    assert str(caught.value) == f"there is no setting {key!r}"
    assert settings.get(key) is None
    assert settings.get(key, 3) == 3


def test_what_is_set_goes_into_the_first_dictionary() -> None:
    """Assigning makes the tables on the way and leaves later dictionaries alone."""
    first: dict[str, Any] = {}
    second = {"a": {"b": 1}}
    settings = Settings(first, second)
    settings["a.b"] = 2
    settings["c.d.e"] = 3
    assert settings["a.b"] == 2
    assert first == {"a": {"b": 2}, "c": {"d": {"e": 3}}}
    assert second == {"a": {"b": 1}}
    empty = Settings()
    empty["x"] = 1
    assert empty["x"] == 1


def test_chains_are_put_together() -> None:
    """``append``, ``prepend``, ``replace`` and ``from_settings`` take dictionaries and chains."""
    settings = Settings({"a": 1})
    settings.append({"a": 2, "b": 2})
    settings.append(Settings({"b": 3, "c": 3}))
    assert settings.to_dict() == {"a": 1, "b": 2, "c": 3}
    settings.prepend({"a": 0})
    settings.prepend(Settings({"c": 0}))
    assert settings.to_dict() == {"a": 0, "b": 2, "c": 0}
    assert Settings.from_settings(Settings({"a": 9}), settings).to_dict() == {"a": 9, "b": 2, "c": 0}
    other = Settings({"z": 1})
    settings.replace(other)
    assert settings == other
    assert settings != Settings({"z": 2})
    assert settings != {"z": 1}


def test_the_dictionary_shares_no_table_with_the_settings() -> None:
    """Changing what ``to_dict`` or a lookup returned changes no setting."""
    settings = Settings({"a": {"b": 1}})
    settings.to_dict()["a"]["b"] = 2
    settings["a"]["b"] = 2
    assert settings["a.b"] == 1


def test_settings_come_back_from_a_file(tmp_path: Path) -> None:
    """What is saved as TOML loads as equal settings; None is left out."""
    settings = Settings({"a": 1, "t": {"x": "é\n", "y": [1.5, True], "n": None}}, {"t": {"z": {"deep": 1}}})
    settings.save(tmp_path / "s.toml")
    del settings.maps[0]["t"]["n"]  # type: ignore[index]
    assert Settings.load(tmp_path / "s.toml") == settings
    assert Settings.load(str(tmp_path / "s.toml"))["t.y"] == [1.5, True]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A missing file is a FileNotFoundError; invalid TOML and what is no TOML are errors that name the file."""
    with pytest.raises(FileNotFoundError):
        Settings.load(tmp_path / "missing")
    path = tmp_path / "bad.toml"
    path.write_text("a = 1\nb = \n")
    with pytest.raises(UsageError, match=r"bad\.toml:2: it is not TOML: .*column"):
        Settings.load(path)
    path.write_text('a = """')
    with pytest.raises(UsageError, match=r"bad\.toml:1: it is not TOML"):
        Settings.load(path)
    path.write_bytes(b"a = 1\nb = '\xff'")
    with pytest.raises(UsageError, match=r"bad\.toml:2: it is not in UTF-8"):
        Settings.load(path)
    with pytest.raises(UsageError, match="no form"):
        Settings({"a": object()}).save(tmp_path / "x")


# --- the settings that count


def test_htrun_settings_is_the_object_whatever_is_imported_first() -> None:
    """``htrun.settings`` is never the module, and has the class beside it."""
    code = "import htrun.settings, htrun; from htrun.settings import load; s = htrun.settings; load(); "
    code += "print(s['ENGINE'], s.Settings({'a': 1})['a'], htrun.BASE_SETTINGS['WAIT_TIME'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1:] == ["1", "1.0"]
    assert isinstance(htrun.settings, Settings)
    assert issubclass(htrun.settings.Settings, Settings)


def test_importing_htrun_imports_nothing_slow() -> None:
    """It reads no file, says nothing, and does without all that takes its time."""
    code = f"import sys; sys.path.append({str(Path(htrun.__file__).parents[1])!r}); import htrun; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    slow = {"tomllib", "pathlib", "logging", "dataclasses", "tomlkit", "difflib", "htrun.config", "htrun.layers"}
    assert not slow & set(done.stdout.split())


def test_the_order_of_precedence(
    fresh: KnownSettings, home: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python beats the environment, that the project, that the user's file, that the defaults."""
    layers = fresh
    write({".htrunrc": 'ENGINE = "u"\nDELIVERY_METHOD = "u"\nWAIT_TIME = 7\n[DOCKER]\nIMAGE = "u"'}, home)
    write({"pyproject.toml": '[tool.htrun]\nengine = "p"\nwait_time = 6\n[tool.htrun.docker]\nimage = "p"'})
    monkeypatch.setenv("HTRUN_ENGINE", "e")
    monkeypatch.setenv("HTRUN_WAIT_TIME", "5")
    layers["WAIT_TIME"] = 4
    names = ("WAIT_TIME", "ENGINE", "DOCKER.IMAGE", "DELIVERY_METHOD", "HTRUN_DIR")
    assert [layers[name] for name in names] == [4, "e", "p", "u", "~/.htrun"]
    assert [layers.origin(name) for name in names] == [
        "as set in Python", "HTRUN_ENGINE", "pyproject.toml", "~/.htrunrc", "default"
    ]  # fmt: skip
    config = config_of(layers)
    assert (config.engine, config.delivery, config.wait_time, config.docker_image) == ("e", "u", 4.0, "p")
    assert config.origin("DOCKER.IMAGE") == "pyproject.toml"
    assert config.directory == home / ".htrun"


def test_the_environment_is_looked_at_each_time(fresh: KnownSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable counts as soon as it is set, and not when it is empty."""
    monkeypatch.setenv("HTRUN_ENGINE", "one")
    assert fresh["ENGINE"] == "one"
    monkeypatch.setenv("HTRUN_ENGINE", "")
    assert fresh["ENGINE"] == "auto"
    monkeypatch.setenv("HTRUN_CONDOR_SCHEDULER", "s")
    assert fresh["HTCONDOR"] == {"SCHEDULER": "s", "COLLECTOR": None}


@pytest.mark.parametrize(
    ("files", "value", "origin"),
    [
        ({"htrun.toml": 'engine = "h"', "pyproject.toml": '[tool.htrun]\nengine = "p"'}, "h", "htrun.toml"),
        ({"pyproject.toml": '[tool.htrun]\nengine = "p"'}, "p", "pyproject.toml"),
        (
            {"pyproject.toml": '[project]\nname = "htrun"', "../htrun.toml": 'engine = "above"'},
            "above",
            "../htrun.toml",
        ),
        ({"pyproject.toml": "this is = no TOML, but none of ours"}, "auto", "default"),
        ({"pyproject.toml": "[tool]\nhtrun = {}", "../htrun.toml": 'engine = "above"'}, "auto", "default"),
        ({"../pyproject.toml": '\ufeff[tool.htrun]\nEngine = "p"'}, "p", "../pyproject.toml"),
    ],
)
def test_the_nearest_file_of_the_project_counts(
    fresh: KnownSettings, write: Write, files: dict[str, str], value: str, origin: str
) -> None:
    """It is searched upwards, htrun.toml before pyproject.toml, which has to have our table."""
    write(files)
    assert fresh["ENGINE"] == value
    assert fresh.origin("ENGINE") == origin


def test_relative_paths_in_a_file_are_relative_to_the_file(fresh: KnownSettings, project: Path, write: Write) -> None:
    """Wherever htrun is started within a project, its directory is the same."""
    write({"../htrun.toml": 'HTRUN_DIR = "state"\ntransplant = {dir = "~/t"}'})
    assert fresh["HTRUN_DIR"] == str(project.parent / "state")
    assert fresh["TRANSPLANT.DIR"] == "~/t"
    assert config_of(fresh).transplants == Path("~/t").expanduser()


def test_transplants_are_within_htruns_directory(fresh: KnownSettings) -> None:
    """The default of TRANSPLANT.DIR follows HTRUN_DIR."""
    assert fresh["TRANSPLANT.DIR"] == "~/.htrun/transplants"
    fresh["HTRUN_DIR"] = Path("/x")
    assert fresh["HTRUN_DIR"] == "/x"
    assert fresh["TRANSPLANT.DIR"] == "/x/transplants"
    assert config_of(fresh).transplants == Path("/x/transplants")
    assert config_of(fresh).logs == Path("/x/logs")


def test_map_options_may_have_any_name(fresh: KnownSettings, write: Write) -> None:
    """They are kept in capitals, and handed on in small letters; what is inside one stays as it is."""
    write(
        {
            "htrun.toml": '[map_options]\nrequest_memory = "1GB"\ncustom_options = {MyAttr = 3}\nfixed_input_files = ["a"]'
        }
    )
    fresh["MAP_OPTIONS.request_disk"] = 5
    assert fresh["map_options.REQUEST_MEMORY"] == "1GB"
    assert config_of(fresh).map_options == {
        "request_memory": "1GB", "request_disk": 5, "custom_options": {"MyAttr": 3}, "fixed_input_files": ["a"]
    }  # fmt: skip


def test_defaults_count_even_after_all_is_replaced(fresh: KnownSettings) -> None:
    """``replace`` leaves nothing of what was there, but a command still has what it needs."""
    fresh.replace(Settings({"engine": "local"}))
    assert fresh.to_dict() == {"ENGINE": "local"}
    assert fresh.get("WAIT_TIME") is None
    assert config_of(fresh).wait_time == 1.0
    assert config_of(fresh).engine == "local"
    fresh["WAIT_TIME"] = 2
    assert config_of(fresh).wait_time == 2.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ENGIN", "local", "there is no setting 'ENGIN'; did you mean ENGINE?"),
        ("image", "x", "there is no setting 'image'; did you mean DOCKER.IMAGE?"),
        ("HTCONDR.SCHEDULER", "x", "there is no setting 'HTCONDR.SCHEDULER'; did you mean HTCONDOR.SCHEDULER?"),
        ("nothing.like", "x", "there is no setting 'nothing.like'; 'htrun settings' shows those there are"),
        ("ENGINE", 3, "ENGINE is to be a text, not 3"),
        ("ENGINE", "", "ENGINE is to be a text, not ''"),
        ("ENGINE", None, "ENGINE is to be a text, not None"),
        ("WAIT_TIME", "3", "WAIT_TIME is to be a number of seconds, not '3'"),
        ("WAIT_TIME", True, "WAIT_TIME is to be a number of seconds, not True"),
        ("WAIT_TIME", -1, "WAIT_TIME is to be a number of seconds, not -1"),
        ("WAIT_TIME", float("nan"), "WAIT_TIME is to be a number of seconds, not nan"),
        ("HTRUN_DIR", 3, "HTRUN_DIR is to be the path of a directory, not 3"),
        ("TRANSPLANT.ASSUME_EXISTS", "yes", "TRANSPLANT.ASSUME_EXISTS is to be true or false, not 'yes'"),
        ("DOCKER", "x", "DOCKER is to be a table, not 'x'"),
        ("DOCKER", {"IMGE": "x"}, "there is no setting 'DOCKER.IMGE'; did you mean DOCKER.IMAGE?"),
        ("MAP_OPTIONS.X.Y", 1, "there is no setting 'MAP_OPTIONS.X.Y'; did you mean MAP_OPTIONS?"),
        ("MAP_OPTIONS.X", [1], "MAP_OPTIONS.X is to be a text, a number, true or false, not [1]"),
        ("MAP_OPTIONS.FIXED_INPUT_FILES", [1], "MAP_OPTIONS.FIXED_INPUT_FILES is to be a path, or a list of them, not [1]"),
        ("MAP_OPTIONS.CUSTOM_OPTIONS", 3, "MAP_OPTIONS.CUSTOM_OPTIONS is to be a table of texts, numbers, true and false, not 3"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_an_error_at_once(fresh: KnownSettings, name: str, value: Any, message: str) -> None:
    """Unknown names come with the nearest, wrong values with what is wanted; nothing is changed."""
    before = fresh.to_dict()
    with pytest.raises(UsageError) as caught:
        fresh[name] = value
    assert str(caught.value) == message
    section, _, last = name.rpartition(".")
    with pytest.raises(UsageError):
        fresh.prepend({section: {last: value}} if section else {last: value})
    assert fresh.to_dict() == before


def test_looking_up_an_unknown_setting_names_the_nearest(fresh: KnownSettings) -> None:
    """The error of a lookup helps as well."""
    with pytest.raises(MissingSetting) as caught:
        fresh["ENGIN"]
    assert str(caught.value) == "there is no setting 'ENGIN', did you mean ENGINE?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engine = 3", "{path}: engine is to be a text, not 3"),
        ("engin = 'x'", "{path}: there is no setting 'engin'; did you mean ENGINE?"),
        ("[dockr]\nimage = 'x'", "{path}: there is no setting 'dockr'; did you mean DOCKER?"),
        ("docker = 3", "{path}: docker is to be a table, not 3"),
        ("engine = 'a'\nENGINE = 'b'", "{path}: ENGINE is there twice, in capitals and in small letters"),
        ("[map_options]\nx = 2020-01-01", "{path}: map_options.x is to be a text, a number, true or false, not "),
        ("\n\nengine = x", '{path}:3: it is not TOML: Invalid value (column 10); a text takes quotes: "x"'),
        (
            "docker.image = 4a # each",
            "{path}:1: it is not TOML: Expected newline or end of document after a statement (column 17); a text takes",
        ),
    ],
)
@pytest.mark.parametrize("whose", ["user", "project"])
def test_what_is_wrong_in_a_file_names_the_file(
    fresh: KnownSettings, home: Path, write: Write, project: Path, whose: str, text: str, message: str
) -> None:
    """It is told at each lookup, until the file is mended."""
    path = home / ".htrunrc" if whose == "user" else project / "htrun.toml"
    path.write_text(text)
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            fresh["HTRUN_DIR"]
        assert str(caught.value).startswith(message.format(path=path))
    assert "Settings: " in repr(fresh)
    path.write_text("wait_time = 5")
    assert fresh["WAIT_TIME"] == 5


@pytest.mark.parametrize("text", ["cli = True", "a = 5\na = 6", "a = [1", "a ="])
def test_quotes_are_asked_for_around_texts_alone(text: str) -> None:
    """What else is wrong is told without."""
    with pytest.raises(UsageError, match=r"^f:\d+: it is not TOML: (?!.*quotes)"):
        parse_toml(text, "f")


def test_what_is_wrong_in_pyproject_names_the_table(fresh: KnownSettings, write: Write, project: Path) -> None:
    """Of such a file only one table is ours."""
    write({"pyproject.toml": "[tool.htrun]\nenginee = 'x'"})
    with pytest.raises(UsageError, match=r"pyproject\.toml, \[tool\.htrun\]: there is no setting 'enginee'"):
        fresh["ENGINE"]
    write({"pyproject.toml": "[tool]\nhtrun = 3"})
    with pytest.raises(UsageError, match=r"tool\.htrun is to be a table, not 3"):
        fresh["ENGINE"]


def test_a_wrong_variable_is_named(fresh: KnownSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that does not convert is an error that names it."""
    monkeypatch.setenv("HTRUN_WAIT_TIME", "soon")
    with pytest.raises(UsageError) as caught:
        fresh["WAIT_TIME"]
    assert str(caught.value) == "the variable HTRUN_WAIT_TIME is to be a number of seconds, not 'soon'"


def test_a_file_that_cannot_be_read(fresh: KnownSettings, home: Path) -> None:
    """A directory in the place of the user's file is an error that names it."""
    (home / ".htrunrc").mkdir()
    with pytest.raises(UsageError, match=r"cannot read the settings in .*/\.htrunrc: Is a directory"):
        fresh["ENGINE"]


def test_load_goes_by_the_variables_that_it_is_given(fresh: KnownSettings, write: Write) -> None:
    """With an environment given, files count for nothing."""
    write({"htrun.toml": 'engine = "file"'})
    config = load({"HTRUN_DIR": "state", "HTRUN_DELIVERY": "assume", "HTRUN_ENGINE": ""})
    assert config.directory == Path.cwd() / "state"
    assert (config.engine, config.delivery) == ("auto", "assume")
    assert config.origin("DELIVERY_METHOD") == "HTRUN_DELIVERY"
    assert config.origin("ENGINE") == "default"
    assert config.tags == config.directory / "tags"


def test_the_users_settings_are_those_of_the_file_alone(fresh: KnownSettings, home: Path) -> None:
    """``USER_SETTINGS`` has no defaults; there may be no file."""
    assert user_settings().to_dict() == {}
    (home / ".htrunrc").write_text("wait_time = 3")
    user = user_settings()
    assert user.to_dict() == {"WAIT_TIME": 3}
    assert user.get("ENGINE") is None
    with pytest.raises(UsageError):
        user["ENGIN"] = "x"
