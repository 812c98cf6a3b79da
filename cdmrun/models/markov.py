"""The exact teacher of Markov chains: zero model error at real sequence lengths (docs/laboratory.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cdmrun.data.chain import MarkovChain
from cdmrun.models.exact import ExactTeacher
from cdmrun.models.families.base import JointDistribution, shared
from cdmrun.models.forward_backward import WeightedChain
from cdmrun.processes import ForwardProcess
from cdmrun.processes.base import TINY


class MarkovTeacher(ExactTeacher):
    """p_{0|t}(x_0 | x_t) ∝ p_0(x_0) Π_i K_{t|0}(x_0^i, x_t^i) with p_0 a Markov chain, by forward–backward in float64.

    Given x_t the clean sequence is a chain again, so sums, marginals and draws are exact. A state of probability zero
    under p_t has no conditional; the answer there is p_0, as with `EnumeratedTeacher`.

    Parameters
    ----------
    process
        The forward process, over the chain's vocabulary.
    chain
        p_0, of order k.
    length
        L, at least k.
    """

    def __init__(self, process: ForwardProcess, chain: MarkovChain, length: int) -> None:
        super().__init__()
        if chain.vocabulary != process.vocabulary:
            raise ValueError(f"the chain has {chain.vocabulary} tokens, the process {process.vocabulary}")
        self.process = process
        self.length = length
        self.law = chain
        self.order = chain.order
        self.chain = WeightedChain(chain, length)

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None) -> MarkovPosterior:
        spoken = self.default_spoken(x_t) if spoken is None else spoken
        return MarkovPosterior(x_t, spoken, self._log_evidence(x_t, t), self.chain)

    def log_marginal(self, x_t: Tensor, t: Tensor) -> Tensor:
        """log p_t(x_t), [B], nats; −690 · L, less than any possible state has, where x_t is impossible."""
        return _finite(self.chain.log_total(self._log_evidence(x_t, t)), self.length)

    def log_data(self, x_0: Tensor) -> Tensor:
        """log p_0(x_0), [B], nats; −690 for each factor that is zero."""
        return self.chain.log_data(x_0)

    def entropy(self) -> float:
        return self.law.entropy(self.length)

    def _log_evidence(self, x_t: Tensor, t: Tensor) -> Tensor:
        """log K_{t|0}(a, x_t^i) for every clean token a, [B, L, V]; −∞ where impossible."""
        return self.process.evidence(x_t, 0.0, t)[..., : self.process.vocabulary].log()


@dataclass(frozen=True)
class MarkovPosterior(JointDistribution):
    """p_{0|t}(· | x_t) of a Markov chain; only what is asked for is computed. Unspoken masks are summed out."""

    log_evidence: Tensor  # [B, L, V]
    chain: WeightedChain = shared()

    def log_prob(self, x: Tensor) -> Tensor:
        return self._log_mean(self._said(x))

    def predictives(self, x: Tensor) -> Tensor:
        """One forward–backward pass a position: L times the cost of `marginals`."""
        said, laws = torch.where(self.spoken.unsqueeze(-1), self._factors + self._said(x), self._factors), []
        for i in range(x.shape[1]):
            known = torch.cat([said[:, :i], self._factors[:, i:]], 1)
            impossible = self.chain.impossible(known)[:, None, None]  # given them, anything may follow
            laws.append(self.chain.marginals(known.masked_fill(impossible, 0.0))[:, i])
        return torch.stack(laws, 1).clamp_min(TINY).log()

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        return self._log_mean(log_w.to(self.log_evidence.dtype))

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        return torch.where(self.spoken, self.chain.sample(self._factors, generator), self.fixed)

    def marginals(self) -> Tensor:
        return self._known_marginals(self.chain.marginals(self._factors))

    def _said(self, x: Tensor) -> Tensor:
        """log of the indicator of x^i, [B, L, V]."""
        token = x.clamp_max(self.chain.vocabulary - 1).unsqueeze(-1)
        return torch.full_like(self.log_evidence, -torch.inf).scatter(-1, token, 0.0)

    def _log_mean(self, log_w: Tensor) -> Tensor:
        """log E Π_{i spoken} w_i(x^i), [B]; −690 · L for zero."""
        weighted = torch.where(self.spoken.unsqueeze(-1), self._factors + log_w, self._factors)
        return _finite(self.chain.log_total(weighted) - self._log_total, self.fixed.shape[1])

    @cached_property
    def _factors(self) -> Tensor:
        """The evidence; where it makes x_t impossible, ones."""
        return self.log_evidence.masked_fill(self.chain.impossible(self.log_evidence)[:, None, None], 0.0)

    @cached_property
    def _log_total(self) -> Tensor:
        """log p_t(x_t), [B]; 0 where x_t is impossible."""
        return self.chain.log_total(self._factors)


def _finite(log_values: Tensor, length: int) -> Tensor:
    """−690 a position in place of −∞."""
    return log_values.masked_fill(log_values.isneginf(), length * math.log(TINY))
