"""A hidden Markov chain along the sequence: correlations between neighbours at the price of matrix products.

Transitions A_i(k, l) ∝ exp(T_kl + b_il) and emissions P(x^i = a | k) ∝ exp(u_ia + E_ka), with T and E shared over
positions and b, u read from the trunk. Both normalisers are then matrix products with exp(T) and exp(E), so that
neither S×S nor S×V is ever materialised per position (docs/families.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cdmrun.models.families.base import Head, JointDistribution, shared
from cdmrun.models.families.decoding import BLOCK, follow_maps
from cdmrun.models.families.scan import ENTRIES, prefix_laws
from cdmrun.processes.draws import draw_categorical, invert_categorical

#: Bound on |T| and |E|: keeps every normaliser within float32, since no state can all but forbid a likely token.
BOUND = 12.0


def soft_clamp(x: Tensor) -> Tensor:
    """Identity near zero, within ±`BOUND` everywhere."""
    return BOUND * torch.tanh(x / BOUND)


@dataclass(frozen=True)
class HiddenMarkov(JointDistribution):
    """q(x) = Σ_z P(z^1) Π A_i(z^{i−1}, z^i) Π_{i spoken} P(x^i | z^i); unspoken positions emit nothing."""

    start: Tensor  # b, [B, L, S]: log-weights of entering each state at each position
    unary: Tensor  # u, [B, L, V], maximum 0 at each position
    transition: Tensor = shared()  # exp(T), [S, S]
    emission: Tensor = shared()  # exp(E), [S, V]

    def log_prob(self, x: Tensor) -> Tensor:
        token = x.clamp_max(self.emission.shape[1] - 1)
        scale = self.unary.gather(-1, token.unsqueeze(-1)).squeeze(-1)
        return self._forward(self.emission.T[token] / self._emission_normaliser(), scale)[0]

    def predictives(self, x: Tensor) -> Tensor:
        token = x.clamp_max(self.emission.shape[1] - 1)
        normaliser = self._emission_normaliser()
        states = self._forward(self.emission.T[token] / normaliser, torch.zeros_like(self.unary[..., 0]))[1]
        return self.unary + ((states / normaliser) @ self.emission).log()

    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        weighted = self.unary + log_w.to(self.unary.dtype)
        scale = weighted.amax(-1)
        emitted = (weighted - scale.unsqueeze(-1)).exp() @ self.emission.T
        return self._forward(emitted / self._emission_normaliser(), scale)[0]

    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        uniform = torch.rand(
            self.fixed.shape, dtype=torch.float64, device=self.fixed.device, generator=generator
        )  # one number a position decides where each state goes
        states = self.states(uniform, decoding)
        tokens = draw_categorical(self.unary.exp() * self.emission[states], generator)
        return torch.where(self.spoken, tokens, self.fixed)

    def states(self, uniform: Tensor, decoding: str = "auto") -> Tensor:
        """The path of hidden states that uniform numbers [B, L] stand for, int64 [B, L].

        ``sequential`` (also ``auto``: it does 1/S of the work) goes along it, ``scan`` composes maps between all S
        states at a depth of log₂ L.
        """
        entering = (self.start - self.start.amax(-1, keepdim=True)).exp()
        first = invert_categorical(entering[:, 0], uniform[:, 0])
        if decoding == "scan":
            return follow_maps(self._maps(entering, uniform), first)
        states = [first]
        for i in range(1, entering.shape[1]):
            states.append(invert_categorical(self.transition[states[-1]] * entering[:, i], uniform[:, i]))
        return torch.stack(states, 1)

    def _maps(self, entering: Tensor, uniform: Tensor) -> Tensor:
        """Where each state at a position goes next, [B, L, S]; after the last one nowhere."""
        batch, length, count = entering.shape
        following = zip(
            entering[:, 1:].flatten(0, 1).split(max(1, BLOCK // count**2)),
            uniform[:, 1:].flatten().split(max(1, BLOCK // count**2)),
            strict=True,
        )
        maps = [
            invert_categorical(self.transition * enter.unsqueeze(1), number.unsqueeze(1).expand(-1, count))
            for enter, number in following
        ]
        stay = torch.arange(count, device=uniform.device).expand(batch, 1, -1)
        return torch.cat([torch.cat(maps).view(batch, length - 1, count), stay], 1)

    def marginals(self) -> Tensor:
        states = self._scan(torch.ones_like(self.start)) if self._in_parallel() else self._one_by_one()
        law = (states / self._emission_normaliser()) @ self.emission * self.unary.exp()
        return self._known_marginals(law)

    def _one_by_one(self) -> Tensor:
        """The law of each state, [B, L, S]."""
        entering, normaliser = self._transitions()
        state = entering[:, 0] / entering[:, 0].sum(-1, keepdim=True)
        states = [state]
        for i in range(1, entering.shape[1]):
            state = (state / normaliser[:, i]) @ self.transition * entering[:, i]
            states.append(state)
        return torch.stack(states, 1)

    def _emission_normaliser(self) -> Tensor:
        """Σ_a exp(u_ia + E_ka), [B, L, S]."""
        return self.unary.exp() @ self.emission.T

    def _transitions(self) -> tuple[Tensor, Tensor]:
        """exp(b) up to a factor, and the normalisers Σ_l exp(T_kl + b_il), both [B, L, S]."""
        entering = (self.start - self.start.amax(-1, keepdim=True)).exp()
        return entering, entering @ self.transition.T

    def _forward(self, emitted: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """The forward algorithm, rescaled at each position; emission factors [B, L, S] times exp(scale [B, L]).

        Returns the log-likelihood, [B], and the law of each state given what is emitted before it, [B, L, S].
        """
        emitted = torch.where(self.spoken.unsqueeze(-1), emitted, 1.0)
        log_likelihood = torch.where(self.spoken, scale, 0.0).sum(-1)
        if self._in_parallel():
            laws = self._scan(emitted)
            return log_likelihood + (laws * emitted).sum(-1).log().sum(-1), laws
        entering, normaliser = self._transitions()
        states = [entering[:, 0] / entering[:, 0].sum(-1, keepdim=True)]
        belief = states[0] * emitted[:, 0]
        masses = []
        for i in range(1, emitted.shape[1]):
            mass = belief.sum(-1, keepdim=True)
            masses.append(mass)
            states.append((belief / (mass * normaliser[:, i])) @ self.transition * entering[:, i])
            belief = states[i] * emitted[:, i]
        masses.append(belief.sum(-1, keepdim=True))
        return log_likelihood + torch.cat(masses, -1).log().sum(-1), torch.stack(states, 1)

    def _in_parallel(self) -> bool:
        """Whether the forward algorithm is a scan: on GPUs, as far as its matrices fit in memory."""
        return self.start.device.type != "cpu" and self.start.numel() * self.start.shape[-1] <= ENTRIES

    def _scan(self, emitted: Tensor) -> Tensor:
        """The law of each state given what is emitted before it, by a parallel scan, [B, L, S]."""
        entering, normaliser = self._transitions()
        leaving = (emitted[:, :-1] / normaliser[:, 1:]).unsqueeze(-1)
        matrices = leaving * self.transition * entering[:, 1:].unsqueeze(-2)
        return prefix_laws(entering[:, 0] / entering[:, 0].sum(-1, keepdim=True), matrices)


class HiddenMarkovHead(Head):
    """Reads b from the trunk; T and E are shared, and start far from zero: nearly equal states are a saddle."""

    def __init__(self, vocabulary: int, length: int, width: int, states: int = 64) -> None:
        super().__init__()
        self.entering = nn.Linear(width, states)
        self.transition = nn.Parameter(torch.randn(states, states))
        self.emission = nn.Parameter(torch.randn(states, vocabulary) * 2.0)

    def forward(self, features: Tensor, unary: Tensor, fixed: Tensor, spoken: Tensor) -> HiddenMarkov:
        return HiddenMarkov(
            fixed,
            spoken,
            start=self.entering(features),
            unary=unary - unary.amax(-1, keepdim=True),
            transition=soft_clamp(self.transition).exp(),
            emission=soft_clamp(self.emission).exp(),
        )
