"""Exact analysis of a sampler on an enumerable space: its output law and its certificate, with no sampling noise.

The whole distribution of a sampler's output follows by propagating its starting law through its kernels, network
students included: the network is evaluated on every one of the C^L states. The certificate (docs/method.md)

    KL(p_0 ‖ p̂) ≤ KL(p_1 ‖ π_1) + Σ_k E KL( p_{s|t}(· | x_t) ‖ p̂_{s|t}(· | x_t) )

is read off the same kernels. A kernel that draws its positions independently costs C^L · L · C numbers a step and no
more; any other is written out row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import ForwardProcess
from cdmrun.processes.base import ROUNDING, TINY
from cdmrun.processes.enumeration import enumerate_states, mix_outer_laws, outer_laws, state_codes
from cdmrun.samplers import FactorizedKernel, Sampler, Step

#: Numbers of a kernel that are held at once, for kernels that are written out (16 MiB).
KERNEL_ENTRIES = 2_097_152

#: States whose position laws are held at once.
STATES = 4096


@dataclass(frozen=True)
class ExactAnalysis:
    """What a sampler does, exactly.

    Attributes
    ----------
    law
        The law of its samples over all C^L states, float64 [C^L].
    prior_kl
        KL(p_1 ‖ π_1), nats.
    step_kl
        E KL(p_{s|t} ‖ p̂_{s|t}) of each step, first step first, nats; infinite where a kernel forbids what happens.
    total_correlation
        E [Σ_i H(x_s^i | x_t) − H(x_s | x_t)] of each step, nats: what the best kernel with independent positions must
        lose there (docs/distillation.md). It depends on the target and the time grid, not on the sampler.
    """

    law: Tensor
    prior_kl: float
    step_kl: tuple[float, ...]
    total_correlation: tuple[float, ...]

    @property
    def kl_bound(self) -> float:
        """The certificate: an upper bound on KL(p_0 ‖ p̂), nats."""
        return self.prior_kl + sum(self.step_kl)


@torch.inference_mode()
def analyse(sampler: Sampler, teacher: EnumeratedTeacher) -> ExactAnalysis:
    """Output law and certificate of a sampler against the target of ``teacher``, in one pass over its kernels."""
    law = prior_law(sampler.process, sampler.length)
    start = _kl(teacher.at_time(1.0).law, law)
    costs, correlations = [], []
    for step in sampler.steps:
        law, cross_entropy = _apply(law, step, teacher)
        of_positions, of_sequence = _reverse_entropies(step, teacher)
        costs.append(max(0.0, cross_entropy - of_sequence))
        correlations.append(max(0.0, of_positions - of_sequence))
    return ExactAnalysis(law, start, tuple(costs), tuple(correlations))


@torch.inference_mode()
def step_divergence(step: Step, teacher: EnumeratedTeacher) -> float:
    """E KL(p_{s|t} ‖ p̂_{s|t}) of one step under the true process, nats; what it adds to the certificate."""
    _, cross_entropy = _apply(teacher.at_time(step.t).law, step, teacher)
    return max(0.0, cross_entropy - _reverse_entropies(step, teacher)[1])


@torch.inference_mode()
def output_law(sampler: Sampler) -> Tensor:
    """The law of the sampler's samples over all C^L states, float64 [C^L]."""
    law = prior_law(sampler.process, sampler.length)
    for step in sampler.steps:
        law, _ = _apply(law, step, None)
    return law


def prior_law(process: ForwardProcess, length: int) -> Tensor:
    """π_1 of a whole sequence, float64 [C^L]."""
    return outer_laws(process.prior().expand(1, length, -1))[0]


def data_law(law: Tensor, states: int, vocabulary: int, length: int) -> tuple[Tensor, float]:
    """Split a law over C^L states into its part on data sequences [V^L] and the mass outside (masks left over)."""
    codes = state_codes(enumerate_states(vocabulary, length), states)
    inside = law[codes]
    return inside, float((law.sum() - inside.sum()).clamp_min(0.0))


