"""Drawing a sequence whose noise is drawn first, so that its tokens are a function that can be computed in any order.

Three ways to the same sequence: one position after the other, a parallel scan, and updates of all positions at once
until nothing changes (Song et al. 2021, "Accelerating feedforward computation via parallel nonlinear equation
solving"). They agree exactly, unless two tokens' log-odds with noise are equal within rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: What a spec can ask for; ``auto`` leaves the choice to the family.
DECODINGS = ("auto", "sequential", "scan", "fixed_point")

#: Numbers that are written out at once where every context is looked at.
BLOCK = 1 << 22


def follow_maps(maps: Tensor, start: Tensor) -> Tensor:
    """The states that a sequence of maps leads through, by a parallel scan of depth log₂ n.

    Neighbouring maps are composed pairwise up a tree; states then go down it, each block's first state giving that of
    its second half. About 2 n S look-ups in all.

    Parameters
    ----------
    maps
        int64 [B, n, S]: the state after position i for each state before it.
    start
        int64 [B]: the state before the first.

    Returns
    -------
    Tensor
        int64 [B, n]: the state *before* each position.
    """
    count = maps.shape[1]
    levels = []
    while maps.shape[1] > 1:
        if maps.shape[1] % 2:
            stay = torch.arange(maps.shape[2], device=maps.device).expand(maps.shape[0], 1, -1)
            maps = torch.cat([maps, stay], 1)
        levels.append(maps)
        maps = maps[:, 1::2].gather(-1, maps[:, 0::2])
    before = start.unsqueeze(-1)
    for level in reversed(levels):
        before = before[:, : level.shape[1] // 2]
        after = level[:, 0::2].gather(-1, before.unsqueeze(-1)).squeeze(-1)
        before = torch.stack([before, after], -1).flatten(1)
    return before[:, :count]


def fixed_point(update: Callable[[Tensor, Tensor], Tensor], first: Tensor) -> tuple[Tensor, int]:
    """Update all positions at once until nothing changes.

    Where each position depends on those before it alone, the fixed point is unique and is reached after as many sweeps
    as there are positions at most; rows that are done are left out of later sweeps.

    Parameters
    ----------
    update
        From tokens [N, L] of the rows [N] to their tokens after one sweep.
    first
        int64 [B, L]: where to start.

    Returns
    -------
    tuple
        The fixed point, and the number of sweeps, the one that found nothing to change included.
    """
    x, sweeps = first.clone(), 0
    rows = torch.arange(len(x), device=x.device)
    while len(rows):
        updated = update(x[rows], rows)
        rows_changed = (updated != x[rows]).any(-1)
        x[rows] = updated
        rows, sweeps = rows[rows_changed], sweeps + 1
    return x, sweeps
