"""Markov chains as laws of sequences: given, random, or fitted to a corpus (docs/laboratory.md). Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cdmrun.errors import UserError
from cdmrun.limits import MAX_STATES, MAX_TRANSITIONS, SUM_TOLERANCE

Law = npt.NDArray[np.float64]

#: Probabilities below this count as zero; its logarithm, −690, stands for log 0.
TINY = 1e-300

#: `stationary_law` stops when a step moves less probability than this, or after so many steps.
_STATIONARY_TOLERANCE, _STATIONARY_STEPS = 1e-14, 2_000


@dataclass(frozen=True, eq=False)
class MarkovChain:
    """p(x) = initial(x^1 … x^k) · Π_{i>k} transition(x^i | x^{i−k} … x^{i−1}), for sequences of any length from k.

    Attributes
    ----------
    initial
        Law of the first k tokens, float64 of shape (V,)*k.
    transition
        P(next | last k), float64 of shape (V,)*(k+1): oldest token first, the next token on the last axis.
    """

    initial: Law
    transition: Law

    def __post_init__(self) -> None:
        object.__setattr__(self, "transition", check_transitions(self.transition, "transition"))
        initial = _check_probabilities(self.initial, "initial")
        if initial.shape != self.transition.shape[:-1]:
            raise UserError(
                f"initial: shape {initial.shape} does not fit transitions of shape {self.transition.shape}",
                "give the law of the first k tokens with one axis each, for transitions with k + 1 axes",
            )
        total = initial.sum()
        if abs(total - 1.0) > SUM_TOLERANCE:
            raise UserError(f"initial: the entries sum to {total:.9g}, not to 1", "divide by the sum")
        object.__setattr__(self, "initial", initial / _sum_or_one(total))

    @property
    def order(self) -> int:
        """k, how many tokens the next one depends on."""
        return self.transition.ndim - 1

    @property
    def vocabulary(self) -> int:
        """V."""
        return int(self.transition.shape[0])

    @classmethod
    def fit(cls, windows: npt.NDArray[Any], vocabulary: int, order: int, smoothing: float = 3.0) -> MarkovChain:
        """Fit to windows of a corpus, [n, L] with L > order, by counts interpolated with shorter contexts.

        With N the counts and m the smoothing, and u the uniform law,

            P_j(b | c) = (N(c b) + m · P_{j−1}(b | c without its oldest token)) / (N(c) + m),    P_{−1} = u,

        the predictive law of a hierarchical Dirichlet prior of strength m (MacKay and Peto 1995, "A hierarchical
        Dirichlet language model"). All probabilities are positive if m is; without smoothing a context that never
        occurred takes the law of the next shorter one. The first tokens are fitted in the same way to the starts of
        the windows, on top of P_j.

        Parameters
        ----------
        smoothing
            m ≥ 0, in tokens: how many observations the shorter context's law is worth.
        """
        check_size(vocabulary, order, "order")
        if windows.ndim != 2 or len(windows) == 0 or windows.shape[1] <= order:
            raise UserError(
                f"windows of shape {windows.shape} hold no run of {order + 1} tokens",
                "give longer sequences, or a smaller order",
            )
        if not np.isfinite(smoothing) or smoothing < 0:
            raise UserError(f"smoothing: {smoothing!r} is not a finite number of at least 0", "write e.g. 1.0")
        shorter: Law = np.full(vocabulary, 1.0 / vocabulary)
        initial: Law = np.ones(())
        for context in range(order + 1):
            shorter = _interpolate(_counts(windows, vocabulary, context + 1), shorter, smoothing)
            if context < order:
                starts = _counts(windows[:, : context + 1], vocabulary, context + 1)
                initial = initial[..., np.newaxis] * _interpolate(starts, shorter, smoothing)
        return cls(initial, shorter)

    @classmethod
    def random(cls, vocabulary: int, order: int, concentration: float = 0.3, seed: int = 0) -> MarkovChain:
        """Every context's law an independent draw of a symmetric Dirichlet; the first tokens are stationary.

        Parameters
        ----------
        concentration
            Of the Dirichlet: small ones make each context prefer few tokens.
        """
        check_size(vocabulary, order, "order")
        if not concentration > 0:
            raise UserError(f"concentration: {concentration!r} is not positive", "write e.g. 0.3")
        random = np.random.default_rng(seed)
        rows = random.dirichlet(np.full(vocabulary, concentration), size=(vocabulary,) * order)
        return cls.stationary(rows)

    @classmethod
    def stationary(cls, transition: npt.NDArray[Any]) -> MarkovChain:
        """The chain with these transitions, started from its stationary law (see `stationary_law`)."""
        transition = check_transitions(transition, "transition")
        return cls(stationary_law(transition), transition)

    def entropy(self, length: int) -> float:
        """Entropy of sequences of this length in nats, exact: that of the start and of each step, averaged."""
        self.check_length(length)
        total = float(_entropies(self.initial.reshape(-1)))
        row_entropies = _entropies(self.transition)
        law = self.initial
        for _ in range(length - self.order):
            total += float((law * row_entropies).sum())
            law = _advance(law, self.transition)
        return total

    def sample(self, count: int, length: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw sequences, [count, length]."""
        self.check_length(length)
        cumulative = np.cumsum(self.initial)
        context = np.searchsorted(cumulative / cumulative[-1], random.random(count), side="right")
        tokens = np.empty((count, length), dtype=np.int64)
        tokens[:, : self.order] = np.stack(np.unravel_index(context, self.initial.shape), axis=1)
        rows = self.transition.reshape(-1, self.vocabulary)
        for i in range(self.order, length):
            tokens[:, i] = _draw(rows[context], random)
            context = (context * self.vocabulary + tokens[:, i]) % len(rows)
        return tokens

    def log_prob(self, sequences: npt.NDArray[Any]) -> Law:
        """log p of sequences [n, L], nats, [n]; −690 for each factor that is zero."""
        length = sequences.shape[1]
        self.check_length(length)
        log_start, log_step = (np.log(np.maximum(law, TINY)) for law in (self.initial, self.transition))
        total = log_start[tuple(sequences[:, : self.order].T)]
        for i in range(self.order, length):
            total = total + log_step[tuple(sequences[:, i - self.order : i + 1].T)]
        return total

    def table(self, length: int) -> Law:
        """p as a table of shape (V,)*length, for spaces small enough to enumerate."""
        self.check_length(length)
        if self.vocabulary**length > MAX_STATES:
            raise UserError(
                f"{self.vocabulary}^{length} = {self.vocabulary**length:,} states are too many to enumerate "
                f"(at most {MAX_STATES:,})",
                "use a shorter sequence",
            )
        table = self.initial
        for _ in range(length - self.order):
            table = table[..., np.newaxis] * self.transition
        return table

    def check_length(self, length: int) -> None:
        """Refuse sequences shorter than the order, of which the chain says nothing."""
        if length < self.order:
            raise UserError(
                f"a chain of order {self.order} has no sequences of {length} tokens",
                f"use a length of at least {self.order}, or a smaller order",
            )


def check_size(vocabulary: int, order: int, where: str) -> None:
    """Refuse an order below one, or more transition probabilities than fit in memory."""
    if order < 1:
        raise UserError(f"{where}: {order} is not a whole number of at least 1", "write e.g. 2")
    if vocabulary ** (order + 1) > MAX_TRANSITIONS:
        raise UserError(
            f"{where}: order {order} over {vocabulary} tokens has {vocabulary}^{order + 1} = "
            f"{vocabulary ** (order + 1):,} transition probabilities (at most {MAX_TRANSITIONS:,})",
            "use a smaller order or fewer tokens",
        )


def check_transitions(array: npt.NDArray[Any], where: str) -> Law:
    """The array as exactly normalised float64 transition laws; ``where`` names it in errors."""
    if array.ndim < 2 or array.shape[0] < 2 or len(set(array.shape)) != 1:
        raise UserError(
            f"{where}: shape {array.shape} is not (V, …, V) with at least two axes and V ≥ 2",
            "give one axis for each of the last k tokens, oldest first, and one for the next token",
        )
    check_size(array.shape[0], array.ndim - 1, where)
    transition = _check_probabilities(array, where)
    sums = transition.sum(-1)
    worst = np.unravel_index(np.abs(sums - 1.0).argmax(), sums.shape)
    if abs(sums[worst] - 1.0) > SUM_TOLERANCE:
        context = tuple(int(i) for i in worst)
        raise UserError(
            f"{where}: the probabilities after context {context} sum to {sums[worst]:.9g}, not to 1",
            "make every law along the last axis sum to 1, also after contexts that never occur",
        )
    return transition / _sum_or_one(sums)[..., np.newaxis]


def stationary_law(transition: Law) -> Law:
    """The stationary law of the last k tokens, shape (V,)*k.

    It is the limit of the chain that stays where it is every other step, which has the same stationary law and no
    periods, from the uniform law: unique unless the chain is reducible. Iteration ends after 2,000 steps; a chain that
    mixes slower starts from the law reached by then.
    """
    law = np.full(transition.shape[:-1], 1.0 / transition[..., 0].size)
    for _ in range(_STATIONARY_STEPS):
        moved = 0.5 * (law + _advance(law, transition))
        if np.abs(moved - law).sum() < _STATIONARY_TOLERANCE:
            break
        law = moved
    return law / law.sum()


def _advance(law: Law, transition: Law) -> Law:
    """The law of the last k tokens one token later."""
    return np.asarray((law[..., np.newaxis] * transition).sum(0))


def _sum_or_one(sums: npt.ArrayLike) -> Law:
    """What to divide by: one where a law is normalised already, so that doing it again changes no bit."""
    return np.where(np.abs(np.subtract(sums, 1.0)) > 1e-12, sums, 1.0)


def _check_probabilities(array: npt.NDArray[Any], where: str) -> Law:
    if array.dtype.kind not in "fiu":
        raise UserError(f"{where}: entries are {array.dtype}, not real numbers", "save it as float64")
    values = array.astype(np.float64)
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise UserError(
            f"{where}: entry {index} is {values[index]:g}; probabilities are finite and not negative",
            "mend the entries",
        )
    return values


def _counts(windows: npt.NDArray[Any], vocabulary: int, run: int) -> Law:
    """How often each run of tokens occurs, shape (V,)*run."""
    length = windows.shape[1] - run + 1
    codes = np.zeros((len(windows), length), dtype=np.int64)
    for offset in range(run):
        codes = codes * vocabulary + windows[:, offset : offset + length]
    return np.bincount(codes.reshape(-1), minlength=vocabulary**run).astype(np.float64).reshape((vocabulary,) * run)


def _interpolate(counts: Law, prior: Law, strength: float) -> Law:
    """(N(c b) + m · prior(b | …)) / (N(c) + m); the prior where both are zero. numpy aligns the shorter contexts."""
    total = counts.sum(-1, keepdims=True) + strength
    known = total > 0
    return np.asarray(np.where(known, (counts + strength * prior) / np.where(known, total, 1.0), prior))


def _entropies(laws: Law) -> Law:
    """Entropy in nats of each law along the last axis; 0 log 0 = 0."""
    return np.asarray(-(laws * np.log(np.maximum(laws, TINY))).sum(-1))


def _draw(weights: Law, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """One index for each row of weights [n, K]; never one of weight zero."""
    cumulative = np.cumsum(weights, axis=1)
    cumulative /= cumulative[:, -1:]  # the last is exactly one, and so is every entry after the last possible one
    return np.asarray((cumulative <= random.random((len(weights), 1))).sum(1))
