"""Joint laws over the tokens of a sequence, and the heads that parametrise them from trunk features.

A *family* is two things: a `JointDistribution`, whose likelihood, sampling and marginals cost no network call, and
a `Head` that turns the features of one network call into its parameters (docs/families.md).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

#: Pairs of a law and a sequence that are scored at once when whole kernels are written out.
PAIRS = 65_536


@dataclass(frozen=True)
class JointDistribution(ABC):
    """A joint law q(x | x_t) over the tokens at the positions `spoken` of.

    Attributes
    ----------
    fixed
        x_t, int64 [B, L]: what the sequence holds where nothing is spoken.
    spoken
        bool [B, L]: the positions this law is over. Under the absorbing process these are masked positions
        (all of them for a clean conditional, those that the step reveals for a step kernel); elsewhere all.
    """

    fixed: Tensor
    spoken: Tensor

    #: Whether `log_expectation` is exact; where it is not, it is a lower bound in expectation (Jensen).
    exact_expectation = True

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log q of the spoken tokens of x, int64 [B, L] → [B], nats, exact."""

    @abstractmethod
    def sample(self, generator: torch.Generator, decoding: str = "auto") -> Tensor:
        """Draw the spoken tokens; the others are `fixed`. int64 [B, L].

        ``decoding`` is how families draw whose positions depend on one another (`cdmrun.models.families.decoding`);
        others draw all positions at once, whatever it says.
        """

    @abstractmethod
    def log_expectation(self, log_w: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        """log E_q Π_{i spoken} w_i(x^i) for non-negative per-position weights, log_w [B, L, V] → [B], nats.

        With w the bridge (docs/method.md) this is the likelihood of one step of the sampler. ``generator``
        and ``draws`` serve families for which the sum is intractable (`exact_expectation` is false).
        """

    @abstractmethod
    def predictives(self, x: Tensor) -> Tensor:
        """log q(x^i = a | the spoken tokens of x before i) for every a, int64 [B, L] → normalised [B, L, V], nats.

        `log_prob` is the sum over spoken positions of these at x. At unspoken positions it is the law of what would
        be emitted there, or of nothing at all: leave them out.
        """

    def marginals(self) -> Tensor:
        """P(x^i = a) for every position, [B, L, V] in float64; a known position is a point mass.

        Raises
        ------
        NotImplementedError
            For families whose marginals are intractable.
        """
        raise NotImplementedError(f"{type(self).__name__} has no tractable marginals")

    def log_probabilities(self, sequences: Tensor) -> Tensor:
        """log q of the spoken tokens of each of N sequences under each row's law, int64 [N, L] → float64 [B, N].

        Goes through the rows in blocks, so that a whole kernel can be written out in bounded memory.
        """
        batch, count = self.fixed.shape[0], sequences.shape[0]
        blocks = []
        for rows in torch.arange(batch, device=self.fixed.device).split(max(1, PAIRS // count)):
            repeated = self.select(rows.repeat_interleave(count))
            log_probs = repeated.log_prob(sequences.repeat(len(rows), 1))
            blocks.append(log_probs.double().view(len(rows), count))
        return torch.cat(blocks)

    def select(self, index: Tensor) -> Self:
        """The laws of the given rows, repeats allowed: int64 [N] → the same law with batch N."""

        def pick(value: Any) -> Any:
            return value[index] if isinstance(value, Tensor) else value

        batched = {
            f.name: pick(getattr(self, f.name)) for f in dataclasses.fields(self) if not f.metadata.get("shared")
        }
        return dataclasses.replace(self, **batched)

    def _known_marginals(self, spoken_marginals: Tensor) -> Tensor:
        """Point masses at unspoken positions, the given laws elsewhere, float64."""
        vocabulary = spoken_marginals.shape[-1]
        known = torch.zeros(spoken_marginals.shape, dtype=torch.float64, device=spoken_marginals.device)
        known.scatter_(-1, self.fixed.clamp_max(vocabulary - 1).unsqueeze(-1), 1.0)
        return torch.where(self.spoken.unsqueeze(-1), spoken_marginals.double(), known)


def shared(**kwargs: Any) -> Any:
    """A dataclass field without a batch axis: `JointDistribution.select` leaves it alone."""
    return dataclasses.field(metadata={"shared": True}, **kwargs)


class Head(nn.Module, ABC):
    """Turns trunk features and unary log-odds into a joint law.

    Factorised, autoregressive and joint heads start as the product of the unaries; those with hidden states start
    away from it, since components that are all alike are a saddle.
    """

    @abstractmethod
    def forward(self, features: Tensor, unary: Tensor, fixed: Tensor, spoken: Tensor) -> JointDistribution:
        """Build the law.

        Parameters
        ----------
        features
            Trunk output, float32 [B, L, D].
        unary
            Unnormalised log-probabilities of each token at each position, float32 [B, L, V].
        fixed, spoken
            See `JointDistribution`.
        """
