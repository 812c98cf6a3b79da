"""Any generator matrix as a forward process: K_{t|s} = exp((σ̄_t − σ̄_s) Q)."""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.processes.base import ForwardProcess, as_times
from cdmrun.processes.schedules import Loglinear, Schedule

TOLERANCE = 1e-8


def check_generator(generator: Tensor) -> None:
    """Raise `UserError` unless ``generator`` is a CTMC generator with one stationary law.

    The message names the first offending row.
    """
    if generator.ndim != 2 or generator.shape[0] != generator.shape[1] or generator.shape[0] < 2:
        raise UserError(
            f"the generator has shape {tuple(generator.shape)}; a generator is a square matrix of two or more rows",
            "give one row per state",
        )
    if not torch.isfinite(generator).all():
        raise UserError("the generator holds NaN or infinite entries", "write every rate as a finite number")
    off_diagonal = generator - torch.diag(torch.diagonal(generator))
    if (off_diagonal < 0).any():
        row = int((off_diagonal < 0).any(1).nonzero()[0])
        raise UserError(
            f"row {row} of the generator has a negative rate off its diagonal",
            "only diagonal entries may be negative",
        )
    sums = generator.sum(1)
    unbalanced = sums.abs() > TOLERANCE * generator.abs().sum(1).clamp_min(1.0)
    if unbalanced.any():
        row = int(unbalanced.nonzero()[0])
        raise UserError(
            f"row {row} of the generator sums to {float(sums[row]):.6g}, not to zero",
            "set each diagonal entry to minus the sum of the rest of its row",
        )
    singular = torch.linalg.svdvals(generator)
    if singular[-2] <= 1e-10 * singular[0]:
        raise UserError(
            "the generator is reducible: it has more than one stationary law, so sampling has no place to start",
            "connect its classes of states by positive rates",
        )


def stationary_law(generator: Tensor) -> Tensor:
    """The law π with πQ = 0, float64 [C]."""
    size = generator.shape[0]
    system = torch.cat([generator.T, torch.ones(1, size, dtype=torch.float64)])
    target = torch.zeros(size + 1, 1, dtype=torch.float64)
    target[-1] = 1.0
    pi = torch.linalg.lstsq(system, target).solution[:, 0].clamp_min(0.0)
    return pi / pi.sum()


class Matrix(ForwardProcess):
    """A user's generator Q over the V data tokens (C = V)."""

    kind = "matrix"

    def __init__(self, generator: Tensor, schedule: Schedule | None = None) -> None:
        generator = torch.as_tensor(generator, dtype=torch.float64)
        check_generator(generator)
        self.generator = generator
        self.vocabulary = self.states = generator.shape[0]
        self.schedule = schedule or Loglinear(1e-5)
        if not torch.isfinite(self.schedule.sigma_bar(torch.ones((), dtype=torch.float64))):
            raise UserError(
                "a process given by a matrix needs some signal left at t = 1: its schedule has α = 0 there",
                "set forward_process.alpha_min to a small positive number, such as 1e-5 (or lower sigma_max)",
            )
        self._stationary = stationary_law(generator)

    def _kernels(self, s: Tensor | float, t: Tensor | float, like: Tensor) -> Tensor:
        """K_{t|s} for each time pair, [B, C, C]."""
        elapsed = self.schedule.sigma_bar(as_times(t, like)) - self.schedule.sigma_bar(as_times(s, like))
        return torch.linalg.matrix_exp(elapsed * self.generator.to(like.device)).clamp_min(0.0)

    def push(self, law: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        return law @ self._kernels(s, t, law)

    def evidence(self, x_t: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        columns = self._kernels(s, t, x_t).transpose(1, 2).expand(x_t.shape[0], -1, -1)
        return columns.gather(1, x_t.unsqueeze(-1).expand(-1, -1, self.states))

    def rate(self) -> Tensor:
        return self.generator

    def prior(self) -> Tensor:
        return self._stationary

    def conditionals_from_ratios(self, r: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        elapsed = -self.schedule.sigma_bar(as_times(t, x_t))
        inverse = torch.linalg.matrix_exp(elapsed * self.generator.to(r.device))
        return self.evidence(x_t, 0.0, t) * (r @ inverse)
