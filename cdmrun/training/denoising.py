"""What a network teacher is trained by: cross-entropy of the clean token at each noisy position.

Absorbing: weighted by −α'_t/(1 − α_t) it is the NELBO of MDLM. Otherwise: weight one, whose minimiser is the posterior
marginal at every t; with ``prediction: leave_one_out`` the same loss makes the unary layer the leave-one-out posterior.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.models import NetworkModel
from cdmrun.processes import Absorbing
from cdmrun.training.sources import Source

#: Smallest time trained at: the weight of the absorbing loss grows as 1/t.
EARLIEST = 1e-3


class Denoising:
    """The teacher's objective; call with a generator for a loss in nats a token."""

    def __init__(self, model: NetworkModel, source: Source, batch: int) -> None:
        self.model = model
        self.source = source
        self.batch = batch

    def __call__(self, generator: torch.Generator) -> Tensor:
        process = self.model.process
        x_0 = self.source(self.batch, generator)
        t = stratified_times(self.batch, generator)
        x_t = process.noise(x_0, 0.0, t, generator)
        log_prob = self.model(x_t, t).log_prob(x_0)
        if isinstance(process, Absorbing):
            weight = -process.schedule.alpha_derivative(t) / (1.0 - process.schedule.alpha(t))
            log_prob = log_prob * weight.to(log_prob.dtype)
        return -log_prob.mean() / x_0.shape[1]


def stratified_times(batch: int, generator: torch.Generator) -> Tensor:
    """One time in each of ``batch`` equal slices of [EARLIEST, 1], float64 [batch]: low variance (MDLM)."""
    offset = torch.rand(1, dtype=torch.float64, device=generator.device, generator=generator)
    slices = (torch.arange(batch, dtype=torch.float64, device=generator.device) + offset) / batch
    return EARLIEST + (1.0 - EARLIEST) * slices
