"""`target: soft`: tokens in expectation under the teacher's own laws, in place of tokens that were drawn.

By the chain rule KL(p ‖ q) is a sum over positions, in order, of the KL between the laws of one token given those
before it. The student's are its `predictives`. Two ways to have the teacher's:

* `ChainMatching` (absorbing process): a teacher that answers any pattern of masks is asked for x^j once the tokens
  before j are shown to it. One call a scored position; the target is the teacher's law from left to right. The labels
  are new in each step, or made once for all students (`cdmrun.distill.labels`).
* `LastLinkMatching` (every process): the teacher walks from x_t in drawn analytic steps, of which the last is taken in
  expectation. One call a sub-step, every position scored; the target is the law of that walk.

Both take the entropy of the soft label off: terms are KL of single tokens, at least zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cdmrun.distill.cdm import FORWARD_KL, TeacherMatching, revealed_between, student_law
from cdmrun.distill.divergences import Divergence
from cdmrun.distill.labels import Labels
from cdmrun.distill.steps import divided
from cdmrun.models import ConditionalModel
from cdmrun.processes.base import safe_divide
from cdmrun.processes.draws import draw_categorical
from cdmrun.samplers.kernels import Analytic


@dataclass(eq=False)
class ChainMatching:
    """Divergence of single tokens, given the tokens before them, at labelled positions; nats a token.

    Zero at student = teacher for each draw, so that its variance dies out as the student learns. The contexts decide
    how the terms are weighed: drawn from the teacher, their expectation is KL(teacher ‖ student); data weigh them as
    data do, with the same minimiser for a family that can represent the teacher.

    Parameters
    ----------
    labels
        Where labelled steps come from: `TeacherLabels` or `KeptLabels`, made for what the student matches.
    """

    student: ConditionalModel
    labels: Labels
    batch: int
    compared_by: Divergence = FORWARD_KL

    def __call__(self, generator: torch.Generator) -> Tensor:
        found = self.labels(self.batch, generator)
        predicted = student_law(self.student, found.x_t, found.at, found.spoken).predictives(found.x)
        predicted = predicted.gather(1, found.scored.unsqueeze(-1).expand_as(found.label))
        each = (self.compared_by.full(found.label.log(), predicted) * found.weight).sum(-1)
        return (each * found.at.weight(self.student.matches)).mean() / found.x.shape[1]


@dataclass(eq=False)
class LastLinkMatching(TeacherMatching):
    """KL of every token under the last of the teacher's ``substeps`` analytic steps; nats a token.

    Unbiased for the gradient of the forward KL from the law of those steps, which tends to the teacher's own as there
    are more; with one step, that of its analytic sampler. Lies above that KL by what the tokens of the last step tell
    of the steps before it.
    """

    substeps: int

    def __call__(self, generator: torch.Generator) -> Tensor:
        process = self.student.process
        at = self.steps.draw(self.batch, generator)
        x_0 = self.source(self.batch, generator)
        x_t = process.noise(x_0, 0.0, at.t, generator)
        with torch.no_grad():
            laws = self._last_link(x_t, divided(at.t, at.end(self.student.matches), self.substeps), generator)
            x = draw_categorical(laws, generator)
            label = laws[..., : process.vocabulary]
            label = safe_divide(label, label.sum(-1, keepdim=True))  # given that the position is not left masked
        revealed = revealed_between(process, x, x_t)
        predicted = student_law(self.student, x_t, at, revealed).predictives(x)
        each = FORWARD_KL.full(label.log(), predicted)
        each = each if revealed is None else torch.where(revealed, each, 0.0)
        return (each.sum(-1) * at.weight(self.student.matches)).mean() / x_0.shape[1]

    def _last_link(self, x_t: Tensor, times: list[Tensor], generator: torch.Generator) -> Tensor:
        """Walk down all times but the last; the law of each position at that, given where the walk came, [B, L, C]."""
        kernel, x = Analytic(self.teacher), x_t
        for t, s in pairwise(times[:-1]):
            x = kernel.sample(x, t, s, generator)
        return kernel.position_laws(x, times[-2], times[-1])
