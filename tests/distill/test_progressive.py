from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from science_cases import Case, generator, make_case
from torch import Tensor

from cdmrun.distill import ComposedMatching, rounds
from cdmrun.distill.progressive import released_links
from cdmrun.models import ConditionalModel, EnumeratedTeacher
from cdmrun.models.families import Factorized
from cdmrun.training.sources import table_source


def test_rounds_halve() -> None:
    assert rounds([1, 2, 4, 8], start=16) == [8, 4, 2, 1]
    assert rounds([4], start=32) == [16, 8, 4]
    assert rounds([8], start=8) == []
    assert rounds([2, 6, 18], start=162, substeps=3) == [54, 18, 6, 2]


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


def objective_of(
    case: Case, divergence: str, nfe: int = 2, batch: int = 200, grid: str = "uniform", substeps: int = 2
) -> tuple[Any, ComposedMatching]:
    teacher = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    student: Any = Shifted(teacher)
    return student, ComposedMatching(student, teacher, table_source(case.table), nfe, batch, divergence, grid, substeps)


@pytest.mark.parametrize(("grid", "substeps"), [("uniform", 2), ("uniform", 4), ("released", 2), ("released", 3)])
@pytest.mark.parametrize("nfe", [1, 4])
@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "mse"])
def test_independent_positions_lose_nothing_under_absorbing_noise(
    divergence: str, nfe: int, grid: str, substeps: int
) -> None:
    student, objective = objective_of(independent("absorbing"), divergence, nfe, grid=grid, substeps=substeps)
    loss = objective(generator())
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-12)
    assert torch.allclose(student.shift.grad, torch.zeros(()).double(), atol=1e-12)


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "mse", "tvd"])
def test_losses_are_divergences(divergence: str) -> None:
    for kind in ("absorbing", "uniform", "matrix") if divergence == "forward_kl" else ("absorbing",):
        student, objective = objective_of(independent(kind), divergence)
        with torch.no_grad():
            student.shift[0, 0] += 2.0
        assert float(objective(generator()).detach()) > 0.01


@pytest.mark.parametrize("substeps", [2, 3])
@pytest.mark.parametrize("kind", ["absorbing", "uniform", "matrix"])
def test_the_forward_gradient_vanishes_at_the_composed_teacher(kind: str, substeps: int) -> None:
    """Unbiased although states in between are drawn: forward KL is linear in its target."""
    student, objective = objective_of(independent(kind), "forward_kl", nfe=2, batch=10_000, substeps=substeps)
    objective(generator()).backward()
    assert float(student.shift.grad.abs().max()) < 0.01


@pytest.mark.parametrize("kind", ["uniform", "matrix"])
def test_reverse_kl_needs_masks(kind: str) -> None:
    """Its rounds would drift even where a factorised student could be exact."""
    with pytest.raises(ValueError, match="biased"):
        objective_of(independent(kind), "reverse_kl")
    with pytest.raises(ValueError, match="released grid is for the absorbing process"):
        objective_of(independent(kind), "forward_kl", grid="released")


def test_released_times_are_those_of_the_released_code() -> None:
    """The numbers found by reading it: at t = 1/2, steps begin at 0.749 and 0.249 rather than at 0.5 and 0.499."""
    half = torch.tensor([0.5], dtype=torch.float64)
    links = list(released_links(half, half - 2 / 1024, 2))
    assert [round(float(begin), 3) for begin, _ in links] == [0.749, 0.249]
    assert all(float(begin - end) == pytest.approx(1 / 1024) for begin, end in links)
    (begin, end), _ = released_links(half, half - 2 / 16, 2)
    assert float((begin - end) / begin) == pytest.approx(0.0909, abs=1e-4)  # revealed, where 0.125 is meant
    (_, first), (last, end) = released_links(half + 0.5, half, 2)  # t = 1, in a sampler of two steps
    assert (float(first), float(last), float(end)) == (0.75, 0.25, 0.0)


def test_composed_targets_keep_the_prediction_that_revealed_a_token() -> None:
    """By brute force over what three steps of a teacher may reveal of two positions, t = 1 to 0."""
    case = make_case("absorbing", V=2, L=2, table=np.array([[0.45, 0.05], [0.1, 0.4]]))
    _, objective = objective_of(case, "forward_kl", nfe=1, batch=40_000, substeps=3)
    at = objective.steps.draw(40_000, generator())
    target, spoken = objective._masked_target(torch.full((40_000, 2), 2), at, generator(1))
    assert bool(spoken.all())
    marginal, after = case.table.sum(1), case.table / case.table.sum(0)  # of position 0: alone, given position 1
    # position 1 is seen before position 0 is predicted for good: 2 of 3 steps of each, in that order
    expected = {round(float(marginal[0]), 6): 0.0} | {round(float(p), 6): 0.0 for p in after[0]}
    for first in range(3):
        for second in range(3):
            if second < first:
                for b in range(2):
                    expected[round(float(after[0, b]), 6)] += case.table.sum(0)[b] / 9
            else:
                expected[round(float(marginal[0]), 6)] += 1 / 9
    for value, share in expected.items():
        found = float(((target[:, 0, 0] - value).abs() < 1e-5).double().mean())
        assert found == pytest.approx(share, abs=0.015), value


def test_correlated_data_leave_a_floor() -> None:
    """After the round: the composed target of correlated positions is no longer what one step predicts."""
    case = make_case("absorbing", V=2, L=2, table=np.array([[0.45, 0.05], [0.05, 0.45]]))
    _, objective = objective_of(case, "forward_kl", nfe=1, batch=2000)
    assert float(objective(generator())) > 0.01
