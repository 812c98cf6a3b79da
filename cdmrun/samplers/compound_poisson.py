"""The law of a sum of Poisson numbers of jumps on ordinal levels, clamped to the levels at both ends."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

#: The window of integers that is resolved reaches this many times the range of the levels to either side.
REACH = 48

#: Standard deviations of the sum that must fit into the window; what is beyond them is below 1e-14.
DEVIATIONS = 8.0

#: Positions whose characteristic functions are held at once.
ROWS = 4096


def clamped_compound_poisson(expected: Tensor, x: Tensor) -> Tensor:
    """Law of clamp(x + Σ_y N_y (y − x), 0, C − 1) with N_y ~ Poisson(expected_y), float64 [..., C].

    The characteristic function of the sum is inverted only where it is needed: at the levels, and summed over all that
    is clamped to the lowest and the highest. Exact for expected jumps that `within_window` leaves as they are.
    """
    states = expected.shape[-1]
    blocks = zip(expected.reshape(-1, states).split(ROWS), x.reshape(-1).split(ROWS), strict=True)
    return torch.cat([_inverted(within_window(rates, start), start) for rates, start in blocks]).view(expected.shape)


def within_window(expected: Tensor, x: Tensor) -> Tensor:
    """Scale expected jumps [..., C] from x [...] so that |mean| + `DEVIATIONS` standard deviations fit the window.

    A sum that would go further than `REACH` ranges is a leap over hundreds of jumps: where they have a direction, the
    end that they lead to is certain either way; where they have none, a shorter leap leaves more at the levels between.
    Whoever draws scales as whoever scores does.
    """
    half = REACH * (expected.shape[-1] - 1)
    size = torch.arange(expected.shape[-1], dtype=torch.float64, device=x.device) - x.unsqueeze(-1)
    mean = (expected * size).sum(-1, keepdim=True).abs()
    spread = DEVIATIONS * (expected * size**2).sum(-1, keepdim=True).sqrt()
    # with factor f² the bound f² mean + f spread = half has the root below
    root = (torch.sqrt(spread**2 + 4.0 * mean * half) - spread) / (2.0 * mean).clamp_min(1e-300)
    factor = torch.where(mean > 1e-12, root, half / spread.clamp_min(1e-300)).clamp_max(1.0)
    return expected * factor**2


def _inverted(expected: Tensor, x: Tensor) -> Tensor:
    """`clamped_compound_poisson` of rows that fit the window, [N, C] and [N]."""
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
    half = REACH * (states - 1)
    window = 2 * half
    frequency = 2.0 * torch.pi * torch.arange(half + 1, dtype=torch.float64) / window
    landed = torch.arange(-half, half, dtype=torch.float64)
    twice = torch.full_like(frequency, 2.0)
    twice[0] = twice[-1] = 1.0  # the others stand for their conjugates too
    weights = torch.zeros(half + 1, states, dtype=torch.complex128)
    for rows in torch.arange(half + 1).split(max(1, 4_194_304 // window)):
        sizes = (twice[rows] / window).unsqueeze(-1).expand(-1, window)
        waves = torch.polar(sizes, torch.outer(frequency[rows], landed))
        weights[rows] = weights[rows].index_add_(1, landed.long().clamp(0, states - 1), waves)
    return frequency, weights
