"""The product over positions: parallel to sample, blind to every correlation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cdmrun.models.families.base import Head, JointDistribution
from cdmrun.processes.draws import draw_categorical


@dataclass(frozen=True)
class Factorized(JointDistribution):
    """q(x) = Π_i q_i(x^i); its forward-KL optimum is the teacher's own marginals (docs/families.md)."""

    log_probs: Tensor  # [B, L, V]

    def log_prob(self, x: Tensor) -> Tensor:
        index = x.clamp_max(self.log_probs.shape[-1] - 1).unsqueeze(-1)
        each = self.log_probs.gather(-1, index).squeeze(-1)
        return torch.where(self.spoken, each, 0.0).sum(-1)

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        drawn = draw_categorical(self.log_probs.double().exp(), generator)
        return torch.where(self.spoken, drawn, self.fixed)

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        each = (self.log_probs + log_w.to(self.log_probs.dtype)).logsumexp(-1)
        return torch.where(self.spoken, each, 0.0).sum(-1)

    def predictives(self, x: Tensor) -> Tensor:
        return self.log_probs

    def marginals(self) -> Tensor:
        return self._known_marginals(self.log_probs.double().exp())


class FactorizedHead(Head):
    """No parameters of its own: the unaries are the law."""

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()

    def forward(self, features: Tensor, unary: Tensor, fixed: Tensor, spoken: Tensor) -> Factorized:
        return Factorized(fixed, spoken, unary.log_softmax(-1))
