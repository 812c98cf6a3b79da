from __future__ import annotations

import math

import pytest
import torch
from science_cases import Case, generator, make_case
from test_exact import SAMPLERS, samplers, teacher_of

from cdmrun.metrics.exact import analyse
from cdmrun.metrics.excess import excess_nll_bound, log_reverse
from cdmrun.metrics.nll_bound import nll_bound
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.samplers import analytic_sampler, student_sampler, theta_sampler
from cdmrun.training.sources import table_source

KINDS = ("uniform", "absorbing", "matrix")


def _case(kind: str) -> Case:
    return make_case(kind, V=3, L=2, seed=7, alpha_min=0.0 if kind == "absorbing" else 0.01)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("nfe", [1, 3, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_agrees_with_the_certificate(kind: str, nfe: int, name: str) -> None:
    """Seven steps are more than are evaluated a sequence."""
    case = _case(kind)
    sampler, truth = samplers(case, nfe)[name], teacher_of(case)
    found = excess_nll_bound(sampler, truth, table_source(case.table)(3000, generator(1)), generator(2))
    expected = analyse(sampler, truth).kl_bound / (2 * math.log(2))
    assert found.bits_per_token == pytest.approx(expected, abs=4 * found.stderr + 1e-9)
    assert found.stderr < 0.1


@pytest.mark.parametrize(("kind", "nfe"), [("uniform", 3), ("absorbing", 3), ("matrix", 3), ("uniform", 7)])
def test_each_step_agrees_with_its_term_of_the_certificate(kind: str, nfe: int) -> None:
    case = _case(kind)
    sampler, truth = analytic_sampler(teacher_of(case), nfe), teacher_of(case)
    found = excess_nll_bound(sampler, truth, table_source(case.table)(3000, generator(1)), generator(2))
    exact = analyse(sampler, truth)
    assert [(term.t, term.s) for term in found.steps] == [(step.t, step.s) for step in sampler.steps]
    for term, nats in zip(found.steps, exact.step_kl, strict=True):
        assert term.bits_per_token == pytest.approx(nats / (2 * math.log(2)), abs=4 * term.stderr + 1e-9)
    start = exact.prior_kl / (2 * math.log(2))
    noise = 4 * found.stderr + 1e-9  # the start is drawn too
    assert found.bits_per_token - sum(term.bits_per_token for term in found.steps) == pytest.approx(start, abs=noise)


def test_an_exact_sampler_has_no_excess_and_no_noise() -> None:
    case = _case("absorbing")
    x_0 = table_source(case.table)(64, generator(1))
    found = excess_nll_bound(student_sampler(teacher_of(case), 3), teacher_of(case), x_0, generator(2))
    assert abs(found.bits_per_token) < 1e-12
    assert found.stderr < 1e-12


def test_it_is_less_noisy_than_the_bound_itself() -> None:
    case = _case("uniform")
    sampler, x_0 = analytic_sampler(teacher_of(case), 16), table_source(case.table)(1000, generator(1))
    excess = excess_nll_bound(sampler, teacher_of(case), x_0, generator(2))
    assert excess.stderr < 0.5 * nll_bound(sampler, x_0, generator(2)).stderr


def test_two_stage_kernels_are_bounded_from_above() -> None:
    case = _case("uniform")
    sampler, truth = theta_sampler(teacher_of(case), 4), teacher_of(case)
    x_0 = table_source(case.table)(2000, generator(1))
    exact = analyse(sampler, truth).kl_bound / (2 * math.log(2))
    loose, tight = (excess_nll_bound(sampler, truth, x_0, generator(2), draws) for draws in (1, 16))
    assert exact - 4 * tight.stderr < tight.bits_per_token < loose.bits_per_token
    assert tight.bits_per_token == pytest.approx(exact, abs=0.02 + 4 * tight.stderr)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reverse_transition_is_bayes(kind: str) -> None:
    case = _case(kind)
    s, t = 0.3, 0.8
    states = enumerate_states(case.process.states, 2)
    exact = case.reference.reverse(s, t)
    for n, x in enumerate(states):
        if case.reference.law(t)[n] <= 0:
            continue
        at = [torch.full((len(states),), time, dtype=torch.float64) for time in (s, t)]
        found = log_reverse(teacher_of(case), states, x.expand(len(states), -1), *at).exp()
        torch.testing.assert_close(found, torch.from_numpy(exact[n]), atol=1e-12, rtol=0)
