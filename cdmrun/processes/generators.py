"""Named generators for `Matrix`: nucleotide substitution, ordinal levels, blocks of tokens.

Each has spectral gap one: its slowest mode decays as e^{−σ̄_t} = α_t. So α_t means the same for all processes, what is
left of the last thing to be forgotten, as it does for uniform and absorbing, which forget everything at that rate.
All of them are reversible with respect to the law they settle in, so their modes are real.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.limits import SUM_TOLERANCE

#: Nucleotides in the order of the tokens of `hky85`.
NUCLEOTIDES = "ACGT"


def hky85(kappa: float = 2.0, frequencies: Sequence[float] = (0.25, 0.25, 0.25, 0.25)) -> Tensor:
    """The substitution model of Hasegawa, Kishino and Yano (1985), tokens A, C, G, T.

    The rate from a to b is proportional to π_b, times ``kappa`` for a transition (A↔G, C↔T). Equal frequencies give
    Kimura's two-parameter model, and with kappa = 1 the uniform process.

    Parameters
    ----------
    kappa
        Ratio of the rates of transitions and transversions, positive.
    frequencies
        π of A, C, G, T; positive, summing to one within 1e-6 (and then made to exactly).

    Returns
    -------
    Tensor
        float64 [4, 4], spectral gap one.
    """
    kappa = _positive("kappa", kappa)
    pi = torch.tensor([_positive("frequencies", value) for value in frequencies], dtype=torch.float64)
    if len(pi) != 4 or abs(float(pi.sum()) - 1.0) > SUM_TOLERANCE:
        raise UserError(
            f"frequencies: {len(pi)} numbers that sum to {float(pi.sum()):.9g}, not four that sum to 1",
            "give the frequencies of A, C, G and T",
        )
    pi = pi / pi.sum()
    rates = pi.expand(4, 4).clone()
    for a, b in ("AG", "CT"):
        i, j = NUCLEOTIDES.index(a), NUCLEOTIDES.index(b)
        rates[i, j] *= kappa
        rates[j, i] *= kappa
    return _unit_gap(rates, pi)


def discretised_gaussian(levels: int, width: float = 0.2) -> Tensor:
    """Jumps from level a to b at a rate ∝ exp(−(a − b)²/2w²), w = ``width`` · (levels − 1).

    The discretised Gaussian of D3PM (Austin et al. 2021) in continuous time: symmetric, so it settles in the uniform
    law. As width → 0 only jumps between neighbours are left, as in `birth_death`.

    Parameters
    ----------
    levels
        C ≥ 2.
    width
        Standard deviation as a share of the range of levels, positive.

    Returns
    -------
    Tensor
        float64 [C, C], spectral gap one.
    """
    levels = _count("levels", levels, 2)
    deviation = _positive("width", width) * (levels - 1)
    level = torch.arange(levels, dtype=torch.float64)
    squared = ((level.unsqueeze(1) - level) ** 2).fill_diagonal_(math.inf)
    # relative to the rate between neighbours, which therefore never underflows
    rates = torch.exp((1.0 - squared) / (2.0 * deviation**2))
    return _unit_gap(rates, torch.full((levels,), 1.0 / levels, dtype=torch.float64))


def birth_death(levels: int) -> Tensor:
    """Jumps to the next level up or down at equal rates, with reflecting ends: a random walk on C ≥ 2 levels.

    Its modes are cosines with decay rates 2r(1 − cos(πk/C)), so that r = 1/(4 sin²(π/2C)) gives it spectral gap one.

    Returns
    -------
    Tensor
        float64 [C, C].
    """
    levels = _count("levels", levels, 2)
    rate = 0.25 / math.sin(0.5 * math.pi / levels) ** 2
    neighbours = torch.full((levels - 1,), rate, dtype=torch.float64)
    return _generator(torch.diag(neighbours, 1) + torch.diag(neighbours, -1))


def block(vocabulary: int, blocks: int = 2, within: float = 0.9) -> Tensor:
    """Jumps mostly within contiguous blocks of tokens, as equal in size as can be.

    A share ``within`` of the jumps of a token goes to the others of its block, all alike, and the rest to all tokens
    outside, all alike; a token that is alone in its block always leaves it. Where blocks differ in size, the law in
    which this settles is not uniform: proportional to the tokens outside the block over the share of jumps that leave.

    Parameters
    ----------
    vocabulary
        V ≥ 2.
    blocks
        Between 2 and V.
    within
        At least 0 and less than 1.

    Returns
    -------
    Tensor
        float64 [V, V], spectral gap one.
    """
    vocabulary = _count("vocabulary", vocabulary, 2)
    blocks = _count("blocks", blocks, 2)
    if blocks > vocabulary:
        raise UserError(f"blocks: {blocks} blocks of {vocabulary} tokens", "at most one block a token")
    if isinstance(within, bool) or not isinstance(within, int | float) or not 0.0 <= within < 1.0:
        raise UserError(
            f"within: {within!r} is not a share from 0 up to, but not including, 1", "write e.g. `within: 0.9`"
        )
    member = torch.arange(vocabulary) * blocks // vocabulary
    same = (member.unsqueeze(1) == member) & ~torch.eye(vocabulary, dtype=torch.bool)
    outside = (member.unsqueeze(1) != member).double()
    mates, others = same.sum(1, keepdim=True), outside.sum(1, keepdim=True)
    stays = within * (mates > 0).double()
    rates = torch.where(same, stays / mates.clamp_min(1), outside * (1.0 - stays) / others)
    settles = others[:, 0] / (1.0 - stays[:, 0])  # detailed balance between any two blocks
    return _unit_gap(rates, settles / settles.sum())


def _unit_gap(rates: Tensor, stationary: Tensor) -> Tensor:
    """The generator with these off-diagonal rates, reversible for ``stationary``, scaled to spectral gap one."""
    generator = _generator(rates)
    root = stationary.sqrt()
    symmetric = root.unsqueeze(1) * generator / root  # same eigenvalues, by detailed balance
    gap = -torch.linalg.eigvalsh(0.5 * (symmetric + symmetric.T))[-2]
    return generator / gap


def _generator(rates: Tensor) -> Tensor:
    """Off-diagonal rates with the diagonal that makes rows sum to zero."""
    jumps = rates - torch.diag(torch.diagonal(rates))
    return jumps - torch.diag(jumps.sum(1))


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
        raise UserError(f"{name}: {value!r} is not a positive finite number", "write a number such as 0.25")
    return float(value)


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name}: {value!r} is not a whole number of at least {least}", f"write e.g. `{name}: {least}`")
    return value
