"""Exponentials of a generator by sums and products of non-negative numbers alone.

exp(τQ) = Σ_n Poisson(n; qτ) Pⁿ with P = I + Q/q stochastic (uniformisation; Jensen 1953), on a step h = τ/2^k that is
short enough, and squared k times. Nothing is ever subtracted, so that no entry, however small, loses relative accuracy
to cancellation, none is negative, and e^{qτ} is never formed: rates that run into ten thousands do not overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Most jumps of the uniformised chain, on average, in one step of the series.
STEP = 4.0
#: Terms of the series. An entry that takes d jumps to reach is a sum over paths of about max(qτ, d) jumps, spread over
#: 2^k ≥ max(qτ, C)/STEP steps: 2·STEP a step is more than enough, and a Poisson number of that mean exceeds this one
#: with probability 1e-19.
TERMS = 48
#: Entries below this become zero: subnormal numbers have no accuracy left to keep, and are slow.
SMALLEST = 1e-300


class Exponential:
    """τ ↦ exp(τQ) of one generator, with the powers of P kept.

    Parameters
    ----------
    generator
        Q, float64 [C, C], a valid generator. Its diagonal is not read, only what leaves a state off the diagonal, so
        that rows of the exponential sum to one whatever rounding the diagonal has.
    """

    def __init__(self, generator: Tensor) -> None:
        jumps = (generator - torch.diag(torch.diagonal(generator))).double()
        leaving = jumps.sum(1)
        self._rate = float(leaving.max())
        self._size = generator.shape[0]
        step = jumps / self._rate + torch.diag(1.0 - leaving / self._rate)
        powers = [torch.eye(self._size, dtype=torch.float64)]
        for _ in range(TERMS):
            powers.append(_stochastic(powers[-1] @ step))
        self._powers = torch.stack(powers).view(TERMS + 1, -1)

    def __call__(self, elapsed: Tensor) -> Tensor:
        """exp(τQ) for each τ ≥ 0 of a float64 vector [U], as [U, C, C]; rows sum to one to 1e-15."""
        mean = elapsed * self._rate  # jumps of the uniformised chain in all that time
        halvings = (mean.clamp_min(float(self._size)) / STEP).log2().ceil().clamp_min(0.0)
        kernels = self._series(mean / 2.0**halvings)
        for done in range(int(halvings.max())):
            longer = halvings > done
            if bool(longer.all()):
                kernels = _stochastic(kernels @ kernels)
            else:
                kernels[longer] = _stochastic(kernels[longer] @ kernels[longer])
        return kernels

    def _series(self, mean: Tensor) -> Tensor:
        """Σ_n Poisson(n; mean) Pⁿ for means up to STEP, [U] → [U, C, C]."""
        self._powers = self._powers.to(mean.device)
        number = torch.arange(1, TERMS + 1, dtype=torch.float64, device=mean.device)
        weights = torch.cat([torch.exp(-mean).unsqueeze(-1), mean.unsqueeze(-1) / number], -1).cumprod(-1)
        return _stochastic((weights @ self._powers).view(-1, self._size, self._size))


def _stochastic(kernels: Tensor) -> Tensor:
    """Rows that sum to one but for rounding, made to; entries too small for float64 dropped."""
    kernels = torch.where(kernels < SMALLEST, 0.0, kernels)
    return kernels / kernels.sum(-1, keepdim=True)
