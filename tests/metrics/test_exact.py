from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nan_trap import LargestTensor
from science_cases import KINDS, Case, cases, make_case, quick

from cdmrun.data import load
from cdmrun.metrics.divergences import cross_entropy, kl_divergence, total_variation
from cdmrun.metrics.exact import ExactAnalysis, analyse, data_law, output_law, prior_law
from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import Absorbing, ForwardProcess, Uniform
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.samplers import Sampler, analytic_sampler, student_sampler, tau_leaping_sampler, theta_sampler


def teacher_of(case: Case, table: np.ndarray | None = None) -> EnumeratedTeacher:
    return EnumeratedTeacher(case.process, torch.from_numpy(case.table if table is None else table))


def nll_bound_of(case: Case, sampler: Sampler) -> float:
    """The exact bound on E −log p̂(x_0): the certificate and the entropy of the target, nats a sequence."""
    return analyse(sampler, teacher_of(case)).kl_bound + teacher_of(case).entropy()


def samplers(case: Case, nfe: int) -> dict[str, Sampler]:
    """One of each kind of kernel; the student is exact for another table."""
    other = np.random.default_rng(3).random(case.table.shape) + 0.1
    teacher = teacher_of(case)
    return {
        "analytic": analytic_sampler(teacher, nfe),
        "tau-leaping": tau_leaping_sampler(teacher, nfe),
        "student": student_sampler(teacher_of(case, other / other.sum()), nfe),
    }


SAMPLERS = ("analytic", "tau-leaping", "student")


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("nfe", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_is_the_enumerated_one(kind: str, nfe: int, name: str) -> None:
    case = make_case(kind, V=2, L=2, seed=6, alpha_min=0.0 if kind == "absorbing" else 0.05)
    sampler = samplers(case, nfe)[name]
    everything = torch.cartesian_prod(*[torch.arange(case.process.states)] * 2)
    rows = [step.kernel.rows(everything, *step.times(len(everything))).numpy() for step in reversed(sampler.steps)]
    grid = [0.0, *[step.t for step in reversed(sampler.steps)]]
    expected = case.reference.variational_bound(case.prior, grid, rows)
    assert nll_bound_of(case, sampler) == pytest.approx(expected, rel=1e-9)


@quick
@given(case=cases(max_states=30), nfe=st.integers(1, 3), name=st.sampled_from(SAMPLERS))
def test_the_bound_is_one(case: Case, nfe: int, name: str) -> None:
    sampler = samplers(case, nfe)[name]
    law, _ = data_law(output_law(sampler), case.process.states, case.reference.V, case.reference.L)
    p_0 = torch.from_numpy(case.table).reshape(-1)
    exact = cross_entropy(p_0, law)
    bound = nll_bound_of(case, sampler)
    assert bound >= exact - 1e-9
    if case.kind == "absorbing" and nfe == 1 and float(case.process.schedule.alpha(torch.ones(()))) == 0.0:
        assert bound == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("nfe", [1, 2, 4])
def test_an_exact_student_attains_the_entropy_at_every_nfe(nfe: int) -> None:
    case = make_case("absorbing", V=3, L=2, zeros=True, seed=4)
    entropy = -sum(p * math.log(p) for p in case.table.ravel() if p > 0)
    assert nll_bound_of(case, student_sampler(teacher_of(case), nfe)) == pytest.approx(entropy, abs=1e-9)


def test_the_factorised_floor_is_the_total_correlation() -> None:
    """One analytic step costs the entropy plus the total correlation, no less (docs/distillation.md)."""
    case = make_case("absorbing", V=3, L=2, seed=8)
    p = case.table
    independent = np.outer(p.sum(1), p.sum(0))
    law, _ = data_law(output_law(analytic_sampler(teacher_of(case), 1)), 4, 3, 2)
    np.testing.assert_allclose(law.numpy(), independent.ravel(), atol=1e-12)
    correlation = float((p * np.log(p / independent)).sum())
    assert kl_divergence(torch.from_numpy(p).reshape(-1), law) == pytest.approx(correlation, abs=1e-12)


def test_mass_left_on_masks_is_reported() -> None:
    case = make_case("absorbing", V=2, L=2)
    law = prior_law(case.process, 2)
    inside, outside = data_law(law, 3, 2, 2)
    assert (float(inside.sum()), outside) == (0.0, 1.0)
    assert total_variation(torch.from_numpy(case.table).reshape(-1), inside) == pytest.approx(1.0)


def _steps(case: Case, sampler: Sampler) -> tuple[float, list[float], list[float]]:
    """KL of the start, of each step, and each step's conditional total correlation: by loops over all pairs."""
    reference = case.reference

    def kl(p: np.ndarray, q: np.ndarray) -> float:
        with np.errstate(divide="ignore"):  # infinite where q forbids what p has
            return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())

    prior = np.array([math.prod(case.prior[b] for b in x) for x in reference.states])
    costs, correlations = [], []
    everything = enumerate_states(case.process.states, reference.L)
    for step in sampler.steps:
        p_t, exact = reference.law(step.t), reference.reverse(step.s, step.t)
        best = reference.analytic(step.s, step.t)
        rows = step.kernel.rows(everything, *step.times(len(everything))).numpy()
        possible = np.flatnonzero(p_t > 1e-14)
        costs.append(sum(p_t[n] * kl(exact[n], rows[n]) for n in possible))
        correlations.append(sum(p_t[n] * kl(exact[n], best[n]) for n in possible))
    return kl(reference.law(1.0), prior), costs, correlations


