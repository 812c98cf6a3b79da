"""Two operations of the trunk whose gradients are written out, since autograd's cost a tenth of a training step.

What it would do instead is pass over the widest tensors of a block several times more: keep the activation's input as
well as its square root, raise it to a power, and add up each tap's shifted gradient in a padded copy of its own.
A compiler is given the plain operations, whose gradients it writes out itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional


class _SquaredReLU(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        root = x.clamp_min(0)
        ctx.save_for_backward(root)
        return root * root

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors  # zero where x was negative, which is all that the derivative of a ReLU would say
        return (grad * root).mul_(2)


class _ShortConvolution(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, before: int) -> Tensor:
        padded = functional.pad(x, (0, 0, before, len(taps) - 1 - before))
        ctx.save_for_backward(padded, taps)
        ctx.before = before
        return _correlate(padded, taps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        padded, taps = ctx.saved_tensors
        length, reach = grad.shape[1], len(taps) - 1
        of_taps = torch.stack([(grad * padded[:, j : j + length]).sum((0, 1)) for j in range(reach + 1)])
        of_x = _correlate(functional.pad(grad, (0, 0, reach - ctx.before, ctx.before)), taps.flip(0))
        return of_x.to(padded.dtype), of_taps.to(taps.dtype), None


def _correlate(padded: Tensor, taps: Tensor) -> Tensor:
    """Σ_j padded at i + j times tap j: [B, L + K − 1, D] and [K, D] to [B, L, D]."""
    length = padded.shape[1] - len(taps) + 1
    out = padded[:, :length] * taps[0]
    for j in range(1, len(taps)):
        out.addcmul_(padded[:, j : j + length], taps[j])
    return out


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0)², of any shape; bit for bit what ``relu(x).square()`` and its gradient are."""
    if torch.compiler.is_compiling():
        return functional.relu(x).square()
    return _SquaredReLU.apply(x)


def short_convolution(x: Tensor, taps: Tensor, before: int) -> Tensor:
    """Depthwise convolution along the sequence, zeros beyond its ends: [B, L, D] and taps [K, D] to [B, L, D].

    Position i sees those from i − ``before`` to i − ``before`` + K − 1; tap j is that of i − ``before`` + j.
    """
    if torch.compiler.is_compiling():
        return _correlate(functional.pad(x, (0, 0, before, len(taps) - 1 - before)), taps)
    return _ShortConvolution.apply(x, taps, before)
