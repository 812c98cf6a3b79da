"""Optimal time grids: dynamic programming against all grids, exact costs against certificates, estimates."""

from __future__ import annotations

import itertools

import pytest
import torch
from science_cases import Case, generator, make_case
from test_exact import teacher_of

from cdmrun.metrics.exact import analyse
from cdmrun.metrics.time_grids import (
    candidate_times,
    cheapest,
    estimated_costs,
    exact_costs,
    noise_path,
)
from cdmrun.models import EvaluationCounter
from cdmrun.processes import time_grid
from cdmrun.samplers import analytic_sampler, tau_leaping_sampler
from cdmrun.training.sources import table_source


def all_exact(case: Case, times: torch.Tensor, sampler: str = "analytic") -> torch.Tensor:
    """Costs of every pair, [m + 1, m + 1]."""
    teacher = teacher_of(case)
    make = analytic_sampler if sampler == "analytic" else tau_leaping_sampler
    first, last = make(teacher, 2).steps
    costs = torch.full((len(times), len(times)), torch.inf, dtype=torch.float64)
    for start in range(1, len(times)):
        costs[start, :start] = exact_costs(first.kernel, last.kernel, teacher, times, start)
    return costs


def test_the_cheapest_way_is_that_of_brute_force() -> None:
    costs = torch.rand(8, 8, dtype=torch.float64, generator=generator())
    costs[7, 0] = costs[5, 2] = torch.inf
    found = cheapest(costs, [1, 2, 3, 5, 7])
    for n, way in found.items():
        every = [[0, *inner, 7] for inner in itertools.combinations(range(1, 7), n - 1)]
        price = {tuple(one): float(costs[one[1:], one[:-1]].sum()) for one in every}
        assert price[tuple(way)] == min(price.values())


def test_candidates_hold_every_uniform_and_cosine_grid_once() -> None:
    times = candidate_times([1, 3, 4], 5)
    assert float(times[0]) == 0.0
    assert float(times[-1]) == 1.0
    assert float(times.diff().min()) > 1e-9
    for n, kind in itertools.product((1, 3, 4), ("uniform", "cosine")):
        gap = (time_grid(n, kind).unsqueeze(-1) - times).abs().min(-1).values
        assert float(gap.max()) < 1e-9


@pytest.mark.parametrize("sampler", ["analytic", "tau_leaping"])
@pytest.mark.parametrize("kind", ["absorbing", "uniform"])
def test_no_grid_is_better_than_the_one_found(kind: str, sampler: str) -> None:
    """Costs add up to the certificate of the whole sampler, and the optimised one is at most those of other grids."""
    case = make_case(kind, V=2, L=3, seed=3)
    teacher, steps = teacher_of(case), [1, 2, 4]
    make = analytic_sampler if sampler == "analytic" else tau_leaping_sampler
    times = candidate_times(steps, 6)
    costs = all_exact(case, times, sampler)
    for n, way in cheapest(costs, steps).items():
        own = analyse(make(teacher, n, grid=times[way].tolist()), teacher)
        assert sum(own.step_kl) == pytest.approx(float(costs[way[1:], way[:-1]].sum()), abs=1e-12)
        for other in ("uniform", "cosine"):
            assert own.kl_bound <= analyse(make(teacher, n, grid=other), teacher).kl_bound + 1e-9
        if (n, sampler) == (4, "analytic"):
            assert own.kl_bound < 0.98 * analyse(make(teacher, n), teacher).kl_bound


@pytest.mark.parametrize("kind", ["absorbing", "uniform"])
def test_estimates_are_of_the_exact_costs_and_cost_one_call_a_row(kind: str) -> None:
    """Up to what is the same for all grids: −log q(x_s | x_0, x_t) telescopes, so two-step grids are compared."""
    case = make_case(kind, V=2, L=3, seed=3)
    teacher = teacher_of(case)
    times = candidate_times([2], 4)
    first, last = analytic_sampler(teacher, 2).steps
    path = noise_path(case.process, table_source(case.table)(8000, generator(1)), times, generator(2))
    top = len(times) - 1
    with EvaluationCounter(teacher) as counter:
        rows = [
            estimated_costs(first.kernel, last.kernel, path, times, start, generator(3), 1)
            for start in range(1, top + 1)
        ]
    assert counter.calls == top
    exact = all_exact(case, times)
    middles = range(1, top)
    found = torch.stack([rows[top - 1][m] + rows[m - 1][0] for m in middles])
    true = torch.stack([exact[top, m] + exact[m, 0] for m in middles])
    torch.testing.assert_close(found - found.mean(), true - true.mean(), rtol=0, atol=0.05)


def test_a_grid_of_ones_own_must_be_one() -> None:
    teacher = teacher_of(make_case("uniform"))
    assert [step.t for step in analytic_sampler(teacher, 2, grid=[0.0, 0.3, 1.0]).steps] == [1.0, 0.3]
    for wrong in ([0.0, 1.0], [0.0, 0.5, 0.5, 1.0], [0.1, 0.5, 1.0]):
        with pytest.raises(ValueError, match="ascending from 0 to 1"):
            analytic_sampler(teacher, max(2, len(wrong) - 1), grid=wrong)
