from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from science_cases import random_generator

from cdmrun.errors import UserError
from cdmrun.processes import Constant, Geometric, Loglinear, Matrix, Schedule
from cdmrun.rates import rate_problems

NAN = math.nan


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([[-1, 1, 0], [1, -2, 1], [0, 1, -0.5]], "the generator: row 2 sums to 0.5"),
        ([[-1, 1, 0], [1, -1.5, 1], [0, 1, -0.9]], "row 1 sums to 0.5"),
        ([[-1e9, 1e9 - 1, 0], [1, -2, 1.1], [0, 1, -1]], "row 1 sums to 0.1"),
        ([[-1, 1, 0], [1, -2, 1], [-0.5, 1.5, -1]], "row 2 has a negative rate"),
        ([[0, 0], [0, 0]], "reducible"),
        ([[-1, 1, 0, 0], [1, -1, 0, 0], [0, 0, -1, 1], [0, 0, 1, -1]], "reducible"),
        ([[-1, 1, 0], [1, -1, 0]], r"shape \(2, 3\)"),
        ([[0.0]], r"shape \(1, 1\)"),
        ([[-1, NAN], [1, -1]], "row 0 has entries that are not finite"),
        ([[-1, float("inf")], [1, -1]], "not finite"),
    ],
)
def test_what_is_no_generator_is_refused(rates: list[list[float]], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Matrix(torch.tensor(rates, dtype=torch.float64))
    assert caught.value.remedy


@pytest.mark.parametrize(
    "rates",
    [
        [[-1, 1, 0], [1, -2, 1], [0, 1, -0.5]],
        [[-1, 1, 0], [1, -2, 1], [-0.5, 1.5, -1]],
        [[-1, 1, 0, 0], [1, -1, 0, 0], [0, 0, -1, 1], [0, 0, 1, -1]],
        [[-1, 1, 0], [1, -1, 0]],
        [[-1, math.nan], [1, -1]],
    ],
)
def test_a_plan_refuses_what_a_process_refuses(rates: list[list[float]]) -> None:
    """One set of rules: the words of a process are those of the spec's check."""
    (problem,) = rate_problems(np.array(rates))
    with pytest.raises(UserError, match=re.escape(problem.fault)) as caught:
        Matrix(torch.tensor(rates, dtype=torch.float64))
    assert caught.value.remedy == problem.remedy


def test_transient_states_are_no_obstacle() -> None:
    process = Matrix(torch.tensor([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 1.0, -1.0]], dtype=torch.float64))
    np.testing.assert_allclose(process.prior().numpy(), [0.0, 0.5, 0.5], atol=1e-12)


def test_ordinal_generators_give_usable_kernels_at_short_times() -> None:
    """Far levels are all but out of reach; nothing may become negative or NaN."""
    process = Matrix(torch.from_numpy(random_generator(9, np.random.default_rng(0), ordinal=True)), Loglinear(1e-4))
    for t in (1e-6, 1e-3, 0.5, 1.0):
        kernel = process.kernel(0.0, t)
        assert (kernel >= 0).all()
        torch.testing.assert_close(kernel.sum(1), torch.ones(9, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("schedule", [Loglinear(0.0), Geometric(1e-4, 1e4), Constant(1e3)])
def test_schedules_that_run_forever_are_refused(schedule: Schedule) -> None:
    with pytest.raises(UserError, match="signal left at t = 1"):
        Matrix(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]), schedule)
