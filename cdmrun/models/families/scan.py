"""Running products of matrices, in parallel: what a GPU does in log₂ n steps where n small ones keep it waiting."""

from __future__ import annotations

import torch
from torch import Tensor

#: Numbers in the matrices of a scan, at most: beyond, n steps of one vector each take less memory than they save time.
ENTRIES = 1 << 28


def prefix_laws(first: Tensor, matrices: Tensor) -> Tensor:
    """The directions of v, v M₁, v M₁M₂, …, each scaled to sum to one, by a scan of depth log₂ n.

    Neighbouring matrices are multiplied pairwise up a tree; vectors then go down it, each block's first giving that of
    its second half. About n S³ operations rather than n S², and n S² numbers.

    Parameters
    ----------
    first
        v, non-negative, [B, S].
    matrices
        M₁ … M_n, positive, [B, n, S, S].

    Returns
    -------
    Tensor
        [B, n + 1, S].
    """
    count, scaled = matrices.shape[1], _scaled(matrices)
    laws = first.unsqueeze(1)
    if count:
        levels, level = [], scaled
        while level.shape[1] > 1:
            if level.shape[1] % 2:
                identity = torch.eye(level.shape[-1], dtype=level.dtype, device=level.device)
                level = torch.cat([level, identity.expand(len(level), 1, -1, -1)], 1)
            levels.append(level)
            level = _scaled(level[:, 0::2] @ level[:, 1::2])
        for level in reversed(levels):
            before = laws[:, : level.shape[1] // 2]
            laws = torch.stack([before, _applied(before, level[:, 0::2])], 2).flatten(1, 2)
        laws = laws[:, :count]
        laws = torch.cat([laws, _applied(laws[:, -1:], scaled[:, -1:])], 1)
    return laws / laws.sum(-1, keepdim=True)


def _applied(vectors: Tensor, matrices: Tensor) -> Tensor:
    """v M for each of both, [B, n, S] and [B, n, S, S] → [B, n, S], up to a factor."""
    return _scaled(vectors.unsqueeze(-2) @ matrices).squeeze(-2)


def _scaled(matrices: Tensor) -> Tensor:
    """Matrices whose largest entry is one: only their directions count, so that no gradient goes through the scale."""
    return matrices / matrices.detach().amax((-1, -2), keepdim=True)
