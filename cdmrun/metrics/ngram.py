"""A character n-gram as judge of text: how probable are a sampler's sequences in the language of the data?

Numpy only. The judge is fitted on documents that neither the teacher nor the students have seen, and its own
score on held-out data belongs beside every score it gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cdmrun.data.dataset import read_arrays
from cdmrun.errors import UserError
from cdmrun.files import write_with

Tokens = npt.NDArray[np.integer[Any]]
Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CHUNK = 4096  # sequences scored at once: bounds memory, changes no result


@dataclass(frozen=True, eq=False)
class NgramJudge:
    """Interpolated Witten–Bell n-gram over ``vocabulary`` tokens.

    With c a context that was seen N(c) times and followed by T(c) different tokens, and c' the same context
    without its oldest token,

        P(x | c) = (N(c, x) + T(c) · P(x | c')) / (N(c) + T(c)),

    P(x | c) = P(x | c') where c was never seen, and 1 / V below the empty context (Witten and Bell 1991;
    interpolated as in Chen and Goodman 1999). Unlike Kneser–Ney smoothing, every shorter context keeps the
    law of the data, so the first tokens of a window, which have no longer context, are scored properly; no
    start symbol is used.

    Attributes
    ----------
    vocabulary, order
        V, and the longest n-gram; contexts have up to ``order - 1`` tokens.
    codes, counts
        For each n = 1 … order, the n-grams that were seen, as sorted base-V numbers, and how often.
    """

    vocabulary: int
    order: int
    codes: tuple[Codes, ...]
    counts: tuple[Codes, ...]
    _contexts: tuple[tuple[Codes, Codes, Codes], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pairs = zip(self.codes, self.counts, strict=True)
        contexts = tuple(_context_counts(codes, counts, self.vocabulary) for codes, counts in pairs)
        object.__setattr__(self, "_contexts", contexts)

    @classmethod
    def fit(cls, windows: Tokens, vocabulary: int, order: int = 6) -> NgramJudge:
        """Count the n-grams inside each window.

        Parameters
        ----------
        windows
            [n, L] tokens below ``vocabulary``.
        vocabulary, order
            V and the longest n-gram.

        Raises
        ------
        UserError
            If there is nothing to count, or ``order`` is below 1 or too large for 64-bit n-gram codes.
        """
        if order < 1 or order * np.log2(vocabulary) >= 63:
            most = int(62.999 / np.log2(vocabulary))
            raise UserError(f"judge order {order} with {vocabulary} tokens", f"choose an order of 1 to {most}")
        if windows.ndim != 2 or not windows.size:
            raise UserError(
                f"the n-gram judge has nothing to learn from (judge split of shape {windows.shape})",
                "use a data set with a judge split (kjv, text), or leave judge_nll out of the metrics",
            )
        _check_tokens(windows, vocabulary)
        found = [np.unique(_ngrams(windows, n, vocabulary), return_counts=True) for n in range(1, order + 1)]
        counts = tuple(count.astype(np.int64) for _, count in found)
        return cls(vocabulary, order, tuple(codes for codes, _ in found), counts)

    def log2_prob(self, samples: Tokens) -> Floats:
        """Log₂ probability of every token given those before it in its sequence, [n, L] → [n, L], in bits."""
        _check_tokens(samples, self.vocabulary)
        parts = [self._log2_prob(samples[i : i + _CHUNK]) for i in range(0, len(samples), _CHUNK)]
        return np.concatenate(parts) if parts else np.empty(samples.shape)

    def bits_per_token(self, samples: Tokens) -> Floats:
        """Mean over the positions of -log₂ P, one number a sequence: [n, L] → [n]; lower is more probable."""
        return -self.log2_prob(samples).mean(axis=1)

    def probabilities(self, context: npt.ArrayLike) -> Floats:
        """Law of the next token, [V], after a context of any length (only the last ``order - 1`` tokens count)."""
        past = (
            np.asarray(context, np.int64).reshape(-1)[-(self.order - 1) :] if self.order > 1 else np.empty(0, np.int64)
        )
        rows = np.column_stack([np.tile(past, (self.vocabulary, 1)), np.arange(self.vocabulary)])
        return np.exp2(self.log2_prob(rows)[:, -1])

    def save(self, path: Path) -> None:
        """Write the counts as an ``.npz`` file, atomically."""
        arrays: dict[str, npt.NDArray[Any]] = {"vocabulary": np.array(self.vocabulary), "order": np.array(self.order)}
        for n in range(1, self.order + 1):
            arrays[f"codes_{n}"], arrays[f"counts_{n}"] = self.codes[n - 1], self.counts[n - 1]

        def write(stream: BinaryIO) -> None:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]

        write_with(Path(path), write)

    @classmethod
    def load(cls, path: Path) -> NgramJudge:
        """Read what `save` wrote; a missing or damaged file is a `UserError`."""
        arrays = read_arrays(Path(path))
        try:
            order, vocabulary = int(arrays["order"]), int(arrays["vocabulary"])
            codes = tuple(arrays[f"codes_{n}"] for n in range(1, order + 1))
            counts = tuple(arrays[f"counts_{n}"] for n in range(1, order + 1))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: not a judge: lacks {error}", "delete its folder and run the workflow again"
            ) from error
        return cls(vocabulary, order, codes, counts)

    def _log2_prob(self, samples: Tokens) -> Floats:
        probability = np.full(samples.shape, 1.0 / self.vocabulary)
        for n in range(1, min(self.order, samples.shape[1]) + 1):
            grams = _ngrams(samples, n, self.vocabulary)
            known, times, kinds = self._contexts[n - 1]
            seen = _lookup(self.codes[n - 1], self.counts[n - 1], grams)
            total = _lookup(known, times, grams // self.vocabulary)
            distinct = _lookup(known, kinds, grams // self.vocabulary)
            lower = probability[:, n - 1 :]
            mixed = (seen + distinct * lower) / np.maximum(total + distinct, 1)
            probability[:, n - 1 :] = np.where(total > 0, mixed, lower)
        return np.log2(probability)


def _ngrams(windows: Tokens, n: int, vocabulary: int) -> Codes:
    """Base-V number of every n-gram, [n_windows, L - n + 1]; the newest token is the last digit."""
    length = windows.shape[1] - n + 1
    if length < 1:
        return np.empty((len(windows), 0), np.int64)
    codes = np.zeros((len(windows), length), np.int64)
    for shift in range(n):
        codes = codes * vocabulary + windows[:, shift : shift + length]
    return codes


def _context_counts(codes: Codes, counts: Codes, vocabulary: int) -> tuple[Codes, Codes, Codes]:
    """Contexts of sorted n-grams (sorted too), how often each was seen, and by how many tokens it was followed."""
    known, first, kinds = np.unique(codes // vocabulary, return_index=True, return_counts=True)
    times = np.add.reduceat(counts, first) if len(first) else np.empty(0, np.int64)
    return known, times, kinds.astype(np.int64)


def _lookup(keys: Codes, values: Codes, wanted: Codes) -> Codes:
    """Value of each wanted key, zero where there is none."""
    if not len(keys):
        return np.zeros(wanted.shape, np.int64)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


def _check_tokens(tokens: Tokens, vocabulary: int) -> None:
    """Refuse anything outside the vocabulary, such as a mask that a sampler left behind."""
    if tokens.size and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocabulary:
        raise ValueError(f"tokens from {tokens.min()} to {tokens.max()} outside a vocabulary of {vocabulary}")
