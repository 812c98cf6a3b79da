"""What every exact teacher can say besides conditionals: p_0 and p_t themselves (docs/laboratory.md)."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from cdmrun.models.base import ConditionalModel


class ExactTeacher(ConditionalModel):
    """A teacher with no model error: it knows p_0, and from it p_t and every conditional in closed form, in float64."""

    @abstractmethod
    def log_marginal(self, x_t: Tensor, t: Tensor) -> Tensor:
        """log p_t(x_t) of states int64 [B, L] at times float64 [B], nats, [B]; about −690 or less if impossible."""

    @abstractmethod
    def log_data(self, x_0: Tensor) -> Tensor:
        """log p_0(x_0) of clean sequences int64 [B, L], nats, float64 [B]; about −690 or less if impossible."""

    @abstractmethod
    def entropy(self) -> float:
        """Entropy of p_0 in nats a sequence."""

    def ratios(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Density ratios r_i(y | x_t) = p_t(x_t with y at position i) / p_t(x_t), float64 [B, L, C].

        From the clean conditionals (docs/method.md); under the absorbing process at masked positions only.
        """
        return self.process.ratios_from_conditionals(self(x_t, t).marginals(), x_t, t)
