"""HTCondor's Python bindings: the only module that knows them. What they raise does not leave it."""

from __future__ import annotations

import os
import pwd
import signal
import threading
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htrun.engines.htcondor.matching import emptied
from htrun.exceptions import EngineError
from htrun.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType


def bindings() -> ModuleType:
    """Import HTCondor's bindings, which costs 60 ms; raises EngineError."""
    try:
        with warnings.catch_warnings(), _readable_configuration():
            warnings.simplefilter("ignore")  # it warns where there is no configuration; we say it ourselves
            import htcondor2
    except ImportError as error:
        raise EngineError(f"HTCondor's Python bindings cannot be imported: {error}") from None
    module: ModuleType = htcondor2
    return module


@contextmanager
def _readable_configuration() -> Iterator[None]:
    """Let the bindings do without a configuration that they cannot read: they would end the process over it."""
    given = os.environ.get("CONDOR_CONFIG")
    if configuration_problem() is None:
        yield
        return
    os.environ["CONDOR_CONFIG"] = "ONLY_ENV"
    try:
        yield
    finally:
        del os.environ["CONDOR_CONFIG"]
        if given is not None:
            os.environ["CONDOR_CONFIG"] = given


@contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Let signals take effect at the end only: an exception in the midst of what the bindings do crashes them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no signal handler runs here
        return
    caught: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: caught.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) not in (None, signal.SIG_IGN)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if caught:
            os.kill(os.getpid(), caught[0])


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the bindings raise into EngineError."""
    module = bindings()
    try:
        with warnings.catch_warnings(), interrupts_put_off():
            warnings.simplefilter("ignore")  # remarks on submit descriptions
            yield
    except (module.HTCondorException, RuntimeError, ValueError) as error:
        # ValueError and RuntimeError are what older bindings raise, and HTCondorException's own base.
        raise EngineError(f"{doing}: {' '.join(str(error).split()).rstrip('.') or type(error).__name__}") from error


def configuration_problem() -> str | None:
    """Return why HTCondor has no configuration here, without reading it; None where there is one.

    The places are those of HTCondor's manual, "Ordered Evaluation to Set the Configuration".
    """
    given = os.environ.get("CONDOR_CONFIG")
    if given and given != "ONLY_ENV":
        problem = "is not there" if not Path(given).exists() else "cannot be read"
        return None if os.access(given, os.R_OK) else f"CONDOR_CONFIG is {given}, which {problem}"
    if given:
        return None
    places = [Path("/etc/condor/condor_config"), Path("/usr/local/etc/condor_config")]
    try:
        places.append(Path(pwd.getpwnam("condor").pw_dir) / "condor_config")
    except KeyError:
        pass
    return None if any(place.exists() for place in places) else "HTCondor is not configured here"


_given: dict[str, str | None] = {}
"""What HTCondor's own configuration says of what our settings have changed in it."""


def _use_settings() -> None:
    """Let HTCondor look for the schedd where our settings say, as they are now."""
    settings = load()
    parameters = bindings().param
    for name, wanted in (("SCHEDD_HOST", settings.scheduler), ("COLLECTOR_HOST", settings.collector)):
        if wanted is None and name not in _given:
            continue
        given = _given.setdefault(name, parameters.get(name))
        value = wanted or given
        if value is None:
            del parameters[name]
        else:
            parameters[name] = value


def locate_schedd() -> Any:
    """Return the schedd that jobs are submitted to from here; raises EngineError."""
    with translated("no schedd can be located"):
        _use_settings()
        return bindings().Schedd()


def schedd_name() -> str:
    """Return the name of that schedd, as settings and configuration have it; raises EngineError."""
    with translated("cannot locate a schedd"):
        parameters = bindings().param
        return load().scheduler or str(parameters.get("SCHEDD_NAME") or parameters.get("FULL_HOSTNAME") or "local")


def filesystem_domain() -> str:
    """Return what HTCondor calls the file systems of this machine; raises EngineError."""
    with translated("cannot read HTCondor's configuration"):
        parameters = bindings().param
        return str(parameters.get("FILESYSTEM_DOMAIN") or parameters.get("FULL_HOSTNAME") or "")


class Ad:
    """A ClassAd as ``matching`` needs it: its attributes evaluated, with None for what is undefined or an error."""

    def __init__(self, ad: Any) -> None:
        self.ad = ad

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value; the text of requirements, which say nothing without a target."""
        try:
            if name in ("Requirements", "Start"):
                return str(self.ad.lookup(name))
            value = self.ad.eval(name)
        except (_classad().ClassAdException, KeyError, RuntimeError):
            return default
        return default if _is_undefined(value) else value

    def emptied(self) -> Ad:
        """Return a slot's ad as it is when nothing runs on it."""
        changes = emptied(self)
        if not changes:
            return self
        module = _classad()
        ad = module.ClassAd()
        ad.update(self.ad)
        for name, value in changes.items():
            ad[name] = value
        if changes.get("GPUs"):
            gpus = [name for name, value in self.ad.items() if name.startswith("GPUs_") and isinstance(value, type(ad))]
            ad["AvailableGPUs"] = module.ExprTree(f"{{ {', '.join(gpus)} }}")
        return Ad(ad)


class Evaluator:
    """Evaluates expressions, each parsed once; what is undefined or an error is None."""

    def __init__(self) -> None:
        self._classad = _classad()
        self._parsed: dict[str, Any] = {}

    def __call__(self, expression: str, my: Ad, target: Ad) -> Any:
        """Return the value of an expression between two ads."""
        try:
            if expression not in self._parsed:
                self._parsed[expression] = self._classad.ExprTree(expression)
            value = self._parsed[expression].eval(my.ad, target.ad)
        except (self._classad.ClassAdException, RuntimeError, ValueError):
            return None
        return None if _is_undefined(value) else value


@cache
def _classad() -> Any:
    """Return the module of ClassAds; it is asked for once a value."""
    return bindings().classad


def _is_undefined(value: Any) -> bool:
    return isinstance(value, _classad().Value)


def query_ads(kind: str, constraint: str = "true", projection: Sequence[str] = ()) -> list[Ad]:
    """Return the ads of a kind that the pool's collector has; raises EngineError."""
    module = bindings()
    with translated("the pool's collector does not answer"):
        found = module.Collector().query(getattr(module.AdTypes, kind), constraint, list(projection))
    return [Ad(ad) for ad in found]


def query_jobs(constraint: str, projection: Sequence[str] = (), *, clusters: bool = False) -> list[Ad]:
    """Return the jobs that the schedd has, with their clusters if these are asked for; raises EngineError."""
    schedd = locate_schedd()
    options = bindings().QueryOpts
    with translated("the schedd does not answer"):
        found = schedd.query(
            constraint, list(projection), opts=options.IncludeClusterAd if clusters else options.Default
        )
    return [Ad(ad) for ad in found]
