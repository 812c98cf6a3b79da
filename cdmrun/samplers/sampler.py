"""A sampler: a starting law and a walk of kernels down a time grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cdmrun.models import ConditionalModel
from cdmrun.processes import Absorbing, ForwardProcess, time_grid
from cdmrun.samplers.kernels import Analytic, TransitionKernel
from cdmrun.samplers.student import student_kernel
from cdmrun.samplers.tau_leaping import TauLeaping


@dataclass(frozen=True)
class Step:
    """One application of a kernel, from time t to s < t; one network call."""

    kernel: TransitionKernel
    t: float
    s: float

    def times(self, batch: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """(t, s) as float64 [batch] tensors."""
        filled = [torch.full((batch,), at, dtype=torch.float64, device=device) for at in (self.t, self.s)]
        return filled[0], filled[1]


@dataclass(frozen=True)
class Sampler:
    """Steps from t = 1 to t = 0, first step first; the number of network calls is the number of steps."""

    process: ForwardProcess
    length: int
    steps: tuple[Step, ...]

    @property
    def nfe(self) -> int:
        """Network calls a sample, as designed; `EvaluationCounter` measures what really happens."""
        return len(self.steps)

    @torch.inference_mode()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw sequences, int64 [count, L]."""
        device = str(generator.device)
        x = self.process.sample_prior(count, self.length, generator, device)
        for step in self.steps:
            x = step.kernel.sample(x, *step.times(count, device), generator)
        return x


def analytic_sampler(model: ConditionalModel, nfe: int, grid: str = "uniform") -> Sampler:
    """The analytic ("Tweedie") sampler with ``nfe`` network calls."""
    return _walk(model, Analytic(model), nfe, grid)


def tau_leaping_sampler(
    model: ConditionalModel,
    nfe: int,
    grid: str = "uniform",
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
    if final is None:
        final = "denoise" if isinstance(model.process, Absorbing) else "none"
    sampler = _walk(model, TauLeaping(model, hold, jumps), nfe, grid)
    if final == "none":
        return sampler
    last = sampler.steps[-1]
    return Sampler(sampler.process, sampler.length, (*sampler.steps[:-1], Step(Analytic(model), last.t, last.s)))


def student_sampler(
    students: ConditionalModel | Mapping[int, ConditionalModel], nfe: int, grid: str = "uniform"
) -> Sampler:
    """A student's own sampler with ``nfe`` network calls.

    ``students`` is one model for all step counts, or (progressive distillation) one for each.
    """
    model = students[nfe] if isinstance(students, Mapping) else students
    return _walk(model, student_kernel(model), nfe, grid)


def _walk(model: ConditionalModel, kernel: TransitionKernel, nfe: int, grid: str) -> Sampler:
    times = time_grid(nfe, grid).tolist()
    steps = tuple(Step(kernel, times[k], times[k - 1]) for k in range(nfe, 0, -1))
    return Sampler(model.process, model.length, steps)
