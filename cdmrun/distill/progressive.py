"""Progressive distillation (SDTT, Deschenaux and Gulcehre 2024): rounds n → n/m of a factorised student.

In each round the student of n steps matches, at every position, the composed prediction of m ≥ 2 analytic steps of its
teacher; the student of one round is the teacher of the next. The step size is a pure function of the round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cdmrun.distill.divergences import divergence
from cdmrun.distill.steps import StepBatch, StepSchedule, divided
from cdmrun.models import ConditionalModel, NetworkModel
from cdmrun.processes import Absorbing
from cdmrun.processes.base import TINY
from cdmrun.processes.draws import draw_categorical
from cdmrun.training.sources import Source


def rounds(nfe: Sequence[int], start: int, substeps: int = 2) -> list[int]:
    """Step counts of the students of each round, from ``start``/``substeps`` down to the smallest asked for.

    >>> rounds([1, 2, 4, 8], start=16)
    [8, 4, 2, 1]
    >>> rounds([1, 4], start=16, substeps=4)
    [4, 1]
    """
    counts = []
    n = start // substeps
    while n >= min(nfe):
        counts.append(n)
        n //= substeps
    return counts


@dataclass(eq=False)
class ComposedMatching:
    """One round's objective: at each position, composed teacher against student; nats a token.

    Parameters
    ----------
    compared_by
        ``forward_kl``, KL(teacher ‖ student), whose floor is the conditional total correlation. For the absorbing
        process only, since they are not linear in a target that depends on states drawn in between: ``reverse_kl``,
        KL(student ‖ teacher), SDTT's released default, which seeks modes; and, of differences of log-probabilities,
        ``mse``, the mean square over tokens, and ``tvd``, the sum of absolute values (so called in the released code;
        it is no total variation).
    grid
        ``uniform``, ``cosine``, or ``released``, for the absorbing process: uniform, with the times at which SDTT's
        released code has the teacher take its steps (`released_links`).
    substeps
        m, the teacher's steps in one of the student's.
    """

    student: NetworkModel
    teacher: ConditionalModel
    source: Source
    nfe: int
    batch: int
    compared_by: str = "forward_kl"
    grid: str = "uniform"
    substeps: int = 2

    def __post_init__(self) -> None:
        self.released = self.grid == "released"
        self.steps = StepSchedule([self.nfe], "uniform" if self.released else self.grid)
        if not isinstance(self.student.process, Absorbing):
            if (name := self.compared_by) != "forward_kl":
                raise ValueError(f"{name} is biased here: without masks the target depends on a drawn state")
            if self.released:
                raise ValueError("the released grid is for the absorbing process")

    def __call__(self, generator: torch.Generator) -> Tensor:
        x_0 = self.source(self.batch, generator)
        at = self.steps.draw(self.batch, generator)
        x_t = self.student.process.noise(x_0, 0.0, at.t, generator)
        if isinstance(self.student.process, Absorbing):
            target, spoken = self._masked_target(x_t, at, generator)
            predicted = self.student(x_t, at.t).log_probs.double()
            each = torch.where(spoken, self._compared(target, predicted), 0.0)
        else:
            target = self._step_target(x_t, at, generator)
            law = self.student(x_t, at.t).log_probs.exp()
            predicted = self.student.process.reverse_kernel(law, x_t, at.s, at.t).clamp_min(TINY).log()
            each = self._compared(target, predicted) * at.n.unsqueeze(-1)
        return each.sum(-1).mean() / x_0.shape[1]

    @torch.no_grad()
    def _masked_target(self, x_t: Tensor, at: StepBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """SDTT's target: the clean prediction in force when each position was revealed, [B, L, V].

        Positions that all steps leave masked take the prediction of the last.
        """
        process, x = self.student.process, x_t
        assert isinstance(process, Absorbing)
        links = list(released_links(at.t, at.s, self.substeps) if self.released else self._links(at))
        law = target = self.teacher(x, links[0][0]).marginals()
        for (t, s), (next_t, _) in pairwise(links):
            x = draw_categorical(process.reverse_kernel(law, x, s, t), generator)
            law = self.teacher(x, next_t).marginals()
            target = torch.where((x == process.mask).unsqueeze(-1), law, target)
        return target, x_t == process.mask

    @torch.no_grad()
    def _step_target(self, x_t: Tensor, at: StepBatch, generator: torch.Generator) -> Tensor:
        """Law of x_s at each position after all steps, the last of them taken in expectation, [B, L, C]."""
        process, x = self.student.process, x_t
        links = list(self._links(at))
        for t, s in links[:-1]:
            x = draw_categorical(process.reverse_kernel(self.teacher(x, t).marginals(), x, s, t), generator)
        t, s = links[-1]
        return process.reverse_kernel(self.teacher(x, t).marginals(), x, s, t)

    def _links(self, at: StepBatch) -> Iterator[tuple[Tensor, Tensor]]:
        return pairwise(divided(at.t, at.s, self.substeps))

    def _compared(self, target: Tensor, log_student: Tensor) -> Tensor:
        log_target = target.clamp_min(1e-30).log()
        if self.compared_by == "mse":
            return (log_student - log_target).square().mean(-1)
        if self.compared_by == "tvd":
            return (log_student - log_target).abs().sum(-1)
        return divergence(self.compared_by).full(log_target, log_student)


def released_links(t: Tensor, s: Tensor, substeps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The teacher's steps as SDTT's released code has them, each (from, to), in place of t → … → s.

    They should begin at a t + (1 − a) s with a = 1 − j/m. Written there is a t + (1 − t) s, with a evenly from 1 to 0,
    both ends included; each step has the intended width. At t = 1/2 and a width of 1/1024 the first begins at 0.749, so
    that fewer tokens are revealed than was meant. A step that would begin closer to 0 than its width reveals all.
    """
    width = (t - s) / substeps
    for j in range(substeps):
        begin = t * (1.0 - j / (substeps - 1)) + (1.0 - t) * s
        yield torch.maximum(begin, width), (begin - width).clamp_min(0.0)
