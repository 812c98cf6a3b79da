"""A mixture of products: pick one of M components, then every position in parallel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cdmrun.models.families.base import Head, JointDistribution
from cdmrun.processes.draws import draw_categorical


@dataclass(frozen=True)
class Mixture(JointDistribution):
    """q(x) = Σ_m w_m Π_i q_im(x^i)."""

    log_weights: Tensor  # [B, M]
    log_probs: Tensor  # [B, L, M, V]

    def _combine(self, each: Tensor) -> Tensor:
        """Sum log-likelihoods [B, L, M] over spoken positions, then mix."""
        spoken = torch.where(self.spoken.unsqueeze(-1), each, 0.0).sum(1)
        return (self.log_weights + spoken).logsumexp(-1)

    def _each(self, x: Tensor) -> Tensor:
        """log q_im(x^i), [B, L, M]."""
        index = x.clamp_max(self.log_probs.shape[-1] - 1)[..., None, None]
        return self.log_probs.gather(-1, index.expand(-1, -1, self.log_probs.shape[2], 1)).squeeze(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._combine(self._each(x))

    def predictives(self, x: Tensor) -> Tensor:
        each = torch.where(self.spoken.unsqueeze(-1), self._each(x), 0.0)
        before = nn.functional.pad(each[:, :-1].cumsum(1), (0, 0, 1, 0))
        component = (self.log_weights.unsqueeze(1) + before).log_softmax(-1)  # given the tokens before, [B, L, M]
        return (component.unsqueeze(-1) + self.log_probs).logsumexp(2)

    def log_probabilities(self, sequences: Tensor) -> Tensor:
        total = self.log_weights.unsqueeze(-1)  # [B, M, N], one position at a time
        for i in range(sequences.shape[1]):
            each = self.log_probs[:, i][:, :, sequences[:, i].clamp_max(self.log_probs.shape[-1] - 1)]
            total = total + torch.where(self.spoken[:, i, None, None], each, 0.0)
        return total.double().logsumexp(1)

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        component = draw_categorical(self.log_weights.double().exp(), generator)
        rows = torch.arange(component.shape[0], device=component.device)
        drawn = draw_categorical(self.log_probs[rows, :, component].double().exp(), generator)
        return torch.where(self.spoken, drawn, self.fixed)

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        return self._combine((self.log_probs + log_w.to(self.log_probs.dtype).unsqueeze(2)).logsumexp(-1))

    def marginals(self) -> Tensor:
        weights = self.log_weights.double().exp()
        return self._known_marginals(torch.einsum("bm,blmv->blv", weights, self.log_probs.double().exp()))


class MixtureHead(Head):
    """Component logits are the unaries plus a low-rank term ⟨z_m ⊙ g_i, e_a⟩ with g_i read from the trunk."""

    def __init__(self, vocabulary: int, length: int, width: int, components: int = 16, rank: int = 32) -> None:
        super().__init__()
        self.weights = nn.Linear(width, components)
        self.gate = nn.Linear(width, rank)
        self.component = nn.Parameter(torch.randn(components, rank))
        self.token = nn.Parameter(torch.randn(rank, vocabulary) * 0.02)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        nn.init.ones_(self.gate.bias)

    def forward(self, features: Tensor, unary: Tensor, fixed: Tensor, spoken: Tensor) -> Mixture:
        gated = self.gate(features).unsqueeze(2) * self.component  # [B, L, M, R]
        log_probs = (unary.unsqueeze(2) + gated @ self.token).log_softmax(-1)
        return Mixture(fixed, spoken, self.weights(features.mean(1)).log_softmax(-1), log_probs)
