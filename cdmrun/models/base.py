"""The one interface of the science: a conditional model answers noisy states with a joint law."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from cdmrun.models.families.base import JointDistribution
from cdmrun.processes import Absorbing, ForwardProcess


class ConditionalModel(nn.Module, ABC):
    """p(x_0 | x_t), or for step models p(x_s | x_t), as a joint law; one forward call is one NFE.

    Attributes
    ----------
    process
        The forward process whose reverse this models.
    length
        L.
    matches
        ``clean``: the law is over x_0. ``step``: over x_s, the step's own kernel.
    """

    process: ForwardProcess
    length: int
    matches: str = "clean"

    @abstractmethod
    def forward(
        self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None
    ) -> JointDistribution:
        """The joint law given states int64 [B, L] at times float64 [B].

        Parameters
        ----------
        s
            The earlier time [B] of a step kernel; 0 (clean data) if left out.
        spoken
            bool [B, L]: absorbing only, the positions that are to be revealed; all masked ones if left out.
        """

    def default_spoken(self, x_t: Tensor) -> Tensor:
        """Masked positions under the absorbing process, every position otherwise."""
        if isinstance(self.process, Absorbing):
            return x_t == self.process.mask
        return torch.ones_like(x_t, dtype=torch.bool)


class EvaluationCounter:
    """Counts network function evaluations by a forward hook, rows included: NFE is measured, not assumed.

    Use as a context manager around sampling; `per_sample` is the mean number of evaluations a sample cost.
    """

    def __init__(self, *models: nn.Module) -> None:
        self._models = models
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self.calls = 0
        self.rows = 0

    def __enter__(self) -> EvaluationCounter:
        for model in dict.fromkeys(self._models):
            self._handles.append(model.register_forward_hook(self._count))
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def per_sample(self, samples: int) -> float:
        """Evaluations a sample."""
        return self.rows / samples

    def _count(self, module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        self.calls += 1
        self.rows += int(inputs[0].shape[0])
