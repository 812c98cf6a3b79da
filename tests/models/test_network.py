from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from science_cases import KINDS, generator, make_case, random_generator, times

from cdmrun.distill import StepSchedule
from cdmrun.distill.cdm import ExactMatching
from cdmrun.distill.steps import StepBatch
from cdmrun.models import EnumeratedTeacher, NetworkModel, NetworkShape
from cdmrun.models.families import families
from cdmrun.processes import Absorbing, ForwardProcess, Loglinear, Matrix, Uniform
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.samplers import Analytic, StepStudent, student_kernel

TRUNK = {"layers": 1, "width": 12, "heads": 2, "mlp": 2}


def network(
    process: ForwardProcess,
    length: int = 2,
    family: str = "factorized",
    matches: str = "clean",
    prediction: str = "posterior",
    trained: bool = True,
) -> NetworkModel:
    """A tiny network; ``trained``: with random numbers in every parameter, as after a training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options: dict[str, Any] = {"hidden": 8} if family == "autoregressive" else {}
        model = NetworkModel(process, NetworkShape(length, {"kind": family, **options}, TRUNK, matches, prediction))
        if trained:
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.4)
    return model.requires_grad_(False).eval()


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("family", sorted(families()))
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_in_both_precisions(kind: str, family: str, precision: str) -> None:
    process = make_case(kind).process
    model = network(process, family=family).requires_grad_(True)
    model.precision = precision
    with torch.no_grad():
        model.unary.bias.copy_(torch.tensor([50.0, -50.0, 0.0]))
    x_0 = torch.randint(3, (6, 2), generator=generator())
    x_t = process.noise(x_0, 0.0, times(0.7, 6), generator())
    law = model(x_t, times(0.7, 6))
    loss = -law.log_prob(x_0).sum()
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    assert model.trunk.token.weight.grad.abs().sum() > 0


def test_bf16_is_close_to_float32() -> None:
    process = Uniform(3)
    model = network(process)
    x_t = enumerate_states(3, 2)
    exact = model(x_t, times(0.5, 9)).marginals()
    model.precision = "bf16"
    rounded = model(x_t, times(0.5, 9)).marginals()
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0)


@pytest.mark.parametrize("family", ["factorized", "autoregressive", "joint"])
@pytest.mark.parametrize("matches", ["clean", "step"])
@pytest.mark.parametrize("prediction", ["posterior", "leave_one_out"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_student_starts_as_the_analytic_sampler_of_its_teacher(
    kind: str, prediction: str, matches: str, family: str
) -> None:
    """Per position for clean students that keep a joint draw; as a whole kernel where the step itself is matched."""
    process = make_case(kind, alpha_min=None).process
    teacher = network(process, prediction=prediction)
    student = network(process, family=family, matches=matches, prediction=prediction, trained=False)
    student.start_from(teacher)
    states = enumerate_states(process.states, 2)
    t, s = times(0.8, len(states)), times(0.3, len(states))
    expected = Analytic(teacher).rows(states, t, s)
    found = student_kernel(student).rows(states, t, s)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_step_models_depend_on_both_times_and_clean_ones_do_too_unless_masks_tell(kind: str) -> None:
    process = make_case(kind).process
    model = network(process, matches="step")
    states = torch.zeros(1, 2, dtype=torch.long) if kind != "absorbing" else torch.full((1, 2), 3)
    laws = [model(states, times(t, 1), times(s, 1)).marginals() for t, s in [(0.9, 0.1), (0.9, 0.5), (0.6, 0.1)]]
    same = [torch.equal(laws[0], other) for other in laws[1:]]
    assert same == ([True, True] if isinstance(process, Absorbing) else [False, False])


class OneStep(StepSchedule):
    """Always the step from the given time down to zero."""

    def __init__(self, t: float) -> None:
        super().__init__([1])
        self.t = t

    def draw(self, batch: int, generator: torch.Generator) -> StepBatch:
        return StepBatch(times(self.t, batch), times(0.0, batch), torch.ones(batch, dtype=torch.long))


@pytest.mark.parametrize("family", sorted(families()))
def test_levels_out_of_reach_give_no_nan(family: str) -> None:
    """Ordinal data at a short time: the evidence of far levels rounds to zero."""
    process = Matrix(torch.from_numpy(random_generator(12, np.random.default_rng(0), ordinal=True)), Loglinear(1e-4))
    short = 1e-40
    assert (process.kernel(0.0, short) == 0).any()
    model = network(process, length=1, family=family, prediction="leave_one_out").requires_grad_(True)
    table = np.full(12, 1 / 12)
    teacher = EnumeratedTeacher(process, torch.from_numpy(table))

    def lowest(count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(count, 1, dtype=torch.long)

    loss = ExactMatching(model, teacher, lowest, OneStep(short), 1)(generator())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_convolution_needs_a_middle() -> None:
    with pytest.raises(ValueError, match="odd number of taps, got 4"):
        NetworkModel(Uniform(3), NetworkShape(2, trunk={**TRUNK, "conv": 4}))


def test_a_step_student_under_absorbing_noise_sees_what_it_is_to_reveal() -> None:
    model = network(Absorbing(3), matches="step")
    x_t, t, s = torch.full((1, 2), 3), times(1.0, 1), times(0.5, 1)
    one = model(x_t, t, s, torch.tensor([[True, False]])).log_prob(torch.tensor([[1, 3]]))
    both = model(x_t, t, s, torch.tensor([[True, True]])).marginals()[0, 0, 1].log()
    assert abs(float(one) - float(both)) > 1e-6
    rows = StepStudent(model).rows(x_t, t, s)
    assert float(rows.sum()) == pytest.approx(1.0, abs=1e-6)
