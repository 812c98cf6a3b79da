"""Operations whose gradients are written out, against autograd's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmrun.models.operations import short_convolution, squared_relu


def numbers(*shape: int, seed: int = 0) -> Tensor:
    made = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return made.requires_grad_(True)


def plain_convolution(x: Tensor, taps: Tensor, before: int) -> Tensor:
    """The same by the library: the positions are its width, the channels its groups."""
    padded = functional.pad(x.transpose(1, 2), (before, len(taps) - 1 - before))
    return functional.conv1d(padded, taps.T.unsqueeze(1), groups=taps.shape[1]).transpose(1, 2)


def test_squared_relu_is_bit_for_bit_the_plain_one() -> None:
    for at in (numbers(50).float().detach(), torch.tensor([0.0, -0.0, 1e-30, -1e30, 1e30])):
        mine, plain = at.clone().requires_grad_(True), at.clone().requires_grad_(True)
        out, expected = squared_relu(mine), functional.relu(plain).square()
        upstream = torch.linspace(-2, 3, len(at))
        out.backward(upstream)
        expected.backward(upstream)
        assert torch.equal(out, expected)
        assert mine.grad is not None
        assert plain.grad is not None
        assert torch.equal(mine.grad, plain.grad)


def test_squared_relu_has_the_gradient_of_its_values() -> None:
    assert torch.autograd.gradcheck(squared_relu, [numbers(7)])


@pytest.mark.parametrize(("taps", "before"), [(1, 0), (3, 1), (3, 2), (5, 2), (5, 4)])
def test_short_convolution_is_a_depthwise_convolution(taps: int, before: int) -> None:
    x, weights = numbers(2, 6, 3), numbers(taps, 3, seed=1)
    torch.testing.assert_close(short_convolution(x, weights, before), plain_convolution(x, weights, before))
    assert torch.autograd.gradcheck(lambda a, b: short_convolution(a, b, before), [x, weights])


def test_a_sequence_may_be_shorter_than_the_convolution() -> None:
    x, weights = numbers(2, 1, 3), numbers(5, 3, seed=1)
    torch.testing.assert_close(short_convolution(x, weights, 2), plain_convolution(x, weights, 2))
    assert torch.autograd.gradcheck(lambda a, b: short_convolution(a, b, 2), [x, weights])


def test_gradients_have_the_precision_of_what_they_are_of() -> None:
    """A trunk under autocast: activations in bfloat16, weights in float32."""
    x, weights = numbers(2, 6, 3).detach().bfloat16().requires_grad_(True), numbers(3, 3).detach().float()
    weights.requires_grad_(True)
    out = short_convolution(x, weights, 1)
    assert out.dtype == torch.float32
    (out.sum() + squared_relu(x).sum()).backward()
    assert x.grad is not None
    assert weights.grad is not None
    assert (x.grad.dtype, weights.grad.dtype) == (torch.bfloat16, torch.float32)


def test_nothing_is_kept_where_no_gradient_is_asked_for() -> None:
    with torch.inference_mode():
        assert not short_convolution(numbers(1, 4, 2), numbers(3, 2), 1).requires_grad