def _apply(law: Tensor, step: Step, teacher: EnumeratedTeacher | None) -> tuple[Tensor, float]:
    """Push a law through one kernel; with a teacher, also −E log p̂(x_s | x_t) under the true process, nats."""
    true_law = teacher.at_time(step.t).law if teacher is not None else torch.zeros_like(law)
    moved, cross = torch.zeros_like(law), 0.0
    apply = _apply_positions if isinstance(step.kernel, FactorizedKernel) else _apply_rows
    block = STATES if apply is _apply_positions else max(1, KERNEL_ENTRIES // len(law))
    for x_t, codes in _state_blocks(step.kernel.process.states, step.kernel.model.length, block):
        needed = (law[codes] > 0) | (true_law[codes] > 0)
        if bool(needed.any()):
            here = codes[needed]
            image, cost = apply(law[here], true_law[here], x_t[needed], step, teacher)
            moved += image
            cross += cost
    return moved, cross


def _apply_positions(
    weight: Tensor, true_weight: Tensor, x_t: Tensor, step: Step, teacher: EnumeratedTeacher | None
) -> tuple[Tensor, float]:
    """Kernels that draw each position on its own: the expectation is a sum over positions."""
    assert isinstance(step.kernel, FactorizedKernel)
    times = step.times(len(x_t))
    laws = step.kernel.position_laws(x_t, *times)
    moved = mix_outer_laws(weight, laws)
    if teacher is None:
        return moved, 0.0
    return moved, _cross_entropy(true_weight.view(-1, 1, 1) * _true_positions(teacher, x_t, step), laws)


def _apply_rows(
    weight: Tensor, true_weight: Tensor, x_t: Tensor, step: Step, teacher: EnumeratedTeacher | None
) -> tuple[Tensor, float]:
    """Any kernel, written out."""
    rows = step.kernel.rows(x_t, *step.times(len(x_t)))
    moved = weight @ rows
    if teacher is None:
        return moved, 0.0
    forward = outer_laws(teacher.process.evidence(x_t, step.s, step.t))  # K_{t|s}(x_s, x_t) for every x_s
    joint = teacher.at_time(step.s).law * forward  # its sum over x_s is p_t(x_t)
    return moved, _cross_entropy(joint[true_weight > 0], rows[true_weight > 0])


def _reverse_entropies(step: Step, teacher: EnumeratedTeacher) -> tuple[float, float]:
    """E Σ_i H(x_s^i | x_t) and E H(x_s | x_t), nats."""
    process, length = teacher.process, teacher.length
    earlier, later = teacher.at_time(step.s).law, teacher.at_time(step.t).law
    kernel = process.kernel(step.s, step.t)
    spread = -torch.xlogy(kernel, kernel).sum(1)  # H(x_t^i | x_s^i = b)
    noise = sum(float(marginal @ spread) for marginal in _single_positions(earlier, process.states, length))
    of_sequence = _entropy(earlier) + noise - _entropy(later)
    of_positions = 0.0
    for x_t, codes in _state_blocks(process.states, length, STATES):
        laws = _true_positions(teacher, x_t, step)
        of_positions -= float((later[codes].view(-1, 1, 1) * torch.xlogy(laws, laws)).sum())
    return of_positions, of_sequence


def _true_positions(teacher: EnumeratedTeacher, x_t: Tensor, step: Step) -> Tensor:
    """p_{s|t}^i(· | x_t) of each position, float64 [B, L, C]."""
    t, s = step.times(len(x_t))
    return teacher.process.reverse_kernel(teacher(x_t, t).marginals(), x_t, s, t)


def _single_positions(law: Tensor, states: int, length: int) -> list[Tensor]:
    table = law.view([states] * length)
    return [table.movedim(i, 0).reshape(states, -1).sum(1) for i in range(length)]


def _entropy(law: Tensor) -> float:
    return float(-torch.xlogy(law, law).sum())


def _kl(p: Tensor, q: Tensor) -> float:
    return max(0.0, _cross_entropy(p, q) - _entropy(p))


def _cross_entropy(weight: Tensor, q: Tensor) -> float:
    """−Σ w log q, infinite where q forbids what w has; weights of rounding size do not count as having."""
    if bool(((q <= TINY) & (weight > ROUNDING)).any()):
        return math.inf
    return float(-torch.xlogy(weight, q.clamp_min(TINY)).sum())


def _state_blocks(states: int, length: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All states in blocks, each with its codes."""
    everything = enumerate_states(states, length)
    codes = torch.arange(everything.shape[0])
    return zip(everything.split(size), codes.split(size), strict=True)
