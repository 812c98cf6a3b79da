"""A sampler: a starting law and a walk of kernels down a time grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cdmrun.models import ConditionalModel
from cdmrun.processes import Absorbing, ForwardProcess, Grid, time_grid
from cdmrun.samplers.kernels import Analytic, TransitionKernel
from cdmrun.samplers.second_order import ThetaRK2, ThetaTrapezoidal
from cdmrun.samplers.student import student_kernel
from cdmrun.samplers.tau_leaping import TauLeaping

#: Where in a step the θ solvers make their second call, unless told otherwise.
THETA = 0.5


@dataclass(frozen=True)
class Step:
    """One application of a kernel, from time t to s < t."""

    kernel: TransitionKernel
    t: float
    s: float

    def times(self, batch: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """(t, s) as float64 [batch] tensors."""
        filled = [torch.full((batch,), at, dtype=torch.float64, device=device) for at in (self.t, self.s)]
        return filled[0], filled[1]


@dataclass(frozen=True)
class Sampler:
    """Steps from t = 1 to t = 0, first step first."""

    process: ForwardProcess
    length: int
    steps: tuple[Step, ...]

    @property
    def nfe(self) -> int:
        """Network calls a sample, as designed; `EvaluationCounter` measures what really happens."""
        return sum(step.kernel.calls for step in self.steps)

    @property
    def models(self) -> tuple[ConditionalModel, ...]:
        """The models it calls, each once."""
        return tuple(dict.fromkeys(step.kernel.model for step in self.steps))

    @torch.inference_mode()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw sequences, int64 [count, L]."""
        return self.walk(self.process.sample_prior(count, self.length, generator, str(generator.device)), generator)

    @torch.inference_mode()
    def walk(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Go down the steps from given states int64 [count, L] at the time of the first."""
        for step in self.steps:
            x = step.kernel.sample(x, *step.times(len(x), x.device), generator)
        return x

    def starting_at(self, t: float) -> Sampler:
        """The same steps down the same grid, shrunk so that it begins at time ``t``."""
        return replace(self, steps=tuple(replace(step, t=t * step.t, s=t * step.s) for step in self.steps))


def analytic_sampler(model: ConditionalModel, nfe: int, grid: Grid = "uniform") -> Sampler:
    """The analytic ("Tweedie") sampler with ``nfe`` network calls."""
    return _walk(model, Analytic(model), nfe, grid)


def tau_leaping_sampler(
    model: ConditionalModel,
    nfe: int,
    grid: Grid = "uniform",
    final: str | None = None,
    hold: str | None = None,
    jumps: str = "any_jump",
) -> Sampler:
    """τ-leaping with ``nfe`` network calls.

    Parameters
    ----------
    final
        ``denoise``: the last of the calls draws each position from its clean conditional instead of leaping, so that
        no masks are left over; ``none``: all calls leap. Default: ``denoise`` for the absorbing process.
    """
    leap = TauLeaping(model, hold, jumps)
    return _walk(model, leap, nfe, grid, Analytic(model) if _denoises(model, final) else leap)


def theta_sampler(
    model: ConditionalModel,
    nfe: int,
    solver: str = "trapezoidal",
    theta: float | None = None,
    grid: Grid = "uniform",
    final: str | None = None,
    hold: str | None = None,
) -> Sampler:
    """A second-order solver with ``nfe`` network calls, two a step.

    Parameters
    ----------
    nfe
        An even number.
    solver
        ``trapezoidal`` or ``rk2``.
    theta
        Where in a step the second call is made; 1/2 by default.
    final
        As in `tau_leaping_sampler`; ``denoise`` has the second call of the last step draw clean tokens.
    """
    if nfe % 2:
        raise ValueError(f"a θ solver calls the network twice a step, so nfe must be even, got {nfe}")
    kind = {"trapezoidal": ThetaTrapezoidal, "rk2": ThetaRK2}[solver]
    theta = THETA if theta is None else theta
    kernel = kind(model, theta, hold)
    last = kind(model, theta, hold, denoise=True) if _denoises(model, final) else kernel
    return _walk(model, kernel, nfe // 2, grid, last)


def theta_trapezoidal_sampler(model: ConditionalModel, nfe: int, **options: Any) -> Sampler:
    """`theta_sampler` with the trapezoidal rule."""
    return theta_sampler(model, nfe, "trapezoidal", **options)


def theta_rk2_sampler(model: ConditionalModel, nfe: int, **options: Any) -> Sampler:
    """`theta_sampler` with the two-stage Runge–Kutta rule."""
    return theta_sampler(model, nfe, "rk2", **options)


def student_sampler(
    students: ConditionalModel | Mapping[int, ConditionalModel],
    nfe: int,
    grid: Grid = "uniform",
    decoding: str = "auto",
) -> Sampler:
    """A student's own sampler with ``nfe`` network calls.

    ``students`` is one model for all step counts, or one for each; ``decoding`` is how their families draw, see
    `cdmrun.models.families.decoding`.
    """
    model = students[nfe] if isinstance(students, Mapping) else students
    return _walk(model, student_kernel(model, decoding), nfe, grid)


def _denoises(model: ConditionalModel, final: str | None) -> bool:
    """Whether the last call draws clean tokens; by default under the absorbing process, where masks could be left."""
    return isinstance(model.process, Absorbing) if final is None else final == "denoise"


def _walk(
    model: ConditionalModel, kernel: TransitionKernel, steps: int, grid: Grid, last: TransitionKernel | None = None
) -> Sampler:
    """``steps`` steps of one kernel down a grid, the last of them by ``last``."""
    times = time_grid(steps, grid).tolist()
    kernels = [last or kernel] + [kernel] * (steps - 1)
    walked = tuple(Step(kernels[k - 1], times[k], times[k - 1]) for k in range(steps, 0, -1))
    return Sampler(model.process, model.length, walked)
