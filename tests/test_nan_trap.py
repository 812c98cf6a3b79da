"""The trap itself: it must spring, or the tests that set it say nothing."""

from __future__ import annotations

import pytest
import torch
from nan_trap import LargestTensor, NanTrap


def test_it_springs_at_a_nan_that_is_thrown_away() -> None:
    zero = torch.zeros(3)
    with NanTrap(), pytest.raises(AssertionError, match=r"div.* gave NaN in a result of shape \(3,\)"):
        torch.where(zero > 0, zero / zero, 1.0)
    with NanTrap(), pytest.raises(AssertionError, match="NaN"):
        torch.stack([zero, zero]).log().mul(0.0)


def test_it_lets_infinities_and_unset_memory_pass() -> None:
    with NanTrap():
        infinite = torch.ones(2) / torch.zeros(2)
        torch.empty(1000)[:10].fill_(0.0)
        assert torch.isinf(infinite).all()


def test_the_largest_tensor_is_remembered_even_if_it_is_gone() -> None:
    with LargestTensor() as watched:
        torch.ones(10, 20, dtype=torch.float64).sum()
    assert watched.entries == 200
