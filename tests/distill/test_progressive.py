from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from science_cases import Case, generator, make_case
from torch import Tensor

from cdmrun.distill import ComposedMatching, rounds
from cdmrun.models import ConditionalModel, EnumeratedTeacher
from cdmrun.models.families import Factorized
from cdmrun.training.sources import table_source


def test_rounds_halve() -> None:
    assert rounds([1, 2, 4, 8], start=16) == [8, 4, 2, 1]
    assert rounds([4], start=32) == [16, 8, 4]
    assert rounds([8], start=8) == []


class Shifted(ConditionalModel):
    """The teacher's own marginals as a factorised law, logits shifted by a free parameter."""

    def __init__(self, teacher: EnumeratedTeacher) -> None:
        super().__init__()
        self.teacher, self.process, self.length = teacher, teacher.process, teacher.length
        self.shift = torch.nn.Parameter(torch.zeros(teacher.length, teacher.process.vocabulary, dtype=torch.float64))

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None) -> Factorized:
        log_probs = self.teacher(x_t, t).marginals().clamp_min(1e-300).log() + self.shift
        return Factorized(x_t, self.default_spoken(x_t), log_probs.log_softmax(-1))


def independent(kind: str) -> Case:
    """Positions that have nothing to do with each other."""
    return make_case(kind, V=3, L=2, table=np.outer([0.6, 0.3, 0.1], [0.2, 0.3, 0.5]))


def objective_of(case: Case, divergence: str, nfe: int = 2, batch: int = 200) -> tuple[Any, ComposedMatching]:
    teacher = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    student: Any = Shifted(teacher)
    return student, ComposedMatching(student, teacher, table_source(case.table), nfe, batch, divergence)


@pytest.mark.parametrize("nfe", [1, 2, 4])
@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl"])
def test_independent_positions_lose_nothing_under_absorbing_noise(divergence: str, nfe: int) -> None:
    student, objective = objective_of(independent("absorbing"), divergence, nfe)
    loss = objective(generator())
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-12)
    assert torch.allclose(student.shift.grad, torch.zeros(()).double(), atol=1e-12)


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl"])
def test_losses_are_divergences(divergence: str) -> None:
    for kind in ("absorbing", "uniform", "matrix") if divergence == "forward_kl" else ("absorbing",):
        student, objective = objective_of(independent(kind), divergence)
        with torch.no_grad():
            student.shift[0, 0] += 2.0
        assert float(objective(generator()).detach()) > 0.01


@pytest.mark.parametrize("kind", ["absorbing", "uniform", "matrix"])
def test_the_forward_gradient_vanishes_at_the_composed_teacher(kind: str) -> None:
    """Unbiased although the middle state is drawn: forward KL is linear in its target."""
    student, objective = objective_of(independent(kind), "forward_kl", nfe=2, batch=20_000)
    objective(generator()).backward()
    assert float(student.shift.grad.abs().max()) < 0.01


@pytest.mark.parametrize("kind", ["uniform", "matrix"])
def test_reverse_kl_needs_masks(kind: str) -> None:
    """Its rounds would drift even where a factorised student could be exact."""
    with pytest.raises(ValueError, match="biased"):
        objective_of(independent(kind), "reverse_kl")


def test_correlated_data_leave_a_floor() -> None:
    """After the round: the composed target of correlated positions is no longer what one step predicts."""
    case = make_case("absorbing", V=2, L=2, table=np.array([[0.45, 0.05], [0.05, 0.45]]))
    _, objective = objective_of(case, "forward_kl", nfe=1, batch=2000)
    assert float(objective(generator())) > 0.01
