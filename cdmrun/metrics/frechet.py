"""Fréchet distance between two clouds of vectors, each taken for a normal law."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


class Moments(NamedTuple):
    """Mean [d] and covariance [d, d] of vectors, float64."""

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]


def moments(vectors: Floats) -> Moments:
    """Mean and unbiased covariance of vectors [n, d].

    Rows are sorted first, so that their order changes no digit.

    Raises
    ------
    ValueError
        Of fewer than two vectors.
    """
    if len(vectors) < 2:
        raise ValueError(f"{len(vectors)} vectors have no covariance")
    rows = vectors[np.lexsort(vectors.T[::-1])].astype(np.float64)
    mean = rows.mean(axis=0)
    centred = rows - mean
    return Moments(mean, centred.T @ centred / (len(rows) - 1))


def frechet_distance(p: Moments, q: Moments) -> float:
    """|μ_p − μ_q|² + tr(C_p + C_q − 2 (C_p C_q)^½), the squared 2-Wasserstein distance of two normal laws.

    The trace of the root is the sum of the roots of the eigenvalues of C_p^½ C_q C_p^½, which is symmetric: nothing
    complex can come up, also where a covariance is singular (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).
    """
    values, vectors = np.linalg.eigh(p.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    middle = root @ q.covariance @ root
    between = np.sqrt(np.clip(np.linalg.eigvalsh((middle + middle.T) / 2), 0.0, None)).sum()
    shift = p.mean - q.mean
    distance = shift @ shift + np.trace(p.covariance) + np.trace(q.covariance) - 2 * between
    return max(float(distance), 0.0)
