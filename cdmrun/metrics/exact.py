"""Exact output laws on enumerable spaces, and what is read off them with no sampling noise.

The whole distribution of a sampler's output follows by propagating its starting law through its kernels, network
students included: the network is evaluated on every one of the C^L states (method.md, section 5).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import ForwardProcess
from cdmrun.processes.base import TINY
from cdmrun.processes.enumeration import enumerate_states, joint_kernel, push_table, state_codes
from cdmrun.samplers import Sampler, Step

#: States whose kernel rows are held at once.
ROWS = 256


@torch.inference_mode()
def output_law(sampler: Sampler) -> Tensor:
    """The law of the sampler's samples over all C^L states, float64 [C^L]."""
    law = prior_law(sampler.process, sampler.length)
    for step in sampler.steps:
        law = _propagate(law, step, sampler)
    return law


def prior_law(process: ForwardProcess, length: int) -> Tensor:
    """π_1 of a whole sequence, float64 [C^L]."""
    one = process.prior()
    law = one
    for _ in range(length - 1):
        law = torch.outer(law, one).reshape(-1)
    return law


def data_law(law: Tensor, states: int, vocabulary: int, length: int) -> tuple[Tensor, float]:
    """Split a law over C^L states into its part on data sequences [V^L] and the mass outside (masks left over)."""
    codes = state_codes(enumerate_states(vocabulary, length), states)
    inside = law[codes]
    return inside, float((law.sum() - inside.sum()).clamp_min(0.0))


def total_variation(p: Tensor, q: Tensor) -> float:
    """½ Σ |p − q|; mass that q has elsewhere counts too. In [0, 1]."""
    return float(0.5 * ((p - q).abs().sum() + (1.0 - q.sum()).clamp_min(0.0)))


def kl_divergence(p: Tensor, q: Tensor) -> float:
    """KL(p ‖ q) in nats; infinite where q misses what p has."""
    if bool(((q <= TINY) & (p > 0)).any()):
        return math.inf
    return float((torch.xlogy(p, p) - torch.xlogy(p, q.clamp_min(TINY))).sum().clamp_min(0.0))


def cross_entropy(p: Tensor, q: Tensor) -> float:
    """−E_p log q in nats."""
    return kl_divergence(p, q) - float(torch.xlogy(p, p).sum())


@torch.inference_mode()
def exact_nll_bound(sampler: Sampler, teacher: EnumeratedTeacher) -> float:
    """The variational bound on E −log p̂(x_0), every expectation taken exactly; nats a sequence.

    E KL(q(x_1|x_0) ‖ π_1) + Σ_k E [log q(x_s | x_0, x_t) − log p̂(x_s | x_t)] under data and forward process
    (method.md, section 5). The caller divides by length and log 2.
    """
    process, length = sampler.process, sampler.length
    table = teacher.table.reshape([process.vocabulary] * length)
    total = _prior_term(process, table)
    for step in sampler.steps:
        total += _step_term(sampler, step, table)
    return total


def _prior_term(process: ForwardProcess, table: Tensor) -> float:
    """E_{x_0} KL(q(x_1 | x_0) ‖ π_1), a sum over positions."""
    rows = process.kernel(0.0, 1.0)[: process.vocabulary]
    each = (torch.xlogy(rows, rows) - torch.xlogy(rows, process.prior().clamp_min(TINY))).sum(1)
    return sum(float(_marginal(table, i) @ each) for i in range(table.ndim))


def _step_term(sampler: Sampler, step: Step, table: Tensor) -> float:
    """E [log q(x_s | x_0, x_t) − log p̂(x_s | x_t)] of one step."""
    process = sampler.process
    p_s = push_table(process, table, step.s)
    forward = joint_kernel(process, sampler.length, step.s, step.t)
    score = 0.0
    for x_t, codes in _state_blocks(process.states, sampler.length):
        joint = p_s * forward[:, codes].T  # p(x_s, x_t), [B, C^L]
        needed = joint.sum(-1) > 0
        if not bool(needed.any()):
            continue
        rows = step.kernel.rows(x_t[needed], *step.times(int(needed.sum())))
        score -= float(torch.xlogy(joint[needed], rows.clamp_min(TINY)).sum())
    bridge_entropy = sum(_bridge_entropy(process, _marginal(table, i), step) for i in range(table.ndim))
    return score - bridge_entropy


def _bridge_entropy(process: ForwardProcess, marginal: Tensor, step: Step) -> float:
    """H(x_s^i | x_0^i, x_t^i) of one position, nats."""
    earlier = process.kernel(0.0, step.s)[: process.vocabulary]  # K_{s|0}(a, b)
    later = process.kernel(step.s, step.t)  # K_{t|s}(b, y)
    path = earlier.unsqueeze(-1) * later  # [V, C, C] over (a, b, y)
    ends = path.sum(1, keepdim=True)
    bridge = torch.where(ends > 0, path / ends.clamp_min(TINY), 0.0)
    return float(-(marginal.view(-1, 1, 1) * path * bridge.clamp_min(TINY).log()).sum())


def _marginal(table: Tensor, axis: int) -> Tensor:
    others = [i for i in range(table.ndim) if i != axis]
    return table.sum(others) if others else table


def _propagate(law: Tensor, step: Step, sampler: Sampler) -> Tensor:
    """Push a law over states through one kernel; states of no mass cost nothing."""
    result = torch.zeros_like(law)
    for x_t, codes in _state_blocks(sampler.process.states, sampler.length):
        weight = law[codes]
        kept = weight > 0
        if bool(kept.any()):
            result += weight[kept] @ step.kernel.rows(x_t[kept], *step.times(int(kept.sum())))
    return result


def _state_blocks(states: int, length: int) -> list[tuple[Tensor, Tensor]]:
    """All states in blocks of `ROWS`, each with its codes."""
    everything = enumerate_states(states, length)
    codes = torch.arange(everything.shape[0])
    return list(zip(everything.split(ROWS), codes.split(ROWS), strict=True))
