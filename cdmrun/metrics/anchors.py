"""What scores are read against: data whose positions are independent, with the law that the data have at each."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import numpy.typing as npt
import torch

from cdmrun.data.dataset import Dataset, Tokens
from cdmrun.metrics.exact_scores import ExactLaws


def independent_sequences(sequences: Tokens, seed: int = 0) -> Tokens:
    """Permute each column [n, L] on its own: every position keeps its law, and knows nothing of the others."""
    random = np.random.default_rng(seed)
    return np.stack([random.permutation(column) for column in sequences.T], axis=1)


def independent_laws(table: npt.NDArray[np.float64]) -> ExactLaws:
    """The product of a table's marginals as if a sampler had made it; it has no kernels, so no certificate either."""
    axes = range(table.ndim)
    marginals = [table.sum(tuple(other for other in axes if other != axis)) for axis in axes]
    product = reduce(np.multiply.outer, marginals).reshape(-1)
    p = torch.from_numpy(table.reshape(-1))
    entropy = float(-torch.xlogy(p, p).sum())
    return ExactLaws(p, torch.from_numpy(product), torch.Size(table.shape), math.nan, math.nan, entropy)


def independent_nll(dataset: Dataset) -> float:
    """Bits a token of the data under independent positions.

    Exact for a table. Otherwise the laws of the positions are those of the training split, each token counted once
    more than it was seen, and the data are the test split.
    """
    if dataset.table is not None:
        laws = independent_laws(dataset.table)
        return float(-torch.xlogy(laws.p, laws.q).sum()) * laws.bits_per_token
    log_laws = np.log2(position_laws(dataset.splits["train"], dataset.vocabulary))
    return float(-log_laws[np.arange(dataset.length), dataset.splits["test"]].mean())


def position_laws(sequences: Tokens, vocabulary: int) -> npt.NDArray[np.float64]:
    """Law of the token at each position [n, L] → [L, V], each token counted once more than it was seen."""
    counts = np.stack([np.bincount(column, minlength=vocabulary) for column in sequences.T]) + 1.0
    return counts / counts.sum(1, keepdims=True)
