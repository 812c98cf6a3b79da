"""τ-leaping (Campbell et al. 2022): the reverse rates at the start of a step, held fixed until its end.

Two choices that the literature leaves to the reader are spelt out as options:

``hold``
    what is held fixed: ``ratio``, the density ratio r, with the schedule integrated exactly (Δσ̄ Q r expected jumps);
    or ``rate``, the rate in time R̂_t = σ_t Q r ((t − s) R̂_t of them). The default is the one that serves the process
    better: ``rate`` for absorbing, where the ratio is zero at t = 1 and the first leap would do nothing; ``ratio``
    elsewhere, where σ_1 all but diverges and the first leap would surely leave every state.
``jumps``
    ``any_jump``: nominal data jump at most once a position a step, with P(jump) = 1 − exp(−Σ_y …), and then choose
    where. ``poisson``: ordinal data add up a Poisson number of jumps of every size and clamp the sum to the levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.models import ConditionalModel
from cdmrun.processes import Absorbing
from cdmrun.processes.base import as_times, safe_divide
from cdmrun.samplers.kernels import FactorizedKernel


class TauLeaping(FactorizedKernel):
    """One τ-leap; an explicit factorised kernel either way."""

    def __init__(self, model: ConditionalModel, hold: str | None = None, jumps: str = "any_jump") -> None:
        super().__init__(model)
        if hold is None:
            hold = "rate" if isinstance(model.process, Absorbing) else "ratio"
        if hold not in ("rate", "ratio"):
            raise ValueError(f"hold must be 'rate' or 'ratio', got {hold!r}")
        if jumps not in ("any_jump", "poisson"):
            raise ValueError(f"jumps must be 'any_jump' or 'poisson', got {jumps!r}")
        self.hold = hold
        self.jumps = jumps

    def position_laws(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        expected = self.expected_jumps(x_t, t, s)
        if self.jumps == "poisson":
            return clamped_compound_poisson(expected, x_t)
        total = expected.sum(-1, keepdim=True)
        leaves = -torch.expm1(-total)
        stays = self.process.one_hot(x_t) * (1.0 - leaves)
        return stays + leaves * safe_divide(expected, total)

    def expected_jumps(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Expected number of jumps to each state during the step, float64 [B, L, C]."""
        c = self.model(x_t, t).marginals()
        if self.hold == "rate":
            return (as_times(t, x_t) - as_times(s, x_t)) * self.process.reverse_rates_in_time(c, x_t, t)
        schedule = self.process.schedule
        elapsed = schedule.sigma_bar(as_times(t, x_t)) - schedule.sigma_bar(as_times(s, x_t))
        rates = self.process.reverse_rates(c, x_t, t)
        # at α_t = 0 the clock has run forever but a ratio of zero (absorbing) still never jumps
        return torch.where(rates > 0, rates * elapsed.clamp_max(1e12), 0.0)


def clamped_compound_poisson(expected: Tensor, x: Tensor) -> Tensor:
    """Law of clamp(x + Σ_y N_y (y − x), 0, C − 1) with N_y ~ Poisson(expected_y), float64 [B, L, C].

    Exact up to wrap-around: the characteristic function is inverted by a discrete Fourier transform over a window of
    integers wide enough for the mean plus many deviations; at expectations so large that the sum surely leaves the
    window (the first leap from t = 1 under the uniform process), expectations are capped at `CAP` jumps in all.
    """
    states = expected.shape[-1]
    expected = expected * (CAP / expected.sum(-1, keepdim=True).clamp_min(CAP))
    size = torch.arange(states, device=x.device) - x.unsqueeze(-1)  # y − x
    window = 1 << (6 * (states - 1) * int(CAP) - 1).bit_length()  # 3 CAP jumps across the whole range, either way
    jumps = torch.zeros(*x.shape, window, dtype=torch.float64, device=x.device)
    jumps.scatter_(-1, size % window, expected)
    total = expected.sum(-1, keepdim=True)
    law = torch.fft.irfft(torch.exp(torch.fft.rfft(jumps) - total), n=window).clamp_min(0.0)
    law = law / law.sum(-1, keepdim=True)
    landed = torch.arange(window, device=x.device)
    landed = torch.where(landed < window // 2, landed, landed - window)  # negative sums wrap to the far end
    target = (x.unsqueeze(-1) + landed).clamp(0, states - 1)
    return torch.zeros_like(expected).scatter_add_(-1, target, law)


#: Most expected jumps of one position in one leap that the Poisson window resolves.
CAP = 16.0
