"""Where training sequences come from: data, a law (a table or a chain), or a teacher's continuations of noised data.

What they are drawn from lies whole on the device that trains, and is drawn from there: there is nothing to prefetch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cdmrun.data.chain import MarkovChain
from cdmrun.processes import ForwardProcess
from cdmrun.processes.draws import draw_categorical
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.processes.resident import Resident

#: Draws ``count`` clean sequences, int64 [count, L].
Source = Callable[[int, torch.Generator], Tensor]

#: Draws clean and noisy states (x_0, x_t) together, both int64 [B, L], at the given times [B].
PairSource = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]


def array_source(sequences: np.ndarray) -> Source:
    """Rows of an array [n, L], drawn with replacement."""
    if len(sequences) == 0:
        raise ValueError("no sequences to draw from")
    small = np.uint8 if sequences.dtype == np.uint8 else np.int32  # a million rows in 64 bits would be half a gigabyte
    rows = Resident(torch.from_numpy(np.ascontiguousarray(sequences).astype(small, copy=False)))

    def draw(count: int, generator: torch.Generator) -> Tensor:
        index = torch.randint(len(rows), (count,), generator=generator, device=generator.device)
        return rows.on(generator.device)[index].long()

    return draw


def table_source(table: np.ndarray) -> Source:
    """Sequences drawn from a table of probabilities of shape (V, …, V)."""
    law = Resident(torch.from_numpy(np.ascontiguousarray(table, dtype=np.float64)).reshape(-1))
    sequences = Resident(enumerate_states(table.shape[0], table.ndim))

    def draw(count: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        return sequences.on(device)[draw_categorical(law.on(device).expand(count, -1), generator)]

    return draw


def chain_source(chain: MarkovChain, length: int) -> Source:
    """Sequences drawn from a Markov chain, new ones each time; by inversion of float64 cumulative sums."""
    chain.check_length(length)
    order, contexts = chain.order, chain.initial.size
    starts = Resident(_cumulative(chain.initial.reshape(-1)))
    steps = Resident(_cumulative(chain.transition.reshape(contexts, -1)))
    powers = Resident(chain.vocabulary ** torch.arange(order - 1, -1, -1))

    def draw(count: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        first, rows = starts.on(device), steps.on(device)
        uniform = torch.rand(length, count, 1, dtype=torch.float64, device=device, generator=generator)
        context = torch.searchsorted(first, uniform[order - 1, :, 0], right=True)
        tokens = [*(context.unsqueeze(-1) // powers.on(device) % chain.vocabulary).T]
        for i in range(order, length):
            token = torch.searchsorted(rows[context], uniform[i], right=True).squeeze(-1)
            tokens.append(token)
            context = (context * chain.vocabulary + token) % contexts
        return torch.stack(tokens, 1)

    return draw


def _cumulative(laws: np.ndarray) -> Tensor:
    """Cumulative sums along the last axis that end in exactly one, as does all after the last possible category.

    The first entry above a uniform number in [0, 1) is then never a category of probability zero.
    """
    sums = np.cumsum(laws, axis=-1)
    return torch.from_numpy(sums / sums[..., -1:])


def noised_pairs(source: Source, process: ForwardProcess) -> PairSource:
    """Clean sequences and what the forward process makes of them: the joint law of the data."""

    def draw(t: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x_0 = source(len(t), generator)
        return x_0, process.noise(x_0, 0.0, t, generator)

    return draw


def rollout_pairs(
    levels: np.ndarray, contexts: np.ndarray, sequences: np.ndarray, process: ForwardProcess
) -> PairSource:
    """Data noised to one of several levels, and what a teacher's long sampler made of it, seen at a time below.

    A row is a draw from data's x_level and of what the teacher's analytic steps make of it. Any time t below the level
    is reached by the bridge between the two: the Markov decomposition of docs/distillation.md, with the teacher's
    kernels from the level on. A pair at t is made from a row drawn evenly among all whose level is t or more, so that
    each row serves many times and every use hides other positions.

    Parameters
    ----------
    levels
        Time of each row, ascending, [n]; the last is 1.
    contexts, sequences
        x_level and the teacher's x_0, both [n, L].
    """
    grid = Resident(torch.from_numpy(np.ascontiguousarray(levels, dtype=np.float64)))
    tables = [Resident(torch.from_numpy(array.astype(np.int64))) for array in (contexts, sequences)]

    def draw(t: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        device = generator.device
        above = grid.on(device)
        first = torch.searchsorted(above, t - 1e-9)
        uniform = torch.rand(len(t), dtype=torch.float64, device=device, generator=generator)
        row = first + (uniform * (len(above) - first)).long()
        x_level, x_0 = (table.on(device)[row] for table in tables)
        level = torch.maximum(above[row], t)
        walked = process.sample_bridge(x_0, x_level, t, level, generator)
        return x_0, torch.where((level > t).unsqueeze(-1), walked, x_level)

    return draw
