"""Students that are exact, what losses should be by enumeration, and students that are tables of free numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from science_cases import KINDS, Case, generator, make_case, times
from torch import Tensor

from cdmrun.models import ConditionalModel, EnumeratedTeacher
from cdmrun.models.families import Joint
from cdmrun.processes import Absorbing, time_grid
from cdmrun.processes.enumeration import enumerate_states, state_codes
from cdmrun.samplers import CleanStudent
from cdmrun.samplers.kernels import Analytic


class StepTeacher(EnumeratedTeacher):
    """An exact teacher that answers as a step student: with p_{s|t}."""

    matches = "step"

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None) -> Joint:
        if isinstance(self.process, Absorbing):
            return super().forward(x_t, t, s, spoken)
        assert s is not None
        rows = CleanStudent(
            EnumeratedTeacher(self.process, self.table.reshape([self.process.vocabulary] * self.length))
        )
        every = torch.ones_like(x_t, dtype=torch.bool)
        return Joint(x_t, every, rows.rows(x_t, t, s).log(), self.sequences, self.process.vocabulary)


def student_of(case: Case, table: np.ndarray, matches: str) -> Any:
    return (EnumeratedTeacher if matches == "clean" else StepTeacher)(case.process, torch.from_numpy(table))


def other_table(case: Case) -> np.ndarray:
    table = np.random.default_rng(9).random(case.table.shape) + 0.2
    return table / table.sum()


def expected_divergence(case: Case, table: np.ndarray, matches: str, nfe: int) -> float:
    """E KL in nats a token, by enumeration of every state and step."""
    reference = case.reference
    wrong = type(reference)(reference.kernel, reference.generator, table)
    grid, total = time_grid(nfe).tolist(), 0.0
    for k in range(nfe):
        s, t = grid[k], grid[k + 1]
        law = reference.law(t)
        for n, x in enumerate(reference.states):
            if law[n] <= 0:
                continue
            if matches == "clean":
                p, q, weight = reference.posterior(x, t), wrong.posterior(x, t), 1 / nfe
            else:
                p, q = (r.through_bridge(r.posterior(x, t), x, s, t) for r in (reference, wrong))
                weight = 1.0
            total += weight * law[n] * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
    return total / reference.L


def expected_entropy(case: Case, matches: str, nfe: int) -> float:
    """What a sampled loss adds to the divergence: E H of the target, less that of the reveal pattern."""
    reference, grid, total = case.reference, time_grid(nfe).tolist(), 0.0
    for k in range(nfe):
        s, t = grid[k], grid[k + 1]
        law = reference.law(t)
        for n, x in enumerate(reference.states):
            if law[n] <= 0:
                continue
            posterior = reference.posterior(x, t)
            if matches == "clean":
                total -= law[n] * sum(p * math.log(p) for p in posterior if p > 0) / nfe
                continue
            row = reference.through_bridge(posterior, x, s, t)
            total -= law[n] * sum(p * math.log(p) for p in row if p > 0)
            if case.kind == "absorbing":
                chance = (t - s) / t  # loglinear: α_s − α_t over 1 − α_t
                masked = sum(a == reference.V for a in x)
                coin = sum(p * math.log(p) for p in (chance, 1 - chance) if p > 0)
                total += law[n] * masked * coin
    return total / reference.L


matching = pytest.mark.parametrize("matches", ["clean", "step"])
every_process = pytest.mark.parametrize("kind", KINDS)


def alpha_min_of(kind: str) -> float:
    return 0.0 if kind == "absorbing" else 0.05


def case_of(kind: str) -> Case:
    return make_case(kind, V=2, L=2, seed=3, alpha_min=alpha_min_of(kind))


class TableStudent(ConditionalModel):
    """A student with free numbers: the log-odds of every law, for each (t, s), state and set of spoken positions."""

    def __init__(self, teacher: EnumeratedTeacher, matches: str, steps: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self.process, self.length, self.matches = teacher.process, teacher.length, matches
        self.steps = {(round(t, 9), round(s, 9)): n for n, (t, s) in enumerate(steps)}
        self.sequences = teacher.sequences
        shape = (len(steps), self.process.states**self.length, 2**self.length, len(self.sequences))
        self.logits = torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64))

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None) -> Joint:
        s = torch.zeros_like(t) if s is None else s
        spoken = self.default_spoken(x_t) if spoken is None else spoken
        known = [self.steps.get((round(a, 9), round(b, 9)), 0) for a, b in zip(t.tolist(), s.tolist(), strict=True)]
        at = self.logits[torch.tensor(known), state_codes(x_t, self.process.states), state_codes(spoken.long(), 2)]
        return Joint(x_t, spoken, at.log_softmax(-1), self.sequences, self.process.vocabulary)

    @torch.no_grad()
    def answer_as(self, rows: Callable[[float, float], Tensor]) -> None:
        """Take the laws of x_s given x_t, and what is revealed, from whole kernels [C^L, C^L]."""
        states, length = enumerate_states(self.process.states, self.length), self.length
        for (t, s), n in self.steps.items():
            kernel = rows(t, s)
            for number, pattern in enumerate(enumerate_states(2, length).bool()):
                if not isinstance(self.process, Absorbing) and not pattern.all():
                    continue
                for code, x_t in enumerate(states):
                    x_s = torch.where(pattern, self.sequences, x_t)
                    law = kernel[code, state_codes(x_s, self.process.states)]
                    if float(law.sum()) > 0:
                        self.logits[n, code, number] = law.clamp_min(1e-300).log()


def walk_rows(teacher: EnumeratedTeacher, grid: Sequence[float]) -> Tensor:
    """The kernel of analytic steps down a grid, [C^L, C^L]."""
    states = enumerate_states(teacher.process.states, teacher.length)
    kernel = torch.eye(len(states), dtype=torch.float64)
    for t, s in pairwise(grid):
        kernel = kernel @ Analytic(teacher).rows(states, times(t, len(states)), times(s, len(states)))
    return kernel


def exact_rows(teacher: EnumeratedTeacher, t: float, s: float) -> Tensor:
    """The exact reverse kernel, [C^L, C^L]."""
    states = enumerate_states(teacher.process.states, teacher.length)
    return CleanStudent(teacher).rows(states, times(t, len(states)), times(s, len(states)))


def gradient_scores(objective: Any, parameter: Tensor, batches: int = 24) -> np.ndarray:
    """Mean over standard error of each entry of the gradient that is not always the same."""
    found = []
    for seed in range(batches):
        parameter.grad = None
        objective(generator(100 + seed)).backward()
        assert parameter.grad is not None
        found.append(parameter.grad.flatten().numpy().copy())
    gradients = np.stack(found)
    spread = gradients.std(0, ddof=1) / math.sqrt(batches)
    varied = spread > 1e-14
    assert np.abs(gradients[:, ~varied]).max(initial=0.0) < 1e-10
    return np.abs(gradients.mean(0)[varied] / spread[varied])
