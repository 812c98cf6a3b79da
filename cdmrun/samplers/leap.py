"""What τ-leaping and its second-order relatives share: rates held fixed, and the jumps that follow from them.

The choices that the literature leaves to the reader are spelt out as options:

``hold``
    what is held fixed: ``ratio``, the density ratio r, with the schedule integrated exactly (Δσ̄ Q r expected jumps);
    or ``rate``, the rate in time R̂_t = σ_t Q r ((t − s) R̂_t of them). The default is the one that serves the process
    better: ``rate`` for absorbing, where the ratio is zero at t = 1 and the first leap would do nothing; ``ratio``
    elsewhere, where σ_1 all but diverges and the first leap would surely leave every state.
``jumps``
    what λ = Σ_y expected jumps of a position do; four samplers that have all been called τ-leaping (peers.md, 1.1):
    ``any_jump`` moves with probability 1 − e^{−λ} and then chooses where; ``reject`` moves if there is exactly one
    jump, λ e^{−λ}; ``euler`` takes λ itself, cut at one, for the probability; ``poisson``, for ordinal data, adds up a
    Poisson number of jumps of every size and clamps the sum to the levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cdmrun.models import ConditionalModel
from cdmrun.processes import Absorbing, ForwardProcess
from cdmrun.processes.base import as_times, safe_divide
from cdmrun.processes.draws import draw_categorical
from cdmrun.samplers.compound_poisson import clamped_compound_poisson, within_window

HOLDS = ("rate", "ratio")
JUMPS = ("any_jump", "reject", "euler", "poisson")


def default_hold(process: ForwardProcess) -> str:
    """``rate`` for the absorbing process, ``ratio`` elsewhere."""
    return "rate" if isinstance(process, Absorbing) else "ratio"


@dataclass(frozen=True)
class Leap:
    """How rates become jumps; see the module.

    Expected jumps are float64 [B, L, C], zero at the state itself.
    """

    hold: str
    jumps: str

    def __post_init__(self) -> None:
        if self.hold not in HOLDS:
            raise ValueError(f"hold must be one of {HOLDS}, got {self.hold!r}")
        if self.jumps not in JUMPS:
            raise ValueError(f"jumps must be one of {JUMPS}, got {self.jumps!r}")

    def rates(self, model: ConditionalModel, x: Tensor, t: Tensor) -> Tensor:
        """Reverse rates at x, per unit of time or of σ̄, [B, L, C]; one network call."""
        c = model(x, t).marginals()
        if self.hold == "rate":
            return model.process.reverse_rates_in_time(c, x, t)
        return model.process.reverse_rates(c, x, t)

    def elapsed(self, process: ForwardProcess, t: Tensor, s: Tensor, like: Tensor) -> Tensor:
        """How long a leap from t to s lasts in the clock of the rates, [B, 1, 1].

        At α_t = 0 the σ̄ clock has run forever: what jumps at all then jumps for sure.
        """
        if self.hold == "rate":
            return as_times(t, like) - as_times(s, like)
        schedule = process.schedule
        ran = schedule.sigma_bar(as_times(t, like)) - schedule.sigma_bar(as_times(s, like))
        return ran.clamp_max(1e12)

    def between(self, process: ForwardProcess, t: Tensor, s: Tensor, share: float) -> Tensor:
        """The time after ``share`` of the leap from t to s, in the clock of the rates; float64 [B]."""
        if self.hold == "rate":
            return t - share * (t - s)
        schedule = process.schedule
        later, earlier = schedule.sigma_bar(t), schedule.sigma_bar(s)
        return schedule.time_of(torch.exp(-(later - share * (later - earlier))))

    def laws(self, expected: Tensor, x: Tensor) -> Tensor:
        """The law of each position after the leap, float64 [B, L, C]."""
        if self.jumps == "poisson":
            return clamped_compound_poisson(expected, x)
        total = expected.sum(-1, keepdim=True)
        leaves = self._leaves(total)
        stays = torch.zeros(expected.shape, dtype=expected.dtype, device=x.device)
        stays = stays.scatter_(-1, x.unsqueeze(-1), 1.0 - leaves)
        return stays + leaves * safe_divide(expected, total)

    def draw(self, expected: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the leap, int64 [B, L]."""
        if self.jumps != "poisson":
            return draw_categorical(self.laws(expected, x), generator)
        # the law itself is needed for scoring alone
        jumps = torch.poisson(within_window(expected, x), generator=generator)
        levels = torch.arange(expected.shape[-1], device=x.device)
        moved = x + (jumps * (levels - x.unsqueeze(-1))).sum(-1).long()
        return moved.clamp(0, expected.shape[-1] - 1)

    def _leaves(self, total: Tensor) -> Tensor:
        match self.jumps:
            case "any_jump":
                return -torch.expm1(-total)
            case "reject":
                return total * torch.exp(-total)
        return total.clamp_max(1.0)
