"""Exact output laws of samplers against brute-force propagation."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from science_cases import KINDS, SCHEDULES, Case, cases, generator, make_case, ordered_times, quick, times
from science_reference import Array, leap, walk
from scipy.stats import skellam

from cdmrun.metrics.divergences import total_variation
from cdmrun.metrics.exact import data_law, output_law
from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import time_grid
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.samplers import (
    CleanStudent,
    Sampler,
    StepStudent,
    analytic_sampler,
    student_sampler,
    tau_leaping_sampler,
)
from cdmrun.samplers.compound_poisson import clamped_compound_poisson
from cdmrun.samplers.leap import Leap


def teacher_of(case: Case, table: Array | None = None) -> EnumeratedTeacher:
    return EnumeratedTeacher(case.process, torch.from_numpy(case.table if table is None else table))


def check_law(case: Case, sampler: Sampler, row_of: Callable[[float, float], Array], atol: float = 1e-10) -> None:
    """The package's output law against a walk of reference kernels [x_t, x_s] given (s, t)."""
    grid = [sampler.steps[-1].s, *[step.t for step in reversed(sampler.steps)]]
    rows = [row_of(s, t) for s, t in itertools.pairwise(grid)]
    expected = walk(case.prior, case.reference.L, rows)
    found = output_law(sampler).numpy()
    np.testing.assert_allclose(found, expected, atol=atol)
    assert found.sum() == pytest.approx(1.0, abs=1e-9)


@quick
@given(case=cases(max_states=30), nfe=st.integers(1, 3), grid=st.sampled_from(["uniform", "cosine"]))
def test_analytic(case: Case, nfe: int, grid: str) -> None:
    sampler = analytic_sampler(teacher_of(case), nfe, grid)
    assert [step.t for step in sampler.steps] == time_grid(nfe, grid).flip(0)[:-1].tolist()
    check_law(case, sampler, case.reference.analytic)


def _moved(x: int, expected: Array, jumps: str) -> Array:
    """Law of one position after a leap, by the definition of each kind."""
    if jumps in ("any_jump", "poisson"):
        return leap(x, expected, poisson=jumps == "poisson")
    total = expected.sum()
    leaves = total * np.exp(-total) if jumps == "reject" else min(1.0, total)
    law = leaves * expected / total if total > 0 else np.zeros_like(expected)
    law[x] += 1.0 - leaves
    return law


def _leaps(case: Case, hold: str, jumps: str) -> Callable[[float, float], Array]:
    """Rows of a τ-leap by the definition: rates Q(y, x) r_i(y), held fixed."""
    reference, schedule = case.reference, case.process.schedule

    def at(function: Callable[[torch.Tensor], torch.Tensor], t: float) -> float:
        return float(function(torch.tensor(t, dtype=torch.float64)))

    def expected_jumps(x: tuple[int, ...], s: float, t: float, law: Array) -> Array:
        if case.kind == "absorbing" and hold == "rate":  # σ_t r_i(a) = −α'/(1 − α) c_i(a) stays finite at t = 1
            hazard = -at(schedule.alpha_derivative, t) / (1 - at(schedule.alpha, t))
            expected = hazard * (t - s) * np.pad(reference.conditionals(x, t), ((0, 0), (0, 1)))
            return expected * (np.array(x) == reference.V)[:, None]
        if case.kind == "absorbing" and at(schedule.alpha, t) == 0.0:
            return np.zeros((reference.L, reference.C))  # every ratio of a token to a mask is zero there
        elapsed = (
            at(schedule.sigma, t) * (t - s) if hold == "rate" else np.log(at(schedule.alpha, s) / at(schedule.alpha, t))
        )
        rates = np.array([reference.generator[:, b] for b in x]) * reference.ratios(x, t, law) * elapsed
        rates[np.arange(reference.L), list(x)] = 0.0
        return rates

    def rows(s: float, t: float) -> Array:
        law = reference.law(t)
        result = np.zeros((len(law), len(law)))
        for n, x in enumerate(reference.states):
            if law[n] > 0:
                expected = expected_jumps(x, s, t, law)
                single = np.stack([_moved(x[i], expected[i], jumps) for i in range(reference.L)])
                result[n] = reference.product(single)
        return result

    return rows


