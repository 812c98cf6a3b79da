"""Kernels of generators at their limits: fast and slow, small entries, many and few distinct times."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from nan_trap import LargestTensor, NanTrap
from science_cases import random_generator, times
from scipy.stats import poisson

from cdmrun.processes import Constant, Loglinear, Matrix, birth_death, discretised_gaussian
from cdmrun.processes.exponential import STEP, TERMS, Exponential


def kernel(generator: torch.Tensor, elapsed: float) -> np.ndarray:
    return Exponential(generator)(torch.tensor([elapsed], dtype=torch.float64))[0].numpy()


@pytest.mark.parametrize("elapsed", [1e-12, 1e-6, 1e-3, 0.1, 2.0, 11.5])
@pytest.mark.parametrize("shape", ["walk", "one way", "dense"])
def test_every_entry_has_all_its_digits(shape: str, elapsed: float) -> None:
    """Against arithmetic with 120 digits: entries down to 1e-130 are right to twelve."""
    rates = {
        "walk": birth_death(9).numpy(),
        "one way": np.roll(np.eye(6), 1, axis=1) * np.array([[1.0], [5.0], [1e-6], [30.0], [2.0], [0.3]]),
        "dense": random_generator(6, np.random.default_rng(0)),
    }[shape].copy()
    np.fill_diagonal(rates, 0.0)
    np.fill_diagonal(rates, -rates.sum(1))
    with mpmath.workdps(120):
        exact = mpmath.matrix(rates.tolist())
        for a in range(len(rates)):  # a diagonal to all digits, as the package takes it from the rates
            exact[a, a] = -mpmath.fsum(exact[a, b] for b in range(len(rates)) if b != a)
        expected = np.array((mpmath.expm(exact * mpmath.mpf(elapsed))).tolist(), dtype=np.float64)
    np.testing.assert_allclose(kernel(torch.from_numpy(rates), elapsed), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("elapsed", [1e-4, 0.05, 11.5])
def test_a_hundred_levels_agree_with_plain_uniformisation(elapsed: float) -> None:
    """Σ_n Poisson(n; qτ) Pⁿ term by term: up to 24,000 of them, of the row of an end and one within."""
    generator = birth_death(100).numpy()
    rate = -np.diag(generator).min()
    step = np.eye(100) + generator / rate
    mean = rate * elapsed
    weights = poisson.pmf(np.arange(int(mean + 12.0 * mean**0.5) + 250), mean)
    rows = np.eye(100)[[0, 37]]
    expected = np.zeros_like(rows)
    for weight in weights:
        expected += weight * rows
        rows = rows @ step
    found = kernel(torch.from_numpy(generator), elapsed)[[0, 37]]
    shown = expected > 1e-60
    np.testing.assert_allclose(found[shown], expected[shown], rtol=1e-8)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)  # what scipy's weights are good for


@pytest.mark.parametrize("generator", [birth_death(100), discretised_gaussian(100)], ids=["walk", "gaussian"])
def test_long_times_compose_without_overflow(generator: torch.Tensor) -> None:
    process = Matrix(generator, Constant(11.5))
    assert float(generator.abs().max()) * 11.5 > 50
    with NanTrap():
        for r, s, t in [(0.0, 1e-5, 2e-5), (0.0, 1e-3, 1.0), (0.2, 0.5, 0.9), (0.0, 0.5, 1.0), (0.98, 0.99, 1.0)]:
            whole = process.kernel(r, t)
            assert (whole >= 0).all()
            torch.testing.assert_close(whole.sum(1), torch.ones(100).double(), rtol=0, atol=1e-12)
            composed = process.kernel(r, s) @ process.kernel(s, t)
            torch.testing.assert_close(composed, whole, rtol=0, atol=1e-12)


def test_no_time_is_no_change_and_all_time_forgets() -> None:
    exponential = Exponential(birth_death(30))
    none, all_of_it = exponential(torch.tensor([0.0, 1e6], dtype=torch.float64))
    assert torch.equal(none, torch.eye(30, dtype=torch.float64))
    torch.testing.assert_close(all_of_it, torch.full((30, 30), 1 / 30, dtype=torch.float64), rtol=0, atol=1e-14)


def test_the_series_is_long_enough_for_the_farthest_states() -> None:
    """Twice the mean of a step, which a path to the farthest state can need, still ends within the terms."""
    assert poisson.sf(TERMS, 2 * STEP) < 1e-18


def test_one_exponential_for_each_distinct_time(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Matrix(discretised_gaussian(8), Loglinear(1e-3))
    counts: list[int] = []
    original = Exponential.__call__
    monkeypatch.setattr(Exponential, "__call__", lambda self, at: counts.append(len(at)) or original(self, at))
    x = torch.randint(8, (6, 3), generator=torch.Generator().manual_seed(0))
    at = torch.tensor([0.2, 0.7, 0.2, 0.2, 0.7, 0.5], dtype=torch.float64)
    evidence = process.evidence(x, 0.0, at)
    pushed = process.push(process.one_hot(x), 0.0, at)
    assert counts == [3, 3]
    for n, t in enumerate(at.tolist()):
        torch.testing.assert_close(evidence[n], process.kernel(0.0, t).T[x[n]], rtol=1e-13, atol=0)
        torch.testing.assert_close(pushed[n], process.kernel(0.0, t)[x[n]], rtol=1e-13, atol=0)


def test_a_batch_at_one_time_builds_one_kernel() -> None:
    """256 equal times over 100 states: nothing as large as 256 kernels is ever made."""
    process = Matrix(birth_death(100), Loglinear(1e-5))
    x = torch.randint(100, (256, 2), generator=torch.Generator().manual_seed(0))
    with LargestTensor() as watched:
        process.evidence(x, times(0.1, 256), times(0.9, 256))
        process.push(process.one_hot(x), times(0.1, 256), times(0.9, 256))
    assert 100 * 100 <= watched.entries < 256 * 100 * 100
    assert watched.entries <= max(TERMS + 1, 256) * 100 * 100 // 4
