"""Time grids that are optimal for a number of steps (after Watson et al. 2021, *Learning to efficiently sample*).

nll_bound is a sum over the steps of a sampler, and what the rest of it costs does not depend on the grid. So once the
cost of a step is known between all pairs of candidate times, the best grid of n steps is the cheapest way from 1 to 0
in n steps along them: dynamic programming, for all n at once. Candidates are evenly spaced, and the times of the
uniform and the cosine grids are among them, so that no found grid is worse than those are, on the costs it is found by.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cdmrun.metrics.exact import step_divergence
from cdmrun.metrics.nll_bound import kernel_cost
from cdmrun.models import ConditionalModel, EnumeratedTeacher, JointDistribution
from cdmrun.processes import ForwardProcess, time_grid
from cdmrun.samplers import Step, TransitionKernel

#: Times closer than this are one.
APART = 1e-9

#: What a step costs that a kernel makes impossible: more than any finite way, and less the fewer of them.
IMPOSSIBLE = 1e30


def candidate_times(steps: Sequence[int], points: int) -> Tensor:
    """Times from 0 to 1, ascending, float64 [m + 1]: ``points`` even steps, and every grid of the given step counts."""
    grids = [time_grid(points), *(time_grid(n, kind) for n in steps for kind in ("uniform", "cosine"))]
    times = torch.cat(grids).sort().values
    first = torch.cat([torch.ones(1, dtype=torch.bool), times.diff() > APART])
    times = times[first]
    times[-1] = 1.0
    return times


def noise_path(process: ForwardProcess, x_0: Tensor, times: Tensor, generator: torch.Generator) -> Tensor:
    """One walk of the forward process through all times, for each sequence [B, L], int64 [m + 1, B, L].

    Any two of its states are a draw of the two, so that one walk serves all pairs, and what it is by chance is the same
    for all grids.
    """
    path = [x_0]
    for earlier, later in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        path.append(process.noise(path[-1], earlier, later, generator))
    return torch.stack(path)


@torch.inference_mode()
def estimated_costs(
    kernel: TransitionKernel,
    last: TransitionKernel,
    path: Tensor,
    times: Tensor,
    start: int,
    generator: torch.Generator,
    draws: int,
) -> Tensor:
    """Mean cost of the steps from ``times[start]`` to each earlier time, nats a sequence, float64 [start].

    ``last`` is the kernel of steps that end at 0. A network that need not know where a step ends is called once.
    """
    x_0, x_t = path[0], path[start]
    t = times[start].expand(len(x_0)).to(x_0.device)
    asked = LastAnswer.of(kernel, last)
    costs = []
    for end in range(start):
        s = times[end].expand(len(x_0)).to(x_0.device)
        own = asked[1] if end == 0 else asked[0]
        costs.append(float(kernel_cost(own, x_0, path[end], x_t, t, s, generator, draws).mean()))
    return torch.tensor(costs, dtype=torch.float64)


def exact_costs(
    kernel: TransitionKernel, last: TransitionKernel, teacher: EnumeratedTeacher, times: Tensor, start: int
) -> Tensor:
    """As `estimated_costs`, in expectation over all that can happen: KL from the true reverse step."""
    t = float(times[start])
    ends = [float(s) for s in times[:start]]
    costs = [step_divergence(Step(kernel if s > 0 else last, t, s), teacher) for s in ends]
    return torch.tensor(costs, dtype=torch.float64)


def cheapest(costs: Tensor, steps: Sequence[int]) -> dict[int, list[int]]:
    """For each n the n-step way from the last time to the first that costs least, as n + 1 indices, ascending.

    Parameters
    ----------
    costs
        Of the step from time j to time i, [j, i], for i < j; float64 [m + 1, m + 1], may be infinite.
    steps
        Step counts n, each at most m.
    """
    size = len(costs)
    below = torch.ones(size, size, dtype=torch.bool).tril(-1)
    edges = torch.where(below, costs.nan_to_num(nan=IMPOSSIBLE, posinf=IMPOSSIBLE).clamp_max(IMPOSSIBLE), math.inf)
    total = torch.full((size,), math.inf, dtype=torch.float64)
    total[0] = 0.0
    came_from: list[Tensor] = []
    for _ in range(max(steps)):
        total, best = (edges + total).min(-1)
        came_from.append(best)
    found = {}
    for n in steps:
        way = [size - 1]
        for k in range(n - 1, -1, -1):
            way.append(int(came_from[k][way[-1]]))
        found[n] = way[::-1]
    return found


class LastAnswer(ConditionalModel):
    """A model that remembers its answer to the last question that did not say where the step ends."""

    def __init__(self, model: ConditionalModel) -> None:
        super().__init__()
        self.model, self.process, self.length, self.matches = model, model.process, model.length, model.matches
        self._asked: tuple[Tensor, Tensor] | None = None
        self._answer: JointDistribution | None = None

    @staticmethod
    def of(*kernels: TransitionKernel) -> tuple[TransitionKernel, ...]:
        """Copies of kernels of one model which share what it answers."""
        model = LastAnswer(kernels[0].model)
        return tuple(_with_model(kernel, model) for kernel in kernels)

    def forward(
        self, x_t: Tensor, t: Tensor, s: Tensor | None = None, spoken: Tensor | None = None
    ) -> JointDistribution:
        if s is not None or spoken is not None:
            return self._law(x_t, t, s, spoken)
        if self._answer is None or self._asked is None or self._asked[0] is not x_t or self._asked[1] is not t:
            self._asked, self._answer = (x_t, t), self._law(x_t, t, None, None)
        return self._answer

    def _law(self, x_t: Tensor, t: Tensor, s: Tensor | None, spoken: Tensor | None) -> JointDistribution:
        law: JointDistribution = self.model(x_t, t, s, spoken)
        return law


def _with_model(kernel: TransitionKernel, model: ConditionalModel) -> TransitionKernel:
    twin = copy.copy(kernel)
    twin.model = model
    return twin
