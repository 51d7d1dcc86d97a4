"""What only one version of Python can do: run byte code, and import what was compiled for it."""

from __future__ import annotations

import os
import pickle
import sys

TYPE_CHECKING = False  # see htrun.runner
if TYPE_CHECKING:
    from typing import Any

_HERE = "%d.%d" % sys.version_info[:2]


class WrongPython(Exception):
    """The Python here is of another version than what it is given was made for."""


def differs(python: str | None) -> bool:
    """Tell whether a version, where it is known, is another one than that of this Python, micro versions aside."""
    return python is not None and python.split(".")[:2] != _HERE.split(".")


def this_python() -> str:
    """Return in words which Python this is, and where."""
    return "Python %d.%d.%d (%s on %s)" % (*sys.version_info[:3], sys.executable, os.uname().nodename)


def unpickler(python: str | None, advice: str) -> type[pickle.Unpickler]:
    """Return the class that loads what a version of Python has pickled.

    Byte code, which cloudpickle makes of functions and classes that travel by value, is refused if that was another
    one: with some versions it would crash the process.

    Parameters
    ----------
    python : str or None
    advice : str
        What to do then, to go on in a sentence; ``%(python)s`` in it is the version.
    """
    if not differs(python):
        return pickle.Unpickler

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module == "pathlib._local":  # where Python 3.13 has the paths of pathlib
                module = "pathlib"
            found = super().find_class(module, name)
            if module == "cloudpickle.cloudpickle" and name == "_builtin_type":
                return builtin_type
            return found

    def builtin_type(name: str) -> Any:
        """Do as cloudpickle does, but for what makes code."""
        if name == "CodeType":
            raise WrongPython(
                "this function, or class, was pickled with its byte code by Python %s, which %s cannot run: %s"
                % (python, this_python(), advice % {"python": ".".join(str(python).split(".")[:2])})
            )
        from cloudpickle import cloudpickle

        return cloudpickle._builtin_type(name)

    return Unpickler


MOVE = (
    "let Python %(python)s run there, as with --delivery shared or docker:python:%(python)s, or name the function on "
    "the command line, FILE.py:FUNCTION, from where it travels as source"
)
"""What to do about byte code that was taken to another Python."""
