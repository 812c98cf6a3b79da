"""τ-leaping (Campbell et al. 2022): the reverse rates at the start of a step, held fixed until its end."""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.models import ConditionalModel
from cdmrun.samplers.kernels import FactorizedKernel
from cdmrun.samplers.leap import Leap, default_hold


class TauLeaping(FactorizedKernel):
    """One τ-leap (docs/method.md, "τ-leaping"); an explicit factorised kernel, whatever `hold` and `jumps` say."""

    def __init__(self, model: ConditionalModel, hold: str | None = None, jumps: str = "any_jump") -> None:
        super().__init__(model)
        self.leap = Leap(hold or default_hold(model.process), jumps)

    def position_laws(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return self.leap.laws(self.expected_jumps(x_t, t, s), x_t)

    def sample(self, x_t: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        return self.leap.draw(self.expected_jumps(x_t, t, s), x_t, generator)

    def expected_jumps(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Expected number of jumps to each state during the step, float64 [B, L, C]."""
        return self.leap.rates(self.model, x_t, t) * self.leap.elapsed(self.process, t, s, x_t)
