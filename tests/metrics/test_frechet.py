"""The Fréchet distance against the textbook formula, and where that has trouble: singular covariances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from cdmrun.metrics.frechet import Moments, frechet_distance, moments


def cloud(seed: int, count: int = 50, width: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) + rng.standard_normal(width)


def test_it_is_the_textbook_formula() -> None:
    p, q = moments(cloud(0)), moments(cloud(1))
    root = sqrtm(p.covariance @ q.covariance).real
    expected = ((p.mean - q.mean) ** 2).sum() + np.trace(p.covariance + q.covariance - 2 * root)
    assert frechet_distance(p, q) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(q, p) == pytest.approx(expected, rel=1e-9)


def test_known_distances() -> None:
    """Of one cloud to itself 0, to itself shifted the shift squared, and of commuting covariances the roots apart."""
    p = moments(cloud(2))
    assert frechet_distance(p, p) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(p, moments(cloud(2) + 2.0)) == pytest.approx(4.0 * 6, rel=1e-9)
    first, second = np.diag([4.0, 9.0]), np.diag([1.0, 16.0])
    assert frechet_distance(Moments(np.zeros(2), first), Moments(np.zeros(2), second)) == pytest.approx(1.0 + 1.0)


def test_fewer_vectors_than_coordinates() -> None:
    p, q = moments(cloud(3, count=4)), moments(cloud(4, count=4))
    root = sqrtm((p.covariance + 1e-12 * np.eye(6)) @ (q.covariance + 1e-12 * np.eye(6))).real
    expected = ((p.mean - q.mean) ** 2).sum() + np.trace(p.covariance + q.covariance - 2 * root)
    assert frechet_distance(p, q) == pytest.approx(expected, rel=1e-4)


def test_order_changes_no_digit() -> None:
    vectors = cloud(5).astype(np.float32)
    shuffled = np.random.default_rng(0).permutation(vectors)
    for one, other in zip(moments(vectors), moments(shuffled), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(moments(vectors).covariance, np.cov(vectors.astype(np.float64).T), rtol=1e-9)
    with pytest.raises(ValueError, match="1 vectors"):
        moments(vectors[:1])
