"""The reference code is right: what is measured beside cdmrun does what it says it does."""

from __future__ import annotations

import math
from collections.abc import Callable

import plain
import pytest
import torch
from torch import Tensor, nn

V, L = 3, 4


def saying(laws: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """A network that says the same laws [L, V] of every state, and that the mask is likely, too."""
    logits = torch.cat([laws.log(), torch.full((L, 1), 5.0)], -1)
    return lambda x, t: logits.expand(len(x), -1, -1)


def laws() -> Tensor:
    return torch.rand(L, V, generator=torch.Generator().manual_seed(0)).softmax(-1)


def test_substituted() -> None:
    x = torch.tensor([[0, V, 2, V]])
    said = plain.substituted(saying(laws())(x, torch.zeros(1)), x, V).exp()
    assert torch.equal(said[0, 0], torch.eye(V + 1)[0])
    assert torch.equal(said[0, 2], torch.eye(V + 1)[2])
    assert torch.allclose(said[0, 1], nn.functional.pad(laws()[1], (0, 1)), atol=1e-6)


def test_loss_is_the_cross_entropy() -> None:
    """Of laws that know nothing of other positions, the NELBO is their cross-entropy, whatever is masked."""
    torch.manual_seed(0)
    x = torch.tensor([[0, 1, 2, 0]]).expand(20_000, -1)
    loss = plain.mdlm_loss(saying(laws()), x, V)
    exact = -laws().log().gather(-1, x[0].unsqueeze(-1)).mean()
    assert float(loss) == pytest.approx(float(exact), rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("calls", [1, 5])
def test_sampler_draws_the_laws(dtype: torch.dtype, calls: int) -> None:
    torch.manual_seed(0)
    drawn = plain.mdlm_sample(saying(laws()), torch.full((20_000, L), V), V, calls, dtype)
    frequencies = nn.functional.one_hot(drawn, V + 1).double().mean(0)
    assert torch.allclose(frequencies, nn.functional.pad(laws(), (0, 1)).double(), atol=0.015)


def test_rotary_depends_on_distance_only() -> None:
    rotary = plain.RotateHalves(8, 6)
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    turned = [rotary(part.expand(1, 6, 1, 8))[0, :, 0] for part in (query, key)]
    products = turned[0] @ turned[1].T
    for offset in range(-5, 6):
        diagonal = products.diagonal(offset)
        assert torch.allclose(diagonal, diagonal[0].expand(len(diagonal)), atol=1e-5)


def test_network_starts_uniform_and_learns() -> None:
    torch.manual_seed(0)
    network = plain.DiffusionTransformer(V + 1, L, 1, 12, 2)
    x = torch.ones(64, L, dtype=torch.long)
    assert torch.equal(network(x, torch.zeros(64)), torch.zeros(64, L, V + 1))
    losses = [*plain.train(network, lambda: plain.mdlm_loss(network, x, V), 150, 2e-2, tuned=True)]
    assert losses[0] > 0.5 * math.log(V)
    assert max(losses[-10:]) < 0.05


def test_loops_do_the_same() -> None:
    """Tuned or not, the steps are the same steps."""
    weights = []
    for tuned in (True, False):
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        data = torch.randn(8, 3)
        [*plain.train(model, lambda m=model, d=data: m(d).square().mean(), 20, 1e-2, tuned)]  # type: ignore[misc]
        weights.append(model.weight.detach().clone())
    assert torch.allclose(*weights, atol=1e-6)
