"""How many sequences are drawn at once: as many as the shape allows, fewer where a GPU has no room for them.

A block has random numbers of its own, so that what is drawn depends on its size. By the shape alone it is the same on
every machine. Where a block does not fit into a GPU's memory its halves are drawn, each with its own random numbers:
another draw of the same law, and the same again on a GPU with as much room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from cdmrun.errors import UserError
from cdmrun.processes import ForwardProcess

#: Sequences drawn at once, at most.
LARGEST = 256
#: Bytes that the float64 laws of all positions of a block may take; a step holds a handful of such tensors.
LAW_BYTES = 2**30

T = TypeVar("T")


def block_size(process: ForwardProcess, length: int) -> int:
    """Sequences drawn at once.

    >>> from cdmrun.processes import Absorbing
    >>> block_size(Absorbing(27), 64), block_size(Absorbing(50_257), 1024)
    (256, 2)
    """
    return max(1, min(LARGEST, LAW_BYTES // (8 * length * process.states)))


def block_sizes(count: int, largest: int) -> list[int]:
    """Sequences in each of the blocks that make up ``count``."""
    return [min(largest, count - begin) for begin in range(0, count, largest)]


def as_it_fits(
    draw: Callable[[int, torch.Generator], T], size: int, randomness: Callable[..., torch.Generator]
) -> list[T]:
    """Draw a block at once; where a GPU has no room for that, its halves, and theirs.

    Parameters
    ----------
    draw
        Draws so many sequences.
    randomness
        Makes a generator from numbers: none for the whole block, 0 and 1 for its halves, and so on.

    Raises
    ------
    UserError
        If there is no room for a single sequence.
    """
    try:
        return [draw(size, randomness())]
    except torch.OutOfMemoryError as error:  # which only GPUs raise
        if size == 1:
            raise UserError(
                "this GPU has no room to draw even one sequence", "take a larger GPU, or run with --device cpu"
            ) from error
    torch.cuda.empty_cache()
    halves = (size - size // 2, size // 2)
    parts = [as_it_fits(draw, half, _further(randomness, number)) for number, half in enumerate(halves)]
    return [piece for part in parts for piece in part]


def _further(randomness: Callable[..., torch.Generator], number: int) -> Callable[..., torch.Generator]:
    return lambda *numbers: randomness(number, *numbers)
