"""Blocks of sequences: their size, and what becomes of one that does not fit into a GPU's memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cdmrun.errors import UserError
from cdmrun.processes import Absorbing, Uniform
from cdmrun.stages.blocks import LARGEST, LAW_BYTES, as_it_fits, block_size, block_sizes


def randomness(*numbers: int) -> torch.Generator:
    seed = 1
    for number in numbers:
        seed = seed * 10 + number + 1
    return torch.Generator().manual_seed(seed)


def test_as_many_as_the_laws_of_all_positions_have_room_for() -> None:
    assert block_size(Absorbing(27), 256) == LARGEST  # of every shape that is shipped
    assert block_size(Uniform(2), 10**9) == 1
    for vocabulary, length in ((1000, 1024), (50_257, 128), (257, 3072)):
        size = block_size(Uniform(vocabulary), length)
        assert size * 8 * vocabulary * length <= LAW_BYTES
        assert size == LARGEST or (size + 1) * 8 * vocabulary * length > LAW_BYTES


def test_blocks_make_up_the_whole() -> None:
    assert block_sizes(600, 256) == [256, 256, 88]
    assert block_sizes(256, 256) == [256]


class Gpu:
    """Draws random numbers, and has room for so many."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        self.tried.append(size)
        if size > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.rand(size, generator=generator)


def test_what_fits_is_drawn_at_once() -> None:
    gpu = Gpu(64)
    (drawn,) = as_it_fits(gpu.draw, 64, randomness)
    assert torch.equal(drawn, torch.rand(64, generator=randomness()))
    assert gpu.tried == [64]


def test_what_does_not_fit_is_halved() -> None:
    gpu = Gpu(20)
    drawn = as_it_fits(gpu.draw, 75, randomness)
    assert [len(piece) for piece in drawn] == [19, 19, 19, 18]
    assert gpu.tried == [75, 38, 19, 19, 37, 19, 18]
    for piece, numbers in zip(drawn, [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True):
        assert torch.equal(piece, torch.rand(len(piece), generator=randomness(*numbers)))
    assert len(set(torch.cat(drawn).tolist())) == 75
    again = as_it_fits(Gpu(20).draw, 75, randomness)
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))


def test_no_room_at_all() -> None:
    with pytest.raises(UserError, match="no room to draw even one sequence"):
        as_it_fits(Gpu(0).draw, 3, randomness)
