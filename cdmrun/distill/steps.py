"""Which steps of which samplers a student is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cdmrun.processes import time_grid
from cdmrun.processes.resident import Resident


@dataclass(frozen=True)
class StepBatch:
    """Times of a batch of sampler steps, each float64 [B]: from t down to s, in a sampler of n steps."""

    t: Tensor
    s: Tensor
    n: Tensor

    def end(self, match: str) -> Tensor:
        """Where what is matched lives: at s (``step``), or at 0 (``clean``)."""
        return self.s if match == "step" else torch.zeros_like(self.s)

    def weight(self, match: str) -> Tensor:
        """What a step counts: n (``step``: a loss is a sum over the steps of a sampler), or 1 (``clean``: a mean)."""
        return self.n if match == "step" else torch.ones_like(self.n)


class StepSchedule:
    """Draws steps of the n-step samplers, n taken in turn over the batch, the step uniformly among the n.

    A loss weighted by n is then an unbiased estimate of the sum over a sampler's steps, averaged over the n: where a
    batch is no multiple of the number of samplers, whose turn is first is drawn.
    """

    def __init__(self, nfe: Sequence[int], grid: str = "uniform") -> None:
        self.nfe = tuple(nfe)
        widest = max(self.nfe)
        grids = torch.zeros(len(self.nfe), widest + 1, dtype=torch.float64)
        for row, n in enumerate(self.nfe):
            grids[row, : n + 1] = time_grid(n, grid)
        self.grids, self.counts = Resident(grids), Resident(torch.tensor(self.nfe))

    def draw(self, batch: int, generator: torch.Generator) -> StepBatch:
        """Draw ``batch`` steps."""
        device = generator.device
        row = torch.arange(batch, device=device)
        if batch % len(self.nfe):
            row = row + torch.randint(len(self.nfe), (1,), device=device, generator=generator)
        row = row % len(self.nfe)
        n = self.counts.on(device)[row]
        uniform = torch.rand(batch, dtype=torch.float64, device=device, generator=generator)
        k = (uniform * n).long().clamp_max(n - 1) + 1
        grids = self.grids.on(device)[row]
        at = grids.gather(1, torch.stack([k, k - 1], 1))
        return StepBatch(at[:, 0], at[:, 1], n)


def divided(t: Tensor, s: Tensor, substeps: int) -> list[Tensor]:
    """The ``substeps`` + 1 times that divide each step evenly, from t down to s, each float64 [B]."""
    return [s + (t - s) * (k / substeps) for k in range(substeps, -1, -1)]
