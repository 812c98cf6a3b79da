"""Any generator matrix as a forward process: K_{t|s} = exp((σ̄_t − σ̄_s) Q)."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.limits import AMPLIFICATION
from cdmrun.processes.base import ForwardProcess, as_times, refuse_ratios
from cdmrun.processes.exponential import Exponential
from cdmrun.processes.schedules import Loglinear, Schedule
from cdmrun.rates import rate_problems


def check_generator(generator: Tensor) -> None:
    """Raise `UserError` unless ``generator`` is a CTMC generator with one stationary law.

    The message names the first offending row.
    """
    for problem in rate_problems(generator.detach().cpu().numpy()):
        raise UserError(f"the generator: {problem.fault}", problem.remedy)


def stationary_law(generator: Tensor) -> Tensor:
    """The law π with πQ = 0, float64 [C]."""
    size = generator.shape[0]
    system = torch.cat([generator.T, torch.ones(1, size, dtype=torch.float64)])
    target = torch.zeros(size + 1, 1, dtype=torch.float64)
    target[-1] = 1.0
    pi = torch.linalg.lstsq(system, target).solution[:, 0].clamp_min(0.0)
    return pi / pi.sum()


class Matrix(ForwardProcess):
    """A generator Q over the V data tokens (C = V).

    Parameters
    ----------
    generator
        Q at unit rate, [V, V]: the user's own, or one of `cdmrun.processes.generators`.
    schedule
        α_t, positive at t = 1.
    kind
        What the process is called in tables.
    """

    def __init__(self, generator: Tensor, schedule: Schedule | None = None, kind: str = "matrix") -> None:
        generator = torch.as_tensor(generator, dtype=torch.float64)
        check_generator(generator)
        self.kind = kind
        self.generator = generator
        self.vocabulary = self.states = generator.shape[0]
        self.schedule = schedule or Loglinear(1e-5)
        if not float(self.schedule.alpha(torch.ones((), dtype=torch.float64))) > 0.0:
            raise UserError(
                "a process given by a matrix needs some signal left at t = 1: its schedule has α = 0 there",
                "set forward_process.alpha_min to a small positive number, such as 1e-5 (or lower sigma_max)",
            )
        self._stationary = stationary_law(generator)
        self._exponential = Exponential(generator)

    def _kernels(self, s: Tensor | float, t: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """K_{t|s} once for each distinct elapsed σ̄, [U, C, C], and which of them each time pair has, [1] or [B]."""
        elapsed = self.schedule.sigma_bar(as_times(t, like)) - self.schedule.sigma_bar(as_times(s, like))
        distinct, which = torch.unique(elapsed.flatten().clamp_min(0.0), return_inverse=True)
        return self._exponential(distinct), which

    def push(self, law: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        kernels, which = self._kernels(s, t, law)
        return law @ (kernels[0] if len(kernels) == 1 else kernels[which])

    def evidence(self, x_t: Tensor, s: Tensor | float, t: Tensor | float) -> Tensor:
        kernels, which = self._kernels(s, t, x_t)
        return kernels.transpose(1, 2)[which.unsqueeze(-1), x_t]

    def rate(self) -> Tensor:
        return self.generator

    def prior(self) -> Tensor:
        return self._stationary

    @cached_property
    def fastest(self) -> float:
        """The decay rate of the fastest mode, max |Re λ| over the eigenvalues of Q, per unit of σ̄."""
        return float(-torch.linalg.eigvals(self.generator).real.min())

    def conditionals_from_ratios(self, r: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """docs/method.md; a `UserError` where K⁻¹ magnifies rounding, by e^{σ̄_t |λ|max}, beyond all use."""
        gone = self.schedule.sigma_bar(as_times(t, x_t)) * self.fastest > math.log(AMPLIFICATION)
        refuse_ratios(gone, t, "rounding in the ratios is magnified more than 1e12 times")
        kernels, which = self._kernels(0.0, t, x_t)
        if len(kernels) == 1:  # factor it once
            mixed = torch.linalg.solve(kernels[0], r.reshape(-1, self.states), left=False).view_as(r)
        else:
            mixed = torch.linalg.solve(kernels[which], r, left=False)
        return kernels.transpose(1, 2)[which.unsqueeze(-1), x_t] * mixed
