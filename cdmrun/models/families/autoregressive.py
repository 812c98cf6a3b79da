"""A light causal head: one trunk call, then each token given the `window` before it.

Training scores all positions at once, and drawing never calls the trunk again, so NFE stays one. A draw takes L light
steps one after the other, or, the noise being drawn first, fewer in parallel (`cdmrun.models.families.decoding`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cdmrun.limits import MAX_SCAN_WINDOW
from cdmrun.models.families.base import Head, JointDistribution, shared
from cdmrun.models.families.decoding import BLOCK, fixed_point, follow_maps
from cdmrun.processes.draws import draw_gumbel


@dataclass(frozen=True)
class Autoregressive(JointDistribution):
    """q(x) = Π_{i spoken} q(x^i | x^{i−w}, …, x^{i−1}); the window sees fixed tokens and masks as they stand."""

    hidden: Tensor  # the trunk's part of the hidden layer, [B, L, H]
    unary: Tensor  # [B, L, V]
    exact_expectation = False
    head: AutoregressiveHead = shared()

    def log_prob(self, x: Tensor) -> Tensor:
        index = x.clamp_max(self.unary.shape[-1] - 1).unsqueeze(-1)
        return torch.where(self.spoken, self.predictives(x).gather(-1, index).squeeze(-1), 0.0).sum(-1)

    def predictives(self, x: Tensor) -> Tensor:
        return self._logits(x).log_softmax(-1)

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        return self.decode(self.noise(generator), decoding)[0]

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        """A lower bound in expectation: sequential importance sampling with each token drawn ∝ q·w.

        Forced decoding generalised to any weights: adding log w to the unaries draws such tokens, and what they leave
        out, Σ_a q(a) w(a) at each position, is their weight. ``draws`` of them are averaged inside the logarithm.
        """
        if generator is None:
            raise ValueError("the autoregressive family estimates this expectation: pass a generator")
        log_w = log_w.to(self.unary.dtype)
        tilted, estimates = replace(self, unary=self.unary + log_w), []
        for _ in range(draws):
            gained = (self.predictives(tilted.sample(generator)) + log_w).logsumexp(-1)
            estimates.append(torch.where(self.spoken, gained, 0.0).sum(-1))
        return torch.stack(estimates).logsumexp(0) - torch.log(torch.tensor(float(draws)))

    def noise(self, generator: torch.Generator) -> Tensor:
        """One Gumbel vector a position, float64 [B, L, V]: all the randomness of a draw."""
        return draw_gumbel(tuple(self.unary.shape), generator, self.unary.device)

    def decode(self, noise: Tensor, decoding: str = "auto") -> tuple[Tensor, int]:
        """The sequence that the noise stands for, int64 [B, L], and how many sweeps over all positions it took.

        Parameters
        ----------
        noise
            See `noise`.
        decoding
            ``sequential``, ``scan`` (windows up to `MAX_SCAN_WINDOW`) or ``fixed_point``. ``auto`` takes the first: it
            does the least work, a scan 27 times as much a position for a window of one over 27 tokens.
        """
        if decoding == "scan" and self.head.window > MAX_SCAN_WINDOW:
            raise ValueError(
                f"a scan looks at all contexts: the window is {self.head.window}, at most {MAX_SCAN_WINDOW}"
            )
        if decoding == "fixed_point":
            best = (self.unary + noise).argmax(-1)
            return fixed_point(
                lambda x, rows: self.select(rows)._drawn(x, noise[rows]), torch.where(self.spoken, best, self.fixed)
            )
        return (self._scan(noise), 1) if decoding == "scan" else (self._one_by_one(noise), self.fixed.shape[1])

    def _logits(self, x: Tensor) -> Tensor:
        return self.head.all_logits(self.hidden, self.unary, torch.where(self.spoken, x, self.fixed))

    def _drawn(self, x: Tensor, noise: Tensor) -> Tensor:
        """What every position would draw given x before it."""
        return torch.where(self.spoken, (self._logits(x) + noise).argmax(-1), self.fixed)

    def _one_by_one(self, noise: Tensor) -> Tensor:
        padded = self.head.padded(self.fixed)
        x = padded[:, self.head.window :]
        # asking which positions are spoken of saves steps, but has a GPU waited for
        positions = range(x.shape[1]) if x.device.type != "cpu" else self.spoken.any(0).nonzero()[:, 0].tolist()
        for i in positions:
            before = padded[:, i : i + self.head.window]
            token = self.head.step(self.hidden[:, i], self.unary[:, i], noise[:, i], before)
            x[:, i] = torch.where(self.spoken[:, i], token, x[:, i])
        return x.contiguous()

    def _scan(self, noise: Tensor) -> Tensor:
        vocabulary, hidden = self.unary.shape[-1], self.hidden.shape[-1]
        contexts = vocabulary**self.head.window
        rows = torch.arange(len(noise), device=noise.device)
        block = max(1, BLOCK // (contexts * (hidden + vocabulary) * noise.shape[1]))
        return torch.cat([self.select(some)._scan_block(noise[some], contexts) for some in rows.split(block)])

    def _scan_block(self, noise: Tensor, contexts: int) -> Tensor:
        """Contexts are the last tokens written in base V; where a token is fixed, a context's own is ignored."""
        vocabulary, window = self.unary.shape[-1], self.head.window
        context = torch.arange(contexts, device=noise.device)
        seen = []
        for j in range(1, window + 1):
            token = (context // vocabulary ** (j - 1) % vocabulary).expand(*self.fixed.shape, -1)
            spoken, fixed = (
                nn.functional.pad(of, (j, 0), value=blank)[:, :-j].unsqueeze(-1)
                for of, blank in ((self.spoken, False), (self.fixed, self.head.blank))
            )
            seen.append(torch.where(spoken, token, fixed))
        logits = self.head.context_logits(self.hidden.unsqueeze(2), self.unary.unsqueeze(2), seen)
        tokens = torch.where(self.spoken.unsqueeze(-1), (logits + noise.unsqueeze(2)).argmax(-1), 0)
        maps = (context * vocabulary + tokens) % contexts
        before = follow_maps(maps, torch.zeros_like(self.fixed[:, 0]))
        drawn = tokens.gather(-1, before.unsqueeze(-1)).squeeze(-1)
        return torch.where(self.spoken, drawn, self.fixed)


class AutoregressiveHead(Head):
    """Hidden layer = trunk features + one embedding for each of the `window` previous tokens; output added to u.

    A window of 0 makes it the factorised family with one more layer, one of L − 1 or more sees all that is before.
    """

    def __init__(self, vocabulary: int, length: int, width: int, window: int = 8, hidden: int = 256) -> None:
        super().__init__()
        self.window = min(window, length - 1)
        self.blank = vocabulary + 1  # stands before the beginning; `vocabulary` is the mask
        self.features = nn.Linear(width, hidden)
        self.previous = nn.Parameter(
            torch.randn(self.window, vocabulary + 2, hidden) * 0.5 / max(self.window, 1) ** 0.5
        )
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Tensor, unary: Tensor, fixed: Tensor, spoken: Tensor) -> Autoregressive:
        return Autoregressive(fixed, spoken, self.features(features), unary, self)

    def all_logits(self, hidden: Tensor, unary: Tensor, seen: Tensor) -> Tensor:
        """Logits of every position given the tokens before it, [B, L, V]."""
        length, padded = seen.shape[1], self.padded(seen)
        begins = range(self.window - 1, -1, -1)  # the token just before first
        return self.context_logits(hidden, unary, [padded[:, begin : begin + length] for begin in begins])

    def padded(self, x: Tensor) -> Tensor:
        """Sequences [B, L] with a window of blanks before them, [B, window + L]."""
        return nn.functional.pad(x, (self.window, 0), value=self.blank)

    def step(self, hidden: Tensor, unary: Tensor, noise: Tensor, before: Tensor) -> Tensor:
        """The token [B] that the noise [B, V] picks after the tokens [B, window], the one just before it last."""
        return (self.context_logits(hidden, unary, before.unbind(-1)[::-1]) + noise).argmax(-1)

    def context_logits(self, hidden: Tensor, unary: Tensor, seen: Sequence[Tensor]) -> Tensor:
        """Logits [..., V] of positions whose previous tokens are ``seen`` [...], the token just before first."""
        for j, token in enumerate(seen):
            hidden = hidden + nn.functional.embedding(token, self.previous[j])
        return unary + self.output(nn.functional.gelu(hidden))
