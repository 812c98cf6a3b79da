"""Kernels of students: a joint law over x_0 walked through the bridge, or the step's own kernel.

`CleanStudent` draws x_0 ~ q_{0|t} and then x_s from the bridge; its likelihood is the family's own with every emission
replaced by a bridge expectation (docs/method.md, "nll_bound"). `StepStudent` speaks of x_s itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.models import ConditionalModel, JointDistribution, NetworkModel
from cdmrun.processes import Absorbing
from cdmrun.processes.base import TINY
from cdmrun.processes.enumeration import enumerate_states, state_codes
from cdmrun.samplers.kernels import Analytic, TransitionKernel


class StudentKernel(TransitionKernel):
    """What both have: how the student's family draws, see `cdmrun.models.families.decoding`."""

    def __init__(self, model: ConditionalModel, decoding: str = "auto") -> None:
        super().__init__(model)
        self.decoding = decoding


class CleanStudent(StudentKernel):
    """Draw all of x_0 jointly, keep what the bridge keeps."""

    def sample(self, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        x_0 = self.model(x_t, t).sample(generator, self.decoding)
        return self.process.sample_bridge(x_0, x_t, s, t, generator)

    def log_prob(
        self, x_s: Tensor, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator, draws: int = 1
    ) -> Tensor:
        law = self.model(x_t, t)
        bridge = self.process.log_bridge(x_s, x_t, s, t)
        known = torch.where(law.spoken, 0.0, self._known(bridge, law)).sum(-1)
        if bool((s == 0).all()):  # the bridge ends in x_0 itself
            return law.log_prob(x_s).double() + known
        return law.log_expectation(bridge, generator, draws).double() + known

    def rows(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        sequences = enumerate_states(self.process.vocabulary, x_t.shape[1])
        # positions that are known repeat over all tokens here; the bridge keeps the one of them that is x_t's
        law = self.model(x_t, t).log_probabilities(sequences).exp()
        bridges = self.process.evidence(x_t, s, t).unsqueeze(2) * self._earlier(s, x_t)
        normaliser = self.process.evidence(x_t, 0.0, t)[..., : self.process.vocabulary, None]
        bridges = torch.where(normaliser > 0, bridges / normaliser.clamp_min(TINY), 0.0)  # [B, L, V, C]
        batch, length = x_t.shape
        for i in range(length):  # contract the leading clean axis, append the noisy one
            law = law.view(batch, self.process.vocabulary, -1).transpose(1, 2) @ bridges[:, i]
        return law.reshape(batch, -1)

    def _known(self, bridge: Tensor, law: JointDistribution) -> Tensor:
        token = law.fixed.clamp_max(self.process.vocabulary - 1).unsqueeze(-1)
        return bridge.gather(-1, token).squeeze(-1)

    def _earlier(self, s: Tensor, x_t: Tensor) -> Tensor:
        """K_{s|0}(a, b) as [B, 1, V, C]."""
        clean = torch.eye(self.process.vocabulary, dtype=torch.float64).expand(x_t.shape[0], -1, -1)
        return self.process.push(clean, 0.0, s).unsqueeze(1)


class StepStudent(StudentKernel):
    """The student as the step's kernel: q_{s|t}(x_s | x_t) in one call, exact to score and to draw."""

    def sample(self, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        process, revealed = self.process, None
        if isinstance(process, Absorbing):
            revealed = process.draw_revealed(x_t, t, s, generator)
        return self.model(x_t, t, s, revealed).sample(generator, self.decoding)

    def log_prob(
        self, x_s: Tensor, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator, draws: int = 1
    ) -> Tensor:
        if not isinstance(self.process, Absorbing):
            return self.model(x_t, t, s).log_prob(x_s).double()
        revealed = self.process.revealed(x_s, x_t)
        pattern = self._log_pattern(revealed.sum(-1), (x_t == self.process.mask).sum(-1), x_t, t, s)
        return pattern + self.model(x_t, t, s, revealed).log_prob(x_s).double()

    def rows(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        if isinstance(self.process, Absorbing):
            return self._absorbing_rows(x_t, t, s)
        return self.model(x_t, t, s).log_probabilities(enumerate_states(self.process.states, x_t.shape[1])).exp()

    def _log_pattern(self, revealed: Tensor, masked: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """log probability of which masked positions are revealed, given how many, float64 [B]."""
        assert isinstance(self.process, Absorbing)
        chance = self.process.reveal_probability(s, t, x_t)[:, 0]
        return torch.xlogy(revealed, chance.clamp_min(TINY)) + torch.xlogy(
            masked - revealed, (1.0 - chance).clamp_min(TINY)
        )

    def _absorbing_rows(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Go through every pattern of revealed positions; each is one network call for the states that allow it."""
        assert isinstance(self.process, Absorbing)
        batch, length = x_t.shape
        rows = torch.zeros(batch, self.process.states**length, dtype=torch.float64)
        masked = x_t == self.process.mask
        for pattern in enumerate_states(2, length).bool():
            allowed = (masked | ~pattern).all(-1).nonzero()[:, 0]
            if not len(allowed):
                continue
            here, t_here, s_here = x_t[allowed], t[allowed], s[allowed]
            spoken = pattern.expand(len(allowed), -1)
            count = spoken.sum(-1)
            weight = self._log_pattern(count, masked[allowed].sum(-1), here, t_here, s_here).exp()
            targets = torch.zeros(self.process.vocabulary ** int(pattern.sum()), length, dtype=torch.long)
            if pattern.any():
                targets[:, pattern] = enumerate_states(self.process.vocabulary, int(pattern.sum()))
                law = self.model(here, t_here, s_here, spoken).log_probabilities(targets).exp()
            else:
                law = torch.ones(len(allowed), 1, dtype=torch.float64)
            x_s = torch.where(pattern, targets.unsqueeze(0), here.unsqueeze(1))
            codes = state_codes(x_s, self.process.states)
            rows[allowed.unsqueeze(-1), codes] += weight.unsqueeze(-1) * law
        return rows


def student_kernel(model: ConditionalModel, decoding: str = "auto") -> TransitionKernel:
    """The kernel that fits what the student was trained to match.

    A factorised student of clean data is the analytic kernel, whose likelihood is then in closed form too.
    """
    if model.matches == "step":
        return StepStudent(model, decoding)
    factorized = isinstance(model, NetworkModel) and model.shape.family["kind"] == "factorized"
    return Analytic(model) if factorized else CleanStudent(model, decoding)
