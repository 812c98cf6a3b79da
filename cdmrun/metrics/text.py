"""Diversity of sampled text, and what of it is copied: self-BLEU, distinct n-grams, novelty, runs of the data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cdmrun.data.dataset import Tokens
from cdmrun.data.leakage import in_rows, run_codes
from cdmrun.errors import UserError

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


def self_bleu(texts: Sequence[str], sample: int = 100, seed: int = 0) -> float:
    """Mean BLEU of each text against the others: 0 to 100, lower is more diverse (Zhu et al. 2018, Texygen).

    Convention: sacrebleu's sentence BLEU on characters (``tokenize="char"``, 4-grams, exponential smoothing,
    effective order), a space being a character like any other. At most ``sample`` texts take part, drawn without
    replacement, so the cost is at most ``sample``² comparisons; a value depends on ``sample``, since more
    references mean more matches: compare only values with the same one. The order of the texts has no influence.

    Raises
    ------
    UserError
        With fewer than two texts.
    """
    if min(len(texts), sample) < 2:
        raise UserError(
            f"self_bleu needs at least two samples, not {min(len(texts), sample)}", "raise evaluation.samples"
        )
    chosen = sorted(texts)
    if len(chosen) > sample:
        picks = np.random.default_rng(seed).choice(len(chosen), sample, replace=False)
        chosen = [chosen[i] for i in picks]
    counted = [_ngrams(text) for text in chosen]
    two_largest: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for gram, count in chain.from_iterable(counts.items() for counts in counted):
        two_largest[gram] = _with(two_largest[gram], count)
    lengths = [sum(count for gram, count in counts.items() if len(gram) == 1) for counts in counted]
    others = [lengths[:i] + lengths[i + 1 :] for i in range(len(lengths))]
    return float(np.mean([_against_others(*one, two_largest) for one in zip(counted, lengths, others, strict=True)]))


#: Of BLEU, characters an n-gram at most.
_ORDER = 4


def _ngrams(text: str) -> Counter[str]:
    """How often each run of one to four characters occurs; of spaces, the plain one alone is a character."""
    shown = "".join(visible(text).split())
    return Counter(shown[i : i + n] for n in range(1, _ORDER + 1) for i in range(len(shown) - n + 1))


def _with(largest: tuple[int, int], count: int) -> tuple[int, int]:
    """The two largest of three counts."""
    first, second = largest
    return (count, first) if count >= first else (first, max(second, count))


def _against_others(
    counts: Counter[str], length: int, others: Sequence[int], two_largest: Mapping[str, tuple[int, int]]
) -> float:
    """Sentence BLEU of one text against all others, of these lengths.

    What is matched of an n-gram is its largest count among the others: the largest of all, or the second largest where
    the largest is the text's own; so that references need not be counted anew for each text.
    """
    from sacrebleu.metrics import BLEU

    matched, total = [0] * _ORDER, [0] * _ORDER
    for gram, count in counts.items():
        first, second = two_largest[gram]
        matched[len(gram) - 1] += min(count, second if count == first else first)
        total[len(gram) - 1] += count
    nearest = min(others, key=lambda other: (abs(other - length), other))
    return BLEU.compute_bleu(matched, total, length, nearest, smooth_method="exp", effective_order=True).score


def visible(text: str) -> str:
    """The text with a sign for each space: sacrebleu splits there after tokenising, and would lose the words."""
    return text.replace(" ", _SPACE)


def distinct_n(tokens: npt.NDArray[np.integer[Any]], n: int) -> float:
    """Different n-grams over all n-grams of a corpus [samples, L]: in (0, 1], higher is more diverse (Li et al. 2016).

    It falls with the number of samples: compare only corpora of the same size.
    """
    if not 1 <= n <= tokens.shape[1]:
        raise ValueError(f"n = {n} with sequences of {tokens.shape[1]} tokens")
    # Renumber prefixes step by step, so that codes stay small whatever the vocabulary and n are.
    length = tokens.shape[1] - n + 1
    _, symbols = np.unique(tokens, return_inverse=True)
    symbols = symbols.reshape(tokens.shape).astype(np.int64)
    size = int(symbols.max(initial=0)) + 1
    codes = symbols[:, :length]
    for shift in range(1, n):
        _, flat = np.unique(codes * size + symbols[:, shift : shift + length], return_inverse=True)
        codes = flat.reshape(codes.shape)
    return len(np.unique(codes)) / codes.size


def is_novel(samples: Tokens, known: Tokens) -> npt.NDArray[np.bool_]:
    """Whether each sample [n, L] is none of the known sequences [m, L], [n]."""
    return ~in_rows(samples, known)


def copied_runs(samples: Tokens, known: Tokens, run: int) -> npt.NDArray[np.float64]:
    """Share of each sample's runs of ``run`` tokens that stand somewhere in the known sequences, [n, L] → [n].

    Runs are compared by a 64-bit hash, ``run`` is a power of two; see `cdmrun.data.leakage`.

    Raises
    ------
    UserError
        If the sequences are shorter than a run.
    """
    if samples.shape[1] < run:
        raise UserError(
            f"runs of {run} tokens in sequences of {samples.shape[1]}", "use longer sequences, or another metric"
        )
    codes = run_codes(samples, run)
    # by a hash table, where numpy would sort all the runs of the known sequences
    stands = pd.Index(codes.ravel()).isin(run_codes(known, run).ravel())
    return stands.reshape(codes.shape).mean(axis=1)
