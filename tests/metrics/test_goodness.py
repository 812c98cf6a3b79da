from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from cdmrun.metrics.goodness import chi2_p

LAW = np.array([0.4, 0.3, 0.2, 0.1])


def test_it_is_scipys_test_where_nothing_is_pooled() -> None:
    codes = np.random.default_rng(0).choice(4, size=500, p=LAW)
    expected = chisquare(np.bincount(codes, minlength=4), LAW * 500).pvalue
    assert chi2_p(codes, LAW) == pytest.approx(expected)


def test_it_is_uniform_under_the_law_and_small_under_another() -> None:
    random = np.random.default_rng(1)
    values = [chi2_p(random.choice(4, size=400, p=LAW), LAW) for _ in range(300)]
    assert kstest(values, "uniform").pvalue > 1e-3
    assert chi2_p(random.choice(4, size=400, p=LAW[::-1]), LAW) < 1e-6


def test_rare_categories_are_pooled() -> None:
    law = np.array([0.5, 0.49, *np.full(100, 0.0001)])
    random = np.random.default_rng(2)
    values = [chi2_p(random.choice(102, size=1000, p=law / law.sum()), law / law.sum()) for _ in range(200)]
    assert kstest(values, "uniform").pvalue > 1e-3


def test_its_limits() -> None:
    assert chi2_p(np.array([0, 1]), np.array([1.0, 0.0])) == 0.0, "what the law forbids has happened"
    assert math.isnan(chi2_p(np.zeros(50, dtype=int), np.array([1.0, 0.0])))


def test_a_pool_that_is_itself_rare_takes_another_category_in() -> None:
    """One of ten states that are expected a tenth of a time in all is no alarm."""
    law = np.array([0.5, 0.4999, *np.full(10, 0.00001)])
    codes = np.repeat([0, 1, 2], [500, 499, 1])
    assert chi2_p(codes, law / law.sum()) > 0.9
