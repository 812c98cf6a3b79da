"""θ-trapezoidal and θ-RK-2: the definition, loop by loop, and the orders of convergence that theory promises."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from science_cases import Case, generator, make_case, times
from science_reference import Array, walk

from cdmrun.metrics.divergences import total_variation
from cdmrun.metrics.exact import analyse, data_law, output_law
from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import Uniform, make_schedule
from cdmrun.samplers import Sampler, analytic_sampler, tau_leaping_sampler, theta_sampler


def teacher_of(case: Case) -> EnumeratedTeacher:
    return EnumeratedTeacher(case.process, torch.from_numpy(case.table))


def _after(x: tuple[int, ...], expected: Array, case: Case) -> Array:
    """Law over states after each position leaps on its own, at most once."""
    single = np.zeros_like(expected)
    for i, b in enumerate(x):
        total = expected[i].sum()
        single[i] = -math.expm1(-total) * expected[i] / total if total > 0 else 0.0
        single[i, b] += math.exp(-total)
    return case.reference.product(single)


def _rates(case: Case, x: tuple[int, ...], law: Array) -> Array:
    """Q(y, x_i) r_i(y | x), zero at x itself, [L, C]."""
    rates = np.array([case.reference.generator[:, b] for b in x]) * case.reference.ratios(x, 0.0, law)
    rates[np.arange(len(x)), list(x)] = 0.0
    return rates


def theta_rows(case: Case, s: float, t: float, theta: float, solver: str) -> Array:
    """The kernel [x_t, x_s] in the clock σ̄, by loops over the state in the middle."""
    schedule, reference = case.process.schedule, case.reference

    def clock(time: float) -> float:
        return -math.log(float(schedule.alpha(torch.tensor(time, dtype=torch.float64))))

    length = clock(t) - clock(s)
    middle = math.exp(-(clock(t) - theta * length))
    law_t = reference.law(t)
    law_m = reference.law(float(schedule.time_of(torch.tensor(middle, dtype=torch.float64))))
    a1 = 1 / (2 * theta * (1 - theta)) if solver == "trapezoidal" else 0.0
    rows = np.zeros((len(law_t), len(law_t)))
    for n, x in enumerate(reference.states):
        first = _rates(case, x, law_t)
        there = _after(x, first * theta * length, case)
        for m, y in enumerate(reference.states):
            second = _rates(case, y, law_m)
            if solver == "trapezoidal":
                a2 = ((1 - theta) ** 2 + theta**2) / (2 * theta * (1 - theta))
                start, rates, share = y, np.maximum(a1 * second - a2 * first, 0.0), 1 - theta
            else:
                start, share = x, 1.0
                rates = np.maximum((1 - 1 / (2 * theta)) * first + second / (2 * theta), 0.0)
            rates[np.arange(len(x)), list(start)] = 0.0
            rows[n] += there[m] * _after(start, rates * share * length, case)
    return rows


@pytest.mark.parametrize("theta", [0.3, 0.5])
@pytest.mark.parametrize("solver", ["trapezoidal", "rk2"])
@pytest.mark.parametrize("kind", ["uniform", "matrix"])
def test_output_law_against_the_definition(kind: str, solver: str, theta: float) -> None:
    case = make_case(kind, V=3, L=2, seed=4, alpha_min=0.05)
    sampler = theta_sampler(teacher_of(case), 4, solver, theta)
    rows = [theta_rows(case, step.s, step.t, theta, solver) for step in reversed(sampler.steps)]
    np.testing.assert_allclose(output_law(sampler).numpy(), walk(case.prior, 2, rows), atol=1e-10)


def test_absorbing_ends_by_denoising_within_the_same_calls() -> None:
    case = make_case("absorbing", V=3, L=2, seed=3)
    for solver in ("trapezoidal", "rk2"):
        sampler = theta_sampler(teacher_of(case), 6, solver)
        assert sampler.nfe == 6
        assert len(sampler.steps) == 3
        assert data_law(output_law(sampler), 4, 3, 2)[1] < 1e-14, "a mask is left over"
        left = data_law(output_law(theta_sampler(teacher_of(case), 6, solver, final="none")), 4, 3, 2)[1]
        assert left > 1e-3


def test_an_odd_number_of_calls_is_refused() -> None:
    with pytest.raises(ValueError, match="must be even"):
        theta_sampler(teacher_of(make_case("uniform")), 3)


#: A mildly coupled pair of positions: odds ratios below 2, so no rate falls by more than half when the other jumps.
COUPLED = np.exp(0.3 * np.eye(3)) * np.outer([1.0, 1.2, 0.9], [0.8, 1.0, 1.1])

Build = Callable[[EnumeratedTeacher, int], Sampler]


@pytest.mark.parametrize(
    ("build", "order"),
    [
        (lambda teacher, nfe: tau_leaping_sampler(teacher, nfe), 1),
        (lambda teacher, nfe: tau_leaping_sampler(teacher, nfe, jumps="reject"), 1),
        (lambda teacher, nfe: tau_leaping_sampler(teacher, nfe, jumps="euler"), 1),
        (lambda teacher, nfe: analytic_sampler(teacher, nfe), 1),
        (lambda teacher, nfe: theta_sampler(teacher, nfe), 2),
        (lambda teacher, nfe: theta_sampler(teacher, nfe, theta=0.4), 2),
    ],
    ids=["tau-leaping", "reject", "euler", "analytic", "trapezoidal", "trapezoidal-0.4"],
)
def test_theoretical_orders_of_convergence(build: Build, order: int) -> None:
    """Halving the steps of a smooth problem divides the error by 2^order."""
    process = Uniform(3, make_schedule("constant", sigma_max=20.0))
    teacher = EnumeratedTeacher(process, torch.from_numpy(COUPLED / COUPLED.sum()))
    errors = [total_variation(teacher.table, output_law(build(teacher, nfe))) for nfe in (256, 512)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


def test_no_clean_token_is_needed_for_a_bound_of_two_stages() -> None:
    """More draws of the middle state tighten the estimate towards the exact row, from below."""
    case = make_case("uniform", V=3, L=2, alpha_min=0.05)
    kernel = theta_sampler(teacher_of(case), 2).steps[0].kernel
    x_t, x_s = torch.tensor([[0, 1]]), torch.tensor([[2, 1]])
    at = times(0.9, 1), times(0.3, 1)
    exact = float(kernel.rows(x_t, *at)[0, 2 * 3 + 1].log())
    means = []
    for draws in (1, 32):
        values = [float(kernel.log_prob(x_s, x_t, *at, generator(n), draws)) for n in range(300)]
        means.append(np.mean(values))
    assert means[0] < means[1] < exact + 0.02
    assert means[1] == pytest.approx(exact, abs=0.05)


def test_the_certificate_of_two_stages_holds() -> None:
    case = make_case("uniform", V=3, L=2, alpha_min=1e-4)
    teacher = teacher_of(case)
    found = analyse(theta_sampler(teacher, 8), teacher)
    p = teacher.table
    assert found.kl_bound >= float((p * (p / found.law).log()).sum())
