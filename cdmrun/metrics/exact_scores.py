"""The exact metrics: from the whole laws of a target and of what a sampler makes of it to numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cdmrun.metrics import divergences
from cdmrun.metrics.exact import analyse, data_law
from cdmrun.metrics.nll_bound import StepTerm
from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import ForwardProcess
from cdmrun.samplers import Sampler


@dataclass(frozen=True)
class ExactLaws:
    """What a metric that reads laws is called with.

    Attributes
    ----------
    p, q
        The laws of the data and of the samples over data sequences, float64 [V^L]; masks left over are missing in q.
    shape
        (V, …, V), one axis a position.
    kl_bound, total_correlation
        The certificate of the sampler's kernels, and what a factorised kernel must lose on its grid; nats a sequence.
    entropy
        Of p, nats a sequence.
    steps
        What each step adds to the certificate, bits a token; with what the start costs they sum up to it.
    """

    p: Tensor
    q: Tensor
    shape: torch.Size
    kl_bound: float
    total_correlation: float
    entropy: float
    steps: tuple[StepTerm, ...] = ()

    @property
    def bits_per_token(self) -> float:
        """What nats a sequence are multiplied with."""
        return 1.0 / (len(self.shape) * math.log(2.0))

    @property
    def law(self) -> npt.NDArray[np.float64]:
        """q as an array."""
        return torch.as_tensor(self.q).numpy()


class ExactScores:
    """The laws of samplers that aim at one table.

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

    def of(self, sampler: Sampler) -> ExactLaws:
        """The laws of one sampler's output and of the target."""
        analysis, process, truth = analyse(sampler, self.truth), self.truth.process, self.truth
        # networks normalise in float32: what is missing by rounding is not mass outside the data
        law = analysis.law / analysis.law.sum()
        q, _ = data_law(law, process.states, process.vocabulary, truth.length)
        lost = sum(analysis.total_correlation)
        scale = 1.0 / (truth.length * math.log(2.0))
        costs = zip(sampler.steps, analysis.step_kl, strict=True)
        steps = tuple(StepTerm(step.t, step.s, scale * nats, math.nan) for step, nats in costs)
        return ExactLaws(truth.table, q, self.shape, analysis.kl_bound, lost, truth.entropy(), steps)


def tv(laws: ExactLaws) -> float:
    """Total variation."""
    return divergences.total_variation(laws.p, laws.q)


def kl(laws: ExactLaws) -> float:
    """KL(data ‖ sampler), nats."""
    return divergences.kl_divergence(laws.p, laws.q)


def kl_reverse(laws: ExactLaws) -> float:
    """KL(sampler ‖ data), nats."""
    return divergences.kl_divergence(laws.q, laws.p)


def js(laws: ExactLaws) -> float:
    """Jensen–Shannon divergence, nats."""
    return divergences.jensen_shannon(laws.p, laws.q)


def tv_marginal(laws: ExactLaws) -> float:
    """Total variation of single positions, mean."""
    return divergences.marginal_variation(laws.p.view(laws.shape), laws.q.view(laws.shape), 1)


def tv_pairs(laws: ExactLaws) -> float:
    """Total variation of pairs of positions, mean."""
    return divergences.marginal_variation(laws.p.view(laws.shape), laws.q.view(laws.shape), 2)


def nll(laws: ExactLaws) -> float:
    """Expected −log of the data under the sampler's law, bits a token."""
    return divergences.cross_entropy(laws.p, laws.q) * laws.bits_per_token


def kl_bound(laws: ExactLaws) -> float:
    """The certificate, nats."""
    return laws.kl_bound


def total_correlation(laws: ExactLaws) -> float:
    """What the best factorised kernel loses on the grid, nats."""
    return laws.total_correlation
