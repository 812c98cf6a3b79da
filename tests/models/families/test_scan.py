"""The parallel scan of hidden Markov chains: against products taken one after the other, in values and gradients."""

from __future__ import annotations

import pytest
import torch
from science_cases import generator
from torch import Tensor

from cdmrun.models.families import make_head
from cdmrun.models.families.hmm import HiddenMarkov
from cdmrun.models.families.scan import prefix_laws


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9])
def test_running_products(count: int) -> None:
    draw = generator(count)
    first = torch.rand(2, 3, dtype=torch.float64, generator=draw)
    matrices = torch.rand(2, count, 3, 3, dtype=torch.float64, generator=draw)
    matrices = matrices * 10.0 ** torch.randint(-200, 200, (2, count, 1, 1), generator=draw).double()  # never overflows
    laws = prefix_laws(first, matrices)
    assert laws.shape == (2, count + 1, 3)
    vector = first
    for i in range(count + 1):
        vector = vector / vector.sum(-1, keepdim=True)
        torch.testing.assert_close(laws[:, i], vector, rtol=1e-12, atol=0)
        vector = (vector.unsqueeze(1) @ matrices[:, min(i, count - 1)]).squeeze(1)


def law_and_parameters(length: int, dtype: torch.dtype, sharp: float) -> tuple[HiddenMarkov, list[Tensor], Tensor]:
    torch.manual_seed(length)
    head = make_head("hmm", 3, length, 6, states=5).to(dtype)
    features = (sharp * torch.randn(4, length, 6, dtype=dtype)).requires_grad_()
    unary = (sharp * torch.randn(4, length, 3, dtype=dtype)).requires_grad_()
    spoken = torch.rand(4, length) < 0.7
    x = torch.randint(3, (4, length))
    law = head(features, unary, torch.where(spoken, 3, x), spoken)
    assert isinstance(law, HiddenMarkov)
    return law, [features, unary, *head.parameters()], x


@pytest.mark.parametrize("length", [1, 2, 5, 16])
@pytest.mark.parametrize(("dtype", "sharp", "close"), [(torch.float64, 1.0, 1e-10), (torch.float32, 10.0, 2e-4)])
def test_both_ways_agree(
    monkeypatch: pytest.MonkeyPatch, length: int, dtype: torch.dtype, sharp: float, close: float
) -> None:
    found = []
    for parallel in (False, True):
        monkeypatch.setattr(HiddenMarkov, "_in_parallel", lambda law, parallel=parallel: parallel)
        law, parameters, x = law_and_parameters(length, dtype, sharp)
        log_w = torch.randn(4, length, 3, dtype=dtype, generator=generator(3))
        values = [law.log_prob(x), law.log_expectation(log_w), law.marginals(), law.predictives(x)]
        gradients = torch.autograd.grad((values[0] + values[1]).sum(), parameters, materialize_grads=True)
        found.append([*values, *gradients])
    for one, other in zip(*found, strict=True):
        assert bool(torch.isfinite(other).all())
        torch.testing.assert_close(one, other, rtol=close, atol=close * max(1.0, float(one.abs().max().detach())))
