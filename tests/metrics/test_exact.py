from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from science_cases import KINDS, Case, cases, make_case, quick

from cdmrun.metrics.exact import (
    cross_entropy,
    data_law,
    exact_nll_bound,
    kl_divergence,
    output_law,
    prior_law,
    total_variation,
)
from cdmrun.models import EnumeratedTeacher
from cdmrun.samplers import Sampler, analytic_sampler, student_sampler, tau_leaping_sampler


def teacher_of(case: Case, table: np.ndarray | None = None) -> EnumeratedTeacher:
    return EnumeratedTeacher(case.process, torch.from_numpy(case.table if table is None else table))


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
    assert exact_nll_bound(sampler, teacher_of(case)) == pytest.approx(expected, rel=1e-9)


@quick
@given(case=cases(max_states=30), nfe=st.integers(1, 3), name=st.sampled_from(SAMPLERS))
def test_the_bound_is_one(case: Case, nfe: int, name: str) -> None:
    sampler = samplers(case, nfe)[name]
    law, _ = data_law(output_law(sampler), case.process.states, case.reference.V, case.reference.L)
    p_0 = torch.from_numpy(case.table).reshape(-1)
    exact = cross_entropy(p_0, law)
    bound = exact_nll_bound(sampler, teacher_of(case))
    assert bound >= exact - 1e-9
    if case.kind == "absorbing" and nfe == 1 and float(case.process.schedule.alpha(torch.ones(()))) == 0.0:
        assert bound == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("nfe", [1, 2, 4])
def test_an_exact_student_attains_the_entropy_at_every_nfe(nfe: int) -> None:
    case = make_case("absorbing", V=3, L=2, zeros=True, seed=4)
    entropy = -sum(p * math.log(p) for p in case.table.ravel() if p > 0)
    assert exact_nll_bound(student_sampler(teacher_of(case), nfe), teacher_of(case)) == pytest.approx(entropy, abs=1e-9)


def test_the_factorised_floor_is_the_total_correlation() -> None:
    """One analytic step costs the entropy plus the total correlation, no less (method.md, section 4)."""
    case = make_case("absorbing", V=3, L=2, seed=8)
    p = case.table
    independent = np.outer(p.sum(1), p.sum(0))
    law, _ = data_law(output_law(analytic_sampler(teacher_of(case), 1)), 4, 3, 2)
    np.testing.assert_allclose(law.numpy(), independent.ravel(), atol=1e-12)
    correlation = float((p * np.log(p / independent)).sum())
    assert kl_divergence(torch.from_numpy(p).reshape(-1), law) == pytest.approx(correlation, abs=1e-12)


def test_distances_by_hand() -> None:
    p, q = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.25, 0.25, 0.5]).double()
    assert total_variation(p, q) == 0.5
    assert total_variation(p, p) == 0.0
    assert total_variation(p, 0.5 * p) == 0.5, "mass outside the data counts"
    assert kl_divergence(p, q) == pytest.approx(math.log(2))
    assert kl_divergence(q, p) == math.inf
    assert kl_divergence(p, p) == 0.0
    assert cross_entropy(p, q) == pytest.approx(math.log(4))


def test_mass_left_on_masks_is_reported() -> None:
    case = make_case("absorbing", V=2, L=2)
    law = prior_law(case.process, 2)
    inside, outside = data_law(law, 3, 2, 2)
    assert (float(inside.sum()), outside) == (0.0, 1.0)
    assert total_variation(torch.from_numpy(case.table).reshape(-1), inside) == pytest.approx(1.0)


def test_blocks_do_not_change_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case("uniform", V=3, L=2)
    sampler = analytic_sampler(teacher_of(case), 2)
    whole, bound = output_law(sampler), exact_nll_bound(sampler, teacher_of(case))
    monkeypatch.setattr("cdmrun.metrics.exact.ROWS", 2)
    torch.testing.assert_close(output_law(sampler), whole, atol=1e-14, rtol=0)
    assert exact_nll_bound(sampler, teacher_of(case)) == pytest.approx(bound, rel=1e-12)
