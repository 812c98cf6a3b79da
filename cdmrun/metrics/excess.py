"""nll_bound above the true entropy, for data whose law is known exactly: what the sampler alone loses.

With p_t exact, the reverse transition of the true process is explicit at any pair of states,

    log p_{s|t}(x_s | x_t) = log p_s(x_s) + log K_{t|s}(x_s, x_t) − log p_t(x_t),

so each term of the certificate (docs/method.md) can be estimated by log-ratios at draws of the true process,

    KL(p_1 ‖ π_1) + Σ_k E log [ p_{s|t}(x_s | x_t) / p̂_{s|t}(x_s | x_t) ].

The entropy of the data, which dominates the noise of `nll_bound`, does not enter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cdmrun.metrics.nll_bound import BATCH, Bound, StepDraw, forward_pair, prior_divergence, step_terms
from cdmrun.models import ExactTeacher
from cdmrun.processes.base import TINY
from cdmrun.samplers import Sampler, TransitionKernel


@torch.inference_mode()
def excess_nll_bound(
    sampler: Sampler, truth: ExactTeacher, x_0: Tensor, generator: torch.Generator, draws: int = 4
) -> Bound:
    """Estimate nll_bound minus the entropy of the data, bits a token.

    Parameters
    ----------
    truth
        The exact teacher of the data's own law.
    x_0
        Draws of the data, int64 [M, L].
    draws
        As in `nll_bound`.
    """
    batches = (_batch_excess(sampler, truth, block, generator, draws) for block in x_0.split(BATCH))
    return Bound.over_sequences(sampler, batches, x_0.shape[1], exact=False)


def _batch_excess(
    sampler: Sampler, truth: ExactTeacher, x_0: Tensor, generator: torch.Generator, draws: int
) -> tuple[Tensor, Tensor]:
    """What the start costs, float64 [B], and each of K steps, [B, K]; nats a sequence."""
    process = sampler.process

    def cost(kernel: TransitionKernel, at: StepDraw, own: torch.Generator) -> Tensor:
        _, x_s, x_t, t, s = at
        return log_reverse(truth, x_s, x_t, s, t) - kernel.log_prob(x_s, x_t, t, s, own, draws)

    x_1 = process.noise(x_0, 0.0, 1.0, generator)
    prior = process.prior().to(x_1.device).log()[x_1].sum(-1)
    end = torch.ones(len(x_1), dtype=torch.float64, device=x_1.device)
    impossible = torch.isinf(prior_divergence(process, x_0))  # though it need not have been drawn
    start = torch.where(impossible, math.inf, truth.log_marginal(x_1, end) - prior)
    return start, step_terms(sampler, x_0, forward_pair(process), cost, generator)


def log_reverse(truth: ExactTeacher, x_s: Tensor, x_t: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """log p_{s|t}(x_s | x_t) of whole sequences under the true process, nats, [B]."""
    forward = truth.process.evidence(x_t, s, t).gather(-1, x_s.unsqueeze(-1)).squeeze(-1)
    earlier = torch.where(s > 0, truth.log_marginal(x_s, s), math.inf)
    if bool((s == 0).any()):
        earlier[s == 0] = truth.log_data(x_s[s == 0])
    return earlier + forward.clamp_min(TINY).log().sum(-1) - truth.log_marginal(x_t, t)
