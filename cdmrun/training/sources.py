"""Where clean sequences come from: an array (a data set, or a teacher's draws) or a table of probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cdmrun.processes.draws import draw_categorical
from cdmrun.processes.enumeration import enumerate_states

#: Draws ``count`` clean sequences, int64 [count, L].
Source = Callable[[int, torch.Generator], Tensor]


def array_source(sequences: np.ndarray) -> Source:
    """Rows of an array [n, L], drawn with replacement."""
    if len(sequences) == 0:
        raise ValueError("no sequences to draw from")
    rows = torch.from_numpy(np.ascontiguousarray(sequences).astype(np.int64))

    def draw(count: int, generator: torch.Generator) -> Tensor:
        index = torch.randint(len(rows), (count,), generator=generator, device=generator.device)
        return rows.to(generator.device)[index]

    return draw


def table_source(table: np.ndarray) -> Source:
    """Sequences drawn from a table of probabilities of shape (V, …, V)."""
    law = torch.from_numpy(np.ascontiguousarray(table, dtype=np.float64)).reshape(-1)
    sequences = enumerate_states(table.shape[0], table.ndim)

    def draw(count: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        return sequences.to(device)[draw_categorical(law.to(device).expand(count, -1), generator)]

    return draw
