from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from science_cases import KINDS, Case, cases, make_case, ordered_times, quick, times

from cdmrun.errors import UserError
from cdmrun.models import EnumeratedTeacher
from cdmrun.processes import Uniform
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.samplers import CleanStudent


def _teacher(case: Case) -> EnumeratedTeacher:
    return EnumeratedTeacher(case.process, torch.from_numpy(case.table))


@quick
@given(case=cases(), at=ordered_times)
def test_posterior_and_marginals_are_bayes(case: Case, at: tuple[float, float, float]) -> None:
    t = at[1]
    states = enumerate_states(case.process.states, case.reference.L)
    law = _teacher(case)(states, times(t, len(states)))
    marginals = law.marginals().numpy()
    for n, x in enumerate(case.reference.states):
        expected = case.reference.posterior(x, t)
        if np.isnan(expected).any():
            continue
        np.testing.assert_allclose(law.log_probs[n].exp().numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(marginals[n], case.reference.conditionals(x, t), atol=1e-12)


@quick
@given(case=cases(), at=ordered_times)
def test_markov_decomposition_of_the_joint_conditional(case: Case, at: tuple[float, float, float]) -> None:
    """Claim (a): p_{0|t} = Σ p_{0|s} p_{s|t}, with both factors taken from the package."""
    _, s, t = at
    states = enumerate_states(case.process.states, case.reference.L)
    teacher = _teacher(case)
    step = CleanStudent(teacher).rows(states, times(t, len(states)), times(s, len(states)))
    earlier = teacher(states, times(s, len(states))).log_probs.exp()
    found = (step @ earlier).numpy()
    reverse = case.reference.reverse(s, t)
    for n, x in enumerate(case.reference.states):
        expected = case.reference.posterior(x, t)
        if not np.isnan(expected).any():
            np.testing.assert_allclose(found[n], expected, atol=1e-11)
            np.testing.assert_allclose(step[n].numpy(), reverse[n], atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t", [1e-3, 0.5, 1.0])
def test_zeros_in_the_table_give_no_nan(kind: str, t: float) -> None:
    case = make_case(kind, V=3, L=2, zeros=True, seed=4)
    assert (case.table == 0).any()
    states = enumerate_states(case.process.states, 2)
    law = _teacher(case)(states, times(t, len(states)))
    assert not law.log_probs.isnan().any()
    assert not law.marginals().isnan().any()
    assert not law.log_probabilities(enumerate_states(3, 2)).isnan().any()
    assert not law.log_prob(enumerate_states(3, 2)[:1].expand(len(states), -1)).isnan().any()
    torch.testing.assert_close(law.marginals().sum(-1), torch.ones(len(states), 2, dtype=torch.float64))
    predictives = law.predictives(enumerate_states(3, 2)[3:4].expand(len(states), -1))
    assert predictives.isfinite().all()
    torch.testing.assert_close(predictives.exp().sum(-1), torch.ones(len(states), 2, dtype=torch.float64))


def test_the_table_must_fit_the_process_and_memory() -> None:
    with pytest.raises(ValueError, match="the table has 3 tokens, the process 2"):
        EnumeratedTeacher(Uniform(2), torch.full((3, 3), 1 / 9))
    with pytest.raises(UserError, match="at most 20,000"):
        enumerate_states(10, 5)
