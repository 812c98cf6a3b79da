"""Unigram entropy: a sampler that repeats itself has a low one, one that draws noise a high one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def sample_unigram_entropy(tokens: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
    """Entropy of each sample's own token frequencies, [n, L] → [n], in bits per token.

    At most log₂ L: it is a measure of repetition inside a sample (as in Dieleman et al. 2022 and later work), biased
    below the entropy of the law for short samples; compare with held-out data of the same length.
    """
    rows, length = tokens.shape
    _, symbols = np.unique(tokens, return_inverse=True)
    kinds = int(symbols.max(initial=0)) + 1
    cells = np.repeat(np.arange(rows), length) * kinds + symbols.reshape(-1)
    _, counts = np.unique(cells, return_counts=True)
    owners = np.unique(cells) // kinds
    share = counts / length
    sums = np.bincount(owners, weights=-share * np.log2(share), minlength=rows)
    return sums.astype(np.float64) + 0.0
