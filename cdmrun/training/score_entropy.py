"""What a teacher with ``prediction: ratio`` is trained by: score entropy (Lou et al. 2023, SEDD).

    L = E_t E Σ_i Σ_{y ≠ x_t^i} σ_t Q(y, x_t^i) [ s_i(y) − r_i(y) log s_i(y) + r_i(y)(log r_i(y) − 1) ]

with s the network's ratios at x_t, and r(y) = K_{t|0}(x_0, y) / K_{t|0}(x_0, x_t) those of the forward process given
x_0. It is the generalised KL between the two reverse rates; its mean over p(x_0 | x_t) is least where s is the mean of
r, which is the density ratio, and the whole of it bounds −log p(x_0) up to the noise at both ends.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.models import NetworkModel
from cdmrun.processes import ForwardProcess
from cdmrun.processes.base import as_times
from cdmrun.training.denoising import stratified_times
from cdmrun.training.sources import Source

#: Latest time trained at: a schedule with α_1 = 0 has ratios zero and rates infinite at 1 itself.
LATEST = 1.0 - 1e-9


class ScoreEntropy:
    """The teacher's objective; call with a generator for a loss in nats a token."""

    def __init__(self, model: NetworkModel, source: Source, batch: int) -> None:
        self.model = model
        self.source = source
        self.batch = batch

    def __call__(self, generator: torch.Generator) -> Tensor:
        process = self.model.process
        x_0 = self.source(self.batch, generator)
        t = stratified_times(self.batch, generator).clamp_max(LATEST)
        x_t = process.noise(x_0, 0.0, t, generator)
        return score_entropy(process, self.model.log_ratios(x_t, t), x_0, x_t, t).mean() / x_0.shape[1]


def score_entropy(process: ForwardProcess, log_s: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """Score entropy of log-ratios float64 [B, L, C] at x_t given x_0, weighted by rates at t; nats a sequence, [B]."""
    clean = process.one_hot(x_0)[..., : process.vocabulary]
    r = process.ratios_from_conditionals(clean, x_t, t)
    gap = log_s - torch.where(r > 0, r, 1.0).log()
    each = torch.where(r > 0, r * (torch.expm1(gap) - gap), log_s.exp())  # expm1: near t = 1 all ratios are near 1
    rates = process.schedule.sigma(as_times(t, x_t)) * process.rates_into(x_t)
    return (rates * each).scatter(-1, x_t.unsqueeze(-1), 0.0).sum((-1, -2))
