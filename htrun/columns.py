"""Map options whose values are fields of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htrun.exceptions import UsageError
from htrun.options import component_value, option_key
from htrun.remaps import check_destination, output_name
from htrun.transfers import quoted
from htrun.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from htrun.binding import Binding


class Columns:
    """Variadic options, and the fields of each input that have their values.

    Parameters
    ----------
    fields : mapping of str to str
        By option.
    remaps : mapping of str to str, optional
        By the name of an output file: the fields that say where it goes.

    Attributes
    ----------
    values : dict of str to list of str
        By option; they grow as inputs are read.
    remaps : dict of str to list of str
        By the name of an output file, as ``values``.

    Raises
    ------
    ReservedOptionKeyword, UsageError
        If there can be no such option.
    """

    def __init__(self, fields: Mapping[str, str], remaps: Mapping[str, str] | None = None) -> None:
        self._fields = {option_key(key): name for key, name in fields.items()}
        self._remaps = {output_name(name): field for name, field in (remaps or {}).items()}
        self.values: dict[str, list[str]] = {key: [] for key in self._fields}
        self.remaps: dict[str, list[str]] = {name: [] for name in self._remaps}

    def __bool__(self) -> bool:
        return bool(self._fields or self._remaps)

    @property
    def tasks(self) -> list[str]:
        """What the fields are to do, in words."""
        remaps = (f"say where the output file {quoted(name)} goes" for name in self._remaps)
        return [*(f"have the option {key}" for key in self._fields), *remaps]

    @property
    def _names(self) -> list[str]:
        return [*self._fields.values(), *self._remaps.values()]

    def not_passed(self, binding: Binding) -> frozenset[str]:
        """Return the fields that are no parameters of the function, which it is not called with."""
        return frozenset(name for name in self._names if not binding.has_keyword(name))

    def missing(self, names: Collection[str]) -> list[str]:
        """Return in words which fields are not there."""
        return [
            f"no field {quoted(name)}{did_you_mean(name, names)}, which is to {what}"
            for what, name in zip(self.tasks, self._names, strict=True)
            if name not in names
        ]

    def take(self, fields: Mapping[str, Any]) -> list[str]:
        """Take the values of an input; return in words what is wrong with them."""
        problems = self.missing(fields)
        for key, name in self._fields.items():
            if name in fields:
                try:
                    self.values[key].append(component_value(key, fields[name]))
                except UsageError as error:
                    problems.append(f"field {quoted(name)}: {error}")
        for output, name in self._remaps.items():
            if name in fields:
                try:
                    check_destination(fields[name])
                    self.remaps[output].append(fields[name])
                except UsageError as error:
                    problems.append(f"field {quoted(name)}: {error}")
        return problems
