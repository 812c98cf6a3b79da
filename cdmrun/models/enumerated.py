"""An exact teacher: p_0 is a table, so every conditional, marginal and draw is exact (method.md, section 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from cdmrun.models.base import ConditionalModel
from cdmrun.models.families import Joint
from cdmrun.processes import ForwardProcess
from cdmrun.processes.enumeration import check_enumerable, enumerate_states


class EnumeratedTeacher(ConditionalModel):
    """p_{0|t}(x_0 | x_t) ∝ p_0(x_0) Π_i K_{t|0}(x_0^i, x_t^i), in float64.

    Parameters
    ----------
    process
        The forward process, over the table's vocabulary.
    table
        p_0, shape (V, …, V) with L axes, sums to one.
    """

    table: Tensor
    sequences: Tensor

    def __init__(self, process: ForwardProcess, table: Tensor) -> None:
        super().__init__()
        vocabulary, length = table.shape[0], table.ndim
        if vocabulary != process.vocabulary:
            raise ValueError(f"the table has {vocabulary} tokens, the process {process.vocabulary}")
        check_enumerable(process.states, length)
        self.process = process
        self.length = length
        self.register_buffer("table", table.double().reshape(-1))
        self.register_buffer("sequences", enumerate_states(vocabulary, length), persistent=False)

    def forward(self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None) -> Joint:
        likelihood = self.process.evidence(x_t, 0.0, t)  # [B, L, C]
        joint = self.table.expand(x_t.shape[0], -1)
        for i in range(self.length):
            joint = joint * likelihood[:, i, self.sequences[:, i]]
        total = joint.sum(-1, keepdim=True)
        # a state of probability zero under p_t has no conditional: answer with the prior there, which no bound
        # or law ever weighs by more than zero
        posterior = torch.where(total > 0, joint / total.clamp_min(1e-300), self.table)
        spoken = self.default_spoken(x_t) if spoken is None else spoken
        return Joint(x_t, spoken, posterior.log(), self.sequences, self.process.vocabulary)
