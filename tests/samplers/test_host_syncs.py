"""A GPU's queue runs dry whenever a number is asked back from it: samplers walk down their grids without that.

They are run on a GPU that is made up (PyTorch's fake tensors: shapes and devices, no numbers). Whatever needs to know a
number on the way cannot be run there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from cdmrun.models import NetworkModel, NetworkShape
from cdmrun.processes import Absorbing, ForwardProcess, Uniform
from cdmrun.samplers import Sampler, analytic_sampler, student_sampler, tau_leaping_sampler, theta_sampler

V, L = 5, 6
TEACHERS: dict[str, Callable[[NetworkModel], Sampler]] = {
    "analytic": lambda model: analytic_sampler(model, 3, "cosine"),
    "tau_leaping": lambda model: tau_leaping_sampler(model, 3),
    "reject": lambda model: tau_leaping_sampler(model, 3, jumps="reject"),
    "theta_trapezoidal": lambda model: theta_sampler(model, 4),
    "theta_rk2": lambda model: theta_sampler(model, 4, "rk2"),
}
FAMILIES: dict[str, dict[str, Any]] = {
    "mixture": {"components": 3},
    "hmm": {"states": 4},
    "autoregressive": {"window": 2, "hidden": 8},
}


def walk(process: ForwardProcess, build: Callable[[NetworkModel], Sampler], shape: NetworkShape) -> torch.Tensor:
    """Go down a sampler's grid on a GPU that is made up."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        with torch.device("cuda"):
            model = NetworkModel(process, shape)
        x = torch.zeros(4, L, dtype=torch.long, device="cuda")
        return build(model).walk(x, torch.Generator())


def shape_of(family: str, matches: str = "clean") -> NetworkShape:
    trunk = {"layers": 1, "width": 8, "heads": 2}
    return NetworkShape(L, {"kind": family, **FAMILIES.get(family, {})}, trunk, matches)


@pytest.mark.parametrize("process", [Absorbing, Uniform])
@pytest.mark.parametrize("name", TEACHERS)
def test_samplers_of_a_teacher(process: type[Absorbing] | type[Uniform], name: str) -> None:
    drawn = walk(process(V), TEACHERS[name], shape_of("factorized"))
    assert drawn.shape == (4, L)
    assert drawn.device.type == "cuda"


@pytest.mark.parametrize("process", [Absorbing, Uniform])
@pytest.mark.parametrize("matches", ["clean", "step"])
@pytest.mark.parametrize("family", ["factorized", *FAMILIES])
def test_students(process: type[Absorbing] | type[Uniform], matches: str, family: str) -> None:
    drawn = walk(process(V), lambda model: student_sampler(model, 3), shape_of(family, matches))
    assert drawn.shape == (4, L)
    assert drawn.device.type == "cuda"


def test_the_test_can_fail() -> None:
    """A chain over what is spoken of has to know how much that is."""
    with pytest.raises(DataDependentOutputException):
        walk(Absorbing(V), lambda model: student_sampler(model, 3), shape_of("markov"))
