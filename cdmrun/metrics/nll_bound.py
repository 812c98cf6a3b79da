"""The headline number: a variational bound on −log p̂(x_0) of held-out data, for any sampler with explicit kernels.

    −log p̂(x_0) ≤ KL(q(x_1 | x_0) ‖ π_1) + Σ_k E [log q(x_s | x_0, x_t) − log p̂_{s|t}(x_s | x_t)]

(docs/method.md.) It needs no judge and cannot be gamed by low entropy. For the absorbing process at n = 1 it is
the exact likelihood of the one-step sampler. Steps beyond a few a sequence are subsampled, without bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from cdmrun.processes import Absorbing, ForwardProcess
from cdmrun.processes.base import ROUNDING, safe_divide
from cdmrun.samplers import FactorizedKernel, Sampler, TransitionKernel

#: Steps of the sampler that are evaluated for each held-out sequence (all of them, if there are no more than this).
STEPS_A_SEQUENCE = 4

#: Sequences scored at once.
BATCH = 256


class StepTerm(NamedTuple):
    """What one step, from time t to s, adds to a bound: bits a token, and the standard error of that (NaN: unknown)."""

    t: float
    s: float
    bits_per_token: float
    stderr: float


@dataclass(frozen=True)
class Bound:
    """An estimate of the bound over held-out sequences.

    Attributes
    ----------
    bits_per_token
        Mean over sequences; infinite if a kernel forbids what was seen to happen, or the prior what is left at t = 1.
    stderr
        Standard error of that mean over sequences, with everything else that was drawn; NaN for a single sequence.
    exact
        Whether each sequence's value is its exact likelihood: absorbing, one step, an exact kernel.
    sequences
        Bits a token of each sequence, float64 [M]: methods are compared sequence by sequence.
    steps
        What each step adds, first step first; with what the start costs they sum up to ``bits_per_token``.
    """

    bits_per_token: float
    stderr: float
    exact: bool
    sequences: Tensor = field(compare=False)
    steps: tuple[StepTerm, ...]

    @classmethod
    def over_sequences(
        cls, sampler: Sampler, batches: Iterable[tuple[Tensor, Tensor]], length: int, exact: bool
    ) -> Bound:
        """The mean over sequences of ``length`` tokens.

        Parameters
        ----------
        batches
            What the start costs each sequence of a batch [B], and what each step adds [B, K]; nats a sequence.
        """
        parts = [(start + terms.sum(-1), terms.sum(0), (terms**2).sum(0)) for start, terms in batches]
        totals, sums, squares = zip(*parts, strict=True)
        scale = 1.0 / (length * math.log(2.0))
        bits = scale * torch.cat(totals)
        measurable = len(bits) > 1 and bool(torch.isfinite(bits).all())
        stderr = float(bits.std() / math.sqrt(len(bits))) if measurable else math.nan
        means = torch.stack(sums).sum(0) / len(bits)
        finite = torch.isfinite(means)  # elsewhere a variance would be the difference of two infinities
        moments = [torch.where(finite, moment, 0.0) for moment in (torch.stack(squares).sum(0) / len(bits), means)]
        errors = ((moments[0] - moments[1] ** 2).clamp_min(0.0) / len(bits)).sqrt()
        terms_of = zip(sampler.steps, (scale * means).tolist(), (scale * errors).tolist(), strict=True)
        steps = tuple(
            StepTerm(step.t, step.s, mean, error if math.isfinite(mean) else math.nan) for step, mean, error in terms_of
        )
        return cls(float(bits.mean()), stderr, exact, bits, steps)


@torch.inference_mode()
def nll_bound(sampler: Sampler, held_out: Tensor, generator: torch.Generator, draws: int = 4) -> Bound:
    """Estimate the bound on held-out clean sequences int64 [M, L].

    Parameters
    ----------
    draws
        Draws averaged inside the logarithm where a kernel's likelihood is itself estimated (forced decoding).
    """
    batches = (_batch_bound(sampler, x_0, generator, draws) for x_0 in held_out.split(BATCH))
    one_step = len(sampler.steps) == 1 and sampler.steps[0].kernel.exact_log_prob
    exact = one_step and isinstance(sampler.process, Absorbing) and _starts_in_one_state(sampler.process)
    return Bound.over_sequences(sampler, batches, held_out.shape[1], exact)


def _starts_in_one_state(process: ForwardProcess) -> bool:
    return float(process.schedule.alpha(torch.ones((), dtype=torch.float64))) == 0.0


def _batch_bound(sampler: Sampler, x_0: Tensor, generator: torch.Generator, draws: int) -> tuple[Tensor, Tensor]:
    """What the start costs, float64 [B], and each of K steps, [B, K]; nats a sequence."""

    def cost(kernel: TransitionKernel, at: StepDraw, own: torch.Generator) -> Tensor:
        return kernel_cost(kernel, *at, own, draws)

    terms = step_terms(sampler, x_0, forward_pair(sampler.process), cost, generator)
    return prior_divergence(sampler.process, x_0), terms


class StepDraw(NamedTuple):
    """Clean sequences x_0 and what they were at the ends of a step, int64 [N, L], with its times, float64 [N]."""

    x_0: Tensor
    x_s: Tensor
    x_t: Tensor
    t: Tensor
    s: Tensor


#: Draws x_s and x_t given x_0 [B, L] at times t and s [B].
PairDraw = Callable[[Tensor, Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
#: The cost of one step of a kernel, nats [N].
StepCost = Callable[[TransitionKernel, StepDraw, torch.Generator], Tensor]


def forward_pair(process: ForwardProcess) -> PairDraw:
    """Draws of the forward process."""

    def draw(x_0: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x_s = process.noise(x_0, 0.0, s, generator)
        return x_s, process.noise(x_s, s, t, generator)

    return draw


def step_terms(sampler: Sampler, x_0: Tensor, draw: PairDraw, cost: StepCost, generator: torch.Generator) -> Tensor:
    """What each step adds for each of a batch of sequences int64 [B, L], float64 [B, K].

    Where steps are subsampled, those of a sequence that were not chosen are 0 and the others stand for them: the sum
    over steps is unbiased for each sequence, and the mean over sequences for each step. Steps and noise come from
    ``generator`` before any kernel is asked, and kernels that draw have a generator of their own: samplers on the same
    grid are scored at the same states, whatever their kernels.
    """
    own = torch.Generator(device=generator.device).manual_seed(generator.initial_seed() + 1)
    terms = torch.zeros(len(x_0), len(sampler.steps), dtype=torch.float64, device=generator.device)
    chosen, weight = _chosen_steps(len(sampler.steps), len(x_0), generator)
    for step in chosen:  # one step a sequence at a time
        t, s = _times(sampler, step)
        at = StepDraw(x_0, *draw(x_0, t, s, generator), t, s)
        for kernel in dict.fromkeys(step.kernel for step in sampler.steps):
            mine = torch.tensor([s.kernel is kernel for s in sampler.steps], device=step.device)[step]
            if bool(mine.any()):
                found = cost(kernel, StepDraw(*(tensor[mine] for tensor in at)), own)
                terms[mine, step[mine]] += weight * found
    return terms


def _chosen_steps(steps: int, batch: int, generator: torch.Generator) -> tuple[list[Tensor], float]:
    """For each sequence a systematic sample of steps, and the weight that makes its sum unbiased.

    The offsets of the sequences are themselves stratified over the batch, so that all steps are visited evenly.
    """
    count = min(steps, STEPS_A_SEQUENCE)
    uniform = torch.rand(batch, dtype=torch.float64, generator=generator, device=generator.device)
    slices = torch.randperm(batch, generator=generator, device=generator.device)
    offset = (slices + uniform) / batch
    return [((offset + j) * steps / count).long().clamp_max(steps - 1) for j in range(count)], steps / count


def _times(sampler: Sampler, step: Tensor) -> tuple[Tensor, Tensor]:
    """(t, s) of the given steps, float64 [B]."""
    grid = torch.tensor([(s.t, s.s) for s in sampler.steps], dtype=torch.float64, device=step.device)
    return grid[step, 0], grid[step, 1]


def prior_divergence(process: ForwardProcess, x_0: Tensor) -> Tensor:
    """KL(q(x_1 | x_0) ‖ π_1), [B]; infinite where π_1 lacks a state that is left at t = 1, as tokens under masks."""
    rows = process.push(process.one_hot(x_0), 0.0, 1.0)
    rows = torch.where(rows > ROUNDING, rows, 0.0)
    return (torch.xlogy(rows, rows) - torch.xlogy(rows, process.prior().to(x_0.device))).sum((-1, -2))


def kernel_cost(
    kernel: TransitionKernel,
    x_0: Tensor,
    x_s: Tensor,
    x_t: Tensor,
    t: Tensor,
    s: Tensor,
    generator: torch.Generator,
    draws: int,
) -> Tensor:
    """KL(q(x_s | x_0, x_t) ‖ p̂(x_s | x_t)), in closed form for factorised kernels, else its value at x_s; nats [B]."""
    process = kernel.process
    if isinstance(kernel, FactorizedKernel):
        return _factorized_cost(kernel, x_0, x_t, t, s)
    log_bridge = process.log_bridge(x_s, x_t, s, t).gather(-1, x_0.unsqueeze(-1)).squeeze(-1).sum(-1)
    return log_bridge - kernel.log_prob(x_s, x_t, t, s, generator, draws)


def _factorized_cost(kernel: FactorizedKernel, x_0: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The KL in closed form, position by position, [B]."""
    process = kernel.process
    bridge = process.evidence(x_t, s, t) * process.push(process.one_hot(x_0), 0.0, s)
    bridge = safe_divide(bridge, bridge.sum(-1, keepdim=True))
    bridge = torch.where(bridge > ROUNDING, bridge, 0.0)
    laws = kernel.position_laws(x_t, t, s)  # where one is zero and the bridge is not, the cost is infinite
    return (torch.xlogy(bridge, bridge) - torch.xlogy(bridge, laws)).sum((-1, -2))
