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

from functools import cache

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

    def sample(self, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        if self.jumps != "poisson":
            return super().sample(x_t, t, s, generator)
        expected = self.expected_jumps(x_t, t, s)
        jumps = torch.poisson(expected, generator=generator)  # the law itself is needed for scoring alone
        levels = torch.arange(expected.shape[-1], device=x_t.device)
        moved = x_t + (jumps * (levels - x_t.unsqueeze(-1))).sum(-1).long()
        return moved.clamp(0, expected.shape[-1] - 1)

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
    """Law of clamp(x + Σ_y N_y (y − x), 0, C − 1) with N_y ~ Poisson(expected_y), float64 [..., C].

    The characteristic function of the sum is inverted only where it is needed: at the levels, and summed over all that
    is clamped to the lowest and the highest. Exact up to wrap-around in a window of integers that is wide enough for
    `CAP` expected jumps in all; more than that (never met at α_t ≥ 1e-6) are scaled down to it.
    """
    states = expected.shape[-1]
    expected = expected * (CAP / expected.sum(-1, keepdim=True).clamp_min(CAP))
    blocks = zip(expected.reshape(-1, states).split(ROWS), x.reshape(-1).split(ROWS), strict=True)
    return torch.cat([_inverted(rates, start) for rates, start in blocks]).view(expected.shape)


#: Most expected jumps of one position in one leap that the Poisson window resolves.
CAP = 16.0

#: Positions whose characteristic functions are held at once.
ROWS = 4096


def _inverted(expected: Tensor, x: Tensor) -> Tensor:
    """`clamped_compound_poisson` of rows, [N, C] and [N]."""
    frequency, inversion = _inversion(expected.shape[-1])
    frequency, inversion = frequency.to(x.device), inversion.to(x.device)
    levels = torch.arange(expected.shape[-1], dtype=torch.float64, device=x.device)
    phase = torch.polar(torch.ones_like(frequency), -frequency * levels.unsqueeze(-1))  # e^{−iωy}, [C, F]
    start = phase[x]  # e^{−iωx}
    jumps = torch.complex(expected @ phase.real, expected @ phase.imag) * start.conj()
    psi = torch.exp(jumps - expected.sum(-1, keepdim=True)) * start
    law = (psi.real @ inversion.real - psi.imag @ inversion.imag).clamp_min(0.0)
    return law / law.sum(-1, keepdim=True)


@cache
def _inversion(states: int) -> tuple[Tensor, Tensor]:
    """Frequencies ω ≥ 0 [F] and the complex weights [F, C] that turn a characteristic function into a clamped law."""
    half = 3 * (states - 1) * int(CAP)  # 3 CAP jumps across the whole range, either way
    window = 2 * half
    frequency = 2.0 * torch.pi * torch.arange(half + 1, dtype=torch.float64) / window
    landed = torch.arange(-half, half, dtype=torch.float64)
    twice = torch.full_like(frequency, 2.0)
    twice[0] = twice[-1] = 1.0  # the others stand for their conjugates too
    waves = torch.polar(twice.unsqueeze(-1).expand(-1, window) / window, torch.outer(frequency, landed))
    weights = torch.zeros(half + 1, states, dtype=torch.complex128)
    return frequency, weights.index_add_(1, landed.long().clamp(0, states - 1), waves)
