from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from science_cases import KINDS, generator, make_case
from torch import Tensor

from cdmrun.models import ConditionalModel, EnumeratedTeacher
from cdmrun.models.families import Factorized
from cdmrun.training.denoising import Denoising
from cdmrun.training.sources import table_source


class Marginals(ConditionalModel):
    """The exact per-position conditionals, logits shifted by a free parameter."""

    def __init__(self, teacher: EnumeratedTeacher) -> None:
        super().__init__()
        self.teacher, self.process, self.length = teacher, teacher.process, teacher.length
        self.shift = torch.nn.Parameter(torch.zeros(teacher.length, teacher.process.vocabulary, dtype=torch.float64))

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None) -> Factorized:
        log_probs = self.teacher(x_t, t).marginals().clamp_min(1e-300).log() + self.shift
        return Factorized(x_t, self.default_spoken(x_t), log_probs.log_softmax(-1))


def _losses(kind: str, schedule: str, shift: float = 0.0) -> tuple[np.ndarray, Any, np.ndarray]:
    case = make_case(kind, V=2, L=2, schedule=schedule, seed=5)
    model: Any = Marginals(EnumeratedTeacher(case.process, torch.from_numpy(case.table)))
    with torch.no_grad():
        model.shift[0, 0] += shift
    objective = Denoising(model, table_source(case.table), 4000)
    losses = []
    for seed in range(6):
        loss = objective(generator(seed))
        loss.backward()
        losses.append(float(loss.detach()))
    return np.array(losses), model, case.table


@pytest.mark.parametrize("schedule", ["loglinear", "cosine"])
def test_the_absorbing_loss_of_the_exact_teacher_is_the_entropy(schedule: str) -> None:
    """In continuous time the weighted loss is a tight bound on the likelihood (up to the times below the earliest)."""
    losses, _, table = _losses("absorbing", schedule)
    entropy = -sum(p * math.log(p) for p in table.ravel()) / 2
    assert losses.mean() == pytest.approx(entropy, rel=0.02)
    assert _losses("absorbing", schedule, shift=1.0)[0].mean() > entropy * 1.03


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_conditionals_are_a_stationary_point(kind: str) -> None:
    _, model, _ = _losses(kind, "loglinear")
    assert float(model.shift.grad.abs().max()) / 6 < 0.02
