"""Probabilities under every family in the registry: a new one gets these tests by being registered."""

from __future__ import annotations

import pytest
import torch
from family_cases import (
    BATCH,
    FIXED,
    FORMULAS,
    MASK,
    OPTIONS,
    SEQUENCES,
    SPOKEN,
    WIDTH,
    L,
    V,
    every_family,
    make_law,
    table,
)
from science_cases import generator

from cdmrun.models.families import make_head


@every_family
def test_probabilities_sum_to_one(kind: str) -> None:
    law = make_law(kind)
    for row in range(BATCH):
        assert sum(table(law, row).values()) == pytest.approx(1.0, abs=1e-12)


@every_family
def test_all_sequences_at_once_agree_with_one_by_one(kind: str) -> None:
    law = make_law(kind)
    found = law.log_probabilities(torch.tensor(SEQUENCES))
    assert found.shape == (BATCH, len(SEQUENCES))
    assert found.dtype == torch.float64
    for n, sequence in enumerate(SEQUENCES):
        expected = law.log_prob(torch.tensor([sequence] * BATCH))
        torch.testing.assert_close(found[:, n], expected.double(), atol=1e-12, rtol=0)


@every_family
def test_blocks_do_not_change_probabilities(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    law = make_law(kind)
    whole = law.log_probabilities(torch.tensor(SEQUENCES))
    monkeypatch.setattr("cdmrun.models.families.base.PAIRS", 30)
    torch.testing.assert_close(law.log_probabilities(torch.tensor(SEQUENCES)), whole, atol=1e-13, rtol=0)


@every_family
def test_what_is_not_spoken_of_does_not_count(kind: str) -> None:
    law = make_law(kind)
    x = torch.tensor([[1, 2, 0], [2, 1, 0], [0, MASK, 2], [0, MASK, MASK]])
    other = torch.where(SPOKEN, x, (x + 1) % V)
    torch.testing.assert_close(law.log_prob(x), law.log_prob(other))
    assert float(law.log_prob(x)[3]) == pytest.approx(0.0, abs=1e-15)


@every_family
def test_select_repeats_and_reorders_rows(kind: str) -> None:
    law = make_law(kind)
    index = torch.tensor([3, 0, 0, 2])
    x = torch.tensor(SEQUENCES[5:9])
    picked = law.select(index)
    for n, row in enumerate(index.tolist()):
        alone = law.select(torch.tensor([row])).log_prob(x[n : n + 1])
        torch.testing.assert_close(picked.log_prob(x)[n : n + 1], alone, atol=1e-13, rtol=0)


@pytest.mark.parametrize("kind", sorted(FORMULAS))
@torch.no_grad()
def test_likelihood_is_the_family_s_formula(kind: str) -> None:
    law = make_law(kind)
    for row in range(BATCH):
        for x, p in table(law, row).items():
            assert p == pytest.approx(FORMULAS[kind](law, row, x), rel=1e-10)


@pytest.mark.parametrize("kind", ["factorized", "autoregressive", "markov", "joint"])
def test_a_fresh_head_is_the_product_of_its_unaries(kind: str) -> None:
    """Heads with a neutral start: a student of a network teacher begins as its teacher."""
    head = make_head(kind, V, L, WIDTH, **OPTIONS.get(kind, {}))
    features, unary = (torch.randn(BATCH, L, n, generator=generator(n)) for n in (WIDTH, V))
    law = head(features, unary, FIXED, torch.ones_like(SPOKEN))
    product = make_head("factorized", V, L, WIDTH)(features, unary, FIXED, torch.ones_like(SPOKEN))
    sequences = torch.tensor(SEQUENCES)
    torch.testing.assert_close(
        law.log_probabilities(sequences), product.log_probabilities(sequences), atol=1e-5, rtol=0
    )
