"""Divergences against their definitions, where they vanish, how they are estimated, and zeros."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from science_cases import generator

from cdmrun.distill import Divergence, divergence
from cdmrun.processes.draws import draw_categorical

ALL = [("forward_kl", None), ("reverse_kl", None), ("jensen_shannon", None), ("total_variation", None)]
ALL += [("alpha", alpha) for alpha in (0.1, 0.5, 0.9)]
every_divergence = pytest.mark.parametrize(("name", "alpha"), ALL)


def laws(count: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two laws over some outcomes, none impossible."""
    drawn = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(count), 2) + 0.02)
    return tuple(drawn / drawn.sum(-1, keepdim=True))  # type: ignore[return-value]


def by_definition(name: str, alpha: float | None, p: np.ndarray, q: np.ndarray) -> float:
    def kl(a: np.ndarray, b: np.ndarray) -> float:
        return float((a * np.log(a / b)).sum())

    if name == "alpha":
        assert alpha is not None
        return float((1 - (p**alpha * q ** (1 - alpha)).sum()) / (alpha * (1 - alpha)))
    return {
        "forward_kl": kl(p, q),
        "reverse_kl": kl(q, p),
        "jensen_shannon": 0.5 * (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)),
        "total_variation": 0.5 * float(np.abs(p - q).sum()),
    }[name]


@every_divergence
def test_sums_are_the_definition(name: str, alpha: float | None) -> None:
    for seed in range(5):
        p, q = laws(seed=seed)
        expected = by_definition(name, alpha, p.numpy(), q.numpy())
        assert float(divergence(name, alpha).full(p.log(), q.log())) == pytest.approx(expected, abs=1e-13)


@every_divergence
def test_loss_and_gradient_vanish_at_a_match(name: str, alpha: float | None) -> None:
    p, _ = laws()
    logits = p.log().requires_grad_()
    loss = divergence(name, alpha).full(p.log(), logits.log_softmax(-1))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-14)
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) < 1e-14


@every_divergence
def test_draws_estimate_value_and_gradient_without_bias(name: str, alpha: float | None) -> None:
    """In expectation over all outcomes, exactly; forward KL, JS, TV and α also where q has mass and p has none."""
    measure = divergence(name, alpha)
    p, q = laws()
    if name != "reverse_kl":
        p = torch.cat([p, torch.zeros(1).double()])
        q = torch.cat([0.8 * q, torch.full((1,), 0.2).double()])
    gradients = []
    for estimated in (False, True):
        logits = q.log().clone().requires_grad_()
        log_q = logits.log_softmax(-1)
        if estimated:
            loss = (p * measure.of_draws(p.log().clamp_min(-50.0), log_q)).sum()
        else:
            loss = measure.full(p.log(), log_q)
        loss.backward()
        gradients.append((float(loss.detach()), logits.grad))
    assert gradients[0][0] == pytest.approx(gradients[1][0], abs=1e-12)
    torch.testing.assert_close(gradients[0][1], gradients[1][1], atol=1e-12, rtol=0)


def test_real_draws_average_to_the_divergence() -> None:
    p, q = laws()
    x = draw_categorical(p.expand(40_000, -1), generator())
    for name, alpha in ALL:
        measure = divergence(name, alpha)
        each = measure.of_draws(p.log()[x], q.log()[x])
        stderr = float(each.std()) / math.sqrt(len(x))
        assert float(each.mean()) == pytest.approx(float(measure.full(p.log(), q.log())), abs=5 * stderr), name


@pytest.mark.parametrize("end", ["full", "draws"])
def test_alpha_ends_in_the_two_kls(end: str) -> None:
    p, q = laws()

    def value(measure: Divergence) -> float:
        if end == "full":
            return float(measure.full(p.log(), q.log()))
        return float((p * measure.of_draws(p.log(), q.log())).sum())

    for near, exact, name in [(1e-9, 0.0, "reverse_kl"), (1 - 1e-9, 1.0, "forward_kl")]:
        assert value(divergence("alpha", exact)) == value(divergence(name))
        if end == "full" or name == "forward_kl":  # the estimate that no support can bias has a factor 1/α
            assert value(divergence("alpha", near)) == pytest.approx(value(divergence(name)), abs=1e-7)
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\]"):
        divergence("alpha", 1.5)


@every_divergence
def test_zeros_are_large_and_finite(name: str, alpha: float | None) -> None:
    measure = divergence(name, alpha)
    impossible = torch.tensor([0.0, 1.0], dtype=torch.float64).log()
    certain = torch.tensor([1.0, 0.0], dtype=torch.float64).log()
    half = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    for log_p in (impossible, half, certain):
        for start in (impossible, half, certain):
            log_q = start.clone().requires_grad_()
            loss = measure.full(log_p, log_q)
            loss.backward()
            assert math.isfinite(float(loss.detach())), (log_p, start)
            assert log_q.grad is not None
            assert not bool(log_q.grad.isnan().any()), (log_p, start)
            assert float(loss.detach()) >= -1e-12
    for gap in (-2000.0, -50.0, 0.0, 50.0, 2000.0):  # of a draw, in nats
        log_q = torch.tensor(gap - 5.0, dtype=torch.float32, requires_grad=True)
        loss = measure.of_draws(torch.tensor(-5.0), log_q)
        loss.backward()
        assert math.isfinite(float(loss.detach()))
        assert log_q.grad is not None
        assert math.isfinite(float(log_q.grad))
