"""Conditional distribution matching: from the teacher's reverse conditional to the student's (docs/distillation.md).

    L(φ) = E D( p^θ_{0|t}(· | x_t) ‖ q^φ_{0|t}(· | x_t) )      match: clean
    L(φ) = E D( p^θ_{s|t}(· | x_t) ‖ q^φ_{s|t}(· | x_t) )      match: step

`SampledMatching` scores draws from the target: unbiased for forward KL whatever drew them, and for other divergences
where the density of the draws is known. `ExactMatching` sums over the target in full. docs/distillation.md has the
whole argument; `soft` and `bootstrap` are the other targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cdmrun.distill.divergences import Divergence, divergence
from cdmrun.distill.steps import StepBatch, StepSchedule
from cdmrun.models import ConditionalModel, EnumeratedTeacher, JointDistribution
from cdmrun.models.exact import ExactTeacher
from cdmrun.processes import Absorbing, ForwardProcess
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.samplers import CleanStudent
from cdmrun.training.sources import PairSource, Source

FORWARD_KL = divergence("forward_kl")


@dataclass(eq=False)
class SampledMatching:
    """Scores of draws from the joint of clean data and noise; nats a token.

    By default −log q: unbiased for the gradient of the forward KL, which it exceeds by the entropy of the target.

    Parameters
    ----------
    pairs
        Where (x_0, x_t) come from: x_t from the data and x_0 from the teacher's sampler (``target: rollout``), both
        from the data (``target: data``), or both from an exact teacher's law (``target: exact``).
    density
        The exact teacher whose law the draws have; with it any divergence is estimated without bias.
    """

    student: ConditionalModel
    pairs: PairSource
    steps: StepSchedule
    batch: int
    compared_by: Divergence = FORWARD_KL
    density: ExactTeacher | None = None

    def __post_init__(self) -> None:
        if (name := self.compared_by.name) != "forward_kl" and self.density is None:
            raise ValueError(f"{name} needs the density of the draws: only forward_kl is unbiased without")

    def __call__(self, generator: torch.Generator) -> Tensor:
        at = self.steps.draw(self.batch, generator)
        x_0, x_t = self.pairs(at.t, generator)
        x, spoken = matched_states(self.student.process, self.student.matches, x_0, x_t, at, generator)
        log_q = student_law(self.student, x_t, at, spoken).log_prob(x)
        weight = at.weight(self.student.matches)
        if self.density is None:
            return -(log_q * weight).mean() / x_0.shape[1]
        with torch.no_grad():
            log_p = self._log_density(x, x_t, at, spoken, generator)
        return (self.compared_by.of_draws(log_p, log_q) * weight).mean() / x_0.shape[1]

    def _log_density(
        self, x: Tensor, x_t: Tensor, at: StepBatch, spoken: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """log of the teacher's probability of what was drawn, [B]; of the tokens alone where a step reveals some."""
        assert self.density is not None
        if self.student.matches == "step" and spoken is None:
            return CleanStudent(self.density).log_prob(x, x_t, at.t, at.s, generator)
        return self.density(x_t, at.t, spoken=spoken).log_prob(x)


@dataclass(eq=False)
class TeacherMatching:
    """What an objective has that asks the teacher in every batch.

    Parameters
    ----------
    source
        Clean sequences, which are noised to the starts of steps.
    steps, batch
        Which steps a batch is made of, and how many.
    """

    student: ConditionalModel
    teacher: ConditionalModel
    source: Source
    steps: StepSchedule
    batch: int


@dataclass(eq=False)
class ExactMatching(TeacherMatching):
    """Divergence from an enumerated teacher's conditional, summed over every outcome; nats a token, zero at a match.

    Only x_t and the step are drawn; no target is sampled (Rao–Blackwell taken to its end).
    """

    teacher: EnumeratedTeacher
    compared_by: Divergence = FORWARD_KL

    def __post_init__(self) -> None:
        self.clean = enumerate_states(self.teacher.process.vocabulary, self.teacher.length)

    def __call__(self, generator: torch.Generator) -> Tensor:
        process = self.student.process
        x_0 = self.source(self.batch, generator)
        self.clean = self.clean.to(x_0.device)
        at = self.steps.draw(self.batch, generator)
        x_t = process.noise(x_0, 0.0, at.t, generator)
        if self.student.matches == "clean":
            found = self._clean_divergence(x_t, at, self.student.default_spoken(x_t))
        elif isinstance(process, Absorbing):
            found = self._clean_divergence(x_t, at, process.draw_revealed(x_t, at.t, at.s, generator))
        else:
            found = self._step_kernel_divergence(x_t, at)
        return (found * at.weight(self.student.matches)).mean() / x_0.shape[1]

    def _clean_divergence(self, x_t: Tensor, at: StepBatch, spoken: Tensor) -> Tensor:
        """Between the laws of the spoken clean tokens, [B].

        The sum goes over whole sequences, in which what is spoken of repeats V^(number of other positions) times.
        """
        with torch.no_grad():
            log_p = self.teacher(x_t, at.t, spoken=spoken).log_probabilities(self.clean)
        log_q = student_law(self.student, x_t, at, spoken).log_probabilities(self.clean)
        repeats = float(self.teacher.process.vocabulary) ** (~spoken).sum(-1)
        return self.compared_by.full(log_p, log_q) / repeats

    def _step_kernel_divergence(self, x_t: Tensor, at: StepBatch) -> Tensor:
        """Between the laws of x_s, [B]."""
        with torch.no_grad():
            target = CleanStudent(self.teacher).rows(x_t, at.t, at.s)
        return self.compared_by.full(target.log(), self.student(x_t, at.t, at.s).log_probabilities(self.clean))


def student_law(student: ConditionalModel, x_t: Tensor, at: StepBatch, spoken: Tensor | None) -> JointDistribution:
    """What the student says of what it matches: of x_0, or of x_s."""
    return student(x_t, at.t, at.s if student.matches == "step" else None, spoken)


def matched_states(
    process: ForwardProcess, match: str, x_0: Tensor, x_t: Tensor, at: StepBatch, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """The end of the step that leads from x_t towards x_0, and of which of its tokens a student speaks."""
    if match == "clean":
        return x_0, None
    x_s = process.sample_bridge(x_0, x_t, at.s, at.t, generator)
    return x_s, revealed_between(process, x_s, x_t)


def revealed_between(process: ForwardProcess, x_s: Tensor, x_t: Tensor) -> Tensor | None:
    """Positions masked at t and known at s, or None for processes without masks."""
    return process.revealed(x_s, x_t) if isinstance(process, Absorbing) else None