@pytest.mark.parametrize("jumps", ["reject", "euler"])
@pytest.mark.parametrize("kind", ["uniform", "absorbing", "matrix"])
def test_the_other_samplers_called_tau_leaping(kind: str, jumps: str) -> None:
    case = make_case(kind, V=3, L=2, seed=2, alpha_min=0.0 if kind == "absorbing" else 0.02)
    sampler = tau_leaping_sampler(teacher_of(case), 4, jumps=jumps, final="none")
    check_law(case, sampler, _leaps(case, "rate" if kind == "absorbing" else "ratio", jumps))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("hold", ["rate", "ratio"])
@pytest.mark.parametrize("kind", KINDS)
def test_tau_leaping(kind: str, hold: str, schedule: str) -> None:
    alpha_min = 0.0 if kind == "absorbing" and hold == "rate" else 0.02
    case = make_case(kind, V=3, L=2, schedule=schedule, seed=2, alpha_min=alpha_min)
    sampler = tau_leaping_sampler(teacher_of(case), 3, hold=hold, final="none")
    assert sampler.nfe == 3
    check_law(case, sampler, _leaps(case, hold, "any_jump"))


@pytest.mark.parametrize("kind", KINDS)
def test_tau_leaping_that_ends_by_denoising(kind: str) -> None:
    case = make_case(kind, V=3, L=2, seed=3)
    hold = "rate" if kind == "absorbing" else "ratio"
    leaps = _leaps(case, hold, "any_jump")
    sampler = tau_leaping_sampler(teacher_of(case), 3, final="denoise")
    assert sampler.nfe == 3
    check_law(case, sampler, lambda s, t: case.reference.analytic(s, t) if s == 0 else leaps(s, t))
    if kind == "absorbing":  # the default there, so that no masks are left over
        assert torch.equal(output_law(sampler), output_law(tau_leaping_sampler(teacher_of(case), 3)))
        assert data_law(output_law(sampler), 4, 3, 2)[1] < 1e-15


@pytest.mark.parametrize("kind", ["uniform", "matrix"])
def test_tau_leaping_of_ordinal_data(kind: str) -> None:
    case = make_case(kind, V=4, L=2, seed=5, alpha_min=0.1)
    sampler = tau_leaping_sampler(teacher_of(case), 3, jumps="poisson")
    check_law(case, sampler, _leaps(case, "ratio", "poisson"), atol=1e-9)


def test_tau_leaping_refuses_unknown_options() -> None:
    teacher = teacher_of(make_case("uniform"))
    with pytest.raises(ValueError, match="hold must be"):
        tau_leaping_sampler(teacher, 2, hold="rates")
    with pytest.raises(ValueError, match="jumps must be"):
        tau_leaping_sampler(teacher, 2, jumps="many")


@quick
@given(
    means=st.lists(st.floats(0, 4), min_size=2, max_size=5),
    x=st.integers(0, 4),
)
def test_clamped_compound_poisson_is_a_sum_of_poissons(means: list[float], x: int) -> None:
    x = min(x, len(means) - 1)
    expected = np.array(means)
    expected[x] = 0.0
    law = clamped_compound_poisson(torch.from_numpy(expected)[None, None], torch.tensor([[x]]))[0, 0].numpy()
    np.testing.assert_allclose(law, leap(x, expected, poisson=True), atol=1e-8)
    assert law.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("states", [2, 3, 16, 17, 33])
def test_many_far_jumps_do_not_wrap_around(states: int) -> None:
    """All expected jumps span the whole range: the largest sum that the window must hold."""
    expected = torch.zeros(1, 2, states, dtype=torch.float64)
    expected[0, 0, -1] = expected[0, 1, 0] = 16.0
    law = clamped_compound_poisson(expected, torch.tensor([[0, states - 1]]))[0]
    stays = np.exp(-16.0)
    np.testing.assert_allclose(law[0, [0, -1]].numpy(), [stays, 1 - stays], atol=1e-10)
    np.testing.assert_allclose(law[1, [-1, 0]].numpy(), [stays, 1 - stays], atol=1e-10)


