from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nan_trap import NanTrap
from science_cases import SCHEDULES, thorough
from science_reference import alpha, sigma_bar

from cdmrun.errors import UserError
from cdmrun.processes import Constant, Cosine, Geometric, Loglinear, Schedule, make_schedule, time_grid


@pytest.mark.parametrize("alpha_min", [0.0, 1e-5, 0.1])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_alpha_falls_from_one_and_its_derivatives_fit(kind: str, alpha_min: float) -> None:
    schedule = make_schedule(kind, alpha_min)
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    values = schedule.alpha(t)
    assert float(values[0]) == pytest.approx(1.0, abs=1e-15)
    assert (values.diff() < 0).all()
    expected = [alpha(kind, float(at), alpha_min) for at in t]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-15)
    if kind in ("loglinear", "cosine"):
        assert float(values[-1]) == pytest.approx(alpha_min, abs=1e-15)
    inner, h = t[1:-1], 1e-6
    numeric = (schedule.alpha(inner + h) - schedule.alpha(inner - h)) / (2 * h)
    torch.testing.assert_close(schedule.alpha_derivative(inner), numeric, rtol=1e-5, atol=1e-8)
    numeric = (schedule.sigma_bar(inner + h) - schedule.sigma_bar(inner - h)) / (2 * h)
    torch.testing.assert_close(schedule.sigma(inner), numeric, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close((-schedule.sigma_bar(t)).exp(), values)


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Schedule, dict[str, float]]:
    """A schedule with random parameters, and what the reference needs to know about it."""
    kind = draw(st.sampled_from(SCHEDULES))
    parameters = {
        "alpha_min": draw(st.sampled_from([0.0, 1e-12, 1e-5, 0.3])),
        "sigma_min": draw(st.sampled_from([1e-6, 1e-4, 0.1])),
        "sigma_max": draw(st.floats(0.2, 100.0)),
    }
    return make_schedule(kind, **parameters), {"kind": kind, **parameters}


unit = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1e-300, 1e-12, 1.0 - 1e-12, 1.0]))


@thorough
@given(schedule=schedules(), t=unit)
def test_the_integrated_rate_has_all_its_digits(schedule: tuple[Schedule, dict[str, Any]], t: float) -> None:
    """Also at times so small that α_t is one to all digits."""
    found = schedule[0].sigma_bar(torch.tensor(t, dtype=torch.float64))
    assert float(found) == pytest.approx(sigma_bar(t=t, **schedule[1]), rel=1e-12)
    assert float((-found).exp()) == pytest.approx(alpha(t=t, **schedule[1]), rel=1e-10, abs=1e-15)


@thorough
@given(schedule=schedules(), t=unit)
def test_time_of_undoes_alpha(schedule: tuple[Schedule, dict[str, Any]], t: float) -> None:
    """Up to what rounding of α says about time: little where α hardly moves."""
    at = torch.tensor([t], dtype=torch.float64)
    slope = abs(float(schedule[0].alpha_derivative(at)))
    lost = min(1e-15 / slope, 3e-8) if slope > 0 else 3e-8
    if schedule[1]["kind"] in ("geometric", "constant") and float(schedule[0].alpha(at)) < 1e-3:
        lost = 1e-12  # small α are known to relative accuracy
    with NanTrap():
        assert float(schedule[0].time_of(schedule[0].alpha(at))) == pytest.approx(t, abs=1e-14 + lost)


@thorough
@given(schedule=schedules(), share=unit)
def test_alpha_undoes_time_of(schedule: tuple[Schedule, dict[str, Any]], share: float) -> None:
    end = schedule[0].alpha(torch.ones(1, dtype=torch.float64))
    value = end + (1.0 - end) * share
    with NanTrap():
        back = schedule[0].alpha(schedule[0].time_of(value))
    torch.testing.assert_close(back, value, atol=2e-14, rtol=1e-13)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_signal_that_is_never_left_is_at_an_end_of_time(kind: str) -> None:
    schedule = make_schedule(kind, alpha_min=0.2, sigma_max=1.5)
    with NanTrap():
        found = schedule.time_of(torch.tensor([2.0, 1.0, 0.1, 0.0, -1.0]))
    assert found.dtype == torch.float64
    assert found.tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_rate_is_infinite_where_no_signal_is_left_and_never_nan(kind: str) -> None:
    schedule = make_schedule(kind, alpha_min=0.0, sigma_max=900.0)
    with NanTrap():
        rates = schedule.sigma(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    assert torch.isfinite(rates[:2]).all()
    assert float(rates[2]) == math.inf


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Loglinear(1.0), r"alpha_min 1 is not in \[0, 1\)"),
        (lambda: Cosine(-0.1), "alpha_min -0.1"),
        (lambda: Loglinear(math.nan), "alpha_min nan"),
        (lambda: Geometric(2.0, 1.0), "sigma_min 2 and sigma_max 1 are not"),
        (lambda: Geometric(0.0, 1.0), "sigma_min 0"),
        (lambda: Constant(0.0), "sigma_max 0 is not a positive number"),
        (lambda: Constant(math.inf), "sigma_max inf"),
    ],
)
def test_schedules_that_are_none_are_refused(make: Callable[[], Schedule], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        make()
    assert caught.value.remedy


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown schedule 'linear'"):
        make_schedule("linear")
    with pytest.raises(ValueError, match="unknown time grid 'log'"):
        time_grid(4, "log")
    with pytest.raises(ValueError, match="nfe must be at least 1"):
        time_grid(0)


@pytest.mark.parametrize("kind", ["uniform", "cosine"])
@pytest.mark.parametrize("nfe", [1, 2, 3, 16, 1000])
def test_grids_run_from_zero_to_one(kind: str, nfe: int) -> None:
    grid = time_grid(nfe, kind)
    assert grid.dtype == torch.float64
    assert grid.shape == (nfe + 1,)
    assert (float(grid[0]), float(grid[-1])) == (0.0, 1.0)
    assert (grid.diff() > 0).all()
    for k in (0, nfe // 2, nfe):
        expected = k / nfe if kind == "uniform" else math.sin(math.pi * k / (2 * nfe))
        assert float(grid[k]) == pytest.approx(expected, abs=1e-15)
