"""Noise schedules: how much of the data is left at time t.

A schedule is a decreasing map t ∈ [0, 1] ↦ α_t with α_0 = 1. The integrated rate is σ̄_t = −log α_t and the
instantaneous one σ_t = −α'_t / α_t. All of it in float64.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cdmrun.errors import UserError


class Schedule(ABC):
    """A decreasing survival probability α_t; ``alpha_min`` is α at t = 1."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """α_t, elementwise; t and the result in float64."""

    @abstractmethod
    def alpha_derivative(self, t: Tensor) -> Tensor:
        """α'_t = dα/dt, elementwise (negative)."""

    @abstractmethod
    def sigma_bar(self, t: Tensor) -> Tensor:
        """Integrated rate σ̄_t = −log α_t (infinite where α_t = 0), with full relative accuracy at small t too."""

    def sigma(self, t: Tensor) -> Tensor:
        """Rate σ_t = −α'_t / α_t (infinite where α_t = 0)."""
        alpha = self.alpha(t)
        left = alpha > 0
        return torch.where(left, -self.alpha_derivative(t) / torch.where(left, alpha, 1.0), torch.inf)

    def time_of(self, alpha: Tensor) -> Tensor:
        """The time t in [0, 1] with α_t = ``alpha``, elementwise, float64; 0 or 1 for an α that is never reached."""
        return self._inverse(alpha.double().clamp(0.0, 1.0)).clamp(0.0, 1.0)

    @abstractmethod
    def _inverse(self, alpha: Tensor) -> Tensor:
        """`time_of` for α in [0, 1], before clamping."""


@dataclass(frozen=True)
class Loglinear(Schedule):
    """α_t = 1 − (1 − α_min) t: linear in α, so every uniform step reveals the same share of the data."""

    alpha_min: float = 0.0

    def __post_init__(self) -> None:
        _check_alpha_min(self.alpha_min)

    def alpha(self, t: Tensor) -> Tensor:
        return 1.0 - (1.0 - self.alpha_min) * t

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.alpha_min - 1.0)

    def sigma_bar(self, t: Tensor) -> Tensor:
        return -torch.log1p(-(1.0 - self.alpha_min) * t)

    def _inverse(self, alpha: Tensor) -> Tensor:
        return (1.0 - alpha) / (1.0 - self.alpha_min)


@dataclass(frozen=True)
class Cosine(Schedule):
    """α_t = α_min + (1 − α_min)(1 − cos(π(1 − t)/2)): little noise is spent near t = 1 (MD4's cosine)."""

    alpha_min: float = 0.0

    def __post_init__(self) -> None:
        _check_alpha_min(self.alpha_min)

    def alpha(self, t: Tensor) -> Tensor:
        return self.alpha_min + (1.0 - self.alpha_min) * (1.0 - torch.cos(0.5 * math.pi * (1.0 - t)))

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -(1.0 - self.alpha_min) * 0.5 * math.pi * torch.sin(0.5 * math.pi * (1.0 - t))

    def sigma_bar(self, t: Tensor) -> Tensor:
        return -torch.log1p(-(1.0 - self.alpha_min) * torch.sin(0.5 * math.pi * t))

    def _inverse(self, alpha: Tensor) -> Tensor:
        # 1 − cos x = 2 sin²(x/2): unlike the arc cosine, well-conditioned near t = 1
        left = ((alpha - self.alpha_min) / (1.0 - self.alpha_min)).clamp(0.0, 1.0)
        return 1.0 - 4.0 / math.pi * torch.asin(torch.sqrt(0.5 * left))


@dataclass(frozen=True)
class Geometric(Schedule):
    """σ̄_t = σ_min^(1−t) σ_max^t − σ_min (SEDD's geometric noise, shifted so that α_0 = 1 exactly)."""

    sigma_min: float = 1e-4
    sigma_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0.0 < self.sigma_min < self.sigma_max < math.inf:
            raise UserError(
                f"sigma_min {self.sigma_min:g} and sigma_max {self.sigma_max:g} are not positive numbers in order",
                "write e.g. `sigma_min: 1e-4` and `sigma_max: 20`",
            )

    def _power(self, t: Tensor) -> Tensor:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** t

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(self.sigma_min - self._power(t))

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -math.log(self.sigma_max / self.sigma_min) * self._power(t) * self.alpha(t)

    def sigma_bar(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.expm1(math.log(self.sigma_max / self.sigma_min) * t)

    def _inverse(self, alpha: Tensor) -> Tensor:
        return torch.log1p(-torch.log(alpha) / self.sigma_min) / math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class Constant(Schedule):
    """σ̄_t = σ_max t: the same rate all the time, a homogeneous Markov chain."""

    sigma_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0.0 < self.sigma_max < math.inf:
            raise UserError(f"sigma_max {self.sigma_max:g} is not a positive number", "write e.g. `sigma_max: 20`")

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-self.sigma_max * t)

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -self.sigma_max * self.alpha(t)

    def sigma_bar(self, t: Tensor) -> Tensor:
        return self.sigma_max * t

    def _inverse(self, alpha: Tensor) -> Tensor:
        return -torch.log(alpha) / self.sigma_max


def _check_alpha_min(alpha_min: float) -> None:
    if not 0.0 <= alpha_min < 1.0:
        raise UserError(f"alpha_min {alpha_min:g} is not in [0, 1)", "write e.g. `alpha_min: 1e-5`")


def make_schedule(kind: str, alpha_min: float = 0.0, sigma_min: float = 1e-4, sigma_max: float = 20.0) -> Schedule:
    """Build a schedule by its spec name: ``loglinear``, ``cosine``, ``geometric`` or ``constant``."""
    match kind:
        case "loglinear":
            return Loglinear(alpha_min)
        case "cosine":
            return Cosine(alpha_min)
        case "geometric":
            return Geometric(sigma_min, sigma_max)
        case "constant":
            return Constant(sigma_max)
    raise ValueError(f"unknown schedule {kind!r}: choose loglinear, cosine, geometric or constant")


#: What names the times of a sampler: a kind of grid, or the times themselves, ascending from 0 to 1.
Grid = str | Sequence[float]


def time_grid(nfe: int, kind: Grid = "uniform") -> Tensor:
    """Times 0 = t_0 < … < t_n = 1 of an n-step sampler, float64 of shape [n + 1].

    ``uniform``: t_k = k/n. ``cosine``: t_k = sin(πk/2n), i.e. small steps near t = 1, where
    everything is still undecided (MD4's sampling grid). Or n + 1 times of one's own.
    """
    if nfe < 1:
        raise ValueError(f"nfe must be at least 1, got {nfe}")
    if not isinstance(kind, str):
        times = torch.tensor(kind, dtype=torch.float64)
        if len(times) != nfe + 1 or times[0] != 0.0 or times[-1] != 1.0 or not bool((times.diff() > 0).all()):
            raise ValueError(f"a grid of {nfe} steps is {nfe + 1} times ascending from 0 to 1, got {list(kind)}")
        return times
    k = torch.arange(nfe + 1, dtype=torch.float64) / nfe
    match kind:
        case "uniform":
            return k
        case "cosine":
            grid = torch.sin(0.5 * math.pi * k)
            grid[0], grid[-1] = 0.0, 1.0
            return grid
    raise ValueError(f"unknown time grid {kind!r}: choose uniform or cosine")
