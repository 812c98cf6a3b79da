"""Drawing categories without the float32 Gumbel trap.

Gumbel noise in float32 can never pick a token whose probability is below about 6e-8 of the winner's; over many
steps that is a hidden temperature below one. Every draw here inverts a cumulative sum in float64 instead.
"""

from __future__ import annotations

import torch
from torch import Tensor


def draw_categorical(weights: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw one index along the last axis, with probability proportional to ``weights``.

    Parameters
    ----------
    weights
        Non-negative, shape [..., K]; need not sum to one, but each row must have a positive sum.
    generator
        Source of randomness, on the device of ``weights``.

    Returns
    -------
    Tensor
        int64 of shape [...].
    """
    uniform = torch.rand(weights.shape[:-1], dtype=torch.float64, device=weights.device, generator=generator)
    return invert_categorical(weights, uniform)


def invert_categorical(weights: Tensor, uniform: Tensor) -> Tensor:
    """The category [...] at which the cumulative sum of ``weights`` [..., K] passes uniform float64 numbers [...]."""
    cumulative = weights.double().cumsum(-1)
    uniform = uniform.unsqueeze(-1)
    # strict comparison: a category of weight zero is never drawn, whatever the uniform number
    index = (cumulative <= uniform * cumulative[..., -1:]).sum(-1)
    if index.device.type == "cpu" and not bool((index == weights.shape[-1]).any()):  # a GPU would be waited for
        return index
    last = (weights > 0).double().cumsum(-1).argmax(-1)  # rounding at the top falls on the last possible one
    return torch.minimum(index, last)


def draw_bernoulli(probability: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw booleans that are true with the given probability, in float64."""
    uniform = torch.rand(probability.shape, dtype=torch.float64, device=probability.device, generator=generator)
    return uniform < probability


def draw_gumbel(shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device | str) -> Tensor:
    """Gumbel noise in float64: the argmax of log-weights plus noise is a draw in proportion to the weights.

    It serves where noise must come first, to be used more than once; elsewhere `draw_categorical` is cheaper. In
    float64 only what is 1e-16 times as likely as the winner is out of its reach.
    """
    exponential = torch.empty(shape, dtype=torch.float64, device=device).exponential_(generator=generator)
    return -exponential.clamp_min(torch.finfo(torch.float64).tiny).log()
