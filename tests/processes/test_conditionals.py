"""Claim (b): conditionals and density ratios are the same thing, and give the exact reverse kernel."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from science_cases import Case, cases, ordered_times, quick, times

from cdmrun.processes.enumeration import enumerate_states

Times = tuple[float, float, float]


def _possible(case: Case, t: float) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """States of positive probability at t, their true conditionals [B, L, V], and the law of all states."""
    law = case.reference.law(t)
    states = enumerate_states(case.process.states, case.reference.L)[torch.from_numpy(law > 1e-9)]
    c = np.stack([case.reference.conditionals(tuple(x), t) for x in states.tolist()])
    return states, torch.from_numpy(c), law


@quick
@given(case=cases(max_states=30), at=ordered_times)
def test_ratios_from_conditionals_match_enumerated_ratios(case: Case, at: Times) -> None:
    t = at[1]
    states, c, law = _possible(case, t)
    ratios = case.process.ratios_from_conditionals(c, states, times(t, len(states))).numpy()
    for n, x in enumerate(states.tolist()):
        expected = case.reference.ratios(tuple(x), t, law)
        for i in range(case.reference.L):
            if case.kind != "absorbing" or x[i] == case.process.vocabulary:
                np.testing.assert_allclose(ratios[n, i], expected[i], rtol=1e-9, atol=1e-10)


@quick
@given(case=cases(max_states=30), at=ordered_times)
def test_conditionals_from_true_ratios_are_the_true_conditionals(case: Case, at: Times) -> None:
    t = at[0]
    states, c, law = _possible(case, t)
    ratios = np.stack([case.reference.ratios(tuple(x), t, law) for x in states.tolist()])
    found = case.process.conditionals_from_ratios(torch.from_numpy(ratios), states, times(t, len(states)))
    np.testing.assert_allclose(found.numpy(), c.numpy(), atol=1e-8)


@quick
@given(case=cases(), at=ordered_times)
def test_round_trip_for_any_conditionals(case: Case, at: Times) -> None:
    """Conditionals that no table has are given back too (at masked positions, for absorbing)."""
    t = at[0]
    L, V = case.reference.L, case.process.vocabulary
    states = enumerate_states(case.process.states, L)
    c = torch.rand(len(states), L, V, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    c = c / c.sum(-1, keepdim=True)
    if case.kind == "absorbing":  # a known position has no other conditional than its token
        known = case.process.one_hot(states)[..., :V]
        c = torch.where((states == V).unsqueeze(-1), c, known)
    at_t = times(t, len(states))
    back = case.process.conditionals_from_ratios(case.process.ratios_from_conditionals(c, states, at_t), states, at_t)
    torch.testing.assert_close(back, c, atol=1e-9, rtol=0)


@quick
@given(case=cases(max_states=30), at=ordered_times)
def test_reverse_kernel_is_the_marginal_of_the_joint_reverse(case: Case, at: Times) -> None:
    _, s, t = at
    states, c, _ = _possible(case, t)
    found = case.process.reverse_kernel(c, states, times(s, len(states)), times(t, len(states))).numpy()
    exact = case.reference.reverse(s, t)
    for n, x in enumerate(states.tolist()):
        expected = np.zeros_like(found[n])
        for x_s, p in zip(case.reference.states, exact[case.reference.index[tuple(x)]], strict=True):
            for i, b in enumerate(x_s):
                expected[i, b] += p
        np.testing.assert_allclose(found[n], expected, atol=1e-11)


@quick
@given(case=cases(max_states=30), at=ordered_times)
def test_reverse_rates_are_the_generator_times_the_ratio(case: Case, at: Times) -> None:
    t = at[1]
    states, c, law = _possible(case, t)
    found = case.process.reverse_rates(c, states, times(t, len(states))).numpy()
    in_time = case.process.reverse_rates_in_time(c, states, times(t, len(states))).numpy()
    sigma = float(case.process.schedule.sigma(torch.tensor(t, dtype=torch.float64)))
    for n, x in enumerate(states.tolist()):
        ratios = case.reference.ratios(tuple(x), t, law)
        for i, at_i in enumerate(x):
            expected = case.reference.generator[:, at_i] * ratios[i]
            expected[at_i] = 0.0
            np.testing.assert_allclose(found[n, i], expected, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(in_time[n, i], sigma * expected, rtol=1e-9, atol=1e-9)


@quick
@given(case=cases(max_states=30), at=ordered_times)
def test_the_joint_conditional_decomposes_through_an_intermediate_time(case: Case, at: Times) -> None:
    """Claim (a), in the reference itself: the identity that everything else rests on."""
    _, s, t = at
    reverse = case.reference.reverse(s, t)
    earlier = np.nan_to_num(np.stack([case.reference.posterior(x, s) for x in case.reference.states]))
    for n, x in enumerate(case.reference.states):
        if not np.isnan(reverse[n]).any():
            np.testing.assert_allclose(reverse[n] @ earlier, case.reference.posterior(x, t), atol=1e-12)
