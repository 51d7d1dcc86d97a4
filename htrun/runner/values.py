"""Outputs on the wire: as JSON where JSON gives back exactly the same value, and as pickle otherwise.

A pickled output carries an export form as well: what a JSON file or a CSV column shows of it. It is made here, on the
node, because only here are the classes and packages of the value certain to be importable.
"""

from __future__ import annotations

import collections
import enum
import json
import sys
from collections import abc

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_SCALARS = (str, int, bool, type(None))


def _is(value: Any, module: str, *names: str) -> bool:
    """Tell whether a value is of one of a module's classes; where that was not imported, there are no such values."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, tuple(getattr(loaded, name) for name in names))


class NotExportable(Exception):
    """A value has no JSON form; the message says which part of it."""


class Encoded:
    """An output in its forms on the wire.

    Attributes
    ----------
    json : str or None
        The value as strict JSON; None where it has no such form.
    pickle : bytes or None
        The value as pickle; None where the JSON gives it back exactly.
    reason : str or None
        Why there is no JSON.
    repr : str or None
        The value's ``repr()`` where there is no JSON.
    nonfinite : int
        How many NaN and infinities became null in the JSON.
    """

    __slots__ = ("json", "nonfinite", "pickle", "reason", "repr")

    def __init__(
        self,
        json: str | None = None,
        pickle: bytes | None = None,
        reason: str | None = None,
        repr: str | None = None,  # noqa: A002 (it is one)
        nonfinite: int = 0,
    ) -> None:
        self.json = json
        self.pickle = pickle
        self.reason = reason
        self.repr = repr
        self.nonfinite = nonfinite


def is_exact(value: Any) -> bool:
    """Tell whether JSON gives back exactly this value, types included."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is float:
        return bool(value - value == 0)  # false for NaN and infinities
    if kind is list:
        return all(map(is_exact, value))
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(is_exact, value.values()))
    return False


def dumps(value: Any) -> str:
    """Return strict JSON on one line.

    In the place of lone surrogates, which neither UTF-8 nor programs such as jq can take, are replacement characters.
    """
    text = _dumps(value)
    return text if _is_text(text) else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def encode(value: Any) -> Encoded:
    """Return the wire forms of an output; raises whatever pickling it raises."""
    try:
        if type(value) is int:  # so common, and so simple, that the encoder's own work is most of it
            return Encoded(json=repr(value))
        if is_exact(value):
            text = _dumps(value)
            if _is_text(text):
                return Encoded(json=text)
    except (RecursionError, ValueError):  # nested too deeply, a cycle, or an integer of more digits than Python prints
        pass
    pickled = _pickle(value)
    exporter = Exporter()
    try:
        return Encoded(json=dumps(exporter.export(value)), pickle=pickled, nonfinite=exporter.nonfinite)
    except NotExportable as error:
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deeply, or contains itself"
    except Exception as error:  # whatever the methods of the user's own classes raise
        reason = "%s: %s" % (type(error).__name__, error)
    return Encoded(pickle=pickled, reason=reason, repr=safe_repr(value, 10_000))


def safe_repr(value: Any, limit: int) -> str:
    """Return ``repr(value)`` of at most ``limit`` characters, whatever the user's ``__repr__`` does."""
    try:
        text = repr(value)
    except BaseException as error:
        return "<%s, whose repr() raised %s>" % (type(value).__name__, type(error).__name__)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _pickle(value: Any) -> bytes:
    import pickle  # only now: most jobs do without, and are started sooner

    try:
        return pickle.dumps(value, protocol=5)  # the newest that Python 3.8 reads
    except Exception:
        pass  # a lambda or a class made on the way: cloudpickle can, at a cost that is paid only here
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(value, protocol=5)
    except Exception as error:
        reason = "%s: %s" % (type(error).__name__, error)
        raise TypeError("the return value, of type %s, cannot be pickled: %s" % (_type_name(value), reason)) from None
    return data


