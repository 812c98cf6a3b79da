"""Second-order solvers of the reverse process: θ-trapezoidal and θ-RK-2 (Ren et al., arXiv 2502.00234).

A step from t to s asks the network twice. The first call leaps the share θ of the way, from x_t to a middle state y at
time ρ; the second is made there, and an extrapolation of both rates takes the rest:

* θ-trapezoidal goes on *from y*, over the remaining 1 − θ, with [α₁ μ_ρ(y) − α₂ μ_t(x_t)]₊, where
  α₁ = 1/(2θ(1 − θ)) and α₂ = ((1 − θ)² + θ²)/(2θ(1 − θ));
* θ-RK-2 goes *from x_t*, over the whole step, with [(1 − 1/2θ) μ_t(x_t) + (1/2θ) μ_ρ(y)]₊.

μ(x)(i → b) is the rate at which position i turns into b; a position that has jumped already keeps its rates to every
other token. The order is in the step's length; NFE is twice the number of steps. Where rates fall steeply after a jump
the bracket is cut at zero, and the order with it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cdmrun.models import ConditionalModel
from cdmrun.processes.draws import draw_categorical
from cdmrun.processes.enumeration import enumerate_states, mix_outer_laws, outer_laws
from cdmrun.samplers.kernels import TransitionKernel
from cdmrun.samplers.leap import Leap, default_hold

#: Numbers held at once when kernels are written out.
ENTRIES = 16_777_216


class ThetaKernel(TransitionKernel):
    """A step in two stages, each of which draws positions independently.

    With ``denoise`` the second call draws every position from its analytic kernel at the middle state instead, so that
    no mask is left at t = 0: for the last step of the absorbing process.

    `log_prob` sums over the middle state by importance sampling, a lower bound in expectation: from the forward
    process's own bridge where the way leads through that state, else from the first stage itself. `rows` sums exactly.
    """

    calls = 2
    exact_log_prob = False

    def __init__(self, model: ConditionalModel, theta: float = 0.5, hold: str | None = None, denoise: bool = False):
        super().__init__(model)
        self.theta = theta
        self.denoise = denoise
        self.leap = Leap(hold or default_hold(model.process), "any_jump")

    def sample(self, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        start = self.leap.rates(self.model, x_t, t)
        middle = self.leap.between(self.process, t, s, self.theta)
        y = self.leap.draw(start * self.leap.elapsed(self.process, t, middle, x_t), x_t, generator)
        return draw_categorical(self._second_laws(x_t, start, y, self._at(y, middle, s), t, s), generator)

    def log_prob(
        self, x_s: Tensor, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator, draws: int = 1
    ) -> Tensor:
        start = self.leap.rates(self.model, x_t, t)
        middle = self.leap.between(self.process, t, s, self.theta)
        first = self.leap.laws(start * self.leap.elapsed(self.process, t, middle, x_t), x_t)
        proposal = self._bridge(x_s, x_t, middle, t, s) if self.passes_through else first
        # the middle state in which nothing has happened yet is always looked at too (multiple importance sampling with
        # the balance heuristic): a sum over drawn ones alone may be empty where the bracket is cut
        terms = []
        for y in (x_t, *(draw_categorical(proposal, generator) for _ in range(draws))):
            second = self._second_laws(x_t, start, y, self._at(y, middle, s), t, s)
            looked_at = torch.logaddexp(math.log(draws) + _log_at(proposal, y), (y == x_t).all(-1).double().log())
            terms.append(_log_at(first, y) + _log_at(second, x_s) - looked_at)
        return torch.stack(terms).logsumexp(0)

    def rows(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        length, states = x_t.shape[1], self.process.states
        start = self.leap.rates(self.model, x_t, t)
        middle = self.leap.between(self.process, t, s, self.theta)
        first = outer_laws(self.leap.laws(start * self.leap.elapsed(self.process, t, middle, x_t), x_t))
        every = enumerate_states(states, length)
        count = len(every)
        at_middle = self._at(every, middle[:1].expand(count), s[:1].expand(count))  # rows are asked at one time
        rows = []
        for index in torch.arange(len(x_t)).split(max(1, ENTRIES // (count * length * states))):
            pairs = (index.repeat_interleave(count), torch.arange(count).repeat(len(index)))
            laws = self._second_laws(
                x_t[pairs[0]], start[pairs[0]], every[pairs[1]], at_middle[pairs[1]], t[pairs[0]], s[pairs[0]]
            )
            rows.append(mix_outer_laws(first[index], laws.view(len(index), count, length, states)))
        return torch.cat(rows)

    @property
    def passes_through(self) -> bool:
        """Whether the middle state lies on the way, so that the second stage starts from it."""
        return self.denoise

    def _bridge(self, x_s: Tensor, x_t: Tensor, middle: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The forward process's law of the middle state between both ends, [B, L, C]."""
        law = self.process.evidence(x_t, middle, t) * self.process.push(self.process.one_hot(x_s), s, middle)
        return law / law.sum(-1, keepdim=True)

    def _at(self, y: Tensor, middle: Tensor, s: Tensor) -> Tensor:
        """What the second call says at the middle state: rates, or the analytic laws, [B, L, C]."""
        if self.denoise:
            return self.process.reverse_kernel(self.model(y, middle).marginals(), y, s, middle)
        return self.leap.rates(self.model, y, middle)

    def _second_laws(self, x_t: Tensor, start: Tensor, y: Tensor, second: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Laws of x_s given both ends of the first stage, [B, L, C]."""
        if self.denoise:
            return second
        origin, share, rates = self._extrapolated(x_t, start, y, second)
        rates = rates.clamp_min(0.0).scatter(-1, origin.unsqueeze(-1), 0.0)  # no jump to where one is
        return self.leap.laws(share * rates * self.leap.elapsed(self.process, t, s, x_t), origin)

    def _extrapolated(self, x_t: Tensor, start: Tensor, y: Tensor, second: Tensor) -> tuple[Tensor, float, Tensor]:
        """(where the second stage starts, its share of the step, the bracket of the module's text)."""
        raise NotImplementedError


class ThetaTrapezoidal(ThetaKernel):
    """θ-trapezoidal; of second order for any θ in (0, 1) while the bracket stays positive."""

    @property
    def passes_through(self) -> bool:
        return True

    def _extrapolated(self, x_t: Tensor, start: Tensor, y: Tensor, second: Tensor) -> tuple[Tensor, float, Tensor]:
        theta, rest = self.theta, 1.0 - self.theta
        first = 1.0 / (2.0 * theta * rest)
        return y, rest, first * second - (first - 1.0) * start


class ThetaRK2(ThetaKernel):
    """θ-RK-2, the midpoint method at θ = 1/2."""

    def _extrapolated(self, x_t: Tensor, start: Tensor, y: Tensor, second: Tensor) -> tuple[Tensor, float, Tensor]:
        weight = 0.5 / self.theta
        return x_t, 1.0, (1.0 - weight) * start + weight * second


def _log_at(laws: Tensor, x: Tensor) -> Tensor:
    """log Π_i laws_i(x^i), [B, L, C] and [B, L] → [B]; −∞ for what is impossible."""
    return laws.gather(-1, x.unsqueeze(-1)).squeeze(-1).log().sum(-1)
