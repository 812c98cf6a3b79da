from __future__ import annotations

import numpy as np
import pytest
import torch
from science_cases import chi_square_p, generator

from cdmrun.processes import draws
from cdmrun.processes.draws import draw_bernoulli, draw_categorical


def _with_uniform(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    def rand(*shape: object, dtype: torch.dtype, **options: object) -> torch.Tensor:
        assert dtype == torch.float64, "a float32 uniform number cannot reach rare categories"
        return torch.full(tuple(shape[0]), value, dtype=dtype)  # type: ignore[arg-type]

    monkeypatch.setattr(draws.torch, "rand", rand)


LARGEST = 1.0 - 2.0**-53  # what torch.rand can return at most in float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("uniform", [0.0, 0.25, 0.5, LARGEST])
def test_categories_of_weight_zero_are_never_drawn(
    monkeypatch: pytest.MonkeyPatch, uniform: float, dtype: torch.dtype
) -> None:
    _with_uniform(monkeypatch, uniform)
    for weights in ([0, 1, 0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 3e-38, 0], [0.1] * 9 + [0.0] * 3):
        row = torch.tensor(weights, dtype=dtype)
        assert row[draw_categorical(row, None)] > 0


def test_a_rare_token_has_its_exact_share_of_the_unit_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rare = 1e-9  # float32 Gumbel noise would never pick it
    weights = torch.tensor([0.5, rare, 0.5 - rare], dtype=torch.float64)
    for uniform, index in [
        (0.5 - 1e-15, 0),
        (0.5 + 1e-15, 1),
        (0.5 + rare - 1e-15, 1),
        (0.5 + rare + 1e-15, 2),
    ]:
        _with_uniform(monkeypatch, uniform)
        assert int(draw_categorical(weights, None)) == index


def test_inversion_is_what_a_loop_over_categories_finds() -> None:
    """Rows that rounding takes to the top, or that have no weight at all, among ordinary ones."""
    weights = torch.rand(400, 7, dtype=torch.float64, generator=generator(1))
    weights[::3, 4:] = 0.0
    weights[::5, 0] = 0.0
    uniform = torch.rand(400, dtype=torch.float64, generator=generator(2))
    for top in (False, True):
        if top:
            uniform[::7], weights[::50] = LARGEST, 0.0
        found = draws.invert_categorical(weights, uniform)
        for row, number, index in zip(weights.tolist(), uniform.tolist(), found.tolist(), strict=True):
            sums = np.cumsum(row)
            passed = [j for j, total in enumerate(sums) if total > number * sums[-1]]
            last = max((j for j, weight in enumerate(row) if weight > 0), default=0)
            assert index == min([*passed, last])


def test_unnormalised_weights_give_proportional_frequencies() -> None:
    weights = torch.tensor([1.0, 0.0, 5.0, 0.5, 3.0])
    counts = np.bincount(draw_categorical(weights.expand(20_000, -1), generator(3)).numpy(), minlength=5)
    assert chi_square_p(counts, (weights / weights.sum()).numpy()) > 1e-3


def test_draws_depend_on_the_generator_alone() -> None:
    weights = torch.rand(7, 5, 4, generator=generator(1))
    first, again = (draw_categorical(weights, generator(2)) for _ in range(2))
    torch.manual_seed(99)
    assert torch.equal(first, again)
    assert torch.equal(first, draw_categorical(weights, generator(2)))
    assert first.shape == (7, 5)
    assert first.dtype == torch.int64


def test_bernoulli_is_strict_at_both_ends() -> None:
    probability = torch.tensor([0.0, 1.0]).repeat(5000)
    drawn = draw_bernoulli(probability, generator())
    assert not drawn[::2].any()
    assert drawn[1::2].all()
