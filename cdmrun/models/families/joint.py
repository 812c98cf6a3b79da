"""The whole table: a probability for every sequence, for small state spaces only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cdmrun.models.families.base import Head, JointDistribution, shared
from cdmrun.processes.base import TINY
from cdmrun.processes.draws import draw_categorical
from cdmrun.processes.enumeration import check_enumerable, enumerate_states, state_codes


@dataclass(frozen=True)
class Joint(JointDistribution):
    """q over all V^L sequences; unspoken positions are summed out."""

    log_probs: Tensor  # [B, V^L], normalised
    sequences: Tensor = shared()  # int64 [V^L, L]
    vocabulary: int = shared()

    def log_prob(self, x: Tensor) -> Tensor:
        disagrees = (self.sequences != x.unsqueeze(1)) & self.spoken.unsqueeze(1)
        return self.log_probs.masked_fill(disagrees.any(-1), -torch.inf).logsumexp(-1)

    def log_probabilities(self, sequences: Tensor) -> Tensor:
        probs = self.log_probs.double().exp()
        result = probs.new_empty(probs.shape[0], sequences.shape[0])
        for pattern in self.spoken.unique(dim=0):  # rows that speak of the same positions share one projection
            rows = (self.spoken == pattern).all(-1)
            codes = state_codes(self.sequences[:, pattern], self.vocabulary)
            summed = probs.new_zeros(int(rows.sum()), self.vocabulary ** int(pattern.sum()))
            summed.index_add_(1, codes, probs[rows])
            result[rows] = summed[:, state_codes(sequences[:, pattern], self.vocabulary)]
        return result.clamp_min(TINY).log()

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        row = draw_categorical(self.log_probs.double().exp(), generator)
        return torch.where(self.spoken, self.sequences[row], self.fixed)

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        spoken_w = torch.where(self.spoken.unsqueeze(-1), log_w, 0.0).to(self.log_probs.dtype)
        total = torch.zeros_like(self.log_probs)
        for i in range(self.sequences.shape[1]):
            total = total + spoken_w[:, i, self.sequences[:, i]]
        return (self.log_probs + total).logsumexp(-1)

    def predictives(self, x: Tensor) -> Tensor:
        batch, length = x.shape
        log_probs, laws = self.log_probs, []
        for i in range(length):
            by_token = log_probs.view(batch, self.vocabulary**i, self.vocabulary, -1)
            laws.append(by_token.logsumexp((1, 3)).log_softmax(-1))
            disagrees = (self.sequences[:, i] != x[:, i : i + 1]) & self.spoken[:, i : i + 1]
            log_probs = log_probs.masked_fill(disagrees, -torch.inf)
        return torch.stack(laws, 1)

    def marginals(self) -> Tensor:
        one_hot = nn.functional.one_hot(self.sequences, self.vocabulary).double()
        return self._known_marginals(torch.einsum("bn,nla->bla", self.log_probs.double().exp(), one_hot))


class JointHead(Head):
    """Sum of the unaries of a sequence plus a table read from all trunk features at once."""

    sequences: Tensor

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()
        count = check_enumerable(vocabulary, length)
        self.vocabulary = vocabulary
        self.table = nn.Linear(length * width, count)
        nn.init.zeros_(self.table.weight)
        nn.init.zeros_(self.table.bias)
        self.register_buffer("sequences", enumerate_states(vocabulary, length), persistent=False)

    def forward(self, features: Tensor, unary: Tensor, fixed: Tensor, spoken: Tensor) -> Joint:
        log_probs = self.table(features.flatten(1))
        for i in range(self.sequences.shape[1]):
            log_probs = log_probs + unary[:, i, self.sequences[:, i]]
        return Joint(fixed, spoken, log_probs.log_softmax(-1), self.sequences, self.vocabulary)
