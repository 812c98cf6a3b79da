"""The exact teacher of chains against enumeration, at sizes where both can be had, and by itself where only it can."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from science_cases import KINDS, SCHEDULES, Case, chi_square_p, generator, make_case, quick, times

from cdmrun.data.chain import MarkovChain
from cdmrun.errors import UserError
from cdmrun.models import EnumeratedTeacher, MarkovTeacher, load_model, save_model
from cdmrun.models import forward_backward as messages
from cdmrun.models.markov import MarkovPosterior
from cdmrun.processes import Absorbing, Uniform, make_schedule
from cdmrun.processes.enumeration import enumerate_states
from cdmrun.training.sources import chain_source

more = settings(quick, max_examples=40)

EXACT = {"atol": 1e-10, "rtol": 0}


@dataclass
class Pair:
    """A chain's teacher beside the table of the same law."""

    case: Case
    chain: MarkovChain
    teacher: MarkovTeacher
    table: EnumeratedTeacher

    @property
    def length(self) -> int:
        return self.teacher.length


def thinned(chain: MarkovChain, seed: int) -> MarkovChain:
    """The chain with some transitions and starts forbidden."""
    random = np.random.default_rng(seed)
    rows = chain.transition * (random.random(chain.transition.shape) < 0.6)
    rows[..., 0] += 0.2
    starts = chain.initial * (random.random(chain.initial.shape) < 0.7)
    starts[(0,) * chain.order] += 0.2
    return MarkovChain(starts / starts.sum(), rows / rows.sum(-1, keepdims=True))


def make_pair(
    kind: str, V: int, order: int, length: int, seed: int, zeros: bool = False, schedule: str = "loglinear"
) -> Pair:
    chain = MarkovChain.random(V, order, 0.7, seed)
    chain = thinned(chain, seed) if zeros else chain
    case = make_case(kind, V, length, schedule, seed, table=chain.table(length))
    table = EnumeratedTeacher(case.process, torch.from_numpy(case.table))
    return Pair(case, chain, MarkovTeacher(case.process, chain, length), table)


@st.composite
def pairs(draw: st.DrawFn, max_states: int = 700) -> Pair:
    kind, order = draw(st.sampled_from(KINDS)), draw(st.integers(1, 3))
    V, more = draw(st.integers(2, 4)), draw(st.integers(0, 3))
    while (V + (kind == "absorbing")) ** (order + more) > max_states:
        V, more = max(2, V - 1), more - (V == 2)
    seed, schedule = draw(st.integers(0, 999)), draw(st.sampled_from(SCHEDULES))
    return make_pair(kind, V, order, order + more, seed, draw(st.booleans()), schedule)


at_times = st.sampled_from([1e-3, 0.1, 0.5, 0.9, 1.0])


