"""The Ising ferromagnet over temperature: a parameter scan over the rows of a CSV file.

    htrun examples/ising.py:simulate --args examples/inputs/ising.csv --tag ising-example --overwrite

Run from the repository's root, with htrun on the PATH. The header of the CSV names parameters of ``simulate``, and
their annotations say what its fields are converted to. Afterwards, as a table of parameters and results:

    htrun collect ising-example --format csv --with-inputs
"""

from __future__ import annotations

import math
import random


def simulate(
    temperature: float, size: int, sweeps: int = 200, warm_up: int = 100, seed: int = 0, periodic: bool = True
) -> dict[str, float]:
    """Sample a square lattice of spins at a temperature, by the algorithm of Metropolis.

    Parameters
    ----------
    temperature : float
        In units of the coupling, J/k; the infinite lattice is ferromagnetic below 2 / ln(1 + sqrt 2) = 2.269.
    size : int
        Spins a side.
    sweeps : int
        How many times every spin is tried, and then the lattice measured.
    warm_up : int
        How many sweeps go before, from all spins up.
    seed : int
        Equal seeds give equal results.
    periodic : bool
        Whether the edges of the lattice meet; otherwise they are free.

    Returns
    -------
    dict
        Means over the sweeps, a spin: ``energy`` in units of J, ``magnetisation`` (its modulus), ``heat_capacity`` in
        units of k, from the fluctuations of the energy. ``accepted`` is the share of flips.
    """
    rng = random.Random(seed)  # noqa: S311 (physics, not cryptography)
    sites = size * size
    neighbours = [adjacent(site, size, periodic=periodic) for site in range(sites)]
    # Flipping a spin costs 2 s h, where h is the sum of its at most four neighbours.
    chance = {cost: math.exp(-cost / temperature) for cost in range(1, 9)}
    spins = [1] * sites
    magnetisations: list[float] = []
    energies: list[float] = []
    flips = 0
    for sweep in range(warm_up + sweeps):
        for site in range(sites):
            cost = 2 * spins[site] * sum(spins[other] for other in neighbours[site])
            if cost <= 0 or rng.random() < chance[cost]:
                spins[site] = -spins[site]
                flips += 1
        if sweep >= warm_up:
            bonds = sum(spins[site] * spins[other] for site in range(sites) for other in neighbours[site]) / 2
            energies.append(-bonds / sites)
            magnetisations.append(abs(sum(spins)) / sites)
    energy = sum(energies) / sweeps
    fluctuation = sum(e * e for e in energies) / sweeps - energy**2
    return {
        "energy": energy,
        "magnetisation": sum(magnetisations) / sweeps,
        "heat_capacity": sites * fluctuation / temperature**2,
        "accepted": flips / sites / (warm_up + sweeps),
    }


def adjacent(site: int, size: int, *, periodic: bool) -> list[int]:
    """Return the neighbours of a site of the lattice, which is numbered row by row."""
    row, column = divmod(site, size)
    places = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    if not periodic:
        places = [(r, c) for r, c in places if 0 <= r < size and 0 <= c < size]
    return [r % size * size + c % size for r, c in places]
