"""Every family in float32, at extreme logits, and in blocks."""

from __future__ import annotations

import copy

import pytest
import torch
from family_cases import BATCH, FIXED, OPTIONS, SEQUENCES, SPOKEN, WIDTH, L, V, every_family, make_law, random_weights
from science_cases import generator
from torch import Tensor

from cdmrun.models import NetworkModel, NetworkShape
from cdmrun.models.families import make_head
from cdmrun.processes import Absorbing, make_schedule


@every_family
@pytest.mark.parametrize("peak", [1.0, 50.0])
def test_gradients_are_finite_even_where_unaries_are_extreme(kind: str, peak: float) -> None:
    head = make_head(kind, V, L, WIDTH, **OPTIONS.get(kind, {}))
    features = torch.randn(BATCH, L, WIDTH, generator=generator(1), requires_grad=True)
    unary = (peak * torch.sign(torch.randn(BATCH, L, V, generator=generator(2)))).requires_grad_()
    law = head(features, unary, FIXED, SPOKEN)
    worst = unary.argmin(-1)
    values = [
        law.log_prob(worst),
        law.predictives(worst).sum((-1, -2)),
        law.log_probabilities(torch.tensor(SEQUENCES)).sum(-1),
    ]
    if law.exact_expectation:  # an estimate is for scoring only
        values.append(law.log_expectation(random_weights().float()))
    loss = torch.stack([value.double().sum() for value in values]).sum()
    assert torch.isfinite(loss)
    loss.backward()
    for tensor in (features, unary, *head.parameters()):
        assert tensor.grad is None or torch.isfinite(tensor.grad).all()
    assert torch.isfinite(unary.grad).all()


@every_family
def test_float32_is_enough_for_a_sum_of_one(kind: str) -> None:
    total = make_law(kind, torch.float32).log_probabilities(torch.tensor(SEQUENCES)).exp()[0].sum()
    assert float(total) == pytest.approx(1.0, abs=1e-5)


@every_family
def test_float32_heads_agree_with_float64_where_logits_are_large(kind: str) -> None:
    """…and beside a trunk in bf16 they are float32 still."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        head = make_head(kind, V, L, WIDTH, **OPTIONS.get(kind, {})).requires_grad_(False)
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=2.0)
        features, unary = 10.0 * torch.randn(BATCH, L, WIDTH), 40.0 * torch.randn(BATCH, L, V)
        shape = NetworkShape(L, {"kind": kind, **OPTIONS.get(kind, {})}, {"layers": 1, "width": 12, "heads": 2})
        network = NetworkModel(Absorbing(V, make_schedule("loglinear", 0.0)), shape)
    x = torch.tensor([[1, 2, 0], [2, 1, 0], [0, 1, 2], [0, 1, 1]])
    low = head(features, unary, FIXED, SPOKEN)
    high = copy.deepcopy(head).double()(features.double(), unary.double(), FIXED, SPOKEN)
    pairs = [(law.log_prob(x), law.predictives(x)) for law in (low, high)]
    pairs[0] += (low.log_expectation(random_weights().float(), generator()),)
    pairs[1] += (high.log_expectation(random_weights(), generator()),)
    for single, double in zip(*pairs, strict=True):
        assert single.isfinite().all()
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=2e-3)
    network.precision = "bf16"
    law = network(FIXED, torch.ones(BATCH), spoken=SPOKEN)
    assert law.log_prob(x).dtype == law.predictives(x).dtype == torch.float32
    (-law.log_prob(x).sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_blocks_of_components_change_neither_values_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """…nor is anything of the size of all components at once kept for the backward pass."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = make_head("mixture", V, L, WIDTH, components=7, rank=4).double()
        features = torch.randn(BATCH, L, WIDTH, dtype=torch.float64)
        unary = torch.randn(BATCH, L, V, dtype=torch.float64, requires_grad=True)
        mix = [torch.randn(*shape, dtype=torch.float64) for shape in [(BATCH,), (BATCH, L, V), (BATCH,), (BATCH, 27)]]
    log_w, found, largest = random_weights(), [], []
    for block in (1 << 24, BATCH * L * V * 2):
        monkeypatch.setattr("cdmrun.models.families.mixture.BLOCK", block)
        kept: list[int] = []

        def keep(tensor: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            law = head(features, unary, FIXED, SPOKEN)
            values = [law.log_prob(FIXED % V), law.predictives(FIXED % V), law.log_expectation(log_w)]
        values.append(law.log_probabilities(torch.tensor(SEQUENCES)))
        loss = torch.stack([(value * factor).sum() for value, factor in zip(values, mix, strict=True)]).sum()
        gradients = torch.autograd.grad(loss, [unary, *head.parameters()])
        found.append([*values, law.marginals(), *gradients])
        largest.append(max(kept))
    for whole, blocks in zip(*found, strict=True):
        torch.testing.assert_close(whole, blocks, atol=1e-12, rtol=1e-12)
    assert largest[1] < BATCH * L * V * 7 <= largest[0]


def test_a_long_hidden_markov_chain_keeps_its_precision() -> None:
    """64 states, 64 positions, peaked unaries: float32 within 1e-5 of float64, relatively."""
    length, vocabulary, width = 64, 32, 8
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = make_head("hmm", vocabulary, length, width, states=64)
        torch.nn.init.normal_(head.transition, std=3.0)
        torch.nn.init.normal_(head.emission, std=5.0)
        features = 3.0 * torch.randn(2, length, width)
        unary = 8.0 * torch.randn(2, length, vocabulary)
        x = torch.randint(vocabulary, (2, length))
    fixed, spoken = torch.full((2, length), vocabulary), torch.rand(2, length, generator=generator()) < 0.8
    log_w = torch.randn(2, length, vocabulary, generator=generator())
    low = head(features, unary, fixed, spoken)
    high = head.double()(features.double(), unary.double(), fixed, spoken)
    for single, double in [
        (low.log_prob(x), high.log_prob(x)),
        (low.log_expectation(log_w), high.log_expectation(log_w.double())),
    ]:
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(low.marginals(), high.marginals(), rtol=0, atol=1e-5)
    assert torch.equal(low.sample(generator())[~spoken], fixed[~spoken])
