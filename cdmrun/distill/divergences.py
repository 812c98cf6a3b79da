"""f-divergences between a target p and a student q, as sums over outcomes and as expectations over draws from p.

    D(p ‖ q) = Σ_x p(x) g(ρ(x)),   ρ = log q − log p,   r = e^ρ,   g = 0 and g' = 0 at r = 1

Such a g is at least zero, so that a loss and its gradient vanish outcome by outcome where q = p. A constant times r − 1
may be added to g: Σ p (r − 1) is zero where q has no mass outside the support of p. With draws from p that is used to
make g grow no faster than log r (`Divergence.of_draws`). Gradients are taken through q alone; all is in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor
from torch.nn.functional import logsigmoid

from cdmrun.processes.base import TINY

#: What specs can name, see `divergence`.
DIVERGENCES = ("forward_kl", "reverse_kl", "jensen_shannon", "total_variation", "alpha")

#: Draws at which q exceeds p by more than this many nats count as this, without a gradient: e^30 leaves float32 alone.
LARGEST = 30.0


@dataclass(frozen=True)
class Divergence:
    """One way to compare a student with a target.

    Attributes
    ----------
    name
        What specs call it.
    term
        g as a function of ρ.
    term_of_draws
        g plus a multiple of 1 − r: an unbiased estimate where x is drawn from p. With that multiple the limit of
        g(r)/r, where there is one, what q has outside the support of p is counted although no draw is ever there.
    """

    name: str
    term: Callable[[Tensor], Tensor]
    term_of_draws: Callable[[Tensor], Tensor]

    def full(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """D(p ‖ q), nats (total variation: a probability), summed over the last axis of both, float64.

        Probabilities below 1e-300 count as that: what is infinite comes out large, and nothing as NaN.
        """
        log_p, log_q = (log.double().clamp_min(math.log(TINY)) for log in (log_p, log_q))
        return (log_p.exp() * self.term(log_q - log_p)).sum(-1)

    def of_draws(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """An unbiased estimate of D(p ‖ q) at each draw from p, given its log-probabilities; float64."""
        log_ratio = log_q.double().clamp_min(math.log(TINY)) - log_p.double()
        if self.name != "forward_kl":  # which has no exponential
            log_ratio = log_ratio.clamp_max(LARGEST)
        return self.term_of_draws(log_ratio)


def divergence(name: str, alpha: float | None = None) -> Divergence:
    """The divergence that specs call so.

    Parameters
    ----------
    name
        ``forward_kl``: KL(p ‖ q). ``reverse_kl``: KL(q ‖ p). ``jensen_shannon``: half of KL(p ‖ m) + KL(q ‖ m), with
        m their mean. ``total_variation``: half of Σ |p − q|. ``alpha``: (1 − Σ p^α q^(1−α)) / (α (1 − α)).
    alpha
        In [0, 1]: 0 is the reverse, 1 the forward KL, in the limit as in value; 1/2 is four times the squared
        Hellinger distance.
    """
    if name == "alpha":
        if alpha is None or not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha must be in [0, 1], got {alpha}")
        if alpha in (0.0, 1.0):
            return divergence("forward_kl" if alpha else "reverse_kl")
        return Divergence(name, partial(_alpha, alpha=alpha), partial(_alpha_of_draws, alpha=alpha))
    terms: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
        "forward_kl": (_forward_kl, Tensor.neg),
        "reverse_kl": (_reverse_kl, _reverse_kl),
        "jensen_shannon": (_jensen_shannon, _jensen_shannon_of_draws),
        "total_variation": (_total_variation, _total_variation_of_draws),
    }
    return Divergence(name, *terms[name])


def _forward_kl(log_ratio: Tensor) -> Tensor:
    """−log r + r − 1."""
    return log_ratio.expm1() - log_ratio


def _reverse_kl(log_ratio: Tensor) -> Tensor:
    """r log r − r + 1; grows faster than r, so that mass of q where p has none is worth infinity, and never drawn."""
    return log_ratio.exp() * log_ratio - log_ratio.expm1()


def _jensen_shannon(log_ratio: Tensor) -> Tensor:
    """½ log (2 / (1 + r)) + ½ r log (2 r / (1 + r))."""
    above, below = -logsigmoid(-log_ratio), -logsigmoid(log_ratio)  # log(1 + r), log(1 + 1/r)
    return 0.5 * (math.log(2.0) - above) + 0.5 * log_ratio.exp() * (math.log(2.0) - below)


def _jensen_shannon_of_draws(log_ratio: Tensor) -> Tensor:
    """The same + ½ log 2 · (1 − r); the weight of ∇log q is then within −½ and 0 for every draw."""
    return math.log(2.0) + 0.5 * logsigmoid(-log_ratio) + 0.5 * log_ratio.exp() * logsigmoid(log_ratio)


def _total_variation(log_ratio: Tensor) -> Tensor:
    """½ |r − 1|."""
    return 0.5 * log_ratio.expm1().abs()


def _total_variation_of_draws(log_ratio: Tensor) -> Tensor:
    """The same + ½ (1 − r): the positive part of 1 − r."""
    return (-log_ratio.expm1()).relu()


def _alpha(log_ratio: Tensor, alpha: float) -> Tensor:
    """(1 − r^(1−α)) / (α (1 − α)) + (r − 1) / α, so written that nothing cancels as α → 0 or α → 1."""
    excess = log_ratio.expm1()
    if alpha > 0.5:
        return (excess - ((1.0 - alpha) * log_ratio).expm1() / (1.0 - alpha)) / alpha
    return -(log_ratio.exp() * (-alpha * log_ratio).expm1() / alpha + excess) / (1.0 - alpha)


def _alpha_of_draws(log_ratio: Tensor, alpha: float) -> Tensor:
    """(1 − r^(1−α)) / (α (1 − α))."""
    return -((1.0 - alpha) * log_ratio).expm1() / (alpha * (1.0 - alpha))
