"""A light causal head: one trunk call, then each token given the `window` before it.

Training scores all positions at once; sampling runs L light steps that never call the trunk, so NFE stays one and
the wall-clock is reported beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cdmrun.models.families.base import Head, JointDistribution, shared
from cdmrun.processes.draws import draw_categorical


@dataclass(frozen=True)
class Autoregressive(JointDistribution):
    """q(x) = Π_{i spoken} q(x^i | x^{i−w}, …, x^{i−1}); the window sees fixed tokens and masks as they stand."""

    hidden: Tensor  # the trunk's part of the hidden layer, [B, L, H]
    unary: Tensor  # [B, L, V]
    exact_expectation = False
    head: AutoregressiveHead = shared()

    def log_prob(self, x: Tensor) -> Tensor:
        index = x.clamp_max(self.unary.shape[-1] - 1).unsqueeze(-1)
        return torch.where(self.spoken, self.predictives(x).gather(-1, index).squeeze(-1), 0.0).sum(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        return self._decode(None, generator)[0]

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        """A lower bound in expectation: sequential importance sampling with each token drawn ∝ q·w.

        Forced decoding generalised to any weights; ``draws`` of them are averaged inside the logarithm.
        """
        if generator is None:
            raise ValueError("the autoregressive family estimates this expectation: pass a generator")
        estimates = torch.stack([self._decode(log_w, generator)[1] for _ in range(draws)])
        return estimates.logsumexp(0) - torch.log(torch.tensor(float(draws)))

    def predictives(self, x: Tensor) -> Tensor:
        seen = torch.where(self.spoken, x, self.fixed)
        return self.head.all_logits(self.hidden, self.unary, seen).log_softmax(-1)

    def _decode(self, log_w: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Decode left to right, tilted by w; returns the tokens [B, L] and the log-weight [B]."""
        x = self.fixed.clone()
        log_weight = torch.zeros(x.shape[0], dtype=self.unary.dtype, device=x.device)
        for i in range(x.shape[1]):
            log_probs = self.head.logits_at(self.hidden, self.unary, x, i).log_softmax(-1)
            if log_w is not None:
                log_probs = log_probs + log_w[:, i].to(log_probs.dtype)
                gained = log_probs.logsumexp(-1).to(log_weight.dtype)
                log_weight = log_weight + torch.where(self.spoken[:, i], gained, 0.0)
            probs = (log_probs - log_probs.amax(-1, keepdim=True)).double().exp()
            x[:, i] = torch.where(self.spoken[:, i], draw_categorical(probs, generator), x[:, i])
        return x, log_weight


class AutoregressiveHead(Head):
    """Hidden layer = trunk features + one embedding for each of the `window` previous tokens; output added to u."""

    def __init__(self, vocabulary: int, length: int, width: int, window: int = 8, hidden: int = 256) -> None:
        super().__init__()
        self.window = min(window, length - 1)
        self.blank = vocabulary + 1  # stands before the beginning; `vocabulary` is the mask
        self.features = nn.Linear(width, hidden)
        self.previous = nn.Parameter(
            torch.randn(self.window, vocabulary + 2, hidden) * 0.5 / max(self.window, 1) ** 0.5
        )
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Tensor, unary: Tensor, fixed: Tensor, spoken: Tensor) -> Autoregressive:
        return Autoregressive(fixed, spoken, self.features(features), unary, self)

    def all_logits(self, hidden: Tensor, unary: Tensor, seen: Tensor) -> Tensor:
        """Logits of every position given the tokens before it, [B, L, V]."""
        length = seen.shape[1]
        padded = nn.functional.pad(seen, (self.window, 0), value=self.blank)
        for j in range(self.window):  # j = 0 is the token just before
            begin = self.window - 1 - j
            hidden = hidden + nn.functional.embedding(padded[:, begin : begin + length], self.previous[j])
        return unary + self.output(nn.functional.gelu(hidden))

    def logits_at(self, hidden: Tensor, unary: Tensor, x: Tensor, i: int) -> Tensor:
        """Logits of position i given x before it, [B, V]."""
        at = hidden[:, i]
        for j in range(self.window):
            if i - 1 - j >= 0:
                at = at + self.previous[j][x[:, i - 1 - j]]
            else:
                at = at + self.previous[j][self.blank]
        return unary[:, i] + self.output(nn.functional.gelu(at))
