"""Transition kernels p̂_{s|t}(x_s | x_t): what a sampler does in one step, as an explicit law.

Every sampler with a time grid has explicit kernels: they can be drawn from, scored, and (on small spaces) written out
whole. That is what makes the bound of docs/method.md, "nll_bound", and the exact output laws possible.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from cdmrun.models import ConditionalModel
from cdmrun.processes import ForwardProcess
from cdmrun.processes.draws import draw_categorical
from cdmrun.processes.enumeration import outer_laws


class TransitionKernel(ABC):
    """One reverse step from time t to s < t, for whole sequences.

    Attributes
    ----------
    model
        The conditional model it calls.
    calls
        How often it does so in a step.
    exact_log_prob
        Whether `log_prob` is exact; where it is not, it is a lower bound in expectation.
    """

    calls = 1
    exact_log_prob = True

    def __init__(self, model: ConditionalModel) -> None:
        self.model = model

    @property
    def process(self) -> ForwardProcess:
        """The forward process it reverses."""
        return self.model.process

    @abstractmethod
    def sample(self, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        """Draw x_s, int64 [B, L], given x_t [B, L] and times float64 [B]."""

    @abstractmethod
    def log_prob(
        self, x_s: Tensor, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator, draws: int = 1
    ) -> Tensor:
        """log p̂_{s|t}(x_s | x_t), float64 [B], nats, −∞ for what the kernel forbids.

        ``generator`` and ``draws`` serve kernels that estimate it.
        """

    @abstractmethod
    def rows(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The kernel's whole rows, float64 [B, C^L], states in the order of `enumerate_states`."""


class FactorizedKernel(TransitionKernel):
    """A kernel that draws each position on its own, given the whole x_t."""

    @abstractmethod
    def position_laws(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """P(x_s^i = b | x_t) for each position, float64 [B, L, C]."""

    def sample(self, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        return draw_categorical(self.position_laws(x_t, t, s), generator)

    def log_prob(
        self, x_s: Tensor, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator, draws: int = 1
    ) -> Tensor:
        laws = self.position_laws(x_t, t, s)
        return laws.gather(-1, x_s.unsqueeze(-1)).squeeze(-1).log().sum(-1)

    def rows(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return outer_laws(self.position_laws(x_t, t, s))


class Analytic(FactorizedKernel):
    """The exact reverse kernel of each position given the model's marginals ("Tweedie", ancestral; docs/method.md)."""

    def position_laws(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return self.process.reverse_kernel(self.model(x_t, t).marginals(), x_t, s, t)
