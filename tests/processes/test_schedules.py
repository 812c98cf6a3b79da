from __future__ import annotations

import math

import pytest
import torch
from science_cases import SCHEDULES
from science_reference import alpha

from cdmrun.processes import make_schedule, time_grid


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
    if kind != "geometric":
        assert float(values[-1]) == pytest.approx(alpha_min, abs=1e-15)
    inner, h = t[1:-1], 1e-6
    numeric = (schedule.alpha(inner + h) - schedule.alpha(inner - h)) / (2 * h)
    torch.testing.assert_close(schedule.alpha_derivative(inner), numeric, rtol=1e-5, atol=1e-8)
    numeric = (schedule.sigma_bar(inner + h) - schedule.sigma_bar(inner - h)) / (2 * h)
    torch.testing.assert_close(schedule.sigma(inner), numeric, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close((-schedule.sigma_bar(t)).exp(), values)


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