@pytest.mark.parametrize("rate", [30.0, 300.0, 5000.0])
def test_many_near_jumps_are_a_wide_bell_that_both_ends_clamp(rate: float) -> None:
    """Hundreds of small jumps, as under a birth–death process, go not nearly as far as they are many."""
    states, x = 33, 10
    expected = np.zeros(states)
    expected[x - 1] = expected[x + 1] = rate
    law = clamped_compound_poisson(torch.from_numpy(expected)[None, None], torch.tensor([[x]]))[0, 0].numpy()
    reach = 1200  # Skellam: the difference of two Poisson numbers
    sums = skellam.pmf(np.arange(-reach, reach + 1), rate, rate)
    landed = np.bincount(np.clip(x + np.arange(-reach, reach + 1), 0, states - 1), sums, minlength=states)
    np.testing.assert_allclose(law, landed, atol=1e-9)


def test_jumps_beyond_the_window_end_at_the_end_they_lead_to() -> None:
    expected = torch.zeros(1, 1, 5, dtype=torch.float64)
    expected[0, 0, 4] = 1e6
    law = clamped_compound_poisson(expected, torch.tensor([[0]]))[0, 0]
    assert float(law[4]) == pytest.approx(1.0, abs=1e-6)
    assert not law.isnan().any()


def test_the_first_leap_at_a_held_ratio_of_zero_does_nothing() -> None:
    """Absorbing, α_1 = 0: why its default holds the rate."""
    sampler = tau_leaping_sampler(teacher_of(make_case("absorbing")), 1, hold="ratio", final="none")
    assert float(output_law(sampler)[-1]) == 1.0


# -- students ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nfe", [1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_joint_conditional_samples_the_data_exactly_at_every_nfe(kind: str, nfe: int) -> None:
    case = make_case(kind, V=3, L=2, seed=1, alpha_min=0.0 if kind == "absorbing" else 1e-5)
    law, outside = data_law(output_law(student_sampler(teacher_of(case), nfe)), case.process.states, 3, 2)
    assert outside < 1e-12
    tv = total_variation(torch.from_numpy(case.table).reshape(-1), law)
    assert tv < (1e-9 if kind == "absorbing" else 1e-4)


@quick
@given(case=cases(max_states=30), nfe=st.integers(1, 3), seed=st.integers(0, 99))
def test_an_inexact_student_walks_through_the_bridge(case: Case, nfe: int, seed: int) -> None:
    other = np.random.default_rng(seed).random(case.table.shape)
    other /= other.sum()
    wrong = type(case.reference)(case.reference.kernel, case.reference.generator, other)

    def rows(s: float, t: float) -> Array:
        posteriors = [np.nan_to_num(wrong.posterior(x, t)) for x in wrong.states]
        return np.stack([wrong.through_bridge(q, x, s, t) for q, x in zip(posteriors, wrong.states, strict=True)])

    check_law(case, student_sampler(teacher_of(case, other), nfe), rows)


@quick
@given(case=cases(kinds=("absorbing",), max_states=30), at=ordered_times)
def test_step_and_clean_students_are_one_for_an_exact_absorbing_teacher(case: Case, at: tuple[float, ...]) -> None:
    """Showing only the revealed positions to a consistent family is the same as drawing all and keeping some."""
    _, s, t = at
    states = enumerate_states(case.process.states, case.reference.L)
    teacher = teacher_of(case)
    args = states, times(t, len(states)), times(s, len(states))
    possible = torch.from_numpy(case.reference.law(t) > 0)
    torch.testing.assert_close(
        StepStudent(teacher).rows(*args)[possible], CleanStudent(teacher).rows(*args)[possible], atol=1e-12, rtol=0
    )


def test_what_is_drawn_beyond_the_window_has_the_law_that_is_scored() -> None:
    """Thousands of jumps without a direction: both are of the leap that fits."""
    expected = torch.tensor([3.3e4, 0.0, 3.3e4], dtype=torch.float64).expand(20_000, 1, 3)
    x = torch.ones(20_000, 1, dtype=torch.long)
    leap = Leap("rate", "poisson")
    law = leap.laws(expected[:1], x[:1])[0, 0]
    drawn = leap.draw(expected, x, generator(3)).flatten()
    shares = torch.bincount(drawn, minlength=3).double() / len(drawn)
    torch.testing.assert_close(shares, law, rtol=0, atol=4 * 0.5 / len(drawn) ** 0.5)
