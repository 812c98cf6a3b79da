"""Data sets as arrays of tokens: one module a data set, all reached through `load`.

Numpy and scipy only; nothing here knows a spec, a plan or torch.
"""

from __future__ import annotations

from cdmrun.data import (
    array,
    chorales,
    digits,
    fashion_mnist,
    grid,
    idx,
    ising,
    kjv,
    markov,
    mnist,
    molecules,
    potts,
    sentences,
    sotu,
    table,
    text,
)
from cdmrun.data.dataset import Dataset
from cdmrun.data.leakage import leakage
from cdmrun.data.registry import kinds, load

__all__ = [
    "Dataset",
    "array",
    "chorales",
    "digits",
    "fashion_mnist",
    "grid",
    "idx",
    "ising",
    "kinds",
    "kjv",
    "leakage",
    "load",
    "markov",
    "mnist",
    "molecules",
    "potts",
    "sentences",
    "sotu",
    "table",
    "text",
]
