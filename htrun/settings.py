"""What users set once: in Python, in the environment, in the project's file or their own; see docs/settings.md.

Importing ``htrun`` imports this, so it does nothing, and what it needs is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from htrun import private
from htrun.exceptions import HtrunError, MissingSetting, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from typing_extensions import Self

    from htrun.config import Config
    from htrun.layers import Layer

    Map: TypeAlias = Mapping[str, Any] | Layer

__all__ = ["BASE_SETTINGS", "USER_SETTINGS", "Config", "Settings", "load", "settings"]

_MISSING = object()


class Settings:
    """A chain of dictionaries that are searched one after the other.

    A name is a dotted path, ``settings["DOCKER.IMAGE"]``. What is assigned goes into the first dictionary. Where
    several have a table under one name, the result is their union.

    Parameters
    ----------
    *settings : dict
        The first one is searched first.
    """

    def __init__(self, *settings: Map) -> None:
        self.maps: list[Map] = list(settings)

    def __getitem__(self, key: str) -> Any:
        found = [value for _, value in self._find(key)]
        if not found:
            raise MissingSetting(key)
        merged: dict[str, Any] = {}
        for value in reversed(found):
            _merge(merged, value)
        return merged if isinstance(found[0], Mapping) else found[0]

    def __setitem__(self, key: str, value: Any) -> None:
        if not self.maps or not isinstance(self.maps[0], dict):
            self.maps.insert(0, {})
        table: Any = self.maps[0]
        *path, last = key.split(".")
        for part in path:
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        table[last] = value

    def __contains__(self, key: str) -> bool:
        return any(True for _ in self._find(key))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Settings({self.to_dict()!r})"

    def _find(self, key: str) -> Iterator[tuple[Map, Any]]:
        """Yield what the dictionaries have under a name, as far as it matters: one value, or the tables."""
        for map_ in self.maps:
            value: Any = _table(map_)
            for part in str(key).split("."):
                value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
            if value is not _MISSING:
                yield map_, value
                if not isinstance(value, Mapping):
                    return

    def get(self, key: str, default: Any = None) -> Any:
        """Return a setting, or ``default`` where there is none."""
        try:
            return self[key]
        except MissingSetting:
            return default

    def origin(self, key: str) -> str:
        """Return in words where a setting comes from; raise MissingSetting."""
        for map_, _ in self._find(key):
            return "as set in Python" if isinstance(map_, Mapping) else map_.origin(key)
        raise MissingSetting(key)

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as one dictionary."""
        merged: dict[str, Any] = {}
        for map_ in reversed(self.maps):
            _merge(merged, _table(map_))
        return merged

    def replace(self, other: Settings) -> None:
        """Take the settings of another one instead."""
        self.maps = self._maps_of(other)

    def append(self, other: Settings | Mapping[str, Any]) -> None:
        """Add dictionaries at the end: they are searched last."""
        self.maps.extend(self._maps_of(other))

    def prepend(self, other: Settings | Mapping[str, Any]) -> None:
        """Add dictionaries at the beginning: they are searched first."""
        self.maps[:0] = self._maps_of(other)

    def _maps_of(self, other: Settings | Mapping[str, Any]) -> list[Map]:
        return list(other.maps) if isinstance(other, Settings) else [other]

    @classmethod
    def from_settings(cls, *settings: Settings) -> Self:
        """Return the chain of the dictionaries of others."""
        return cls(*(map_ for chain in settings for map_ in chain.maps))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the settings in a TOML file.

        Raises
        ------
        UsageError
            If it is no TOML.
        FileNotFoundError
        """
        import os

        from htrun.layers import parse_toml, read_text

        text = read_text(os.fspath(path))
        if text is None:
            raise FileNotFoundError(2, "there is no such file", os.fspath(path))
        return cls(parse_toml(text, os.fspath(path)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all settings to a TOML file; those that are None are left out.

        Raises
        ------
        UsageError
            If TOML has no form for one of them.
        """
        from pathlib import Path

        import tomlkit

        try:
            text = tomlkit.dumps(_without_none(self.to_dict()))
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path}: TOML has no form for these settings: {error}") from None
        Path(path).write_text(text, encoding="utf-8")


class KnownSettings(Settings):
    """Settings of htrun: their names, in any case, and their types are checked."""

    def __init__(self, *settings: Map) -> None:
        super().__init__(*(_checked(map_) for map_ in settings))

    def __getitem__(self, key: str) -> Any:
        from htrun.keys import normal, similar

        try:
            return super().__getitem__(normal(key))
        except MissingSetting:
            raise MissingSetting(key, similar(key)) from None

    def __setitem__(self, key: str, value: Any) -> None:
        from htrun.keys import check, find

        super().__setitem__(find(key), check(key, value))

    def __contains__(self, key: str) -> bool:
        from htrun.keys import normal

        return super().__contains__(normal(key))

    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except HtrunError as error:
            return f"<Settings: {error}>"

    def _maps_of(self, other: Settings | Mapping[str, Any]) -> list[Map]:
        return [_checked(map_) for map_ in super()._maps_of(other)]


