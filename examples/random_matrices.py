"""How the levels of random matrices repel each other: NumPy in, NumPy out.

    htrun examples/random_matrices.py:levels --args examples/inputs/matrices.jsonl --tag matrices-example --overwrite

Run from the repository's root, with htrun on the PATH. This needs NumPy, which htrun does not: it is there after
``make demo``, or with ``pip install numpy``. NumPy's scalars and arrays are collected as JSON numbers and lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def levels(ensemble: str, size: int, matrices: int = 20, seed: int = 0) -> dict[str, Any]:
    """Return statistics of the eigenvalues of random matrices.

    Parameters
    ----------
    ensemble : {"GOE", "GUE", "diagonal"}
        Real symmetric or complex Hermitian matrices with Gaussian entries, or independent levels.
    size : int
    matrices : int
        How many are drawn.
    seed : int

    Returns
    -------
    dict
        ``ratio``, the mean of min(s, s') / max(s, s') over adjacent level spacings s and s', with its standard
        ``error``: 0.5307 for large matrices of the GOE, 0.5996 of the GUE, and 2 ln 2 - 1 = 0.3863 for levels that know
        nothing of each other (Y. Y. Atas et al., Phys. Rev. Lett. 110 (2013) 084101). ``density`` is the histogram of
        the levels over ``edges``, their range.
    """
    rng = np.random.default_rng(seed)
    spectra = np.array([spectrum(ensemble, size, rng) for _ in range(matrices)])
    spacings = np.diff(spectra, axis=1)
    pairs = np.stack([spacings[:, 1:], spacings[:, :-1]])
    means = (pairs.min(axis=0) / pairs.max(axis=0)).mean(axis=1)
    density, edges = np.histogram(spectra, bins=16, density=True)
    return {
        "ratio": means.mean(),
        "error": means.std(ddof=1) / np.sqrt(matrices),
        "density": density.round(4),
        "edges": edges[[0, -1]],
    }


def spectrum(ensemble: str, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the levels of one matrix in ascending order, scaled so that those of the GOE and GUE fill (-1, 1)."""
    if ensemble == "diagonal":
        return np.sort(rng.uniform(-1, 1, size))
    matrix = rng.normal(size=(size, size)).astype(complex if ensemble == "GUE" else float)
    if ensemble == "GUE":
        matrix += 1j * rng.normal(size=(size, size))
    elif ensemble != "GOE":
        message = f"unknown ensemble {ensemble!r}: there are GOE, GUE and diagonal"
        raise ValueError(message)
    # Wigner's semicircle has the radius 2 sqrt(size variance), with the variance of what is off the diagonal.
    variance = 1.0 if ensemble == "GUE" else 0.5
    radius = 2 * np.sqrt(size * variance)
    values: NDArray[np.float64] = np.linalg.eigvalsh((matrix + matrix.conj().T) / 2) / radius
    return values
