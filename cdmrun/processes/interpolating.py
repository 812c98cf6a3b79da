"""Interpolating processes, K_{t|s} = (α_t/α_s) I + (1 − α_t/α_s) 1 πᵀ: uniform and absorbing.

Both maps of a process have closed forms that never build a C×C matrix, so large vocabularies cost O(V) a position.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.limits import AMPLIFICATION
from cdmrun.processes.base import ForwardProcess, as_times, refuse_ratios, safe_divide
from cdmrun.processes.draws import draw_bernoulli
from cdmrun.processes.resident import Resident
from cdmrun.processes.schedules import Loglinear, Schedule


class Interpolating(ForwardProcess):
    """Keep a token with probability α_t/α_s, else draw afresh from π."""

    def __init__(self, vocabulary: int, stationary: Tensor, schedule: Schedule) -> None:
        self.vocabulary = vocabulary
        self.states = stationary.numel()
        self.schedule = schedule
        self._stationary = Resident(stationary.double())

    def _keep(self, s: Tensor | float, t: Tensor | float, like: Tensor) -> Tensor:
        """α_t/α_s as [B, 1, 1] (one where both are zero: no time passes there)."""
        alpha_s = self.schedule.alpha(as_times(s, like))
        return torch.where(alpha_s > 0, safe_divide(self.schedule.alpha(as_times(t, like)), alpha_s), 1.0)

    def push(self, law: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        keep = self._keep(s, t, law)
        mass = law.sum(-1, keepdim=True)
        padded = torch.nn.functional.pad(law, (0, self.states - law.shape[-1]))
        return keep * padded + (1.0 - keep) * mass * self._stationary.on(law.device)

    def evidence(self, x_t: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        keep = self._keep(s, t, x_t)
        fresh = self._stationary.on(x_t.device)[x_t].unsqueeze(-1)
        return keep * self.one_hot(x_t) + (1.0 - keep) * fresh

    def rate(self) -> Tensor:
        return self.prior().expand(self.states, -1) - torch.eye(self.states, dtype=torch.float64)

    def prior(self) -> Tensor:
        return self._stationary.on("cpu")

    def conditionals_from_ratios(self, r: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        keep = self._keep(0.0, t, x_t)
        refuse_ratios(keep * AMPLIFICATION < 1.0, t, "almost nothing is left of the data (α_t is below 1e-12)")
        spread = (1.0 - keep) * self._stationary.on(r.device) * r.sum(-1, keepdim=True)
        c = self.evidence(x_t, 0.0, t) / keep * (r - spread)
        return c[..., : self.vocabulary]


class Uniform(Interpolating):
    """π uniform over the V data tokens; α at t = 1 must stay positive for ratios to exist."""

    kind = "uniform"

    def __init__(self, vocabulary: int, schedule: Schedule | None = None) -> None:
        pi = torch.full((vocabulary,), 1.0 / vocabulary, dtype=torch.float64)
        super().__init__(vocabulary, pi, schedule or Loglinear(1e-5))


class Absorbing(Interpolating):
    """π a point mass on the mask, state V; a masked position forgets its token."""

    kind = "absorbing"

    def __init__(self, vocabulary: int, schedule: Schedule | None = None) -> None:
        pi = torch.zeros(vocabulary + 1, dtype=torch.float64)
        pi[vocabulary] = 1.0
        super().__init__(vocabulary, pi, schedule or Loglinear(0.0))

    @property
    def mask(self) -> int:
        """The mask state, V."""
        return self.vocabulary

    def conditionals_from_ratios(self, r: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """At masked positions c(a) = (1 − α_t)/α_t · r(a); elsewhere the token is known."""
        keep = self._keep(0.0, t, x_t)
        refuse_ratios(keep <= 0, t, "they are all zero where α_t = 0")
        masked = (x_t == self.mask).unsqueeze(-1)
        known = self.one_hot(x_t)[..., : self.vocabulary]
        return torch.where(masked, (1.0 - keep) / keep * r[..., : self.vocabulary], known)

    def reverse_rates_in_time(self, c: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """−α'_t/(1 − α_t) c_i(y) at masked positions: finite at t = 1, where σ_t alone is not.

        Zero at t = 0, where no position is masked.
        """
        times = as_times(t, x_t)
        hazard = safe_divide(-self.schedule.alpha_derivative(times), 1.0 - self.schedule.alpha(times))
        masked = (x_t == self.mask).unsqueeze(-1)
        return torch.where(masked, hazard * torch.nn.functional.pad(c.double(), (0, 1)), 0.0)

    def reveal_probability(self, s: Tensor | float, t: Tensor | float, like: Tensor) -> Tensor:
        """Chance that a position masked at t is known at s < t: (α_s − α_t)/(1 − α_t), shape [B, 1]."""
        alpha_s = self.schedule.alpha(as_times(s, like))
        alpha_t = self.schedule.alpha(as_times(t, like))
        return safe_divide(alpha_s - alpha_t, 1.0 - alpha_t)[..., 0]

    def draw_revealed(self, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        """Draw which positions a step from t to s reveals, whatever their tokens; bool [B, L]."""
        chance = self.reveal_probability(s, t, x_t).expand(x_t.shape)
        return (x_t == self.mask) & draw_bernoulli(chance, generator)

    def revealed(self, x_s: Tensor, x_t: Tensor) -> Tensor:
        """Positions masked at t and known at s; bool [B, L]."""
        return (x_t == self.mask) & (x_s != self.mask)
