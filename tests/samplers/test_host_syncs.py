"""A GPU's queue runs dry whenever a number is asked back from it: samplers walk down their grids without that.

They are run on PyTorch's meta device, whose tensors have shapes but no numbers: what asks for one fails there, and all
that is done for the sake of GPUs is done.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from compilers import Compiler, compiling_with

from cdmrun.models import NetworkModel, NetworkShape
from cdmrun.models.compiling import compile_for_rows
from cdmrun.models.families import autoregressive
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
    """Go down a sampler's grid."""
    model = NetworkModel(process, shape).to("meta")
    return build(model).walk(torch.zeros(4, L, dtype=torch.long, device="meta"), torch.Generator())


@pytest.fixture(autouse=True)
def _made_up_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not know: autocast, which does nothing in float32 anyway, and exponential numbers."""
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **options: nullcontext())
    monkeypatch.setattr(
        autoregressive, "draw_gumbel", lambda shape, generator, device: torch.zeros(shape, device=device)
    )


def shape_of(family: str, matches: str = "clean") -> NetworkShape:
    trunk = {"layers": 1, "width": 8, "heads": 2}
    return NetworkShape(L, {"kind": family, **FAMILIES.get(family, {})}, trunk, matches)


@pytest.mark.parametrize("process", [Absorbing, Uniform])
@pytest.mark.parametrize("name", TEACHERS)
def test_samplers_of_a_teacher(process: type[Absorbing] | type[Uniform], name: str) -> None:
    drawn = walk(process(V), TEACHERS[name], shape_of("factorized"))
    assert drawn.shape == (4, L)
    assert drawn.is_meta


@pytest.mark.parametrize("process", [Absorbing, Uniform])
@pytest.mark.parametrize("matches", ["clean", "step"])
@pytest.mark.parametrize("family", ["factorized", *FAMILIES])
def test_students(process: type[Absorbing] | type[Uniform], matches: str, family: str) -> None:
    drawn = walk(process(V), lambda model: student_sampler(model, 3), shape_of(family, matches))
    assert drawn.shape == (4, L)
    assert drawn.is_meta


def test_compiled_students() -> None:
    """Of more rows than they draw at once."""

    def sampler(model: NetworkModel) -> Sampler:
        compile_for_rows(5, model)
        return student_sampler(model, 3)

    compiler = Compiler()
    with compiling_with(compiler):
        drawn = walk(Absorbing(V), sampler, shape_of("autoregressive"))
    assert drawn.shape == (4, L)
    assert drawn.is_meta
    assert compiler.graphs == 2


def test_the_test_can_fail() -> None:
    """A chain over what is spoken of has to know how much that is."""
    with pytest.raises(RuntimeError, match="meta tensors"):
        walk(Absorbing(V), lambda model: student_sampler(model, 3), shape_of("markov"))
