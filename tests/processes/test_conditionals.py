"""Claim (b): conditionals and density ratios are the same thing, and give the exact reverse kernel; and claim (a)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from nan_trap import NanTrap
from science_cases import ALL_KINDS, Case, cases, make_case, ordered_times, thorough, times

from cdmrun.errors import UserError
from cdmrun.processes import Absorbing, Cosine, Loglinear, Matrix, Uniform, birth_death
from cdmrun.processes.enumeration import enumerate_states

Times = tuple[float, float, float]


def _possible(case: Case, t: float) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """States of positive probability at t, their true conditionals [B, L, V], and the law of all states."""
    law = case.reference.law(t)
    states = enumerate_states(case.process.states, case.reference.L)[torch.from_numpy(law > 1e-9)]
    c = np.stack([case.reference.conditionals(tuple(x), t) for x in states.tolist()])
    return states, torch.from_numpy(c), law


def _amplification(case: Case, t: float) -> float:
    """How much K⁻¹ magnifies rounding: e^{σ̄_t |λ|max}; one for absorbing, where nothing is subtracted."""
    if case.kind == "absorbing":
        return 1.0
    fastest = -np.linalg.eigvals(case.reference.generator).real.min()
    return math.exp(fastest * float(case.process.schedule.sigma_bar(torch.tensor(t, dtype=torch.float64))))


@thorough
@given(case=cases(max_states=30), at=ordered_times)
def test_ratios_from_conditionals_match_enumerated_ratios(case: Case, at: Times) -> None:
    t = at[1]
    states, c, law = _possible(case, t)
    ratios = case.process.ratios_from_conditionals(c, states, times(t, len(states))).numpy()
    for n, x in enumerate(states.tolist()):
        expected = case.reference.ratios(tuple(x), t, law)
        for i in range(case.reference.L):
            if case.kind != "absorbing" or x[i] == case.process.vocabulary:
                np.testing.assert_allclose(ratios[n, i], expected[i], rtol=1e-10, atol=1e-12)


@thorough
@given(case=cases(max_states=30), at=ordered_times)
def test_conditionals_from_true_ratios_are_the_true_conditionals(case: Case, at: Times) -> None:
    """To as many digits as the inverse kernel leaves of those of the ratios."""
    t = at[0]
    assume(_amplification(case, t) < 1e9)
    states, c, law = _possible(case, t)
    ratios = np.stack([case.reference.ratios(tuple(x), t, law) for x in states.tolist()])
    found = case.process.conditionals_from_ratios(torch.from_numpy(ratios), states, times(t, len(states)))
    np.testing.assert_allclose(found.numpy(), c.numpy(), rtol=0, atol=1e-12 + 1e-13 * _amplification(case, t))


@thorough
@given(case=cases(), at=ordered_times)
def test_round_trip_for_any_conditionals(case: Case, at: Times) -> None:
    """Conditionals that no table has are given back too (at masked positions, for absorbing)."""
    t = at[0]
    assume(_amplification(case, t) < 1e9)
    L, V = case.reference.L, case.process.vocabulary
    states = enumerate_states(case.process.states, L)
    c = torch.rand(len(states), L, V, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    c = c / c.sum(-1, keepdim=True)
    if case.kind == "absorbing":  # a known position has no other conditional than its token
        known = case.process.one_hot(states)[..., :V]
        c = torch.where((states == V).unsqueeze(-1), c, known)
    at_t = times(t, len(states))
    back = case.process.conditionals_from_ratios(case.process.ratios_from_conditionals(c, states, at_t), states, at_t)
    torch.testing.assert_close(back, c, atol=1e-12 + 1e-13 * _amplification(case, t), rtol=0)


def test_each_time_of_a_batch_has_its_own_inverse() -> None:
    case = make_case("gaussian", V=4, L=2)
    states = enumerate_states(4, 2)[:3]
    at = torch.tensor([0.1, 0.4, 0.1], dtype=torch.float64)
    c = torch.rand(3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ratios = case.process.ratios_from_conditionals(c, states, at)
    torch.testing.assert_close(case.process.conditionals_from_ratios(ratios, states, at), c, atol=1e-11, rtol=0)


@pytest.mark.parametrize(
    ("process", "t"),
    [
        (Uniform(3, Loglinear(0.0)), 1.0),
        (Uniform(3, Cosine(0.0)), 1.0),
        (Uniform(3, Loglinear(1e-13)), 1.0),
        (Absorbing(3), 1.0),
        (Matrix(birth_death(3), Loglinear(1e-5)), 1.0),
        (Matrix(birth_death(30), Loglinear(1e-5)), 0.5),
    ],
)
def test_ratios_that_say_nothing_are_refused_with_their_time(process: Uniform | Absorbing | Matrix, t: float) -> None:
    x = torch.zeros(2, 1, dtype=torch.long)
    ratios = torch.ones(2, 1, process.states, dtype=torch.float64)
    with NanTrap(), pytest.raises(UserError, match=rf"ratios at t = {t:g} do not determine") as caught:
        process.conditionals_from_ratios(ratios, x, torch.tensor([1e-3, t], dtype=torch.float64))
    assert "clean conditionals" in (caught.value.remedy or "")
    with pytest.raises(UserError, match=f"t = {t:g}"):
        process.conditionals_from_ratios(ratios, x, t)


def test_absorbing_ratios_hold_as_long_as_there_is_signal() -> None:
    """Nothing is subtracted there, so that even a signal of 1e-14 keeps all digits."""
    process = Absorbing(2, Loglinear(1e-14))
    masked, c = torch.full((1, 1), 2), torch.tensor([[[0.3, 0.7]]], dtype=torch.float64)
    ratios = process.ratios_from_conditionals(c, masked, 1.0)
    torch.testing.assert_close(process.conditionals_from_ratios(ratios, masked, 1.0), c, atol=1e-14, rtol=0)


@thorough
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
        np.testing.assert_allclose(found[n], expected, rtol=0, atol=1e-12)


@thorough
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
            np.testing.assert_allclose(found[n, i], expected, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(in_time[n, i], sigma * expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("process", [Uniform(3, Loglinear(0.0)), Uniform(3, Cosine(0.0))])
def test_infinite_rates_are_refused(process: Uniform) -> None:
    c = torch.full((1, 1, 3), 1 / 3, dtype=torch.float64)
    x = torch.zeros(1, 1, dtype=torch.long)
    with NanTrap(), pytest.raises(UserError, match="rates of a uniform process are infinite"):
        process.reverse_rates_in_time(c, x, 1.0)
    assert torch.isfinite(process.reverse_rates(c, x, 1.0)).all()


@thorough
@given(case=cases(max_states=30), at=ordered_times)
def test_the_joint_conditional_decomposes_through_an_intermediate_time(case: Case, at: Times) -> None:
    """Claim (a), in the reference itself: the identity that everything else rests on."""
    _, s, t = at
    reverse = case.reference.reverse(s, t)
    earlier = np.nan_to_num(np.stack([case.reference.posterior(x, s) for x in case.reference.states]))
    for n, x in enumerate(case.reference.states):
        if not np.isnan(reverse[n]).any():
            np.testing.assert_allclose(reverse[n] @ earlier, case.reference.posterior(x, t), rtol=0, atol=1e-12)


@thorough
@given(case=cases(max_states=30), at=ordered_times)
def test_the_packages_joint_posterior_decomposes(case: Case, at: Times) -> None:
    """Claim (a) with the kernels of the package: p_{0|t} = Σ_{x_s} p_{0|s} p_{s|t} for whole sequences."""
    _, s, t = at
    states = enumerate_states(case.process.states, case.reference.L)
    sequences = enumerate_states(case.process.vocabulary, case.reference.L)
    law = torch.from_numpy(case.table).reshape(-1)

    def likelihood(x: torch.Tensor, begin: float, end: float, of: torch.Tensor) -> torch.Tensor:
        """P(x at ``end`` | sequence at ``begin``), [x, sequence]."""
        evidence = case.process.evidence(x, begin, end)
        return torch.stack([evidence[:, i, of[:, i]] for i in range(of.shape[1])]).prod(0)

    first, whole = (law * likelihood(states, 0.0, end, sequences) for end in (s, t))
    last = likelihood(states, s, t, states)  # K_{t|s}(x_s, x_t) as [x_t, x_s]
    torch.testing.assert_close(last @ first, whole, atol=1e-13, rtol=0)


@pytest.mark.parametrize("schedule", ["loglinear", "cosine", "geometric", "constant"])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_nothing_is_nan_at_the_ends_of_time_or_with_zeros_in_the_table(kind: str, schedule: str) -> None:
    """Every map of a process, from t = 0 itself to t = 1, whatever is impossible there."""
    case = make_case(kind, V=3, L=2, schedule=schedule, zeros=True)
    process = case.process
    states = enumerate_states(process.states, 2)
    c = torch.eye(process.vocabulary, dtype=torch.float64)[torch.zeros_like(states)]  # all mass on one token
    ends = [(0.0, 0.0), (0.0, 1e-300), (0.0, 1e-12), (1e-12, 1.0), (0.0, 1.0), (1.0, 1.0)]
    with NanTrap():
        for s, t in ends:
            at_s, at_t = times(s, len(states)), times(t, len(states))
            results = [
                process.reverse_kernel(c, states, at_s, at_t),
                process.reverse_rates(c, states, at_t),
                process.reverse_rates_in_time(c, states, at_t),
                process.ratios_from_conditionals(c, states, at_t),
                process.log_bridge(states, states.flip(0), at_s, at_t),
                process.evidence(states, at_s, at_t),
                process.kernel(s, t),
            ]
            assert all(torch.isfinite(result).all() for result in results)