@quick
@given(case=cases(max_states=30), nfe=st.integers(1, 3), name=st.sampled_from(SAMPLERS))
def test_the_certificate_is_made_of_the_steps_own_divergences(case: Case, nfe: int, name: str) -> None:
    sampler = samplers(case, nfe)[name]
    found = analyse(sampler, teacher_of(case))
    start, costs, correlations = _steps(case, sampler)
    assert found.prior_kl == pytest.approx(start, abs=1e-10)
    np.testing.assert_allclose(found.step_kl, costs, atol=1e-9)
    np.testing.assert_allclose(found.total_correlation, correlations, atol=1e-9)


@quick
@given(case=cases(max_states=30), nfe=st.integers(1, 3), name=st.sampled_from(SAMPLERS))
def test_the_certificate_lies_above_the_divergence_it_bounds(case: Case, nfe: int, name: str) -> None:
    found = analyse(samplers(case, nfe)[name], teacher_of(case))
    law, _ = data_law(found.law, case.process.states, case.reference.V, case.reference.L)
    assert found.kl_bound >= kl_divergence(torch.from_numpy(case.table).reshape(-1), law) - 1e-9


@quick
@given(case=cases(max_states=30), nfe=st.integers(1, 3))
def test_no_factorised_kernel_beats_the_total_correlation_and_the_analytic_one_attains_it(case: Case, nfe: int) -> None:
    teacher = teacher_of(case)
    analytic = analyse(analytic_sampler(teacher, nfe), teacher)
    leaping = analyse(tau_leaping_sampler(teacher, nfe), teacher)
    np.testing.assert_allclose(analytic.step_kl, analytic.total_correlation, atol=1e-10)
    assert all(cost >= floor - 1e-10 for cost, floor in zip(leaping.step_kl, leaping.total_correlation, strict=True))


def test_an_independent_target_has_no_total_correlation() -> None:
    table = np.outer([0.2, 0.3, 0.5], [0.6, 0.1, 0.3])
    case = make_case("uniform", V=3, L=2, table=table)
    found = analyse(analytic_sampler(teacher_of(case), 3), teacher_of(case))
    assert max(found.total_correlation) < 1e-12
    assert found.kl_bound == pytest.approx(found.prior_kl, abs=1e-12)


def test_a_kernel_that_forbids_what_happens_has_an_infinite_certificate() -> None:
    """Euler steps longer than the mean waiting time leave for sure."""
    case = make_case("uniform", V=3, L=2, alpha_min=1e-5)
    found = analyse(tau_leaping_sampler(teacher_of(case), 2, jumps="euler"), teacher_of(case))
    assert found.kl_bound == math.inf
    assert torch.isfinite(found.law).all()


def _same(one: ExactAnalysis, other: ExactAnalysis) -> None:
    torch.testing.assert_close(one.law, other.law, atol=1e-14, rtol=0)
    assert one.step_kl == pytest.approx(other.step_kl, rel=1e-12)
    assert one.total_correlation == pytest.approx(other.total_correlation, rel=1e-12)


@pytest.mark.parametrize("name", [*SAMPLERS, "theta"])
def test_blocks_do_not_change_the_analysis(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case("uniform", V=3, L=2)
    teacher = teacher_of(case)
    sampler = theta_sampler(teacher, 4) if name == "theta" else samplers(case, 2)[name]
    whole = analyse(sampler, teacher)
    torch.testing.assert_close(output_law(sampler), whole.law, atol=0, rtol=0)
    monkeypatch.setattr("cdmrun.metrics.exact.KERNEL_ENTRIES", 20)
    monkeypatch.setattr("cdmrun.metrics.exact.STATES", 2)
    monkeypatch.setattr("cdmrun.samplers.second_order.ENTRIES", 200)
    _same(analyse(sampler, teacher), whole)


@pytest.mark.parametrize("process", [Uniform(100), Absorbing(100)], ids=["uniform", "absorbing"])
def test_ten_thousand_states(process: ForwardProcess) -> None:
    """As many as a picture of 100 × 100 cells has, without a matrix of 10,000 × 10,000."""
    table = torch.from_numpy(load({"kind": "two_moons", "size": 100}).table)
    teacher = EnumeratedTeacher(process, table)
    with LargestTensor() as largest:
        found = analyse(analytic_sampler(teacher, 2), teacher)
    assert largest.entries < 5_000_000
    assert float(found.law.sum()) == pytest.approx(1.0, abs=1e-9)
    assert found.step_kl == pytest.approx(found.total_correlation, abs=1e-9)
    law, _ = data_law(found.law, process.states, 100, 2)
    assert 0.0 < kl_divergence(teacher.table, law) <= found.kl_bound
