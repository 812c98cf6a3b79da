"""Forward–backward over a Markov chain of any order, in float64 and in batches (docs/laboratory.md).

The chain p_0 of order k is weighted at each position by a factor f_i(x^i) ≥ 0, and everything asked for follows from
messages over the last k tokens (Rabiner 1989, "A tutorial on hidden Markov models"; here the state is the context):

    F_i(a b c) = f_i(c) Σ_o F_{i−1}(o a b) P(c | o a b),        B_{i−1}(o a b) = Σ_c P(c | o a b) f_i(c) B_i(a b c).

A step sums out one token, so it is V^(k−1) matrix products of V × V with V × batch, and costs V^(k+1) a sequence. The
batch is the *last* axis of messages: contexts are then rows in their natural order in both directions, the oldest token
of the old context and the newest of the new one each being one axis of a view, and nothing is ever permuted.

Numbers are kept in one of two ways (`Scaled`, `Logarithmic`), whose difference is what a chain with zeros needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from cdmrun.data.chain import MarkovChain
from cdmrun.processes.base import TINY
from cdmrun.processes.draws import draw_categorical

#: Bytes of messages kept at once: larger batches go through in blocks of rows.
MESSAGE_BYTES = 128 << 20

#: Steps after which scaled messages are brought back to a maximum of one.
RESCALE_EVERY = 4

#: Scaled messages are used if nothing that matters can fall below this; float64 ends at 1e-308.
_SAFE = 1e-250

#: Stands for −∞ where −∞ itself would make NaN of a difference.
_LOWEST = -1e300


class Arithmetic(Protocol):
    """How messages hold non-negative numbers; shapes [..., n], one column a sequence."""

    def enter(self, logs: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Numbers from their logarithms, and the logarithm of a scale taken out along ``axis``."""

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        """a · b, broadcast."""

    def contract(self, weights: Tensor, numbers: Tensor) -> Tensor:
        """Matrix products with ordinary weights: [G, P, Q] and [G, Q, n] to [G, P, n]."""

    def rescale(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers [M, n] with a scale taken out of each column, and its logarithm [n]."""

    def log_sum(self, numbers: Tensor) -> Tensor:
        """log of the sum over the first axis, [M, n] → [n]; −∞ for zero."""

    def weights(self, numbers: Tensor) -> Tensor:
        """Ordinary numbers proportional to these [M, n], column by column."""


class Scaled:
    """Ordinary numbers, a power of their size taken out now and then: the fastest, for chains without zeros.

    Where every transition is at least τ > 0, laws of the future given two contexts differ by a factor of τ^−k at most.
    What lies further below the largest number of its column than float64 reaches is then worth nothing later either,
    and between two rescalings messages shrink by τ^RESCALE_EVERY at most; `_arithmetic` checks that neither does harm.
    """

    def enter(self, logs: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        top = logs.amax(axis, keepdim=True)
        return (logs - top.clamp_min(_LOWEST)).exp_(), top.squeeze(axis)

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def contract(self, weights: Tensor, numbers: Tensor) -> Tensor:
        return torch.bmm(weights, numbers)

    def rescale(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        top = numbers.amax(0)
        return numbers / torch.where(top > 0, top, 1.0), top.log()

    def log_sum(self, numbers: Tensor) -> Tensor:
        return numbers.sum(0).log()

    def weights(self, numbers: Tensor) -> Tensor:
        return numbers


@dataclass(frozen=True)
class Logarithmic:
    """Logarithms, −∞ for zero: for chains with zeros, in which what is unlikely now may be all that is possible later.

    Attributes
    ----------
    span
        How far below the largest of them numbers still count in a matrix product; where they spread wider, the sum is
        taken by log-sum-exp, which loses nothing.
    """

    span: float

    def enter(self, logs: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        return logs, torch.zeros_like(logs.select(axis, 0))

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def contract(self, weights: Tensor, numbers: Tensor) -> Tensor:
        top = numbers.amax(1, keepdim=True)
        least = numbers.masked_fill(numbers.isneginf(), torch.inf).amin(1, keepdim=True)
        if bool((top - least > self.span).any()):
            logs = weights.log().unsqueeze(-1)
            return torch.stack([(logs[:, p] + numbers).logsumexp(1) for p in range(weights.shape[1])], 1)
        top = top.clamp_min(_LOWEST)
        return torch.bmm(weights, (numbers - top).exp_()).log_() + top

    def rescale(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return numbers, numbers.new_zeros(numbers.shape[-1])

    def log_sum(self, numbers: Tensor) -> Tensor:
        return numbers.logsumexp(0)

    def weights(self, numbers: Tensor) -> Tensor:
        return (numbers - numbers.amax(0).clamp_min(_LOWEST)).exp_()


class WeightedChain(nn.Module):
    """Sums, marginals and draws of p_0(x) Π_i f_i(x^i), for a Markov chain p_0 over sequences of one length.

    Factors are given as logarithms [B, L, V], float64, with −∞ for zero.
    """

    initial: Tensor
    transition: Tensor
    _onward: Tensor
    _back: Tensor

    def __init__(self, chain: MarkovChain, length: int) -> None:
        super().__init__()
        chain.check_length(length)
        self.vocabulary, self.order, self.length = chain.vocabulary, chain.order, length
        self.groups = self.vocabulary ** (self.order - 1)
        self.contexts = self.vocabulary**self.order
        self.register_buffer("initial", torch.from_numpy(chain.initial))
        self.register_buffer("transition", torch.from_numpy(chain.transition))
        by_oldest = self.transition.reshape(self.vocabulary, self.groups, self.vocabulary)
        self.register_buffer("_onward", by_oldest.permute(1, 2, 0).contiguous(), persistent=False)
        self.register_buffer("_back", by_oldest.transpose(0, 1).contiguous(), persistent=False)
        self._arithmetic = _arithmetic(chain)

    def log_data(self, x: Tensor) -> Tensor:
        """log p_0 of sequences int64 [B, L], nats, [B]; −690 for each factor that is zero."""
        powers = self.vocabulary ** torch.arange(self.order - 1, -1, -1, device=x.device)
        contexts = (x.unfold(1, self.order, 1) * powers).sum(-1)  # [B, L − k + 1]
        runs = contexts[:, :-1] * self.vocabulary + x[:, self.order :]
        steps = self.transition.reshape(-1)[runs].clamp_min(TINY).log().sum(-1)
        return steps + self.initial.reshape(-1)[contexts[:, 0]].clamp_min(TINY).log()

    def log_total(self, log_factors: Tensor) -> Tensor:
        """log Σ_x p_0(x) Π_i f_i(x^i), nats, [B]; −∞ if nothing is possible."""
        totals = []
        for factors, log_scale in self._blocks(log_factors):
            last, shift = self._first(factors)
            log_scale = log_scale + shift
            for moved in self._onwards(last, factors, self.order, self.length):
                last, shift = moved
                log_scale = log_scale + shift
            totals.append(self._arithmetic.log_sum(last) + log_scale)
        return torch.cat(totals)

    def impossible(self, log_factors: Tensor) -> Tensor:
        """Whether all sequences have weight zero, bool [B]."""
        if isinstance(self._arithmetic, Scaled):  # the chain has no zeros, so it takes a position with none but zeros
            return log_factors.amax(-1).isneginf().any(-1)
        return self.log_total(log_factors).isneginf()

    def marginals(self, log_factors: Tensor) -> Tensor:
        """Law of the token at each position, [B, L, V]; something must be possible in every row."""
        return torch.cat([self._block_marginals(factors) for factors, _ in self._blocks(log_factors)])

    def sample(self, log_factors: Tensor, generator: torch.Generator) -> Tensor:
        """Exact draws of whole sequences, int64 [B, L]: forward filtering, backward sampling."""
        return torch.cat([self._block_sample(factors, generator) for factors, _ in self._blocks(log_factors)])

    def _block_marginals(self, factors: Tensor) -> Tensor:
        arithmetic, vocabulary, k = self._arithmetic, self.vocabulary, self.order
        laws = torch.empty_like(factors)
        behind, _ = arithmetic.enter(factors.new_zeros(self.contexts, factors.shape[-1]), 0)
        ahead = self._last_to_first(factors)
        for i in range(self.length - 1, k - 1, -1):
            joint = arithmetic.weights(arithmetic.times(next(ahead), behind))
            laws[i] = joint.view(self.groups, vocabulary, -1).sum(0)
            weighted = arithmetic.times(behind.view(self.groups, vocabulary, -1), factors[i])
            behind = arithmetic.contract(self._back, weighted).transpose(0, 1).reshape(self.contexts, -1)
            if i % RESCALE_EVERY == 0:
                behind, _ = arithmetic.rescale(behind)
        joint = arithmetic.weights(arithmetic.times(next(ahead), behind))
        for i in range(k):
            laws[i] = joint.view(vocabulary**i, vocabulary, -1, joint.shape[-1]).sum((0, 2))
        return (laws / laws.sum(1, keepdim=True)).permute(2, 0, 1)

    def _block_sample(self, factors: Tensor, generator: torch.Generator) -> Tensor:
        arithmetic, vocabulary = self._arithmetic, self.vocabulary
        ahead = self._last_to_first(factors)
        context = draw_categorical(arithmetic.weights(next(ahead)).T, generator)
        tokens = [context // vocabulary**j % vocabulary for j in range(self.order)]  # the newest first
        column = torch.arange(len(context), device=context.device)
        for message in ahead:
            group, newest = context // vocabulary, context % vocabulary
            before = message.view(vocabulary, self.groups, -1)[:, group, column]
            step, _ = arithmetic.enter(self._onward[group, newest].T.log(), 0)
            oldest = draw_categorical(arithmetic.weights(arithmetic.times(before, step)).T, generator)
            tokens.append(oldest)
            context = oldest * self.groups + group
        return torch.stack(tokens[::-1], 1)

    def _first(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """The message over the first k tokens, [V^k, n], and the logarithm of its scale, [n]."""
        start = self.initial.log().reshape(-1, 1).expand(-1, factors.shape[-1])
        message, log_scale = self._arithmetic.enter(start, 0)
        for i in range(self.order):
            split = message.reshape(self.vocabulary**i, self.vocabulary, -1, factors.shape[-1])
            message = self._arithmetic.times(split, factors[i].unsqueeze(1)).reshape(self.contexts, -1)
        return message, log_scale

    def _onwards(self, message: Tensor, factors: Tensor, begin: int, end: int) -> Iterator[tuple[Tensor, Tensor]]:
        """From the message at position begin − 1 those at begin … end − 1, and what each step adds to the log-scale."""
        arithmetic = self._arithmetic
        no_shift = factors.new_zeros(factors.shape[-1])
        for i in range(begin, end):
            by_oldest = message.view(self.vocabulary, self.groups, -1).transpose(0, 1)
            moved = arithmetic.times(arithmetic.contract(self._onward, by_oldest), factors[i])
            message, shift = moved.reshape(self.contexts, -1), no_shift
            if i % RESCALE_EVERY == 0:
                message, shift = arithmetic.rescale(message)
            yield message, shift

    def _last_to_first(self, factors: Tensor) -> Iterator[Tensor]:
        """Messages at positions L − 1 … k − 1. About √L are kept, and the stretches between them computed again."""
        begin, stride = self.order, self._stride
        kept = [self._first(factors)[0]]
        for count, (message, _) in enumerate(self._onwards(kept[0], factors, begin, self.length), start=1):
            if count % stride == 0:
                kept.append(message)
        while kept:
            message = kept.pop()
            start = begin + len(kept) * stride
            stretch = self._onwards(message, factors, start, min(start + stride - 1, self.length))
            yield from reversed([message, *(message for message, _ in stretch)])

    @property
    def _stride(self) -> int:
        return max(1, math.isqrt(self.length))

    def _blocks(self, log_factors: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Factors [L, V, n] and logarithms of their scales [n] of so many rows that kept messages fit in memory."""
        messages = self._stride + -(-self.length // self._stride) + 4
        for rows in log_factors.split(max(1, MESSAGE_BYTES // (8 * self.contexts * messages))):
            factors, log_scales = self._arithmetic.enter(rows.permute(1, 2, 0).contiguous(), 1)
            yield factors, log_scales.sum(0)


def _arithmetic(chain: MarkovChain) -> Arithmetic:
    """The fast one if it loses nothing that counts, see `Scaled`."""
    smallest = float(chain.transition.min())
    if float(chain.initial.min()) * smallest ** (2 * RESCALE_EVERY + chain.order) > _SAFE:
        return Scaled()
    positive = float(chain.transition[chain.transition > 0].min())
    return Logarithmic(span=math.log(positive) - math.log(TINY))
