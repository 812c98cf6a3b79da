"""A Markov chain over the spoken positions: each token given the last `order` that are spoken of, hidden ones skipped.

The logits of a token are the trunk's unaries, a small network of the trunk's features and the token before, and tables
over the last 2 … `order` tokens, each with a weight that the trunk sets:

    log q(x^i | before) = u_i + g_i1 W gelu(h_i + e(x^{−1}) + d_i) + Σ_{j ≥ 2} g_ij T_j[x^{−1}, …, x^{−j}] + const

with x^{−j} the j-th spoken token before i, and d_i, g_ij also knowing how far away it is. A step that reveals a few
scattered positions is then a short chain over those. With so few contexts everything is tractable: expectations and
marginals by the forward algorithm, draws in parallel by a scan (`cdmrun.models.families.decoding`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cdmrun.errors import UserError
from cdmrun.limits import MAX_TRANSITIONS
from cdmrun.models.families.base import Head, JointDistribution, shared
from cdmrun.models.families.decoding import BLOCK, fixed_point, follow_maps
from cdmrun.processes.draws import draw_gumbel

#: Distances from 1 up to this are told apart; farther ones are alike.
FARTHEST = 8

#: Log-probability of contexts that cannot be: finite, so that gradients are.
NEVER = -1e30


@dataclass(frozen=True)
class SpokenChain:
    """What a law holds at its spoken positions, moved to the front of each row; n of them at most, [B, n, …].

    Attributes
    ----------
    index
        Where they are in the sequence, in order; whatever comes after a row's last one is not `valid`.
    hidden, gates
        h_i + d_i, [B, n, H], and g_i, [B, n, order].
    """

    index: Tensor
    valid: Tensor
    unary: Tensor
    hidden: Tensor
    gates: Tensor


@dataclass(frozen=True)
class Markov(JointDistribution):
    """q(x) = Π_{i spoken} q(x^i | the last `order` spoken tokens before i)."""

    unary: Tensor  # [B, L, V]
    hidden: Tensor  # [B, L, H]
    gates: Tensor  # [B, L, order]
    head: MarkovHead = shared()

    def log_prob(self, x: Tensor) -> Tensor:
        tokens = self._tokens(x)
        each = self._logits(tokens).log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        return torch.where(self._chain.valid, each, 0.0).sum(-1)

    def predictives(self, x: Tensor) -> Tensor:
        laws = self.unary.log_softmax(-1)
        chain, spoken = self._chain, self._logits(self._tokens(x)).log_softmax(-1)
        index = chain.index.unsqueeze(-1).expand(spoken.shape)
        spoken = torch.where(chain.valid.unsqueeze(-1), spoken, laws.gather(1, index))
        return laws.scatter(1, index, spoken)

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        return self.decode(self.noise(generator), decoding)[0]

    def noise(self, generator: torch.Generator) -> Tensor:
        """One Gumbel vector for each spoken position, float64 [B, n, V]: all the randomness of a draw."""
        return draw_gumbel(tuple(self._chain.unary.shape), generator, self.unary.device)

    def decode(self, noise: Tensor, decoding: str = "auto") -> tuple[Tensor, int]:
        """The sequence that the noise stands for, int64 [B, L], and how many sweeps over the positions it took.

        ``decoding`` is ``sequential``, ``scan``, ``fixed_point``, or ``auto``: the first, which does the least work.
        """
        if decoding == "scan":
            tokens, sweeps = self._scan(noise), 1
        elif decoding == "fixed_point":
            tokens, sweeps = fixed_point(
                lambda x, rows: (self.select(rows)._logits(x, noise.shape[1]) + noise[rows]).argmax(-1),
                (self._chain.unary + noise).argmax(-1),
            )
        else:
            tokens, sweeps = self._one_by_one(noise), noise.shape[1]
        chain = self._chain
        tokens = torch.where(chain.valid, tokens, self.fixed.gather(1, chain.index))
        return self.fixed.scatter(1, chain.index, tokens), sweeps

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        return torch.cat([law._forward(w.to(self.unary.dtype))[0] for law, w in self._blocks(log_w)])

    def marginals(self) -> Tensor:
        laws = torch.zeros_like(self.unary)
        spoken = torch.cat([law._forward(w)[1] for law, w in self._blocks(laws)])
        spoken = torch.where(self._chain.valid.unsqueeze(-1), spoken, 0.0)
        return self._known_marginals(laws.scatter(1, self._chain.index.unsqueeze(-1).expand(spoken.shape), spoken))

    @cached_property
    def _chain(self) -> SpokenChain:
        return self._compact(int(self.spoken.sum(-1).max()) if len(self.spoken) else 1)

    def _compact(self, count: int) -> SpokenChain:
        index = self.spoken.logical_not().long().argsort(dim=1, stable=True)[:, : max(count, 1)]
        valid = self.spoken.gather(1, index)

        def at(value: Tensor) -> Tensor:
            return value.gather(1, index.unsqueeze(-1).expand(-1, -1, value.shape[-1]))

        near, gates = self.head.distances(index)
        return SpokenChain(index, valid, at(self.unary), at(self.hidden) + near, at(self.gates) * gates)

    def _tokens(self, x: Tensor) -> Tensor:
        """The spoken tokens, [B, n]; anything where there is none."""
        return x.gather(1, self._chain.index).clamp_max(self.head.vocabulary - 1)

    def _logits(self, tokens: Tensor, count: int | None = None) -> Tensor:
        """Logits [B, n, V] given the spoken tokens before."""
        chain = self._chain if count is None else self._compact(count)
        padded = [nn.functional.pad(tokens, (j, 0), value=self.head.vocabulary) for j in range(1, self.head.order + 1)]
        return self.head.logits(chain, [seen[:, : tokens.shape[1]] for seen in padded])

    def _one_by_one(self, noise: Tensor) -> Tensor:
        start = torch.full_like(self.fixed[:, 0], self.head.vocabulary)
        tokens = [start] * self.head.order
        for k in range(noise.shape[1]):
            logits = self.head.logits(_position(self._chain, k), tokens[: -self.head.order - 1 : -1])
            tokens.append((logits + noise[:, k]).argmax(-1))
        return torch.stack(tokens[self.head.order :], 1)

    def _scan(self, noise: Tensor) -> Tensor:
        rows = torch.arange(len(noise), device=noise.device)
        block = max(1, BLOCK // (self.head.contexts * noise[0].numel()))
        count = noise.shape[1]
        return torch.cat([self.select(some)._scan_block(noise[some], count) for some in rows.split(block)])

    def _scan_block(self, noise: Tensor, count: int) -> Tensor:
        contexts = self.head.contexts
        tokens = (self.head.all_logits(self._compact(count)) + noise.unsqueeze(2)).argmax(-1)  # [B, n, S]
        maps = (torch.arange(contexts, device=noise.device) * (self.head.vocabulary + 1) + tokens) % contexts
        before = follow_maps(maps, torch.full_like(self.fixed[:, 0], contexts - 1))
        return tokens.gather(-1, before.unsqueeze(-1)).squeeze(-1)

    def _blocks(self, log_w: Tensor) -> Iterator[tuple[Markov, Tensor]]:
        """So many rows at a time that a position's laws given all contexts fit in memory; n is that of all rows."""
        rows = torch.arange(len(log_w), device=log_w.device)
        count = self._chain.index.shape[1]
        for some in rows.split(max(1, BLOCK // (self.head.contexts * self.head.vocabulary))):
            law = self.select(some)
            law.__dict__["_chain"] = law._compact(count)
            yield law, log_w[some]

    def _forward(self, log_w: Tensor) -> tuple[Tensor, Tensor]:
        """log E Π w over the chain, [B], and the law of each spoken token given the w of those before, [B, n, V]."""
        chain = self._chain
        log_w = log_w.gather(1, chain.index.unsqueeze(-1).expand(-1, -1, log_w.shape[-1]))
        belief = self.unary.new_full((len(log_w), self.head.contexts), NEVER)
        belief[:, -1] = 0.0  # nothing is before the first
        step: Callable[..., Any] = self._step
        laws = []
        for k in range(chain.index.shape[1]):
            if torch.is_grad_enabled():
                belief, law = checkpoint(step, belief, log_w[:, k], k, use_reentrant=False)
            else:
                belief, law = step(belief, log_w[:, k], k)
            laws.append(law)
        return belief.logsumexp(-1), torch.stack(laws, 1)

    def _step(self, belief: Tensor, log_w: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """One token on: from log-weights of contexts [B, S] to those of the contexts after it."""
        batch, wide = len(belief), self.head.vocabulary + 1
        joint = belief.unsqueeze(-1) + self.head.all_logits(_position(self._chain, k)).log_softmax(-1)  # [B, S, V]
        law = joint.logsumexp(1).softmax(-1)
        summed = (joint + log_w.unsqueeze(1)).view(batch, wide, -1, wide - 1).logsumexp(1)  # over the oldest token
        after = nn.functional.pad(summed, (0, 1), value=NEVER).flatten(1)
        return torch.where(self._chain.valid[:, k : k + 1], after, belief), law


def _position(chain: SpokenChain, k: int) -> SpokenChain:
    """The k-th spoken position alone, without its axis."""
    return SpokenChain(chain.index[:, k], chain.valid[:, k], chain.unary[:, k], chain.hidden[:, k], chain.gates[:, k])


class MarkovHead(Head):
    """Starts as the product of the unaries: output and tables are zero.

    Contexts are the last tokens in base V + 1, the newest the last digit; digit V stands before the beginning.
    """

    def __init__(self, vocabulary: int, length: int, width: int, order: int = 2, hidden: int = 128) -> None:
        super().__init__()
        wide = vocabulary + 1
        if wide**order * vocabulary > MAX_TRANSITIONS:
            raise UserError(
                f"a chain of order {order} over {vocabulary} tokens has {wide**order * vocabulary:,} log-odds, "
                f"more than {MAX_TRANSITIONS:,}",
                "take a lower order, or family autoregressive",
            )
        self.vocabulary, self.order, self.contexts = vocabulary, order, wide**order
        self.features = nn.Linear(width, hidden)
        self.previous = nn.Parameter(torch.randn(wide, hidden) * 0.5)
        self.near = nn.Parameter(torch.zeros(FARTHEST + 1, hidden))
        self.output = nn.Linear(hidden, vocabulary)
        self.tables = nn.ParameterList([torch.zeros(wide**j, vocabulary) for j in range(2, order + 1)])
        self.gate = nn.Linear(width, order)
        self.reach = nn.Parameter(torch.ones(order, FARTHEST + 1))
        with torch.no_grad():
            self.reach[1:, 1:FARTHEST] = 0.0  # tables are for tokens in a row, at first
        for layer in (self.output, self.gate):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, unary: Tensor, fixed: Tensor, spoken: Tensor) -> Markov:
        return Markov(fixed, spoken, unary, self.features(features), 1.0 + self.gate(features), self)

    def distances(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """d of each spoken position, [B, n, H], and what distances make of its gates, [B, n, order]."""
        beyond = []
        for j in range(1, self.order + 1):
            skipped = index[:, j:] - index[:, :-j] - j if j < index.shape[1] else index[:, :0]
            skipped = skipped.clamp(0, FARTHEST - 1)
            beyond.append(nn.functional.pad(skipped, (index.shape[1] - skipped.shape[1], 0), value=FARTHEST))
        return self.near[beyond[0]], torch.stack([self.reach[j][beyond[j]] for j in range(self.order)], -1)

    def logits(self, chain: SpokenChain, seen: list[Tensor]) -> Tensor:
        """Logits [..., V] of positions whose earlier tokens are ``seen`` [...], the last one first."""
        hidden = chain.hidden + nn.functional.embedding(seen[0], self.previous)
        logits = chain.unary + chain.gates[..., :1] * self.output(nn.functional.gelu(hidden))
        code = seen[0]
        for j in range(2, self.order + 1):
            code = code + seen[j - 1] * (self.vocabulary + 1) ** (j - 1)
            logits = logits + chain.gates[..., j - 1, None] * nn.functional.embedding(code, self.tables[j - 2])
        return logits

    def all_logits(self, chain: SpokenChain) -> Tensor:
        """Logits of positions given each context, [..., (V + 1)^order, V]."""
        hidden = chain.hidden.unsqueeze(-2) + self.previous
        logits = chain.unary.unsqueeze(-2) + chain.gates[..., :1, None] * self.output(nn.functional.gelu(hidden))
        for j in range(2, self.order + 1):
            table = self.tables[j - 2].view(self.vocabulary + 1, -1, self.vocabulary)
            gate = chain.gates[..., j - 1, None, None, None]
            logits = (logits.unsqueeze(-3) + gate * table).flatten(-3, -2)
        return logits
