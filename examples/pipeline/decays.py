"""Simulated decays, and what they tell of the lifetime; see the Makefile."""

from __future__ import annotations

import math
import random
from typing import Any


def simulate(particle: str, lifetime: float, window: float, events: int, seed: int) -> dict[str, Any]:
    """Return when unstable particles decay, as a detector with a limited time window sees it.

    Parameters
    ----------
    particle : str
    lifetime : float
        The mean, in microseconds.
    window : float
        How long the detector looks, in microseconds; later decays are not seen.
    events : int
        How many decays are seen.
    seed : int

    Returns
    -------
    dict
        The arguments of ``fit``.
    """
    rng = random.Random(seed)  # noqa: S311 (physics, not cryptography)
    seen = -math.expm1(-window / lifetime)  # the share of decays within the window
    times = [-lifetime * math.log1p(-seen * rng.random()) for _ in range(events)]
    return {"particle": particle, "window": window, "times": times}


def fit(particle: str, window: float, times: list[float]) -> dict[str, Any]:
    """Estimate the lifetime from decay times, by maximum likelihood.

    The mean time within the window w is, for a lifetime t, ``t - w / (exp(w / t) - 1)``; the estimate is the t for
    which this is the mean that was seen. It exists if that mean is less than half the window.

    Parameters
    ----------
    particle : str
    window : float
        In microseconds, as the times.
    times : list of float

    Returns
    -------
    dict
        ``lifetime`` and its standard ``error``, in microseconds.

    Raises
    ------
    ValueError
        If the window is too short to tell a lifetime.
    """
    mean = sum(times) / len(times)
    if mean >= window / 2:
        message = f"a window of {window} us is too short to see how these {particle} die away"
        raise ValueError(message)
    low, high = mean, 1e6 * window
    while high - low > 1e-12 * high:
        lifetime = (low + high) / 2
        if lifetime - window / math.expm1(min(window / lifetime, 700)) < mean:
            low = lifetime
        else:
            high = lifetime
    # The inverse of the Fisher information, which is n / t^4 times the variance of one time within the window.
    x = min(window / low, 700)
    variance = low**2 * (1 - x**2 * math.exp(x) / math.expm1(x) ** 2)
    return {
        "particle": particle,
        "events": len(times),
        "lifetime": round(low, 6),
        "error": round(low**2 / math.sqrt(len(times) * variance), 6),
    }
