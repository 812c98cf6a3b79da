from __future__ import annotations

import math

import pytest
import torch
from science_cases import make_case
from test_nll_bound import network

from cdmrun.metrics.exact_scores import ExactScores, kl, kl_reverse, tv
from cdmrun.samplers import student_sampler, tau_leaping_sampler


@pytest.mark.parametrize("kind", ["uniform", "absorbing"])
def test_a_networks_rounding_is_no_mass_outside_the_data(kind: str) -> None:
    """Float32 laws sum to one up to 1e-7; no divergence is infinite for that."""
    case = make_case(kind, V=3, L=2, seed=7)
    scores = ExactScores(case.process, torch.from_numpy(case.table))
    laws = scores.of(student_sampler(network(case, "joint", "step"), 2))
    assert float(laws.q.sum()) == pytest.approx(1.0, abs=1e-14)
    assert math.isfinite(kl(laws))
    assert math.isfinite(kl_reverse(laws))


def test_masks_left_over_are() -> None:
    case = make_case("absorbing", V=3, L=2, seed=7)
    scores = ExactScores(case.process, torch.from_numpy(case.table))
    laws = scores.of(tau_leaping_sampler(scores.truth, 2, final="none"))
    missing = 1.0 - float(laws.q.sum())
    assert missing > 0.01
    assert kl_reverse(laws) == math.inf
    assert tv(laws) >= missing / 2
