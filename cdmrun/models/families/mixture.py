"""A mixture of products: pick one of M components, then every position in parallel.

Laws of components are never held for all M at once: they are made for as many as fit in memory, and made again in the
backward pass, so that M grows at the price of time alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cdmrun.models.families.base import Head, JointDistribution, shared
from cdmrun.models.families.decoding import BLOCK
from cdmrun.processes.draws import draw_categorical


@dataclass(frozen=True)
class Mixture(JointDistribution):
    """q(x) = Σ_m w_m Π_i q_im(x^i) with q_im ∝ exp(u_i + ⟨z_m ⊙ g_i, e⟩)."""

    log_weights: Tensor  # [B, M]
    unary: Tensor  # u, [B, L, V]
    gate: Tensor  # g, [B, L, R]
    component: Tensor = shared()  # z, [M, R]
    token: Tensor = shared()  # e, [R, V]

    def log_probs(self, component: Tensor) -> Tensor:
        """log q_im of the components with the given z, [m, R] → [B, L, m, V]."""
        return (self.unary.unsqueeze(2) + (self.gate.unsqueeze(2) * component) @ self.token).log_softmax(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        return self._mix(self._scored(x).sum(1))

    def log_probabilities(self, sequences: Tensor) -> Tensor:
        token = sequences.clamp_max(self.unary.shape[-1] - 1)

        def mixed(log_probs: Tensor, log_weights: Tensor) -> Tensor:
            total = log_weights.unsqueeze(-1)  # [B, m, N], one position at a time
            for i in range(sequences.shape[1]):
                total = total + torch.where(self.spoken[:, i, None, None], log_probs[:, i][:, :, token[:, i]], 0.0)
            return total.double().logsumexp(1)

        return torch.stack(self._over_components(mixed, self.log_weights)).logsumexp(0)

    def predictives(self, x: Tensor) -> Tensor:
        before = nn.functional.pad(self._scored(x)[:, :-1].cumsum(1), (0, 0, 1, 0))
        return self._averaged((self.log_weights.unsqueeze(1) + before).log_softmax(-1))

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        chosen = self.component[draw_categorical(self.log_weights.double().exp(), generator)]  # [B, R]
        logits = self.unary + (self.gate * chosen.unsqueeze(1)) @ self.token
        drawn = draw_categorical(logits.double().softmax(-1), generator)
        return torch.where(self.spoken, drawn, self.fixed)

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        log_w = log_w.to(self.unary.dtype).unsqueeze(2)

        def expected(log_probs: Tensor) -> Tensor:
            return torch.where(self.spoken.unsqueeze(-1), (log_probs + log_w).logsumexp(-1), 0.0).sum(1)

        return self._mix(torch.cat(self._over_components(expected), -1))

    def marginals(self) -> Tensor:
        weights = self.log_weights.unsqueeze(1).expand(-1, self.unary.shape[1], -1)
        return self._known_marginals(self._averaged(weights).double().exp())

    def _mix(self, log_likelihoods: Tensor) -> Tensor:
        return (self.log_weights + log_likelihoods).logsumexp(-1)

    def _scored(self, x: Tensor) -> Tensor:
        """log q_im(x^i), zero where nothing is spoken, [B, L, M]."""
        index = x.clamp_max(self.unary.shape[-1] - 1)[..., None, None]

        def scored(log_probs: Tensor) -> Tensor:
            each = log_probs.gather(-1, index.expand(-1, -1, log_probs.shape[2], 1)).squeeze(-1)
            return torch.where(self.spoken.unsqueeze(-1), each, 0.0)

        return torch.cat(self._over_components(scored), -1)

    def _averaged(self, log_weights: Tensor) -> Tensor:
        """log Σ_m w_im q_im for weights of their own at each position, [B, L, M] → [B, L, V]."""
        averages = self._over_components(lambda log_probs, w: (w.unsqueeze(-1) + log_probs).logsumexp(2), log_weights)
        return torch.stack(averages).logsumexp(0)

    def _over_components(self, function: Callable[..., Tensor], *along: Tensor) -> list[Tensor]:
        """``function`` of log q_im [B, L, m, V] and of what tensors [..., M] hold for those m, a block at a time."""

        def block(component: Tensor, *held: Tensor) -> Tensor:
            return function(self.log_probs(component), *held)

        size = max(1, BLOCK // self.unary.numel())
        blocks = zip(self.component.split(size), *(tensor.split(size, -1) for tensor in along), strict=True)
        if torch.is_grad_enabled() and size < len(self.component):
            return [checkpoint(block, *arguments, use_reentrant=False) for arguments in blocks]
        return [block(*arguments) for arguments in blocks]


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
        log_weights = self.weights(features.mean(1)).log_softmax(-1)
        return Mixture(fixed, spoken, log_weights, unary, self.gate(features), self.component, self.token)
