"""The network every model shares: a transformer with rotary attention and a short convolution a block.

It looks both ways, but for a network judge, which is causal.

Without the depthwise convolution a small trunk stalls near the unigram entropy for thousands of steps; with one in
every block it does not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdmrun.models.operations import short_convolution, squared_relu


class ShortConvolution(nn.Module):
    """Depthwise convolution along the sequence as a sum of shifted copies (several times faster on a CPU).

    A ``causal`` one ends at its own position; others have it in their middle.
    """

    def __init__(self, width: int, taps: int, causal: bool = False) -> None:
        super().__init__()
        if taps % 2 == 0:
            raise ValueError(f"the convolution needs an odd number of taps, got {taps}")
        self.causal = causal
        self.taps = nn.Parameter(torch.randn(taps, width) / math.sqrt(taps))

    def forward(self, x: Tensor) -> Tensor:
        reach = self.taps.shape[0] - 1
        return short_convolution(x, self.taps, reach if self.causal else reach // 2)


class Rotary(nn.Module):
    """Rotary position embedding: neighbouring channels are one complex number, turned by its position.

    A compiler has no complex numbers, but makes a single kernel of their real and imaginary parts.
    """

    turn: Tensor

    def __init__(self, head_width: int, length: int) -> None:
        super().__init__()
        frequency = 10_000.0 ** (-torch.arange(0, head_width, 2) / head_width)
        angle = torch.outer(torch.arange(length), frequency)
        turn = torch.polar(torch.ones_like(angle), angle)[:, None, None]
        self.register_buffer("turn", torch.view_as_real(turn), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rotate [B, L, any, heads, head width]."""
        pairs = x.float().unflatten(-1, (-1, 2))
        if torch.compiler.is_compiling():
            (a, b), (cos, sin) = pairs.unbind(-1), self.turn.unbind(-1)
            turned = torch.stack([a * cos - b * sin, a * sin + b * cos], -1)
        else:
            turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(self.turn))
        return turned.flatten(-2).to(x.dtype)


class Block(nn.Module):
    """Convolution, attention, feed-forward: each on a normalised copy, each added back."""

    def __init__(self, width: int, heads: int, length: int, taps: int, expansion: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.convolution = ShortConvolution(width, taps, causal)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.rotary = Rotary(width // heads, length)
        self.attended = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, expansion * width)
        self.down = nn.Linear(expansion * width, width)
        nn.init.zeros_(self.attended.weight)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        mixed = self.convolution(self.norms[0](x))
        qkv = self.query_key_value(mixed).view(batch, length, 3, self.heads, -1)
        turned, value = qkv.split([2, 1], dim=2)  # a split's gradient is one copy, that of two slices two sums
        query, key = self.rotary(turned).transpose(1, 3).unbind(2)
        value = value.squeeze(2).transpose(1, 2)
        heads = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        x = x + self.attended(heads.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(squared_relu(self.up(self.norms[1](x))))


class Trunk(nn.Module):
    """Noisy tokens in, features out; one forward call is one network function evaluation (NFE).

    Parameters
    ----------
    states
        C, the number of states a position can be in.
    length
        L.
    timed
        Whether the features depend on (t, s). Under the absorbing process they need not: the masks tell.
    causal
        Whether the features of a position depend on no position after it.
    """

    #: Set by `cdmrun.models.compiling`.
    compiled: bool = False

    def __init__(
        self,
        states: int,
        length: int,
        layers: int = 3,
        width: int = 96,
        heads: int = 3,
        conv: int = 3,
        mlp: int = 4,
        timed: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        self.token = nn.Embedding(states, width)
        self.spoken = nn.Parameter(torch.zeros(width))
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width)) if timed else None
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        self.blocks = nn.ModuleList([Block(width, heads, length, conv, mlp, causal) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, t: Tensor, s: Tensor, spoken: Tensor) -> Tensor:
        """Features [B, L, D] of states int64 [B, L] at times t, s [B], with the spoken positions marked."""
        hidden = self.token(x) + self.position + spoken.unsqueeze(-1) * self.spoken
        if self.time is not None:
            features = torch.cat([sinusoids(t), sinusoids(s)], -1).to(hidden.dtype)
            hidden = hidden + self.time(features).unsqueeze(1)
        for block in self.blocks:
            hidden = block(hidden)
        return self.norm(hidden)


def sinusoids(t: Tensor, count: int = 16) -> Tensor:
    """Fourier features of times in [0, 1], [B] → [B, count]."""
    frequency = 2.0 ** torch.arange(count // 2, device=t.device) * (0.5 * math.pi)
    angle = t.unsqueeze(-1) * frequency
    return torch.cat([angle.sin(), angle.cos()], -1)
