"""Conditional distribution matching: KL from the teacher's reverse conditional to the student's (method.md, section 4).

    L(φ) = E KL( p^θ_{0|t}(· | x_t) ‖ q^φ_{0|t}(· | x_t) )      match: clean
    L(φ) = E KL( p^θ_{s|t}(· | x_t) ‖ q^φ_{s|t}(· | x_t) )      match: step

Forward KL is linear in its first argument, so one draw from the teacher's joint gives an unbiased gradient:
`SampledMatching` scores such draws (what the teacher's own long sampler makes of noised data or, as a control, the
data themselves).
`ExactMatching` takes the expectation over the target in full, for teachers whose conditionals are tables.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.distill.steps import StepBatch, StepSchedule
from cdmrun.models import EnumeratedTeacher, NetworkModel
from cdmrun.processes import Absorbing, ForwardProcess
from cdmrun.processes.draws import draw_bernoulli
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.samplers import CleanStudent
from cdmrun.training.sources import PairSource, Source


class SampledMatching:
    """−log q of draws from the joint of clean data and noise; nats a token.

    Unbiased for the gradient of the forward KL; the loss itself lies above the KL by the entropy of the target.

    Parameters
    ----------
    pairs
        Where (x_0, x_t) come from: x_t from the data and x_0 from the teacher's sampler (``target: rollout``), or both
        from the data (``target: data``).
    """

    def __init__(self, student: NetworkModel, pairs: PairSource, steps: StepSchedule, batch: int) -> None:
        self.student = student
        self.pairs = pairs
        self.steps = steps
        self.batch = batch

    def __call__(self, generator: torch.Generator) -> Tensor:
        process = self.student.process
        at = self.steps.draw(self.batch, generator)
        x_0, x_t = self.pairs(at.t, generator)
        if self.student.matches == "clean":
            return -self.student(x_t, at.t).log_prob(x_0).mean() / x_0.shape[1]
        x_s = process.sample_bridge(x_0, x_t, at.s, at.t, generator)
        law = self.student(x_t, at.t, at.s, _revealed_between(process, x_s, x_t))
        return -(law.log_prob(x_s) * at.n).mean() / x_0.shape[1]


class ExactMatching:
    """KL to an enumerated teacher's conditional, summed over every target sequence; nats a token, zero at a match.

    Only x_t and the step are drawn; no target is sampled (Rao–Blackwell taken to its end).
    """

    def __init__(
        self, student: NetworkModel, teacher: EnumeratedTeacher, source: Source, steps: StepSchedule, batch: int
    ) -> None:
        self.student = student
        self.teacher = teacher
        self.source = source
        self.steps = steps
        self.batch = batch
        self.clean = enumerate_states(teacher.process.vocabulary, teacher.length)

    def __call__(self, generator: torch.Generator) -> Tensor:
        process = self.student.process
        x_0 = self.source(self.batch, generator)
        self.clean = self.clean.to(x_0.device)
        at = self.steps.draw(self.batch, generator)
        x_t = process.noise(x_0, 0.0, at.t, generator)
        by_step = self.student.matches == "step"
        if by_step and not isinstance(process, Absorbing):
            divergence = self._step_kernel_divergence(x_t, at)
        else:
            spoken = self._revealed_by_chance(x_t, at, generator) if by_step else self.student.default_spoken(x_t)
            divergence = self._clean_divergence(x_t, at, spoken)
        weight = at.n if by_step else torch.ones_like(at.n)
        return (divergence * weight).mean() / x_0.shape[1]

    def _clean_divergence(self, x_t: Tensor, at: StepBatch, spoken: Tensor) -> Tensor:
        """KL between the laws of the spoken clean tokens, [B]: expectation over x_0 of the log-ratio at them."""
        with torch.no_grad():
            weight = self.teacher(x_t, at.t).log_probs.exp()
            target = self.teacher(x_t, at.t, spoken=spoken).log_probabilities(self.clean)
        log_q = self.student(x_t, at.t, at.s if self.student.matches == "step" else None, spoken)
        return (weight * (target - log_q.log_probabilities(self.clean))).sum(-1)

    def _step_kernel_divergence(self, x_t: Tensor, at: StepBatch) -> Tensor:
        """KL between the laws of x_s, [B]."""
        with torch.no_grad():
            target = CleanStudent(self.teacher).rows(x_t, at.t, at.s)
        log_q = self.student(x_t, at.t, at.s).log_probabilities(self.clean)
        return (torch.xlogy(target, target) - target * log_q).sum(-1)

    def _revealed_by_chance(self, x_t: Tensor, at: StepBatch, generator: torch.Generator) -> Tensor:
        assert isinstance(self.student.process, Absorbing)
        chance = self.student.process.reveal_probability(at.s, at.t, x_t).expand(x_t.shape)
        return self.student.default_spoken(x_t) & draw_bernoulli(chance, generator)


def _revealed_between(process: ForwardProcess, x_s: Tensor, x_t: Tensor) -> Tensor | None:
    """Positions masked at t and known at s, or None for processes without masks."""
    if not isinstance(process, Absorbing):
        return None
    return (x_t == process.mask) & (x_s != process.mask)
