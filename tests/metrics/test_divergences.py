from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from science_cases import quick

from cdmrun.metrics.divergences import (
    cross_entropy,
    jensen_shannon,
    kl_divergence,
    marginal_variation,
    total_variation,
)

P, Q = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.25, 0.25, 0.5]).double()


def test_distances_by_hand() -> None:
    assert total_variation(P, Q) == 0.5
    assert total_variation(P, P) == 0.0
    assert kl_divergence(P, Q) == pytest.approx(math.log(2))
    assert kl_divergence(Q, P) == math.inf
    assert kl_divergence(P, P) == 0.0
    assert cross_entropy(P, Q) == pytest.approx(math.log(4))
    assert jensen_shannon(P, P) == 0.0
    # m = (3/8, 3/8, 1/4): ½ log(4/3) + ½ [½ log(2/3) + ½ log 2]
    assert jensen_shannon(P, Q) == pytest.approx(0.5 * math.log(4 / 3) + 0.25 * math.log(4 / 3))


def test_mass_outside_the_data_counts() -> None:
    assert total_variation(P, 0.5 * P) == 0.5
    assert kl_divergence(0.5 * P, P) == math.inf
    assert jensen_shannon(P, 0.0 * P) == pytest.approx(math.log(2))
    everything = torch.tensor([0.25, 0.25, 0.0, 0.5]).double()  # the same with the outside written as a state
    whole = torch.tensor([0.5, 0.5, 0.0, 0.0]).double()
    assert jensen_shannon(P, 0.5 * P) == pytest.approx(jensen_shannon(whole, everything))


@quick
@given(seed=st.integers(0, 999), size=st.integers(2, 6))
def test_jensen_shannon_is_symmetric_and_bounded(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    p, q = (torch.from_numpy(random.dirichlet(np.full(size, 0.3))) for _ in range(2))
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p), abs=1e-14)
    assert 0.0 <= jensen_shannon(p, q) <= math.log(2) + 1e-12
    assert jensen_shannon(p, q) <= total_variation(p, q) * math.log(2) + 1e-12


@quick
@given(seed=st.integers(0, 999), V=st.integers(2, 3), L=st.integers(1, 4), positions=st.integers(1, 2))
def test_marginal_variation_against_loops(seed: int, V: int, L: int, positions: int) -> None:
    random = np.random.default_rng(seed)
    p, q = (random.dirichlet(np.ones(V**L)).reshape((V,) * L) for _ in range(2))
    distances = []
    for kept in itertools.combinations(range(L), min(positions, L)):
        total = 0.0
        for tokens in itertools.product(range(V), repeat=len(kept)):
            chosen = tuple(tokens[kept.index(i)] if i in kept else slice(None) for i in range(L))
            total += abs(p[chosen].sum() - q[chosen].sum())
        distances.append(total / 2)
    found = marginal_variation(torch.from_numpy(p), torch.from_numpy(q), positions)
    assert found == pytest.approx(np.mean(distances), abs=1e-12)


def test_marginals_may_agree_where_laws_do_not() -> None:
    even = torch.tensor([[0.5, 0.0], [0.0, 0.5]]).double()
    odd = even.flip(0)
    assert marginal_variation(even, odd, 1) == 0.0
    assert marginal_variation(even, odd, 2) == 1.0
