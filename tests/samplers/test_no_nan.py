"""Targets with zeros under every process and sampler, with a trap on every operation: a limit, an error, never NaN."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from nan_trap import NanTrap
from science_cases import KINDS, generator, make_case

from cdmrun.metrics.exact import analyse
from cdmrun.metrics.exact_scores import ExactScores
from cdmrun.metrics.excess import excess_nll_bound
from cdmrun.metrics.nll_bound import nll_bound
from cdmrun.models import EnumeratedTeacher
from cdmrun.registry import implementation
from cdmrun.samplers import (
    FirstHitting,
    Sampler,
    Uniformization,
    analytic_sampler,
    student_sampler,
    tau_leaping_sampler,
    theta_sampler,
)
from cdmrun.spec.metric_kinds import metric, metric_names
from cdmrun.training.sources import table_source

SAMPLERS: dict[str, Callable[[EnumeratedTeacher], Sampler]] = {
    "analytic": lambda teacher: analytic_sampler(teacher, 3),
    "exact student": lambda teacher: student_sampler(teacher, 3),
    "theta-trapezoidal": lambda teacher: theta_sampler(teacher, 6),
    "theta-rk2": lambda teacher: theta_sampler(teacher, 6, "rk2"),
    **{
        f"tau-leaping-{jumps}": lambda teacher, jumps=jumps: tau_leaping_sampler(teacher, 3, jumps=jumps)  # type: ignore[misc]
        for jumps in ("any_jump", "reject", "euler")
    },
}


def sparse_teacher(kind: str) -> EnumeratedTeacher:
    """Two sequences out of nine (or sixteen), nothing else."""
    V = 4 if kind == "hky85" else 3
    table = np.zeros((V, V))
    table[0, 1], table[2, 0] = 0.3, 0.7
    alpha_min = 0.0 if kind == "absorbing" else 1e-5
    return EnumeratedTeacher(
        make_case(kind, V=V, L=2, alpha_min=alpha_min, table=table).process, torch.from_numpy(table)
    )


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("kind", KINDS)
def test_exact_numbers(kind: str, name: str) -> None:
    teacher = sparse_teacher(kind)
    sampler = SAMPLERS[name](teacher)
    shape = (teacher.process.vocabulary,) * 2
    with NanTrap():
        found = analyse(sampler, teacher)
        laws = ExactScores(teacher.process, teacher.table.view(shape)).of(sampler)
        values = {name: implementation("metric", name)(laws) for name in metric_names() if metric(name).reads == "law"}
    assert float(found.law.sum()) == pytest.approx(1.0, abs=1e-9)
    assert not any(math.isnan(value) for value in (*values.values(), *found.step_kl, *found.total_correlation))
    assert (laws.law >= 0).all()
    assert 0.0 <= values["tv"] <= 1.0


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("kind", KINDS)
def test_estimates_and_draws(kind: str, name: str) -> None:
    teacher = sparse_teacher(kind)
    sampler, x_0 = SAMPLERS[name](teacher), table_source(teacher.table.view(-1, teacher.process.vocabulary).numpy())
    with NanTrap():
        held_out = x_0(32, generator(1))
        bounds = [
            nll_bound(sampler, held_out, generator(2)),
            excess_nll_bound(sampler, teacher, held_out, generator(2)),
        ]
        sampler.sample(64, generator(3))
    assert not any(math.isnan(bound.bits_per_token) for bound in bounds)


@pytest.mark.parametrize("kind", KINDS)
def test_exact_simulation(kind: str) -> None:
    teacher = sparse_teacher(kind)
    with NanTrap():
        drawn = (FirstHitting if kind == "absorbing" else Uniformization)(teacher).sample(200, generator(4))
    found = {tuple(row) for row in drawn.tolist()}
    assert (0, 1) in found
    assert (2, 0) in found
    if kind == "absorbing":
        assert len(found) == 2, "nothing but the target's support"


def test_the_trap_catches() -> None:
    with pytest.raises(AssertionError), NanTrap():
        torch.zeros(2) / torch.zeros(2)