class _LazySettings(KnownSettings):
    """Settings whose chain is made when it is needed first."""

    def __init__(self, make: Callable[[Settings], list[Map]]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        if name == "Settings":  # as `htrun.settings.Settings`, where one might take the object for the module
            return Settings
        if name != "maps":
            raise AttributeError(f"settings have no attribute {name!r}")
        self.maps = self._make(self)
        return self.maps

    @classmethod
    def from_settings(cls, *settings: Settings) -> Any:
        """Return the chain of the dictionaries of others."""
        return KnownSettings.from_settings(*settings)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """Return the settings in a TOML file; see ``Settings``."""
        return KnownSettings.load(path)


def _table(map_: Map) -> Mapping[str, Any]:
    return map_ if isinstance(map_, Mapping) else map_.read()


def _checked(map_: Map) -> Map:
    from htrun.keys import check_all

    return check_all(map_) if isinstance(map_, Mapping) else map_


def _merge(under: dict[str, Any], over: Any) -> None:
    """Lay a table over another one, sharing no table with it."""
    if not isinstance(over, Mapping):
        under.clear()
        return
    for key, value in over.items():
        if isinstance(value, Mapping):
            if not isinstance(under.get(key), dict):
                under[key] = {}
            _merge(under[key], value)
        else:
            under[key] = value


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def _base(chain: Settings) -> list[Map]:
    from htrun.layers import built_in

    return list(built_in(lambda: chain.get("HTRUN_DIR")))


def _user(_: Settings) -> list[Map]:
    from htrun.layers import UserFile

    return [UserFile()]


def _all(chain: Settings) -> list[Map]:
    from htrun.layers import Environment, ProjectFile

    return [{}, Environment(), ProjectFile(), *_user(chain), *_base(chain)]


def user_settings() -> KnownSettings:
    """Return the user's own settings, to be read when they are needed."""
    return _LazySettings(_user)


def standard_settings() -> KnownSettings:
    """Return the whole chain, to be read when it is needed."""
    return _LazySettings(_all)


BASE_SETTINGS: KnownSettings = _LazySettings(_base)
"""The built-in defaults."""
USER_SETTINGS = user_settings()
"""What is in ``~/.htrunrc``."""
settings = standard_settings()
"""What counts: this is ``htrun.settings``."""


def load(environ: Mapping[str, str] | None = None) -> Config:
    """Return the settings that count now.

    Parameters
    ----------
    environ : mapping, optional
        Go by these variables and the defaults alone.

    Raises
    ------
    UsageError
        If one is not what it may be, or there is no home directory to be the default's.
    """
    chain = settings
    if environ is not None:
        from htrun.layers import Environment

        variables = Environment(environ)
        chain = _LazySettings(lambda chain: [variables, *_base(chain)])
    return config_of(chain)


def config_of(chain: KnownSettings) -> Config:
    """Return the settings of a chain with their types; raises UsageError, or NotPrivate of the ``HTRUN_DIR``."""
    from htrun.config import Config
    from htrun.keys import KEYS, OPTIONS

    def value(name: str) -> Any:
        return chain.get(name, KEYS[name].default)  # `replace` may have left the defaults out

    directory = _path(value("HTRUN_DIR"))
    private.check(directory)
    return Config(
        directory=directory,
        engine=value("ENGINE"),
        delivery=value("DELIVERY_METHOD"),
        wait_time=float(value("WAIT_TIME")),
        map_options={name.lower(): option for name, option in chain.get(OPTIONS, {}).items()},
        scheduler=value("HTCONDOR.SCHEDULER"),
        collector=value("HTCONDOR.COLLECTOR"),
        docker_image=value("DOCKER.IMAGE"),
        singularity_image=value("SINGULARITY.IMAGE"),
        transplant_directory=_path(chain.get("TRANSPLANT.DIR") or directory / "transplants"),
        alternate_input_path=value("TRANSPLANT.ALTERNATE_INPUT_PATH"),
        assume_exists=value("TRANSPLANT.ASSUME_EXISTS"),
        installer=value("PACKAGED.INSTALLER"),
        origins={name: chain.origin(name) for name in KEYS if name in chain},
    )


def _path(text: str | Path) -> Path:
    from pathlib import Path

    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UsageError("you have no home directory: say in HTRUN_DIR where tags are to be registered") from None


def __getattr__(name: str) -> Any:
    if name == "Config":  # a dataclass, which costs start-up time
        from htrun.config import Config

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
