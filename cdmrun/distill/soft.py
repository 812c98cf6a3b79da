"""`target: soft`: tokens in expectation under the teacher's own laws, in place of tokens that were drawn.

By the chain rule KL(p ‖ q) is a sum over positions, in order, of the KL between the laws of one token given those
before it. The student's are its `predictives`. Two ways to have the teacher's:

* `ChainMatching` (absorbing process): a teacher that answers any pattern of masks is asked for x^j once the tokens
  before j are shown to it. One call a scored position; the target is the teacher's law from left to right.
* `LastLinkMatching` (every process): the teacher walks from x_t in drawn analytic steps, of which the last is taken in
  expectation. One call a sub-step, every position scored; the target is the law of that walk.

Both take the entropy of the soft label off: terms are KL of single tokens, at least zero.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from cdmrun.distill.cdm import FORWARD_KL, matched_states, revealed_between, student_law
from cdmrun.distill.divergences import Divergence
from cdmrun.distill.steps import StepSchedule, substeps
from cdmrun.models import ConditionalModel
from cdmrun.processes import Absorbing
from cdmrun.processes.base import safe_divide
from cdmrun.processes.draws import draw_categorical
from cdmrun.samplers.kernels import Analytic
from cdmrun.training.sources import PairSource, Source


class ChainMatching:
    """Divergence of single tokens, given the tokens before them, at positions drawn evenly; nats a token.

    Zero at student = teacher for each draw, so that its variance dies out as the student learns. The contexts decide
    how the terms are weighed: drawn from the teacher, their expectation is KL(teacher ‖ student); data weigh them as
    data do, with the same minimiser for a family that can represent the teacher.

    Parameters
    ----------
    pairs
        Where the contexts (x_0, x_t) come from.
    positions
        How many positions of a sequence are scored; a row for the teacher each.
    """

    def __init__(
        self,
        student: ConditionalModel,
        teacher: ConditionalModel,
        pairs: PairSource,
        steps: StepSchedule,
        batch: int,
        positions: int = 1,
        compared_by: Divergence = FORWARD_KL,
    ) -> None:
        if not isinstance(student.process, Absorbing):
            raise ValueError("the chain rule needs a process with masks: the teacher is shown part of a sequence")
        self.student = student
        self.teacher = teacher
        self.pairs = pairs
        self.steps = steps
        self.batch = batch
        self.positions = min(positions, student.length)
        self.compared_by = compared_by

    def __call__(self, generator: torch.Generator) -> Tensor:
        at = self.steps.draw(self.batch, generator)
        x_0, x_t = self.pairs(at.t, generator)
        x, spoken = matched_states(self.student, x_0, x_t, at, generator)
        spoken = self.student.default_spoken(x_t) if spoken is None else spoken
        scored, weight = self._scored(spoken, generator)
        with torch.no_grad():
            label = self._labels(x, x_t, spoken, scored, at.t)
        predicted = student_law(self.student, x_t, at, spoken).predictives(x)
        predicted = predicted.gather(1, scored.unsqueeze(-1).expand_as(label))
        found = (self.compared_by.full(label.log(), predicted) * weight).sum(-1)
        return (found * at.weight(self.student.matches)).mean() / x_0.shape[1]

    def _scored(self, spoken: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Spoken positions without repetition, int64 [B, positions], and their weights, zero where there are too few.

        The weights of a sequence sum to how many it speaks of.
        """
        order = torch.rand(spoken.shape, dtype=torch.float64, device=spoken.device, generator=generator)
        scored = order.masked_fill(~spoken, -1.0).topk(self.positions, -1).indices
        counted = spoken.gather(1, scored)
        return scored, safe_divide(counted * spoken.sum(-1, keepdim=True).double(), counted.sum(-1, keepdim=True))

    def _labels(self, x: Tensor, x_t: Tensor, spoken: Tensor, scored: Tensor, t: Tensor) -> Tensor:
        """The teacher's law of each scored token given x_t and the spoken tokens before it, [B, positions, V].

        It is asked at the time at which so many masks are to be expected (exactly, if α is linear); under this
        process clean conditionals do not depend on time, but a state is impossible where α is zero.
        """
        process = self.student.process
        assert isinstance(process, Absorbing)
        before = torch.arange(x.shape[1], device=x.device) < scored.unsqueeze(-1)
        shown = torch.where(before & spoken.unsqueeze(1), x.unsqueeze(1), x_t.unsqueeze(1))
        masks, left = ((state == process.mask).sum(-1).double() for state in (x_t, shown))
        share = safe_divide(left, masks.unsqueeze(-1)).clamp_min(0.5 / x.shape[1])
        asked = (t.unsqueeze(-1) * share).flatten()
        laws = self.teacher(shown.flatten(0, 1), asked).marginals().view(*shown.shape, -1)
        return laws.gather(2, scored[..., None, None].expand(-1, -1, 1, laws.shape[-1])).squeeze(2)


class LastLinkMatching:
    """KL of every token under the last of the teacher's ``substeps`` analytic steps; nats a token.

    Unbiased for the gradient of the forward KL from the law of those steps, which tends to the teacher's own as there
    are more; with one step, that of its analytic sampler. Lies above that KL by what the tokens of the last step tell
    of the steps before it.
    """

    def __init__(
        self,
        student: ConditionalModel,
        teacher: ConditionalModel,
        source: Source,
        steps: StepSchedule,
        batch: int,
        count: int,
    ) -> None:
        self.student = student
        self.teacher = teacher
        self.source = source
        self.steps = steps
        self.batch = batch
        self.count = count

    def __call__(self, generator: torch.Generator) -> Tensor:
        process = self.student.process
        at = self.steps.draw(self.batch, generator)
        x_0 = self.source(self.batch, generator)
        x_t = process.noise(x_0, 0.0, at.t, generator)
        with torch.no_grad():
            laws = self._last_link(x_t, substeps(at.t, at.end(self.student.matches), self.count), generator)
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
