"""Density ratios as a network's answer: the way to conditionals and back, and what is done where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from science_cases import SCHEDULES, Case, generator, make_case, times
from torch import Tensor

from cdmrun.models import EnumeratedTeacher, NetworkModel, NetworkShape
from cdmrun.models.ratios import FLOOR, conditionals, log_ratios, positive
from cdmrun.processes import Absorbing
from cdmrun.processes.enumeration import enumerate_states

PROCESSES = ("absorbing", "uniform")


def states_of(case: Case) -> Tensor:
    """Every noisy state; of the absorbing process the one in which ratios hold everywhere, all masks."""
    if isinstance(case.process, Absorbing):
        return torch.full((1, case.reference.L), case.process.mask)
    return enumerate_states(case.process.states, case.reference.L)


def unary_of(case: Case, ratios: Tensor, t: float) -> Tensor:
    """The unary layer that says these ratios, by the formulas of the module solved for u."""
    alpha = float(case.process.schedule.alpha(torch.tensor(t, dtype=torch.float64)))
    if isinstance(case.process, Absorbing):
        return ratios[..., :-1].log() - math.log(alpha / (1.0 - alpha)) + math.log(case.process.vocabulary)
    return ratios.log() / alpha


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", PROCESSES)
def test_exact_ratios_give_exact_conditionals_and_themselves_back(kind: str, schedule: str) -> None:
    case = make_case(kind, V=3, L=3, schedule=schedule, seed=3)
    teacher = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    x_t = states_of(case)
    for t in (0.05, 0.4, 0.9):
        at = times(t, len(x_t))
        exact = teacher.ratios(x_t, at)
        unary = unary_of(case, exact, t)
        said = log_ratios(case.process, unary, x_t, at).exp()
        tokens = slice(0, case.process.vocabulary)
        torch.testing.assert_close(said[..., tokens], exact[..., tokens], rtol=1e-10, atol=1e-12)
        c = conditionals(case.process, unary, x_t, at)  # bent below the floor
        torch.testing.assert_close(c, teacher(x_t, at).marginals(), rtol=0, atol=2 * FLOOR)
        recovered = case.process.conditionals_from_ratios(said, x_t, at)
        torch.testing.assert_close(recovered, teacher(x_t, at).marginals(), rtol=0, atol=1e-10)
        back = case.process.ratios_from_conditionals(recovered, x_t, at)
        torch.testing.assert_close(back[..., tokens], exact[..., tokens], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_layer_of_zeros_says_that_the_data_are_random(kind: str) -> None:
    """At every time, the earliest and the last included: what remains of an error does not grow with the noise."""
    case = make_case(kind, V=3, L=2, table=np.full((3, 3), 1 / 9))
    teacher = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    x_t = states_of(case)
    for t in (1e-3, 0.5, 0.999):
        c = conditionals(case.process, torch.zeros(len(x_t), 2, 3), x_t, times(t, len(x_t)))
        torch.testing.assert_close(c, teacher(x_t, times(t, len(x_t))).marginals(), rtol=0, atol=2 * FLOOR)
    wrong = conditionals(case.process, 0.01 * torch.eye(3)[:2].expand(len(x_t), -1, -1), x_t, times(1.0, len(x_t)))
    torch.testing.assert_close(wrong, torch.full_like(wrong, 1 / 3), rtol=0, atol=0.01)


def test_absorbing_conditionals_are_those_of_the_inverse_kernel_and_outlive_it() -> None:
    process = Absorbing(4)
    x_t = torch.full((2, 3), process.mask)
    unary = torch.randn(2, 3, 4, generator=generator(), dtype=torch.float64)
    by_kernel = process.conditionals_from_ratios(log_ratios(process, unary, x_t, times(0.7, 2)).exp(), x_t, 0.7)
    expected = by_kernel / by_kernel.sum(-1, keepdim=True)
    torch.testing.assert_close(conditionals(process, unary, x_t, times(0.7, 2)), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(conditionals(process, unary, x_t, times(1.0, 2)), expected, rtol=1e-12, atol=0)


def test_what_an_error_made_negative_becomes_positive_and_can_be_trained_back() -> None:
    c = torch.tensor([-5.0, -1e-3, 0.0, FLOOR / 4, 0.3], dtype=torch.float64, requires_grad=True)
    made = positive(c)
    made.log().sum().backward()
    assert bool((made > 0).all())
    assert bool((made.diff() > 0).all())
    assert c.grad is not None
    assert bool((c.grad > 0.1).all())
    assert float(made[-1].detach()) == 0.3
    assert float(made[2].detach()) <= FLOOR / 5


@pytest.mark.parametrize("match", ["clean", "step"])
@pytest.mark.parametrize("kind", PROCESSES)
def test_a_network_of_ratios_answers_with_laws(kind: str, match: str) -> None:
    """However wild its unary layer: conditionals are laws, and a student that starts from it says the same."""
    case = make_case(kind, V=3, L=4)
    torch.manual_seed(0)
    trunk = {"layers": 1, "width": 8, "heads": 2}
    teacher = NetworkModel(case.process, NetworkShape(4, trunk=trunk, prediction="ratio"))
    torch.nn.init.normal_(teacher.unary.weight, std=3.0)
    x_t = torch.randint(case.process.states, (6, 4), generator=generator())
    at = torch.linspace(0.05, 1.0, 6, dtype=torch.float64)
    marginals = teacher(x_t, at).marginals()
    torch.testing.assert_close(marginals.sum(-1), torch.ones(6, 4, dtype=torch.float64))
    assert bool((marginals >= 0).all())
    student = NetworkModel(case.process, NetworkShape(4, trunk=trunk, matches=match, prediction="ratio"))
    student.start_from(teacher)
    s = 0.5 * at
    if match == "step" and kind == "uniform":
        marginals = case.process.reverse_kernel(marginals, x_t, s, at)
    torch.testing.assert_close(student(x_t, at, s).marginals(), marginals, rtol=0, atol=1e-5)


def test_only_a_network_of_ratios_can_be_asked_for_them() -> None:
    case = make_case("uniform")
    model = NetworkModel(case.process, NetworkShape(2, trunk={"layers": 1, "width": 8, "heads": 2}))
    with pytest.raises(ValueError, match="predicts posterior"):
        model.log_ratios(torch.zeros(1, 2, dtype=torch.long), times(0.5, 1))
