from __future__ import annotations

import pytest
import torch
from science_cases import generator

from cdmrun.distill import StepSchedule

NFE = [1, 2, 4, 8]


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_every_sampler_has_its_share_of_the_steps_whatever_the_batch(batch: int) -> None:
    """Batches of two of four samplers, as several processes that share a batch have them, leave none out."""
    steps, randomness = StepSchedule(NFE), generator(0)
    n = torch.cat([steps.draw(batch, randomness).n for _ in range(4000 // batch)])
    shares = torch.stack([(n == count).double().mean() for count in NFE])
    torch.testing.assert_close(shares, torch.full_like(shares, 0.25), rtol=0, atol=0.04)


def test_samplers_take_turns_within_a_batch() -> None:
    assert StepSchedule(NFE).draw(8, generator(0)).n.tolist() == NFE + NFE


def test_steps_are_those_of_the_samplers_grid_drawn_evenly() -> None:
    at = StepSchedule([4]).draw(4000, generator(1))
    assert torch.equal(at.t - at.s, torch.full_like(at.t, 0.25))
    for end in (0.25, 0.5, 0.75, 1.0):
        assert float((at.t == end).double().mean()) == pytest.approx(0.25, abs=0.04)
