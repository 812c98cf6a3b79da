"""Networks that speak of density ratios (the concrete score, Lou et al. 2023, SEDD), and the way back to conditionals.

The unary layer gives log r_i(y | x_t) up to what is known beforehand: the ratios of data that are uniformly random, and
how much of any data is left at t. So a layer of zeros is the answer for such data at every t, and what is left of an
error in the conditionals does not grow as the inverse kernel does.

* absorbing, at masked positions: log r(y) = u(y) + log(α_t / (1 − α_t)) − log V;
* uniform: log r(y) = α_t (u(y) − u(x_t)), which is zero at x_t itself, as it must be.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cdmrun.processes import Absorbing, ForwardProcess
from cdmrun.processes.base import TINY, as_times

#: Below this share of 1/V a recovered probability is bent, so that it stays positive and keeps a gradient.
FLOOR = 1e-4


def log_ratios(process: ForwardProcess, unary: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """log r_i(y | x_t) for every state y, float64 [B, L, C], of a unary layer [B, L, V].

    Under the absorbing process at masked positions only: elsewhere no reverse rate asks for it.
    """
    alpha = process.schedule.alpha(as_times(t, x_t))
    unary = unary.double()
    if not isinstance(process, Absorbing):
        return alpha * (unary - unary.gather(-1, x_t.unsqueeze(-1)))
    left = alpha.clamp_min(TINY).log() - (1.0 - alpha).clamp_min(TINY).log()
    return torch.nn.functional.pad(unary + left - math.log(process.vocabulary), (0, 1))


def conditionals(process: ForwardProcess, unary: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """Clean conditionals c_i(a | x_t) of the ratios of a unary layer, float64 [B, L, V]: positive, sum to one.

    By the inverse kernel (docs/method.md). Ratios of a network belong to no law exactly, so what is recovered may
    be negative somewhere, or sum to another number: it is made `positive`, and the sum one. Under the absorbing process
    α_t cancels, and what remains, softmax of the unary layer, holds at α_t = 0 too.

    Raises
    ------
    UserError
        Where ratios do not determine conditionals (`ForwardProcess.conditionals_from_ratios`).
    """
    if isinstance(process, Absorbing):
        return unary.double().softmax(-1)
    c = positive(process.conditionals_from_ratios(log_ratios(process, unary, x_t, t).exp(), x_t, t))
    return c / c.sum(-1, keepdim=True)


def positive(c: Tensor) -> Tensor:
    """Probabilities [..., V] as they are, but for those below δ = `FLOOR`/V, which become δ²/(2δ − c) in (0, δ).

    Continuous with its derivative, so that training can bring back what an error made negative.
    """
    floor = FLOOR / c.shape[-1]
    return torch.where(c >= floor, c, floor**2 / (2.0 * floor - c.clamp_max(floor)))
