"""Trainings with compiled trunks: by a compiler that counts what it is given, and by one that fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compilers import Compiler, compiling_with, missing
from torch import Tensor

from cdmrun.distill import BootstrapMatching, StepSchedule
from cdmrun.models import NetworkModel, NetworkShape, load_model, save_model
from cdmrun.models.compiling import compile_trunks
from cdmrun.models.trunk import Rotary
from cdmrun.processes import Absorbing
from cdmrun.training import TrainSettings, train
from cdmrun.training.sources import table_source

SETTINGS = TrainSettings(steps=4, batch=8, lr=1e-3, warmup=0, checkpoint_every=0.0, log_every=1)


@pytest.fixture
def compiler() -> Iterator[Compiler]:
    made = Compiler()
    with compiling_with(made):
        yield made


def start() -> tuple[NetworkModel, NetworkModel, BootstrapMatching]:
    """A student, a frozen teacher, and an objective that asks both and a copy of the student."""
    torch.manual_seed(0)
    trunk = {"layers": 1, "width": 12, "heads": 2}
    process = Absorbing(3)
    teacher = NetworkModel(process, NetworkShape(2, trunk=trunk)).eval()
    student = NetworkModel(process, NetworkShape(2, {"kind": "hmm", "states": 4}, trunk, "step"))
    source = table_source(np.full((3, 3), 1 / 9))
    return student, teacher, BootstrapMatching(student, teacher, source, StepSchedule([1, 2]), 8, 2)


def trained(settings: TrainSettings, checkpoint: Path | None = None) -> tuple[NetworkModel, list[float], Any]:
    student, teacher, objective = start()
    result = train(student, objective, settings, 1, checkpoint, frozen=[teacher])
    return student, [line[1] for line in result.history], (teacher, objective)


def same(first: NetworkModel, second: NetworkModel) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_student_teacher_and_average_are_compiled(compiler: Compiler, tmp_path: Path) -> None:
    expected = trained(SETTINGS)
    assert compiler.graphs == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = trained(replace(SETTINGS, compile=True))
    assert compiler.graphs >= 2  # one with gradients, and one without, which those that are frozen may share
    teacher, objective = found[2]
    assert all(model.trunk.compiled for model in (found[0], teacher, objective.averaged))
    assert found[1] == pytest.approx(expected[1], rel=1e-4)
    assert found[0].state_dict().keys() == expected[0].state_dict().keys()
    save_model(found[0], tmp_path)
    read = load_model(found[0].process, tmp_path)
    assert isinstance(read, NetworkModel)
    assert same(read, found[0])
    assert not read.trunk.compiled


@pytest.mark.parametrize("first", [True, False])
def test_a_resumed_training_may_be_compiled_or_not(compiler: Compiler, tmp_path: Path, first: bool) -> None:
    expected = trained(SETTINGS)
    student, teacher, objective = start()
    calls = 0

    class Stopping(BootstrapMatching):
        def __call__(self, generator: torch.Generator) -> Tensor:
            nonlocal calls
            calls += 1
            if calls > 2 + first:  # a compiled one takes a step for a trial
                raise KeyboardInterrupt
            return super().__call__(generator)

    objective = Stopping(student, teacher, objective.source, objective.steps, 8, 2)
    with pytest.raises(KeyboardInterrupt):
        train(student, objective, replace(SETTINGS, compile=first), 1, tmp_path / "c.pt", frozen=[teacher])
    found = trained(replace(SETTINGS, compile=not first), tmp_path / "c.pt")
    assert found[1] == pytest.approx(expected[1], rel=1e-4)


def test_without_a_compiler_training_goes_on() -> None:
    expected = trained(SETTINGS)
    refused = "compile does not work here, training goes on without: .*no C.. compiler"
    with compiling_with(missing), pytest.warns(UserWarning, match=refused) as w:
        found = trained(replace(SETTINGS, compile=True))
    assert len([warning for warning in w if "torch.compile" in str(warning.message)]) == 1
    assert same(found[0], expected[0])
    assert found[1] == expected[1]


def test_other_models_are_left_alone(compiler: Compiler) -> None:
    model = torch.nn.Linear(2, 2)
    compile_trunks(model)
    model(torch.zeros(1, 2))
    assert compiler.graphs == 0


def test_a_compiler_sees_the_same_rotation_in_real_numbers(compiler: Compiler) -> None:
    rotary, x = Rotary(8, 5), torch.randn(2, 5, 2, 3, 8, generator=torch.Generator().manual_seed(0))
    found = torch.compile(rotary, backend=compiler)(x)
    torch.testing.assert_close(found, rotary(x), rtol=1e-6, atol=1e-6)
    assert compiler.graphs == 1
    angle = torch.outer(torch.arange(5.0), 10_000.0 ** (-torch.arange(0, 8, 2) / 8))[:, None, None]
    turned = torch.view_as_complex(x.unflatten(-1, (-1, 2))) * torch.polar(torch.ones_like(angle), angle)
    assert torch.equal(rotary(x), torch.view_as_real(turned).flatten(-2))  # the very bits of complex numbers
