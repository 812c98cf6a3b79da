"""Progressive distillation (SDTT, Deschenaux and Gulcehre 2024): rounds n → n/2 of a factorised student.

In each round the student of n steps matches, at every position, the composed prediction of two analytic steps of its
teacher; the student of one round is the teacher of the next. The step size is a pure function of the round.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cdmrun.distill.steps import StepBatch, StepSchedule
from cdmrun.models import ConditionalModel, NetworkModel
from cdmrun.processes import Absorbing
from cdmrun.processes.base import TINY
from cdmrun.processes.draws import draw_categorical
from cdmrun.training.sources import Source


def rounds(nfe: Sequence[int], start: int) -> list[int]:
    """Step counts of the students of each round, from ``start``/2 down to the smallest asked for.

    >>> rounds([1, 2, 4, 8], start=16)
    [8, 4, 2, 1]
    """
    counts = []
    n = start // 2
    while n >= min(nfe):
        counts.append(n)
        n //= 2
    return counts


class ComposedMatching:
    """One round's objective: per-position KL between composed teacher and student; nats a token.

    Parameters
    ----------
    divergence
        ``forward_kl``, KL(teacher ‖ student), whose floor is the conditional total correlation; or ``reverse_kl``,
        KL(student ‖ teacher), SDTT's released default, which seeks modes; for the absorbing process only, since it is
        not linear in a target that depends on the state drawn in between.
    """

    def __init__(
        self,
        student: NetworkModel,
        teacher: ConditionalModel,
        source: Source,
        nfe: int,
        batch: int,
        divergence: str = "forward_kl",
        grid: str = "uniform",
    ) -> None:
        if divergence == "reverse_kl" and not isinstance(student.process, Absorbing):
            raise ValueError("reverse_kl is biased here: without masks the target depends on a drawn state")
        self.student = student
        self.teacher = teacher
        self.source = source
        self.steps = StepSchedule([nfe], grid)
        self.batch = batch
        self.divergence = divergence

    def __call__(self, generator: torch.Generator) -> Tensor:
        x_0 = self.source(self.batch, generator)
        at = self.steps.draw(self.batch, generator)
        x_t = self.student.process.noise(x_0, 0.0, at.t, generator)
        if isinstance(self.student.process, Absorbing):
            target, spoken = self._masked_target(x_t, at, generator)
            predicted = self.student(x_t, at.t).log_probs.double()
            each = torch.where(spoken, self._divergence(target, predicted), 0.0)
        else:
            target = self._step_target(x_t, at, generator)
            law = self.student(x_t, at.t).log_probs.exp()
            predicted = self.student.process.reverse_kernel(law, x_t, at.s, at.t).clamp_min(TINY).log()
            each = self._divergence(target, predicted) * at.n.unsqueeze(-1)
        return each.sum(-1).mean() / x_0.shape[1]

    @torch.no_grad()
    def _masked_target(self, x_t: Tensor, at: StepBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """SDTT's target: the clean prediction in force when each position was revealed, [B, L, V].

        Positions that the two steps leave masked take the prediction of the second.
        """
        process = self.student.process
        assert isinstance(process, Absorbing)
        middle = 0.5 * (at.t + at.s)
        first = self.teacher(x_t, at.t).marginals()
        x_m = draw_categorical(process.reverse_kernel(first, x_t, middle, at.t), generator)
        second = self.teacher(x_m, middle).marginals()
        masked = x_t == process.mask
        revealed_first = (masked & (x_m != process.mask)).unsqueeze(-1)
        return torch.where(revealed_first, first, second), masked

    @torch.no_grad()
    def _step_target(self, x_t: Tensor, at: StepBatch, generator: torch.Generator) -> Tensor:
        """Law of x_s at each position after two analytic steps, the second taken in expectation, [B, L, C]."""
        process = self.student.process
        middle = 0.5 * (at.t + at.s)
        first = self.teacher(x_t, at.t).marginals()
        x_m = draw_categorical(process.reverse_kernel(first, x_t, middle, at.t), generator)
        return process.reverse_kernel(self.teacher(x_m, middle).marginals(), x_m, at.s, middle)

    def _divergence(self, target: Tensor, log_student: Tensor) -> Tensor:
        log_target = target.clamp_min(1e-30).log()
        if self.divergence == "forward_kl":
            return (target * (log_target - log_student)).sum(-1)
        return (log_student.exp() * (log_student - log_target)).sum(-1)