class Exporter:
    """Turns values into what strict JSON can hold, and counts what it had to null."""

    def __init__(self) -> None:
        self.nonfinite = 0

    def export(self, value: Any, where: str = "the output") -> Any:
        """Return ``value`` made of dict, list, str, int, finite float, bool and None; raise NotExportable otherwise."""
        if value is None or value is True or value is False:
            return value
        if isinstance(value, enum.Enum):
            return self.export(value.value, where)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            value = float(value)
            if value - value == 0:
                return value
            self.nonfinite += 1
            return None
        if isinstance(value, abc.Mapping):
            return self._mapping(value, where)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return self._fields(value, value._fields, where)
        if isinstance(value, (list, tuple, range, collections.deque)):
            return [self.export(item, "%s[%d]" % (where, i)) for i, item in enumerate(value)]
        if isinstance(value, (set, frozenset)):
            return [self.export(item, where) for item in _ordered(value)]
        if isinstance(value, (bytes, bytearray, memoryview)):
            import base64  # only now: most jobs do without, and are started sooner

            return base64.b64encode(bytes(value)).decode("ascii")
        if _is(value, "datetime", "date", "time"):
            return None if value != value else value.isoformat()  # pandas' NaT is a datetime unlike itself
        if _is(value, "datetime", "timedelta"):
            return value.total_seconds()
        if _is_spelt(value) or _is(value, "fractions", "Fraction"):
            return str(value)
        if isinstance(value, complex):
            return {"real": self.export(value.real, where), "imag": self.export(value.imag, where)}
        if hasattr(type(value), "__dataclass_fields__"):
            import dataclasses

            return self._fields(value, [field.name for field in dataclasses.fields(value)], where)
        return self._array(value, where)

    def _mapping(self, value: Mapping[Any, Any], where: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = self._key(key, where)
            if name in result:
                raise NotExportable("%s has two keys that are both %r in JSON" % (where, name))
            result[name] = self.export(item, "%s[%r]" % (where, key))
        return result

    def _key(self, key: Any, where: str) -> str:
        if isinstance(key, enum.Enum):
            key = key.value
        if isinstance(key, str):
            return str(key)
        if isinstance(key, bool) or key is None:
            return json.dumps(key)
        if hasattr(key, "dtype") and hasattr(key, "item"):
            key = key.item()
        if isinstance(key, (int, float, tuple)) or _is_spelt(key) or _is(key, "datetime", "date"):
            return str(key)
        raise NotExportable("%s has a key of type %s, which JSON cannot hold" % (where, _type_name(key)))

    def _fields(self, value: Any, names: Iterable[str], where: str) -> dict[str, Any]:
        return {name: self.export(getattr(value, name), "%s.%s" % (where, name)) for name in names}

    def _array(self, value: Any, where: str) -> Any:
        """NumPy, pandas and whatever else has their interface, without importing them."""
        kind = getattr(getattr(value, "dtype", None), "kind", None)
        if kind is not None and kind in "mM" and hasattr(value, "astype") and not hasattr(value, "index"):
            # tolist() alone gives integers for nanoseconds.
            times = value / sys.modules["numpy"].timedelta64(1, "s") if kind == "m" else value.astype(str)
            return self.export(_without_nat(times.tolist()), where)
        names = getattr(getattr(value, "dtype", None), "names", None)
        if names:
            if getattr(value, "ndim", 0):
                return [self.export(item, "%s[%d]" % (where, i)) for i, item in enumerate(value)]
            return {name: self.export(value[name], "%s[%r]" % (where, name)) for name in names}
        if hasattr(value, "to_dict") and hasattr(value, "columns"):
            names = list(value.columns)
            if len(set(names)) < len(names):
                raise NotExportable("%s has two columns of the same name" % where)
            return self.export(value.to_dict(orient="records"), where)
        if hasattr(value, "tolist"):
            plain = value.tolist()
            if type(plain) is not type(value):
                return self.export(plain, where)
        if _is(value, "numbers", "Real"):  # such as NumPy's longdouble
            return self.export(float(value), where)
        if type(value).__name__ == "NAType":  # what pandas has for a value that is missing
            return None
        raise NotExportable("%s is of type %s, which JSON cannot hold" % (where, _type_name(value)))


def _without_nat(value: Any) -> Any:
    """Return None for what NumPy calls NaT, a time that is missing."""
    if isinstance(value, list):
        return [_without_nat(item) for item in value]
    return None if value == "NaT" or value != value else value


def _is_spelt(value: Any) -> bool:
    """Tell whether the text of a value says all of it."""
    return _is(value, "decimal", "Decimal") or _is(value, "uuid", "UUID") or _is(value, "pathlib", "PurePath")


def _ordered(values: Iterable[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, kind.__qualname__)
