"""The flow_matching package (CC BY-NC), called as its text example does: path, generalised KL loss, Euler solver.

It is optional, and imported only where it is called.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def installed() -> bool:
    """Whether the package, and the progress bar that it imports without asking for it, are installed."""
    return all(importlib.util.find_spec(name) for name in ("flow_matching", "tqdm"))


def kl_loss(model: nn.Module, data: Callable[[], Tensor], mask: int) -> Callable[[], Tensor]:
    """The package's own path and generalised KL loss."""
    from flow_matching.loss import MixturePathGeneralizedKL

    path = linear_path()
    criterion = MixturePathGeneralizedKL(path)

    def loss() -> Tensor:
        x_1 = data()
        t = torch.rand(len(x_1), device=x_1.device) * (1 - 1e-3)
        sample = path.sample(t=t, x_0=torch.full_like(x_1, mask), x_1=x_1)
        return criterion(logits=model(sample.x_t, t), x_1=x_1, x_t=sample.x_t, t=t)

    return loss


def euler_sampler(model: nn.Module, masks: Tensor, states: int, calls: int, dtype: torch.dtype) -> Callable[[], Tensor]:
    """The package's own Euler solver."""
    from flow_matching.solver import MixtureDiscreteEulerSolver
    from flow_matching.utils import ModelWrapper

    class Posterior(ModelWrapper):
        """Probabilities, as the solver wants them."""

        def forward(self, x: Tensor, t: Tensor, **_: Any) -> Tensor:
            return self.model(x, t).softmax(-1)

    solver = MixtureDiscreteEulerSolver(Posterior(model), linear_path(), states)
    grid = torch.linspace(0.0, 1.0, calls + 1, device=masks.device)
    return lambda: solver.sample(masks, step_size=None, time_grid=grid, dtype_categorical=dtype)


def linear_path() -> Any:
    """From masks to data, linear in time."""
    from flow_matching.path import MixtureDiscreteProbPath
    from flow_matching.path.scheduler import PolynomialConvexScheduler

    return MixtureDiscreteProbPath(scheduler=PolynomialConvexScheduler(n=1.0))
