"""Reference code as it is usually written: a diffusion transformer, MDLM's loss and sampler, and a training loop.

Written from the papers' formulas, to be measured beside cdmrun. The network is that of MDLM's and flow_matching's text
models: attention with rotary positions and a GELU feed-forward, each on a layer norm that the time scales, shifts and
gates (adaLN, Peebles and Xie 2023). Dropout is left out: it only costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

#: A masked position's own logit, MDLM's stand-in for −∞.
NEVER = -1e6

#: Fourier features of a time.
FREQUENCIES = 256


class TimeEmbedding(nn.Module):
    """Sinusoids of a time, [B] → [B, condition]."""

    def __init__(self, condition: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(FREQUENCIES, condition), nn.SiLU(), nn.Linear(condition, condition))

    def forward(self, t: Tensor) -> Tensor:
        half = FREQUENCIES // 2
        frequency = torch.exp(-math.log(10_000.0) / half * torch.arange(half, device=t.device))
        angle = t.float().unsqueeze(-1) * frequency
        return functional.silu(self.layers(torch.cat([angle.cos(), angle.sin()], -1)))


class RotateHalves(nn.Module):
    """Rotary positions in real numbers: x cos + (halves swapped, one negated) sin, on [B, L, heads, head width]."""

    cos: Tensor
    sin: Tensor

    def __init__(self, head_width: int, length: int) -> None:
        super().__init__()
        frequency = 10_000.0 ** (-torch.arange(0, head_width, 2) / head_width)
        angle = torch.outer(torch.arange(length), frequency).repeat(1, 2).unsqueeze(1)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * self.cos + torch.cat([-second, first], -1) * self.sin


class AdaptiveBlock(nn.Module):
    """Attention and feed-forward, each scaled, shifted and gated by the time."""

    def __init__(self, width: int, heads: int, length: int, condition: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width, bias=False) for _ in range(2)])
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width, bias=False)
        self.rotary = RotateHalves(width // heads, length)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.modulation = zeroed(nn.Linear(condition, 6 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        batch, length, width = x.shape
        shift, scale, gate, feed_shift, feed_scale, feed_gate = self.modulation(condition).unsqueeze(1).chunk(6, -1)
        qkv = self.query_key_value(self.norms[0](x) * (1 + scale) + shift).view(batch, length, 3, self.heads, -1)
        query, key, value = qkv.unbind(2)
        query, key, value = (part.transpose(1, 2) for part in (self.rotary(query), self.rotary(key), value))
        heads = functional.scaled_dot_product_attention(query, key, value)
        x = x + gate * self.attended(heads.transpose(1, 2).reshape(batch, length, width))
        return x + feed_gate * self.feed(self.norms[1](x) * (1 + feed_scale) + feed_shift)


class DiffusionTransformer(nn.Module):
    """Tokens int64 [B, L] and times [B] to logits [B, L, states]."""

    def __init__(self, states: int, length: int, layers: int, width: int, heads: int) -> None:
        super().__init__()
        condition = max(1, width // 6)  # as 128 is to 768 in the released configurations
        self.token = nn.Embedding(states, width)
        self.time = TimeEmbedding(condition)
        self.blocks = nn.ModuleList([AdaptiveBlock(width, heads, length, condition) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, bias=False)
        self.modulation = zeroed(nn.Linear(condition, 2 * width))
        self.out = zeroed(nn.Linear(width, states))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        condition = self.time(t)
        hidden = self.token(x)
        for block in self.blocks:
            hidden = block(hidden, condition)
        shift, scale = self.modulation(condition).unsqueeze(1).chunk(2, -1)
        return self.out(self.norm(hidden) * (1 + scale) + shift)


def zeroed(layer: nn.Linear) -> nn.Linear:
    """The layer with all weights zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


# -- MDLM (Sahoo et al. 2024) -----------------------------------------------------------------------------------


def substituted(logits: Tensor, x: Tensor, mask: int) -> Tensor:
    """SUBS: log-probabilities [B, L, V + 1] that never say mask, and at a known position say what is there."""
    logits = logits.clone()
    logits[..., mask] += NEVER
    log_probs = logits - logits.logsumexp(-1, keepdim=True)
    known = torch.full_like(log_probs, NEVER).scatter(-1, x.unsqueeze(-1), 0.0)
    return torch.where((x != mask).unsqueeze(-1), known, log_probs)


def mdlm_loss(network: Callable[[Tensor, Tensor], Tensor], x: Tensor, mask: int) -> Tensor:
    """The NELBO in nats a token under the log-linear schedule, at antithetic times; the network is told no time."""
    batch = len(x)
    epsilon = 1e-3
    t = (torch.rand(batch, device=x.device) / batch + torch.arange(batch, device=x.device) / batch) % 1
    t = (1 - epsilon) * t + epsilon
    sigma, rate = -torch.log1p(-(1 - epsilon) * t), (1 - epsilon) / (1 - (1 - epsilon) * t)
    chance = 1 - torch.exp(-sigma)
    noisy = torch.where(torch.rand(x.shape, device=x.device) < chance.unsqueeze(-1), mask, x)
    log_probs = substituted(network(noisy, torch.zeros_like(t)), noisy, mask)
    each = -log_probs.gather(-1, x.unsqueeze(-1)).squeeze(-1)
    return (each * (rate / torch.expm1(sigma)).unsqueeze(-1)).mean()


@torch.inference_mode()
def mdlm_sample(
    network: Callable[[Tensor, Tensor], Tensor], x: Tensor, mask: int, calls: int, dtype: torch.dtype
) -> Tensor:
    """Ancestral sampling from masks x down to t = 0, int64 [B, L], by exponential races in ``dtype``."""
    times = torch.linspace(1, 0, calls + 1).tolist()
    for t, s in pairwise(times):
        logits = network(x, torch.zeros(len(x), device=x.device))
        law = substituted(logits, x, mask).to(dtype).exp() * (t - s)
        law[..., mask] = s
        waiting = 1e-10 - torch.log(torch.rand_like(law) + 1e-10)
        x = torch.where(x != mask, x, (law / waiting).argmax(-1))
    return x


# -- the loop ---------------------------------------------------------------------------------------------------


def train(model: nn.Module, loss: Callable[[], Tensor], steps: int, lr: float, tuned: bool) -> Iterator[float]:
    """AdamW with warm-up, gradients clipped at 1, moving average; gives the loss of each step.

    ``tuned``: a fused optimiser and one call for the whole average; else torch's defaults and a loop over parameters.
    """
    parameters = list(model.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0.0, fused=tuned)
    average = [parameter.detach().clone() for parameter in parameters]
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 100)
        optimiser.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        with torch.no_grad():
            if tuned:
                torch._foreach_lerp_(average, parameters, 1e-3)
            else:
                for kept, parameter in zip(average, parameters, strict=True):
                    kept.sub_(1e-3 * (kept - parameter))
        yield float(value.detach())
