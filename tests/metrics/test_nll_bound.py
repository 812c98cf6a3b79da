from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from science_cases import KINDS, Case, generator, make_case
from test_exact import SAMPLERS, nll_bound_of, samplers, teacher_of

from cdmrun.metrics.exact import analyse
from cdmrun.metrics.excess import excess_nll_bound
from cdmrun.metrics.nll_bound import Bound, StepDraw, forward_pair, nll_bound, step_terms
from cdmrun.models import NetworkModel, NetworkShape
from cdmrun.models.families import families
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.samplers import Sampler, TransitionKernel, analytic_sampler, student_sampler, tau_leaping_sampler
from cdmrun.training.sources import table_source

DRAWS = 3000


def held_out(case: Case, count: int = DRAWS) -> torch.Tensor:
    return table_source(case.table)(count, generator(1))


def check(case: Case, sampler: Sampler, bound: Bound, slack: float = 0.0) -> None:
    expected = nll_bound_of(case, sampler) / (case.reference.L * math.log(2))
    assert bound.stderr < 0.2
    assert bound.bits_per_token >= expected - 4 * bound.stderr
    assert bound.bits_per_token <= expected + 4 * bound.stderr + slack


def network(case: Case, family: str, matches: str) -> NetworkModel:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        options = {"hidden": 8} if family == "autoregressive" else {}
        shape = NetworkShape(2, {"kind": family, **options}, {"layers": 1, "width": 12, "heads": 2}, matches)
        model = NetworkModel(case.process, shape)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model.requires_grad_(False).eval()


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("nfe", [1, 3, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_agrees_with_the_exact_bound(kind: str, nfe: int, name: str) -> None:
    """Seven steps are more than are evaluated a sequence: the sample of steps is unbiased too."""
    if (kind, name) == ("birth_death", "tau-leaping"):
        pytest.skip("a leap of one jump does not reach the level after the next: its bound is infinite")
    case = make_case(kind, V=3, L=2, seed=7, alpha_min=0.0 if kind == "absorbing" else 0.01)
    sampler = samplers(case, nfe)[name]
    check(case, sampler, nll_bound(sampler, held_out(case), generator(2)))


@pytest.mark.parametrize("matches", ["clean", "step"])
@pytest.mark.parametrize("family", sorted(families()))
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_agrees_for_every_family(kind: str, family: str, matches: str) -> None:
    case = make_case(kind, V=3, L=2, seed=7, alpha_min=0.0 if kind == "absorbing" else 0.01)
    sampler = student_sampler(network(case, family, matches), 2)
    forced = family == "autoregressive" and matches == "clean"
    bound = nll_bound(sampler, held_out(case, 2000), generator(2), draws=8)
    check(case, sampler, bound, slack=0.05 if forced else 0.0)  # forced decoding is a bound on the bound


@pytest.mark.parametrize("family", sorted(families()))
def test_one_absorbing_step_is_the_exact_likelihood(family: str) -> None:
    case = make_case("absorbing", V=3, L=2)
    model = network(case, family, "clean")
    x_0 = held_out(case, 20)
    bound = nll_bound(student_sampler(model, 1), x_0, generator())
    masks = torch.full_like(x_0, 3)
    expected = -model(masks, torch.ones(20, dtype=torch.float64)).log_prob(x_0).double() / (2 * math.log(2))
    assert bound.exact
    assert bound.bits_per_token == pytest.approx(float(expected.mean()), abs=1e-6)
    assert not nll_bound(student_sampler(model, 2), x_0, generator()).exact


def test_only_a_process_that_forgets_everything_is_called_exact() -> None:
    for kind, alpha_min in [("uniform", 1e-3), ("absorbing", 0.1)]:
        case = make_case(kind, alpha_min=alpha_min)
        assert not nll_bound(analytic_sampler(teacher_of(case), 1), held_out(case, 8), generator()).exact


def test_data_that_the_sampler_cannot_produce_costs_much_but_stays_finite() -> None:
    case = make_case("absorbing", V=2, L=2, table=np.array([[1.0, 0.0], [0.0, 0.0]]))
    bound = nll_bound(student_sampler(teacher_of(case), 1), torch.ones(4, 2, dtype=torch.long), generator())
    assert bound.bits_per_token > 100


def test_the_estimate_is_a_function_of_the_generator() -> None:
    case = make_case("uniform")
    sampler = analytic_sampler(teacher_of(case), 9)
    assert nll_bound(sampler, held_out(case, 50), generator(4)) == nll_bound(sampler, held_out(case, 50), generator(4))


@pytest.mark.parametrize("nfe", [1, 3, 9])
def test_sequences_and_steps_add_up_to_the_bound(nfe: int) -> None:
    """Over several batches, and with more steps than are evaluated a sequence; absorbing starts cost nothing."""
    case = make_case("absorbing", V=3, L=2)
    bound = nll_bound(analytic_sampler(teacher_of(case), nfe), held_out(case, 600), generator(4))
    assert len(bound.sequences) == 600
    assert float(bound.sequences.mean()) == pytest.approx(bound.bits_per_token, abs=1e-12)
    assert float(bound.sequences.std()) / math.sqrt(600) == pytest.approx(bound.stderr, abs=1e-12)
    assert sum(term.bits_per_token for term in bound.steps) == pytest.approx(bound.bits_per_token, abs=1e-12)
    assert len(bound.steps) == nfe


@pytest.mark.parametrize("schedule", ["loglinear", "geometric"])
def test_a_prior_that_lacks_what_is_left_makes_the_bound_infinite(schedule: str) -> None:
    """Tokens that no mask hides at t = 1: samplers begin with masks alone, so they forbid that start."""
    case = make_case("absorbing", V=3, L=2, schedule=schedule, seed=7, alpha_min=0.01)
    sampler, x_0 = analytic_sampler(teacher_of(case), 2), held_out(case, 8)
    assert nll_bound(sampler, x_0, generator(2)).bits_per_token == math.inf
    assert excess_nll_bound(sampler, teacher_of(case), x_0, generator(2)).bits_per_token == math.inf
    assert analyse(sampler, teacher_of(case)).kl_bound == math.inf


def test_samplers_are_scored_at_the_same_states() -> None:
    """One kernel or two, with random numbers of their own or without: so differences have no more noise."""
    case = make_case("absorbing", V=3, L=2, seed=7, alpha_min=0.0)
    x_0 = enumerate_states(3, 2)
    teacher = teacher_of(case)

    def states(sampler: Sampler) -> dict[tuple[float, ...], list[int]]:
        seen = {}

        def cost(kernel: TransitionKernel, at: StepDraw, own: torch.Generator) -> torch.Tensor:
            torch.rand(3, generator=own)
            for clean, x_s, x_t, t, s in zip(*at, strict=True):
                seen[(*clean.tolist(), float(t), float(s))] = [*x_s.tolist(), *x_t.tolist()]
            return torch.zeros(len(at.x_0), dtype=torch.float64)

        step_terms(sampler, x_0, forward_pair(sampler.process), cost, generator(2))
        return seen

    expected = states(analytic_sampler(teacher, 3))
    assert len(expected) == 3 * len(x_0)
    assert states(tau_leaping_sampler(teacher, 3)) == expected  # its last step is another kernel
