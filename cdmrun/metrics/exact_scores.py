"""The exact metrics by name: from a sampler to numbers, on a target that can be written out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cdmrun.metrics.divergences import (
    cross_entropy,
    jensen_shannon,
    kl_divergence,
    marginal_variation,
    total_variation,
)
from cdmrun.metrics.exact import analyse, data_law
from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import ForwardProcess
from cdmrun.samplers import Sampler


class ExactScores:
    """Every exact metric of samplers that aim at one table.

    Parameters
    ----------
    process
        The forward process that the samplers reverse.
    table
        p_0 of shape (V, …, V), one axis a position.
    """

    def __init__(self, process: ForwardProcess, table: Tensor) -> None:
        self.truth = EnumeratedTeacher(process, table)
        self.shape = table.shape

    def of(self, sampler: Sampler) -> tuple[dict[str, float], npt.NDArray[np.float64]]:
        """Metrics by name, and the law of the samples over data sequences [V^L] (masks left over are missing)."""
        analysis = analyse(sampler, self.truth)
        process = self.truth.process
        q, _ = data_law(analysis.law, process.states, process.vocabulary, self.truth.length)
        p = self.truth.table
        bits = 1.0 / (self.truth.length * math.log(2.0))
        values = {
            "tv": total_variation(p, q),
            "kl": kl_divergence(p, q),
            "kl_reverse": kl_divergence(q, p),
            "js": jensen_shannon(p, q),
            "tv_marginal": marginal_variation(p.view(self.shape), q.view(self.shape), 1),
            "tv_pairs": marginal_variation(p.view(self.shape), q.view(self.shape), 2),
            "nll": cross_entropy(p, q) * bits,
            "kl_bound": analysis.kl_bound,
            "total_correlation": sum(analysis.total_correlation),
            "nll_bound": (analysis.kl_bound + self.truth.entropy()) * bits,
        }
        return values, torch.as_tensor(q).numpy()