def everywhere(pair: Pair, t: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """All states with times, and which of them are possible by the enumerated p_t."""
    states = enumerate_states(pair.case.process.states, pair.length)
    possible = pair.table.weights(states, times(t, len(states))).sum(-1) > 0
    return states, times(t, len(states)), possible


@more
@given(pair=pairs(), t=at_times)
def test_laws_of_noisy_and_clean_states(pair: Pair, t: float) -> None:
    states, at, possible = everywhere(pair, t)
    found = pair.teacher.log_marginal(states, at)
    expected = pair.table.weights(states, at).sum(-1)
    torch.testing.assert_close(found.exp(), expected, **EXACT)
    torch.testing.assert_close(found[possible], expected[possible].log(), **EXACT)
    assert float(found.exp().sum()) == pytest.approx(1.0, abs=1e-10)
    assert (found[~possible] <= -690).all()
    clean = enumerate_states(pair.chain.vocabulary, pair.length)
    torch.testing.assert_close(pair.teacher.log_data(clean).exp(), pair.table.table, **EXACT)
    assert pair.teacher.entropy() == pytest.approx(pair.table.entropy(), abs=1e-10)


@more
@given(pair=pairs(), t=at_times)
def test_conditionals_of_every_kind(pair: Pair, t: float) -> None:
    states, at, _ = everywhere(pair, t)  # where impossible both answer with p_0
    law, expected = pair.teacher(states, at), pair.table(states, at)
    torch.testing.assert_close(law.marginals(), expected.marginals(), **EXACT)
    clean = enumerate_states(pair.chain.vocabulary, pair.length)
    log_w = torch.randn(*states.shape, pair.chain.vocabulary, dtype=torch.float64, generator=generator(1))
    torch.testing.assert_close(law.log_expectation(log_w), expected.log_expectation(log_w), **EXACT)
    rows = torch.arange(len(states)) % len(clean)
    found, wanted = law.log_prob(clean[rows]), expected.log_prob(clean[rows])
    torch.testing.assert_close(found.exp(), wanted.exp(), **EXACT)
    common = wanted > -600
    torch.testing.assert_close(found[common], wanted[common], **EXACT)
    few = torch.arange(0, len(states), 1 + len(states) // 20)
    whole = law.select(few).log_probabilities(clean).exp()
    torch.testing.assert_close(whole, expected.select(few).log_probabilities(clean).exp(), **EXACT)


@quick
@given(pair=pairs(max_states=100), t=st.sampled_from([0.2, 0.6, 0.95]), pick=st.integers(0, 10_000))
def test_conditionals_and_ratios_by_independent_enumeration(pair: Pair, t: float, pick: int) -> None:
    reference = pair.case.reference
    law = reference.law(t)
    possible = np.flatnonzero(law > 1e-12)
    chosen = possible[(pick + 7 * np.arange(4)) % len(possible)]
    x_t = torch.tensor([reference.states[n] for n in chosen])
    at = times(t, len(chosen))
    marginals, ratios = pair.teacher(x_t, at).marginals().numpy(), pair.teacher.ratios(x_t, at).numpy()
    for row, n in enumerate(chosen):
        state = reference.states[n]
        np.testing.assert_allclose(marginals[row], reference.conditionals(state, t), atol=1e-10)
        expected = reference.ratios(state, t, law)
        spoken = [i for i in range(pair.length) if pair.case.kind != "absorbing" or state[i] == pair.chain.vocabulary]
        np.testing.assert_allclose(ratios[row][spoken], expected[spoken], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_masks_that_are_not_spoken_are_summed_out(order: int) -> None:
    pair = make_pair("absorbing", 3, order, 4, seed=order, zeros=True)
    mask = 3
    x_t = torch.tensor([[mask, mask, mask, mask], [0, mask, mask, mask], [mask, 0, mask, mask]])
    spoken = torch.tensor([[1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    at = times(0.6, 3)
    law, expected = pair.teacher(x_t, at, spoken=spoken), pair.table(x_t, at, spoken=spoken)
    clean = enumerate_states(3, 4)
    for method in ("log_prob", "log_probabilities"):
        sequences = clean[[5, 40, 77]] if method == "log_prob" else clean
        found, wanted = getattr(law, method)(sequences), getattr(expected, method)(sequences)
        torch.testing.assert_close(found.exp(), wanted.exp(), **EXACT)
    x = clean[[5, 40, 77]]
    found, wanted = law.predictives(x), expected.predictives(x)
    assert found.isfinite().all()
    for row in range(3):  # up to the first token that cannot be
        taken = wanted[row].gather(-1, x[row].unsqueeze(-1)).squeeze(-1)
        said = (torch.where(spoken[row], taken, 0.0) > -600).cumprod(0).bool()
        before = torch.cat([torch.ones(1, dtype=torch.bool), said[:-1]])
        torch.testing.assert_close(found[row, before].exp(), wanted[row, before].exp(), **EXACT)
    log_w = torch.randn(3, 4, 3, dtype=torch.float64, generator=generator(2))
    torch.testing.assert_close(law.log_expectation(log_w), expected.log_expectation(log_w), **EXACT)
    drawn = law.sample(generator(3))
    assert torch.equal(drawn[~spoken], x_t[~spoken])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("order", "zeros"), [(1, True), (2, False), (3, True)])
def test_joint_draws_follow_the_conditional(kind: str, order: int, zeros: bool) -> None:
    pair = make_pair(kind, 3, order, 4, seed=order, zeros=zeros)
    x_t = torch.tensor([[3, 0, 3, 3]] if kind == "absorbing" else [[2, 0, 1, 1]])
    at = times(0.7, 1)
    drawn = pair.teacher(x_t.expand(20_000, -1), times(0.7, 20_000)).sample(generator(order)).numpy()
    counts = np.bincount(np.ravel_multi_index(tuple(drawn.T), (3,) * 4), minlength=81)
    assert chi_square_p(counts, pair.table(x_t, at).log_probs.exp()[0].numpy()) > 1e-3


@pytest.mark.parametrize("zeros", [False, True])
def test_training_sequences_follow_the_chain(zeros: bool) -> None:
    pair = make_pair("uniform", 3, 2, 4, seed=8, zeros=zeros)
    source = chain_source(pair.chain, 4)
    drawn = source(20_000, generator(4))
    assert torch.equal(drawn, source(20_000, generator(4)))
    counts = np.bincount(np.ravel_multi_index(tuple(drawn.numpy().T), (3,) * 4), minlength=81)
    assert chi_square_p(counts, pair.case.table.reshape(-1)) > 1e-3


def test_blocks_of_rows_and_both_arithmetics_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = MarkovChain.random(5, 2, 1.0, seed=3)
    process = Uniform(5, make_schedule("loglinear", 1e-3))
    teacher = MarkovTeacher(process, chain, 37)
    assert isinstance(teacher.chain._arithmetic, messages.Scaled)
    x_t = torch.randint(5, (9, 37), generator=generator(5))
    at = torch.rand(9, dtype=torch.float64, generator=generator(6))
    whole, log_p = teacher(x_t, at).marginals(), teacher.log_marginal(x_t, at)
    monkeypatch.setattr(messages, "MESSAGE_BYTES", 8 * 25 * 40)  # two rows at a time
    torch.testing.assert_close(teacher(x_t, at).marginals(), whole, **EXACT)
    for span in (600.0, 0.0):  # matrix products of shifted numbers, and log-sum-exp throughout
        teacher.chain._arithmetic = messages.Logarithmic(span)
        torch.testing.assert_close(teacher(x_t, at).marginals(), whole, **EXACT)
        torch.testing.assert_close(teacher.log_marginal(x_t, at), log_p, **EXACT)


def test_what_is_all_but_impossible_is_not_lost() -> None:
    """Two halves of the alphabet that never mix: 1,000 tokens speak for one half by e^2000, the last for the other."""
    half = np.array([[0.9, 0.1], [0.9, 0.1]])
    rows = np.kron(np.eye(2), half)
    rows[1:2, :] = [0.9, 0.1, 0.0, 0.0]
    rows[2, 2:], rows[3, 2:] = [0.1, 0.9], [0.1, 0.9]
    chain = MarkovChain(np.full(4, 0.25), rows)
    teacher = MarkovTeacher(Absorbing(4, make_schedule("loglinear", 0.0)), chain, 1_000)
    x_t = torch.full((1, 1_000), 4)
    log_w = torch.zeros(1, 1_000, 4, dtype=torch.float64)
    log_w[..., 2:] = -10.0  # the second half is unlikely by e^−10 a position …
    log_w[:, -1, :2] = -torch.inf  # … and yet it is the one
    law = teacher(x_t, times(1.0, 1))
    assert law.log_expectation(log_w).item() == pytest.approx(math.log(0.5) - 10_000, abs=1e-7)
    conditioned = MarkovPosterior(x_t, law.spoken, law.log_evidence + log_w, teacher.chain)
    found = conditioned.marginals()[0]
    torch.testing.assert_close(found[500], torch.tensor([0, 0, 0.1, 0.9], dtype=torch.float64), **EXACT)
    assert (conditioned.sample(generator(7)) >= 2).all()


def test_impossible_states_are_answered_with_the_data_law() -> None:
    chain = MarkovChain(np.array([1.0, 0.0, 0.0]), np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]))
    teacher = MarkovTeacher(Absorbing(3, make_schedule("loglinear", 0.0)), chain, 3)
    x_t = torch.tensor([[1, 3, 3], [0, 3, 3]])  # starts with 0 for sure
    law = teacher(x_t, times(0.5, 2))
    log_p = teacher.log_marginal(x_t, times(0.5, 2))
    assert log_p[0] <= -690
    assert log_p[1] == pytest.approx(3 * math.log(0.5))
    expected = torch.tensor([[0, 1, 0], [0.5, 0, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(law.marginals()[:, 1:], expected.expand(2, -1, -1))
    assert torch.equal(law.sample(generator())[:, 1], torch.ones(2, dtype=torch.long))
    assert not law.log_prob(torch.tensor([[0, 1, 2], [0, 0, 0]])).isnan().any()
    assert law.log_prob(torch.tensor([[0, 1, 2], [0, 0, 0]]))[1] <= -690


@pytest.mark.parametrize("kind", ["uniform", "absorbing"])
def test_long_sequences_of_high_order_stay_finite(kind: str) -> None:
    """L = 1,024 at order 3; V = 27, which takes longer, is in benchmarks/exact_teachers.py."""
    V, length = 12, 1_024
    chain = MarkovChain.random(V, 3, 0.2, seed=1)
    schedule = make_schedule("loglinear", 0.0 if kind == "absorbing" else 1e-5)
    process = Absorbing(V, schedule) if kind == "absorbing" else Uniform(V, schedule)
    teacher = MarkovTeacher(process, chain, length)
    x_0 = chain_source(chain, length)(2, generator(8))
    at = torch.tensor([1e-4, 0.8], dtype=torch.float64)
    x_t = process.noise(x_0, 0.0, at, generator(9))
    law = teacher(x_t, at)
    marginals = law.marginals()
    assert marginals.isfinite().all()
    torch.testing.assert_close(marginals.sum(-1), torch.ones(2, length, dtype=torch.float64))
    assert float(marginals[0].gather(-1, x_0[0].unsqueeze(-1)).mean()) > 0.99  # hardly any noise
    # Bayes: log p(x_0 | x_t) = log p(x_0) + log p(x_t | x_0) − log p(x_t), each from another recursion
    noise = process.evidence(x_t, 0.0, at).gather(-1, x_0.unsqueeze(-1)).log().sum((-1, -2))
    bayes = teacher.log_data(x_0) + noise - teacher.log_marginal(x_t, at)
    torch.testing.assert_close(law.log_prob(x_0), bayes, atol=1e-8, rtol=0)
    assert law.sample(generator(10)).shape == (2, length)


def test_a_teacher_comes_back_from_disk(tmp_path: Path) -> None:
    pair = make_pair("absorbing", 3, 2, 4, seed=5)
    save_model(pair.teacher, tmp_path)
    back = load_model(pair.case.process, tmp_path)
    assert isinstance(back, MarkovTeacher)
    x_t = enumerate_states(4, 4)
    assert torch.equal(back(x_t, times(0.4, 256)).marginals(), pair.teacher(x_t, times(0.4, 256)).marginals())
    assert back.entropy() == pair.teacher.entropy()
    with pytest.raises(UserError, match="not the weights"):
        load_model(Uniform(4), tmp_path)


def test_lengths_and_vocabularies_must_fit() -> None:
    chain = MarkovChain.random(3, 2, seed=0)
    with pytest.raises(UserError, match="order 2 has no sequences of 1"):
        MarkovTeacher(Uniform(3), chain, 1)
    with pytest.raises(ValueError, match="the chain has 3 tokens, the process 4"):
        MarkovTeacher(Uniform(4), chain, 5)
