from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from science_cases import ALL_KINDS, Case, cases, chi_square_p, generator, make_case, ordered_times, thorough, times
from science_reference import generator_kernel

from cdmrun.processes import Absorbing, ForwardProcess, Uniform
from cdmrun.processes.enumeration import enumerate_states, joint_kernel, push_table, state_codes

Times = tuple[float, float, float]
GENERATORS = tuple(kind for kind in ALL_KINDS if kind not in ("uniform", "absorbing"))


@thorough
@given(case=cases(), at=ordered_times)
def test_kernels_are_stochastic_and_compose(case: Case, at: Times) -> None:
    r, s, t = at
    process = case.process
    whole = process.kernel(r, t).numpy()
    np.testing.assert_allclose(whole.sum(1), 1.0, atol=1e-12)
    assert (whole >= 0).all()
    np.testing.assert_allclose(process.kernel(r, s).numpy() @ process.kernel(s, t).numpy(), whole, rtol=0, atol=1e-12)
    np.testing.assert_allclose(process.kernel(s, s).numpy(), np.eye(process.states), atol=1e-14)


@thorough
@given(case=cases(), at=ordered_times)
def test_kernels_are_the_exponential_of_the_generator(case: Case, at: Times) -> None:
    r, _, t = at

    def alpha_of(time: float) -> float:
        return float(case.process.schedule.alpha(torch.tensor(time, dtype=torch.float64)))

    expected = generator_kernel(case.reference.generator, alpha_of)(r, t)
    np.testing.assert_allclose(case.process.kernel(r, t).numpy(), expected, atol=1e-11)
    np.testing.assert_allclose(case.process.kernel(r, t).numpy(), case.reference.kernel(r, t), atol=1e-11)
    np.testing.assert_allclose(case.process.rate().numpy(), case.reference.generator, rtol=1e-12, atol=1e-15)


@thorough
@given(case=cases(kinds=GENERATORS), at=ordered_times, early=st.sampled_from([1.0, 1e-3, 1e-9]))
def test_small_entries_of_kernels_have_all_their_digits(case: Case, at: Times, early: float) -> None:
    s, t = at[0] * early, at[2] * early
    expected = case.reference.kernel(s, t)
    np.testing.assert_allclose(case.process.kernel(s, t).numpy(), expected, rtol=1e-12, atol=1e-290)


@thorough
@given(case=cases(), at=ordered_times)
def test_push_and_evidence_are_rows_and_columns_of_the_kernel(case: Case, at: Times) -> None:
    r, s, t = at
    process, C = case.process, case.process.states
    earlier = torch.tensor([r, s], dtype=torch.float64)
    later = torch.tensor([t, t], dtype=torch.float64)
    laws = torch.rand(2, 3, C, dtype=torch.float64, generator=generator())
    x = torch.randint(C, (2, 5), generator=generator())
    pushed, evidence = process.push(laws, earlier, later), process.evidence(x, earlier, later)
    for row, begin in enumerate((r, s)):
        kernel = case.reference.kernel(begin, t)
        np.testing.assert_allclose(pushed[row].numpy(), laws[row].numpy() @ kernel, atol=1e-12)
        np.testing.assert_allclose(evidence[row].numpy(), kernel[:, x[row].numpy()].T, atol=1e-12)
    scalar = process.evidence(x, s, t)
    torch.testing.assert_close(scalar[1], evidence[1], atol=1e-14, rtol=0)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_prior_is_stationary(kind: str) -> None:
    process = make_case(kind, V=4).process
    prior = process.prior()
    assert float(prior.sum()) == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose((prior @ process.rate()).numpy(), 0.0, atol=1e-13)


def test_absorbing_kernels_are_finite_up_to_the_end() -> None:
    process = Absorbing(3)
    for s, t in [(0.0, 1.0), (0.5, 1.0), (1.0, 1.0)]:
        kernel = process.kernel(s, t)
        assert torch.isfinite(kernel).all()
        torch.testing.assert_close(kernel.sum(1), torch.ones(4, dtype=torch.float64))
    assert process.kernel(0.0, 1.0)[:, 3].tolist() == [1.0] * 4


@pytest.mark.parametrize("process", [Uniform(50_000), Absorbing(50_000)], ids=["uniform", "absorbing"])
def test_large_vocabularies_need_no_square_matrix(process: ForwardProcess) -> None:
    x = torch.randint(50_000, (2, 3), generator=generator())
    assert process.noise(x, 0.0, 0.5, generator()).shape == x.shape
    assert torch.isfinite(process.evidence(x, 0.1, 0.9)).all()


@thorough
@given(symbols=st.integers(2, 5), length=st.integers(1, 4))
def test_state_codes_undo_enumeration(symbols: int, length: int) -> None:
    states = enumerate_states(symbols, length)
    assert states.shape == (symbols**length, length)
    assert torch.equal(state_codes(states, symbols), torch.arange(symbols**length))
    assert states[1 % len(states)].tolist()[-1] == 1


@thorough
@given(case=cases(), at=ordered_times)
def test_joint_kernels_and_pushed_tables(case: Case, at: Times) -> None:
    _, s, t = at
    reference = case.reference
    joint = joint_kernel(case.process, reference.L, s, t).numpy()
    np.testing.assert_allclose(joint, reference.joint_kernel(s, t), atol=1e-12)
    pushed = push_table(case.process, torch.from_numpy(case.table), t).numpy()
    np.testing.assert_allclose(pushed, reference.law(t), atol=1e-12)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_noise_has_the_kernel_as_its_law(kind: str) -> None:
    case = make_case(kind, V=3, L=1)
    count = 20_000
    for a in range(case.process.vocabulary):
        x_s = torch.full((count, 1), a)
        drawn = case.process.noise(x_s, times(0.2, count), times(0.6, count), generator(a))
        counts = np.bincount(drawn[:, 0].numpy(), minlength=case.process.states)
        assert chi_square_p(counts, case.reference.kernel(0.2, 0.6)[a]) > 1e-3


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_bridge_draws_have_the_law_of_bayes(kind: str) -> None:
    case = make_case(kind, V=3, L=1)
    count, (s, t) = 20_000, (0.3, 0.7)
    for a in range(case.process.vocabulary):
        for y in range(case.process.states):
            law = case.reference.bridge(a, y, s, t)
            if law.sum() == 0:
                continue
            x_0, x_t = torch.full((count, 1), a), torch.full((count, 1), y)
            drawn = case.process.sample_bridge(x_0, x_t, times(s, count), times(t, count), generator(7 * a + y))
            counts = np.bincount(drawn[:, 0].numpy(), minlength=case.process.states)
            assert chi_square_p(counts, law) > 1e-3


@thorough
@given(case=cases(), at=ordered_times)
def test_log_bridge_is_bayes(case: Case, at: Times) -> None:
    _, s, t = at
    C, V = case.process.states, case.process.vocabulary
    pairs = enumerate_states(C, 2)
    values = case.process.log_bridge(pairs[:, :1], pairs[:, 1:], times(s, len(pairs)), times(t, len(pairs)))
    assert torch.isfinite(values).all(), "impossible bridges are large and negative, never −∞"
    for n, (b, y) in enumerate(pairs.tolist()):
        expected = [case.reference.bridge(a, y, s, t)[b] for a in range(V)]
        np.testing.assert_allclose(values[n, 0].exp().numpy(), expected, rtol=0, atol=1e-12)
