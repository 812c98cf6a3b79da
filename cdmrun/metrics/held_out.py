"""Which held-out sequences are scored."""

from __future__ import annotations

import numpy as np

from cdmrun.data.dataset import Tokens


def spread(sequences: Tokens, count: int | None = None) -> Tokens:
    """At most ``count`` rows, evenly spread over all [M, L] and in their order.

    Splits are in the order of documents, or sorted: the first rows would be of a single one.
    """
    if count is None or count >= len(sequences):
        return sequences
    return sequences[np.linspace(0, len(sequences) - 1, count).round().astype(int)]
