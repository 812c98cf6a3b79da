"""What only the markov family has: orders, skipped positions, a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from family_cases import (
    BATCH,
    FORMULAS,
    MASK,
    OPTIONS,
    SPOKEN,
    WIDTH,
    V,
    enumerated_expectation,
    make_law,
    random_weights,
    table,
)
from science_cases import generator

from cdmrun.errors import UserError
from cdmrun.models.families import make_head


@pytest.mark.parametrize("order", [1, 3])
@torch.no_grad()
def test_markov_chains_of_other_orders(monkeypatch: pytest.MonkeyPatch, order: int) -> None:
    """Likelihood, expectation, marginals and predictives, a row at a time as well."""
    monkeypatch.setitem(OPTIONS, "markov", {"order": order, "hidden": 4})
    law, log_w = make_law("markov"), random_weights()
    marginals = law.marginals()
    expected = [enumerated_expectation(law, log_w, row) for row in range(BATCH)]
    np.testing.assert_allclose(law.log_expectation(log_w).numpy(), expected, atol=1e-11)
    monkeypatch.setattr("cdmrun.models.families.markov.BLOCK", 1)
    np.testing.assert_allclose(make_law("markov").log_expectation(log_w).numpy(), expected, atol=1e-11)
    for row in range(BATCH):
        for x, p in table(law, row).items():
            assert p == pytest.approx(FORMULAS["markov"](law, row, x), rel=1e-10)
        for i in SPOKEN[row].nonzero()[:, 0].tolist():
            by_token = [sum(p for x, p in table(law, row).items() if x[i] == a) for a in range(V)]
            np.testing.assert_allclose(marginals[row, i].numpy(), by_token, atol=1e-12)


def test_markov_chains_skip_what_is_not_spoken_of() -> None:
    """A step's few positions are as long a chain as they are many, wherever they are."""
    head = make_head("markov", V, 9, WIDTH, order=3, hidden=4)
    torch.nn.init.normal_(head.output.weight)
    head.requires_grad_(False)
    features, unary = (torch.randn(1, 9, n, generator=generator(n)) for n in (WIDTH, V))
    spoken = torch.tensor([[0, 0, 1, 0, 0, 1, 0, 0, 0]], dtype=torch.bool)
    law: Any = head(features, unary, torch.full((1, 9), MASK), spoken)
    assert law.noise(generator()).shape == (1, 2, V)
    first, second = (
        law.log_prob(torch.full((1, 9), MASK).scatter(1, torch.tensor([[2, 5]]), torch.tensor([[a, 1]])))
        for a in (0, 2)
    )
    one = law.predictives(torch.zeros(1, 9, dtype=torch.long))[0, 2]
    assert abs(float(first - one[0]) - float(second - one[2])) > 1e-3  # what follows depends on the token three before


def test_markov_chains_of_too_many_contexts_are_refused() -> None:
    with pytest.raises(UserError, match="order 3 over 100 tokens has 103,030,100 log-odds, more than 20,000,000"):
        make_head("markov", 100, 4, WIDTH, order=3)
