"""Map options whose values are fields of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htrun.exceptions import UsageError
from htrun.options import component_value, option_key
from htrun.transfers import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from htrun.binding import Binding


class Columns:
    """Variadic options, and the fields of each input that have their values.

    Parameters
    ----------
    fields : mapping of str to str
        By option.

    Attributes
    ----------
    values : dict of str to list of str
        By option; they grow as inputs are read.

    Raises
    ------
    ReservedOptionKeyword, UsageError
        If there can be no such option.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {option_key(key): name for key, name in fields.items()}
        self.values: dict[str, list[str]] = {key: [] for key in self._fields}

    def __bool__(self) -> bool:
        return bool(self._fields)

    def not_passed(self, binding: Binding) -> frozenset[str]:
        """Return the fields that are no parameters of the function, which it is not called with."""
        return frozenset(name for name in self._fields.values() if not binding.has_keyword(name))

    def missing(self, names: Collection[str]) -> list[str]:
        """Return in words which fields are not there."""
        return [
            f"no field {quoted(name)}, which is to have the option {key}"
            for key, name in self._fields.items()
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
        return problems
