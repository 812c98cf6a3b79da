"""Oracles: exact simulation of the reverse process, with no time grid (the reference that every sampler tends to).

Both draw from the very law that the model's conditionals define, in continuous time; what they cost is many network
calls, and for `Uniformization` a number of them that differs from sample to sample. An oracle has the attributes
``process``, ``length`` and ``models`` (those it calls, for an `EvaluationCounter`), and ``sample``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.models import ConditionalModel
from cdmrun.processes import Absorbing, ForwardProcess, Interpolating
from cdmrun.processes.base import TINY, safe_divide
from cdmrun.processes.draws import draw_bernoulli, draw_categorical

#: Each window of `Uniformization` ends at this share of the clock it begins at. Rates grow like 1/τ at worst, so that
#: candidates exceed those of a bound that follows τ by (1/0.9 − 1)/log(1/0.9), 5 %; narrower windows gain little.
SHRINK = 0.9

#: The smallest end of the clock: nearer to zero, α = e^−τ is too close to 1 to say what τ was.
MIN_STOP = 1e-6

#: By how much an acceptance probability may exceed 1 in rounding.
TOLERANCE = 1e-9


class FirstHitting:
    """Exact simulation for the absorbing process: jump from one unmasking to the next (Zheng et al. 2024, 2409.02908).

    Of n masked positions each is still masked at the lower level 1 − α' with probability (1 − α')/(1 − α), on its own;
    so the next one is revealed at the level (1 − α) u^{1/n}, it is any of the n, and its token has the law c_i at that
    time. That takes L network calls a sample.

    Raises
    ------
    UserError
        If the process is not absorbing.
    """

    def __init__(self, model: ConditionalModel) -> None:
        if not isinstance(model.process, Absorbing):
            raise UserError(
                f"first_hitting simulates the absorbing process only; this one is {model.process.kind}",
                "use the baseline uniformization here, or make the forward process absorbing",
            )
        self.process: Absorbing = model.process
        self.length = model.length
        self.models = (model,)

    @torch.inference_mode()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw sequences, int64 [count, L]."""
        device = str(generator.device)
        x = self.process.sample_prior(count, self.length, generator, device)
        level = 1.0 - self.process.schedule.alpha(torch.ones(count, dtype=torch.float64, device=device))
        for masked in range(self.length, 0, -1):
            # 1 − u lies in (0, 1]: at level zero there would be no masks
            uniform = 1.0 - torch.rand(count, dtype=torch.float64, device=device, generator=generator)
            level = level * uniform ** (1.0 / masked)
            x = self._reveal(x, level, generator)
        return x

    def _reveal(self, x: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        """Give one masked position of each row [B, L] its token, at the row's own level 1 − α [B]."""
        at = self._position(x == self.process.mask, generator).unsqueeze(-1)
        c = self.models[0](x, self.process.schedule.time_of(1.0 - level)).marginals()
        law = c.take_along_dim(at.unsqueeze(-1), dim=1).squeeze(1)
        return x.scatter(1, at, draw_categorical(law, generator).unsqueeze(-1))

    def _position(self, masked: Tensor, generator: torch.Generator) -> Tensor:
        """One of each row's own masked positions, bool [B, L] → int64 [B]."""
        return draw_categorical(masked, generator)


@dataclass(frozen=True)
class Envelope:
    """An upper bound on the reverse rates of a sequence, piecewise constant in the clock τ = σ̄_t.

    Let R_i be the total reverse rate of position i out of its state x, per unit of τ (docs/laboratory.md):

        R_i = Σ_{y≠x} Q(y, x) r_i(y) = Σ_a c_i(a) ρ_τ(a, x),   ρ_τ(a, x) = Σ_{y≠x} Q(y, x) K_τ(a, y) / K_τ(a, x).

    *It is a mean of ρ_τ(·, x)*, so R_i ≤ max_a ρ_τ(a, x) for any conditionals c_i, a network's wrong ones included.
    *That maximum does not increase with τ*: as K_{τ+h} = K_h K_τ, ρ_{τ+h}(a, x) is the mediant
    Σ_b K_h(a, b) Σ_{y≠x} Q(y, x) K_τ(b, y) / Σ_b K_h(a, b) K_τ(b, x), which is at most max_b ρ_τ(b, x).
    (Where K_τ(b, x) = 0 the numerator is zero too, since b → y → x would lead there.)

    Hence the value at the low end of a window of τ bounds the whole window, and positions add up. Taking the maximum
    after the sum over y, not before it, saves a factor of V − 1 under the uniform process.

    Attributes
    ----------
    edges
        The windows' ends from σ̄_1 down to the last τ, float64 [W + 1], decreasing.
    bounds
        max_a ρ_τ(a, x) at each window's low end for each state x, float64 [W, C].
    integral
        The bound integrated from σ̄_1 down to each edge, float64 [W + 1, C].
    """

    edges: Tensor
    bounds: Tensor
    integral: Tensor

    @classmethod
    def of(cls, process: ForwardProcess, stop: float) -> Envelope:
        """Geometric windows from σ̄_1 to ``stop``, for a process without masks."""
        top = float(process.schedule.sigma_bar(torch.ones((), dtype=torch.float64)))
        windows = math.ceil(math.log(stop / top) / math.log(SHRINK))
        share = torch.arange(windows + 1, dtype=torch.float64) / windows
        edges = top * (stop / top) ** share
        edges[-1] = stop
        bounds = rate_bounds(process, edges[1:])
        spent = (edges[:-1] - edges[1:]).unsqueeze(-1) * bounds
        return cls(edges, bounds, torch.nn.functional.pad(spent.cumsum(0), (0, 0, 1, 0)))

    def to(self, device: str) -> Envelope:
        """The same on another device."""
        return Envelope(self.edges.to(device), self.bounds.to(device), self.integral.to(device))

    def next_candidate(self, x: Tensor, tau: Tensor, exponential: Tensor) -> tuple[Tensor, Tensor]:
        """Go down from the clocks ``tau`` until the integrated bound has grown by ``exponential``.

        Parameters
        ----------
        x
            States, int64 [B, L].
        tau, exponential
            Each row's clock, and a unit exponential number, float64 [B].

        Returns
        -------
        tuple[Tensor, Tensor]
            The clocks of the next candidates, at the last edge where there is none above it, and the bounds there; [B].
        """
        windows = len(self.bounds)
        ones = torch.ones(x.shape, dtype=torch.float64, device=x.device)
        occupation = self.bounds.new_zeros(len(x), self.bounds.shape[1]).scatter_add_(1, x, ones)
        bounds, spent = occupation @ self.bounds.T, occupation @ self.integral.T

        def pick(table: Tensor, window: Tensor) -> Tensor:
            return table.gather(1, window.unsqueeze(-1)).squeeze(-1)

        now = (torch.searchsorted(-self.edges, -tau, right=True) - 1).clamp(0, windows - 1)
        target = pick(spent, now) + (self.edges[now] - tau) * pick(bounds, now) + exponential
        passed = (spent[:, 1:] <= target.unsqueeze(-1)).sum(-1)
        at = passed.clamp_max(windows - 1)
        bound = pick(bounds, at)
        candidate = self.edges[at] - (target - pick(spent, at)) / bound.clamp_min(TINY)
        candidate = torch.minimum(torch.maximum(candidate, self.edges[at + 1]), self.edges[at])  # rounding
        return torch.where(passed < windows, candidate, self.edges[-1]), bound


class Uniformization:
    """Exact simulation for processes without masks: candidates from a bound on the rates, thinned (Lewis and Shedler).

    Each row walks its own clock τ = σ̄_t down from σ̄_1 to ``stop``. Candidate times come from a Poisson process whose
    rate is the `Envelope` at the row's present state; at each the model is called, a jump is made with probability
    R_tot/bound, and then which position jumps where is drawn in proportion to its rate. At ``stop`` a last call draws
    every position from its analytic kernel to 0. The windows of the bound cost no call: calls are candidates plus one,
    about L (log(1/stop) + σ̄_1) a sample under the uniform process, and their number differs from sample to sample.

    The last draw is the only error besides the start from π_1 that all samplers share. With λ the largest exit rate of
    Q it is at most 2 L λ stop in TV, the expected number of positions that change below ``stop`` counted twice; where
    p_0 is positive everywhere only two changes at once go wrong, and it is O((L λ stop)²), the more so the flatter p_0.

    Parameters
    ----------
    model
        The teacher; any conditionals will do (see `Envelope`).
    stop
        τ of the last call, from 1e-6 up to below σ̄_1.

    Raises
    ------
    UserError
        If the process is absorbing, if α at t = 1 is zero, or if ``stop`` is out of range.
    """

    def __init__(self, model: ConditionalModel, stop: float = 1e-5) -> None:
        process = model.process
        if isinstance(process, Absorbing):
            raise UserError(
                "uniformization simulates processes without masks; this one is absorbing",
                "use the baseline first_hitting here, or another forward process",
            )
        end = torch.ones((), dtype=torch.float64)
        if not float(process.schedule.alpha(end)) > 0.0:
            raise UserError(
                "uniformization needs some signal left at t = 1: this schedule has α = 0 there",
                "set forward_process.alpha_min to a small positive number, such as 1e-5 (or lower sigma_max)",
            )
        top = float(process.schedule.sigma_bar(end))
        if not MIN_STOP <= stop < top:
            raise UserError(
                f"uniformization cannot stop at {stop:g}: its clock runs from −log α = {top:.4g} at t = 1 down to "
                f"{MIN_STOP:g} at the least",
                "leave stop at its default of 1e-5",
            )
        self.process = process
        self.length = model.length
        self.models = (model,)
        self.stop = stop
        self.envelope = Envelope.of(process, stop)

    @property
    def nfe_bound(self) -> float:
        """The most network calls a sample can be expected to take (under the uniform process, the very number)."""
        return 1.0 + self.length * float(self.envelope.integral.diff(dim=0).amax(1).sum())

    @torch.inference_mode()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw sequences, int64 [count, L].

        Raises
        ------
        RuntimeError
            If the model's marginals are not probabilities.
        """
        device = str(generator.device)
        envelope = self.envelope.to(device)
        x = self.process.sample_prior(count, self.length, generator, device)
        clock = envelope.edges[0].repeat(count)
        running = torch.arange(count, device=device)
        while len(running):
            uniform = torch.rand(len(running), dtype=torch.float64, device=device, generator=generator)
            clock[running], bound = envelope.next_candidate(x[running], clock[running], -torch.log1p(-uniform))
            inside = clock[running] > self.stop
            running, bound = running[inside], bound[inside]
            if len(running):
                x[running] = self._thin(x[running], clock[running], bound, generator)
        t = _time_of(self.process, clock)
        return draw_categorical(self.process.reverse_kernel(self._conditionals(x, t), x, 0.0, t), generator)

    def _thin(self, x: Tensor, tau: Tensor, bound: Tensor, generator: torch.Generator) -> Tensor:
        """Jump, or not, at the candidate times ``tau`` [B] of states [B, L]; one network call a row."""
        t = _time_of(self.process, tau)
        rates = self.process.reverse_rates(self._conditionals(x, t), x, t).flatten(1)  # [B, L·C]
        accept = rates.sum(-1) / bound
        if not bool((accept <= 1.0 + TOLERANCE).all() and (rates >= 0.0).all()):  # so that NaN fails as well
            raise RuntimeError(
                f"the reverse rates from {type(self.models[0]).__name__} are negative, NaN or above the bound that "
                f"holds for all conditionals ({float(accept.max()):.6g} times it): its marginals are not probabilities"
            )
        jumps = draw_bernoulli(accept, generator).nonzero()[:, 0]
        which = draw_categorical(rates[jumps], generator)
        x[jumps, which // self.process.states] = which % self.process.states
        return x

    def _conditionals(self, x: Tensor, t: Tensor) -> Tensor:
        """The model's c, float64 [B, L, V], summing to one beyond a network's float32: the bound is for such c."""
        c = self.models[0](x, t).marginals().double()
        return c / c.sum(-1, keepdim=True)


def rate_bounds(process: ForwardProcess, tau: Tensor) -> Tensor:
    """max_a ρ_τ(a, x), see `Envelope`: the most at which a position can leave x, float64 [W] → [W, C].

    The maximum is over a that x can hardly have come from, too: it takes kernels whose tiniest entries are accurate.
    """
    if isinstance(process, Interpolating):  # α/(1 − α) + 1 − π_x, attained at any a ≠ x; no C×C matrix
        return 1.0 / torch.expm1(tau).unsqueeze(-1) + 1.0 - process.prior()
    clean = torch.eye(process.states, dtype=torch.float64).expand(len(tau), -1, -1)
    kernels = process.push(clean, 0.0, _time_of(process, tau))
    into = process.rate() - torch.diag(process.rate().diagonal())
    return safe_divide(kernels @ into, kernels).amax(1)


def _time_of(process: ForwardProcess, tau: Tensor) -> Tensor:
    """The times at which the clock σ̄_t shows ``tau``, float64 elementwise."""
    return process.schedule.time_of(torch.exp(-tau))
