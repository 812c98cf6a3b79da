"""`target: bootstrap`: one short step of the teacher, then the student's own law from there (consistency).

Each step t → s of the student's sampler is divided evenly into K; the student is asked to match, from each of the K
starting times, one analytic step of the teacher followed by its own moving average on the rest of the way to s. From
the last of them the teacher's step alone leads to s, with no student in it; so, by induction from there, a student at
the minimum has the law of K analytic steps of the teacher, at two evaluations a target rather than K. What differs from
the teacher's own law is what K analytic steps lose; while the student learns, also what it has not yet learned below.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cdmrun.distill.cdm import TeacherMatching, revealed_between, student_law
from cdmrun.distill.steps import StepBatch
from cdmrun.models import ConditionalModel
from cdmrun.samplers.kernels import Analytic
from cdmrun.samplers.student import StepStudent


@dataclass(eq=False)
class BootstrapMatching(TeacherMatching):
    """−log q of what a short step of the teacher and the averaged student make of x_t; nats a token.

    Parameters
    ----------
    substeps
        K, into how many a step is divided.
    """

    substeps: int

    def __post_init__(self) -> None:
        self.averaged = self.student

    def use_average(self, averaged: nn.Module) -> None:
        """Let the target be of the student at the average of the weights that the training loop keeps."""
        assert isinstance(averaged, ConditionalModel), "a copy of the student"
        self.averaged = averaged

    def __call__(self, generator: torch.Generator) -> Tensor:
        process = self.student.process
        step = self.steps.draw(self.batch, generator)
        end = step.end(self.student.matches)
        number = torch.randint(1, self.substeps + 1, end.shape, generator=generator, device=generator.device)
        upper, lower = (end + (step.t - end) * (k / self.substeps) for k in (number, number - 1))
        x_0 = self.source(self.batch, generator)
        x_t = process.noise(x_0, 0.0, upper, generator)
        with torch.no_grad():
            x = Analytic(self.teacher).sample(x_t, upper, lower, generator)
            x = torch.where((number > 1).unsqueeze(-1), self._continued(x, lower, end, generator), x)
        at = StepBatch(upper, step.s, step.n)
        log_q = student_law(self.student, x_t, at, revealed_between(process, x, x_t)).log_prob(x)
        return -(log_q * at.weight(self.student.matches)).mean() / x_0.shape[1]

    def _continued(self, x: Tensor, t: Tensor, end: Tensor, generator: torch.Generator) -> Tensor:
        """The averaged student's draw from t on."""
        if self.student.matches == "clean":
            return self.averaged(x, t).sample(generator)
        return StepStudent(self.averaged).sample(x, t, end, generator)
