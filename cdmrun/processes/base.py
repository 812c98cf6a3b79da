"""The forward process: a CTMC that noises each position on its own, and what follows from it exactly.

Notation (docs/method.md): V data tokens, C states in all (absorbing adds a mask), K_{t|s}(a, b) =
P(x_t^i = b | x_s^i = a), rows index the earlier state. Everything is float64 and batched: states are int64 [B, L],
times are float64 [B] or a scalar, laws over a position are [B, L, C] or [B, L, V].

A process is defined by two linear maps, `push` (a law forward in time) and `evidence` (the likelihood of what was
seen, as a function of what it came from); conditionals, ratios, bridges and rates are derived from them here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.processes.draws import draw_categorical
from cdmrun.processes.resident import Resident
from cdmrun.processes.schedules import Schedule

#: Probabilities below this are zero to us; its logarithm, −690, is the finite stand-in for −∞.
TINY = 1e-300

#: Probabilities below this are rounding: no divergence is infinite on their account.
ROUNDING = 1e-15


def as_times(t: Tensor | float, like: Tensor) -> Tensor:
    """Times as float64 of shape [B, 1, 1] (or [1, 1, 1] for a scalar) on the device of ``like``."""
    if not isinstance(t, Tensor):  # filled there, not copied there
        return torch.full((1, 1, 1), t, dtype=torch.float64, device=like.device)
    return t.to(like.device, torch.float64).reshape(-1, 1, 1)


def refuse_ratios(hopeless: Tensor, t: Tensor | float, why: str) -> None:
    """Raise `UserError` if ratios at any time say nothing about conditionals; ``hopeless`` has one entry a time."""
    if bool(hopeless.any()):
        times = torch.as_tensor(t, dtype=torch.float64, device=hopeless.device).flatten()
        first = float(times[hopeless.flatten()][0])
        raise UserError(
            f"density ratios at t = {first:.6g} do not determine clean conditionals: {why}",
            "use a teacher that predicts clean conditionals, or a smaller t",
        )


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """``numerator / denominator``, and zero where the denominator is zero."""
    positive = denominator > 0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1.0), 0.0)


class ForwardProcess(ABC):
    """A forward CTMC on each position with generator σ_t Q.

    Attributes
    ----------
    kind
        Its name in a spec: ``uniform``, ``absorbing``, ``matrix`` or that of a named generator, such as ``hky85``.
    vocabulary
        V, the number of data tokens.
    states
        C, the number of states of one position (V + 1 for absorbing).
    schedule
        α_t.
    """

    kind: str
    vocabulary: int
    states: int
    schedule: Schedule

    # -- what a process must say ------------------------------------------------------------------------------

    @abstractmethod
    def push(self, law: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        """``law @ K_{t|s}``: laws (or any measures) over the first A states at time s, [B, L, A] → [B, L, C]."""

    @abstractmethod
    def evidence(self, x_t: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        """K_{t|s}(a, x_t^i) for every earlier state a, as [B, L, C]."""

    @abstractmethod
    def rate(self) -> Tensor:
        """The generator Q at unit rate, float64 [C, C]; rows sum to zero."""

    @abstractmethod
    def prior(self) -> Tensor:
        """π_1, the law of a position from which samplers start, float64 [C]."""

    # -- what follows ---------------------------------------------------------------------------------------

    def kernel(self, s: float, t: float) -> Tensor:
        """K_{t|s} as a float64 [C, C] matrix."""
        identity = torch.eye(self.states, dtype=torch.float64).unsqueeze(0)
        return self.push(identity, s, t)[0]

    def sample_prior(self, count: int, length: int, generator: torch.Generator, device: str = "cpu") -> Tensor:
        """Draw starting states x_1, int64 [count, length]."""
        law = self.prior().to(device).expand(count, length, -1)
        return draw_categorical(law, generator)

    def noise(self, x_s: Tensor, s: Tensor | float, t: Tensor | float, generator: torch.Generator) -> Tensor:
        """Draw x_t ~ K_{t|s}(x_s, ·) at every position, int64 [B, L]."""
        return draw_categorical(self.push(self.one_hot(x_s), s, t), generator)

    def one_hot(self, x: Tensor) -> Tensor:
        """States as point masses, float64 [B, L, C]."""
        masses = torch.zeros(*x.shape, self.states, dtype=torch.float64, device=x.device)
        return masses.scatter_(-1, x.unsqueeze(-1), 1.0)

    def ratios_from_conditionals(self, c: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Density ratios r_i(y | x_t) = Σ_a c_i(a) K(a, y) / K(a, x_t^i), [B, L, V] → [B, L, C].

        docs/method.md, "Conditionals". For the absorbing process it holds at masked positions.
        """
        return self.push(self._over_evidence(c, x_t, t), 0.0, t)

    @abstractmethod
    def conditionals_from_ratios(self, r: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Clean conditionals c_i(a | x_t) = K(a, x_t^i) Σ_y r_i(y) K⁻¹(y, a), [B, L, C] → [B, L, V].

        docs/method.md, "Conditionals" (claim b of arXiv 2512.12889).

        Raises
        ------
        UserError
            Where so little is left of the data at t that ratios do not determine conditionals, such as α_t = 0.
        """

    def reverse_kernel(self, c: Tensor, x_t: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        """Exact reverse law of one position p_{s|t}^i(b | x_t) given the clean conditional, [B, L, V] → [B, L, C].

        docs/method.md, "Conditionals": K_{t|s}(b, x_t^i) Σ_a c_i(a) K_{s|0}(a, b) / K_{t|0}(a, x_t^i).
        """
        return self.evidence(x_t, s, t) * self.push(self._over_evidence(c, x_t, t), 0.0, s)

    def log_bridge(self, x_s: Tensor, x_t: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        """log P(x_s^i | x_0^i = a, x_t^i) for every clean token a, [B, L, V]; impossible ones are about −690."""
        v = self.vocabulary
        later = self.evidence(x_t, s, t).gather(-1, x_s.unsqueeze(-1))
        joint = self.evidence(x_s, 0.0, s)[..., :v] * later
        return safe_divide(joint, self.evidence(x_t, 0.0, t)[..., :v]).clamp_min(TINY).log()

    def sample_bridge(
        self, x_0: Tensor, x_t: Tensor, s: Tensor | float, t: Tensor | float, generator: torch.Generator
    ) -> Tensor:
        """Draw x_s given both ends, int64 [B, L]."""
        return draw_categorical(self.evidence(x_t, s, t) * self.push(self.one_hot(x_0), 0.0, s), generator)

    def reverse_rates(self, c: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Reverse rates per unit of σ̄: Q(y, x_t^i) r_i(y | x_t) for y ≠ x_t^i, zero on the diagonal, [B, L, C].

        Multiply by σ_t for rates in time: R̂_t = σ_t Q r (docs/method.md, "τ-leaping"; Campbell et al. 2022).
        """
        ratios = self.ratios_from_conditionals(c, x_t, t)
        return (self.rates_into(x_t) * ratios).scatter(-1, x_t.unsqueeze(-1), 0.0)

    def rates_into(self, x: Tensor) -> Tensor:
        """Q(y, x^i) for every state y, float64 [B, L, C]."""
        return self._into.on(x.device)[x]

    @cached_property
    def _into(self) -> Resident:
        with torch.inference_mode(False):
            return Resident(self.rate().T)

    def reverse_rates_in_time(self, c: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Reverse rates R̂_t(x_t^i → y) = σ_t Q(y, x_t^i) r_i(y | x_t), per unit of time, [B, L, C].

        Raises
        ------
        UserError
            At α_t = 0, where σ_t is infinite (absorbing rates stay finite there).
        """
        sigma = self.schedule.sigma(as_times(t, x_t))
        if bool(torch.isinf(sigma).any()):
            raise UserError(
                f"the rates of a {self.kind} process are infinite where its schedule has α = 0",
                "set forward_process.alpha_min to a small positive number, such as 1e-5, or hold ratios, not rates",
            )
        return sigma * self.reverse_rates(c, x_t, t)

    def _over_evidence(self, c: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """c_i(a) / K_{t|0}(a, x_t^i), zero where x_t^i cannot come from a, [B, L, V]."""
        return safe_divide(c.double(), self.evidence(x_t, 0.0, t)[..., : self.vocabulary])
