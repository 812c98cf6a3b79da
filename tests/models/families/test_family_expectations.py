"""Marginals, predictives and expectations of every family against enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from family_cases import (
    BATCH,
    FIXED,
    MASK,
    SPOKEN,
    L,
    V,
    enumerated_expectation,
    every_family,
    make_law,
    random_weights,
    table,
)
from science_cases import generator

#: Families whose marginals are intractable.
NO_MARGINALS = {"autoregressive"}


@every_family
def test_marginals_match_enumeration(kind: str) -> None:
    law = make_law(kind)
    if kind in NO_MARGINALS:
        with pytest.raises(NotImplementedError, match=type(law).__name__):
            law.marginals()
        return
    marginals = law.marginals()
    assert marginals.dtype == torch.float64
    for row in range(BATCH):
        for i in range(L):
            if SPOKEN[row, i]:
                expected = [sum(p for x, p in table(law, row).items() if x[i] == a) for a in range(V)]
                np.testing.assert_allclose(marginals[row, i].numpy(), expected, atol=1e-12)
            elif FIXED[row, i] < V:
                assert marginals[row, i].tolist() == [float(a == FIXED[row, i]) for a in range(V)]


@every_family
def test_predictives_match_enumeration(kind: str) -> None:
    """q(x^i | spoken tokens before i) is a ratio of sums over sequences, and their product is the likelihood."""
    law = make_law(kind)
    for x in (torch.tensor([[1, 2, 0], [2, 1, 0], [0, MASK, 2], [0, MASK, MASK]]), torch.tensor([[2, 0, 1]] * BATCH)):
        found = law.predictives(x)
        assert found.shape == (BATCH, L, V)
        torch.testing.assert_close(found.logsumexp(-1), torch.zeros(BATCH, L, dtype=torch.float64), atol=1e-12, rtol=0)
        for row in range(BATCH):
            rows, tokens = table(law, row), x[row].tolist()
            for i in SPOKEN[row].nonzero()[:, 0].tolist():
                before = [j for j in range(i) if SPOKEN[row, j]]
                agree = {y: p for y, p in rows.items() if all(y[j] == tokens[j] for j in before)}
                expected = [sum(p for y, p in agree.items() if y[i] == a) / sum(agree.values()) for a in range(V)]
                np.testing.assert_allclose(found[row, i].exp().numpy(), expected, atol=1e-12)
        taken = found.gather(-1, x.clamp_max(V - 1).unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(torch.where(SPOKEN, taken, 0.0).sum(-1), law.log_prob(x), atol=1e-12, rtol=0)


@every_family
def test_log_expectation(kind: str) -> None:
    """Exact families: equal to enumeration. Others: unbiased before the logarithm, a lower bound after it."""
    law, log_w = make_law(kind), random_weights()
    expected = [enumerated_expectation(law, log_w, row) for row in range(BATCH)]
    if law.exact_expectation:
        np.testing.assert_allclose(law.log_expectation(log_w).numpy(), expected, atol=1e-11)
        return
    count = 4000
    for row in range(BATCH):
        many = torch.full((count,), row)
        estimates = law.select(many).log_expectation(log_w[many], generator(row)).double().numpy()
        stderr = np.exp(estimates).std() / math.sqrt(count)
        assert np.exp(estimates).mean() == pytest.approx(math.exp(expected[row]), abs=4 * stderr + 1e-12)
        slack = 4 * estimates.std() / math.sqrt(count) + 1e-7
        assert estimates.mean() <= expected[row] + slack
        tighter = law.select(many).log_expectation(log_w[many], generator(row), draws=8).double().numpy()
        assert estimates.mean() - slack <= tighter.mean() <= expected[row] + slack


@every_family
def test_log_expectation_of_point_weights_is_the_likelihood(kind: str) -> None:
    law = make_law(kind)
    x = torch.tensor([[1, 2, 0], [2, 1, 0], [0, 1, 2], [0, 1, 1]])
    log_w = torch.full((BATCH, L, V), -690.0, dtype=torch.float64).scatter(-1, x.unsqueeze(-1), 0.0)
    found = law.log_expectation(log_w, generator())
    torch.testing.assert_close(found.double(), law.log_prob(x).double(), atol=1e-9, rtol=0)


def test_an_estimated_expectation_asks_for_randomness() -> None:
    with pytest.raises(ValueError, match="pass a generator"):
        make_law("autoregressive").log_expectation(random_weights())
