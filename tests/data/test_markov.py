"""Markov chains as laws, and the data sets made of them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from science_cases import chi_square_p, quick

from cdmrun.data import Dataset, load
from cdmrun.data.chain import MarkovChain, stationary_law
from cdmrun.errors import UserError

ORDERS = (1, 2, 3)


def brute_table(chain: MarkovChain, length: int) -> np.ndarray:
    """p_0 by a loop over every sequence."""
    table = np.zeros((chain.vocabulary,) * length)
    k = chain.order
    for x in itertools.product(range(chain.vocabulary), repeat=length):
        steps = (chain.transition[x[i - k : i + 1]] for i in range(k, length))
        table[x] = chain.initial[x[:k]] * math.prod(steps)
    return table


def with_zeros(seed: int = 0, order: int = 2) -> MarkovChain:
    """A chain over three tokens that forbids some transitions, and some starts."""
    random = np.random.default_rng(seed)
    rows = random.random((3,) * (order + 1)) * (random.random((3,) * (order + 1)) < 0.6)
    rows[..., 0] += 0.2
    starts = random.random((3,) * order) * (random.random((3,) * order) < 0.7)
    starts[(1,) * order] += 0.2
    return MarkovChain(starts / starts.sum(), rows / rows.sum(-1, keepdims=True))


@quick
@given(st.integers(2, 4), st.sampled_from(ORDERS), st.integers(0, 2), st.integers(0, 99))
def test_table_entropy_and_likelihood_are_those_of_the_product(V: int, order: int, more: int, seed: int) -> None:
    chain, length = MarkovChain.random(V, order, 0.5, seed), order + more
    table = brute_table(chain, length)
    np.testing.assert_allclose(chain.table(length), table, atol=1e-15)
    assert table.sum() == pytest.approx(1.0, abs=1e-12)
    positive = table[table > 0]
    assert chain.entropy(length) == pytest.approx(-(positive * np.log(positive)).sum(), abs=1e-10)
    every = np.array(list(itertools.product(range(V), repeat=length)))
    np.testing.assert_allclose(np.exp(chain.log_prob(every)), table.reshape(-1), atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_draws_follow_the_law(order: int) -> None:
    chain = with_zeros(seed=order, order=order)
    drawn = chain.sample(20_000, order + 2, np.random.default_rng(5))
    codes = np.ravel_multi_index(tuple(drawn.T), (3,) * (order + 2))
    law = brute_table(chain, order + 2).reshape(-1)
    assert chi_square_p(np.bincount(codes, minlength=law.size), law) > 1e-3


@pytest.mark.parametrize("order", ORDERS)
def test_stationary_law_stays(order: int) -> None:
    chain = MarkovChain.random(3, order, 0.5, seed=order)
    moved = np.einsum("a...,a...b->...b", chain.initial, chain.transition)
    np.testing.assert_allclose(moved, chain.initial, atol=1e-12)


def test_stationary_law_of_periodic_and_reducible_chains() -> None:
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(stationary_law(swap), [0.5, 0.5])
    np.testing.assert_allclose(stationary_law(np.eye(3)), np.full(3, 1 / 3))


def reference_fit(rows: list[list[int]], V: int, order: int, m: float) -> np.ndarray:
    """Counts interpolated context by context, with loops."""

    def law(context: tuple[int, ...]) -> np.ndarray:
        shorter = law(context[1:]) if context else np.full(V, 1 / V)
        counts = np.zeros(V)
        for row in rows:
            for i in range(len(context), len(row)):
                if tuple(row[i - len(context) : i]) == context:
                    counts[row[i]] += 1
        total = counts.sum() + m
        return (counts + m * shorter) / total if total else shorter

    table = np.zeros((V,) * (order + 1))
    for context in itertools.product(range(V), repeat=order):
        table[context] = law(context)
    return table


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("smoothing", [0.0, 0.5, 4.0])
def test_fit_interpolates_counts_with_shorter_contexts(order: int, smoothing: float) -> None:
    rows = np.random.default_rng(order).integers(0, 3, (6, 8))
    rows[rows == 2] *= np.random.default_rng(9).random((rows == 2).sum()) < 0.5  # a rare token: unseen contexts
    chain = MarkovChain.fit(rows, 3, order, smoothing)
    np.testing.assert_allclose(chain.transition, reference_fit(rows.tolist(), 3, order, smoothing), atol=1e-12)
    assert (smoothing == 0) or (chain.transition.min() > 0 and chain.initial.min() > 0)


def test_fit_recovers_a_chain_and_its_start() -> None:
    true = MarkovChain(np.array([[0.7, 0.1], [0.1, 0.1]]), MarkovChain.random(2, 2, 1.0, 3).transition)
    windows = true.sample(40_000, 6, np.random.default_rng(0))
    fitted = MarkovChain.fit(windows, 2, 2, smoothing=1.0)
    np.testing.assert_allclose(fitted.transition, true.transition, atol=0.02)
    np.testing.assert_allclose(fitted.initial, true.initial, atol=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MarkovChain.stationary(np.full((3, 2), 0.5)), r"shape \(3, 2\) is not"),
        (lambda: MarkovChain.stationary(np.full(3, 1 / 3)), r"shape \(3,\) is not"),
        (lambda: MarkovChain.stationary(np.array([[0.5, 0.5], [0.5, 0.4]])), r"after context \(1,\) sum to 0\.9"),
        (lambda: MarkovChain.stationary(np.array([[1.5, -0.5], [0.5, 0.5]])), r"entry \(0, 1\) is -0\.5"),
        (lambda: MarkovChain.stationary(np.array([[np.nan, 1.0], [0.5, 0.5]])), r"entry \(0, 0\) is nan"),
        (lambda: MarkovChain.stationary(np.array([["a", "b"], ["c", "d"]])), "not real numbers"),
        (lambda: MarkovChain(np.full(3, 1 / 3), np.full((2, 2), 0.5)), r"initial: shape \(3,\) does not fit"),
        (lambda: MarkovChain(np.full(2, 0.4), np.full((2, 2), 0.5)), r"sum to 0\.8"),
        (lambda: MarkovChain.random(300, 2), r"300\^3 = 27,000,000 .*at most 20,000,000"),
        (lambda: MarkovChain.random(3, 0), "order: 0"),
        (lambda: MarkovChain.random(3, 1, concentration=0.0), "concentration: 0.0"),
        (lambda: MarkovChain.random(3, 2).entropy(1), "order 2 has no sequences of 1"),
        (lambda: MarkovChain.random(3, 2).table(10), "too many to enumerate"),
        (lambda: MarkovChain.fit(np.zeros((4, 2), int), 3, 2), "no run of 3 tokens"),
        (lambda: MarkovChain.fit(np.zeros((4, 5), int), 3, 2, -1.0), "smoothing: -1.0"),
    ],
)
def test_what_is_no_chain_is_refused(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()  # type: ignore[operator]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    words = ["lorem", "ipsum", "dolor", "sit", "amet", "consetetur", "sadipscing", "elitr"]
    random = np.random.default_rng(7)
    path = tmp_path / "corpus.txt"
    path.write_text("\n\n".join(" ".join(random.choice(words, 40)) for _ in range(200)))
    return path


def test_text_becomes_a_chain_that_writes_its_letters(corpus: Path) -> None:
    data = load({"kind": "markov", "source": "text", "file": str(corpus), "order": 3, "length": 40, "draws": 50})
    assert data.chain is not None
    assert (data.vocabulary, data.length, data.chain.order, data.table) == (27, 40, 3, None)
    assert {name: len(tokens) for name, tokens in data.splits.items()} == {"train": 50, "judge": 2048, "test": 2048}
    written = "".join(data.decode(row) for row in data.splits["test"])
    assert written.count("sadi") > 20  # of 4-grams of the corpus there are many, of others few
    assert "corpus.txt" in data.source
    assert data.chain.entropy(40) / 40 < 0.8


def test_splits_are_disjoint_draws_and_come_out_the_same_again() -> None:
    config = {"kind": "markov", "source": "random", "states": 5, "length": 20, "draws": 100, "seed": 3}
    data, again, other = load(config), load(config), load({**config, "seed": 4})
    assert data.chain is not None
    for name, tokens in data.splits.items():
        np.testing.assert_array_equal(tokens, again.splits[name])
        assert tokens.dtype == np.uint8
    assert data.describe()["leakage"]["test_in_train"] == 0.0
    assert not np.array_equal(data.chain.transition, other.chain.transition)  # type: ignore[union-attr]
    assert data.alphabet is None


def test_transitions_of_a_file(tmp_path: Path) -> None:
    chain = MarkovChain.random(4, 2, seed=1)
    path = tmp_path / "t.npy"
    np.save(path, chain.transition)
    data = load({"kind": "markov", "source": "transitions", "file": str(path), "length": 9, "draws": 10})
    np.testing.assert_allclose(data.chain.transition, chain.transition, atol=1e-15)  # type: ignore[union-attr]
    np.testing.assert_allclose(data.chain.initial, chain.initial, atol=1e-12)  # type: ignore[union-attr]
    np.save(path, chain.transition[..., 0])
    with pytest.raises(UserError, match=r"t\.npy: the probabilities after context"):
        load({"kind": "markov", "source": "transitions", "file": str(path)})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"source": "nothing"}, "data.source: 'nothing'"),
        ({"source": "text"}, "data.file: missing"),
        ({"source": "transitions", "file": "missing.npy"}, "missing.npy: no such file"),
        ({"source": "random", "length": 1}, "order 2 has no sequences of 1"),
        ({"source": "random", "states": 300}, "27,000,000 transition probabilities"),
        ({"source": "random", "draws": 0}, "data.draws: 0"),
    ],
)
def test_options_that_make_no_sense(config: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load({"kind": "markov", **config})


def test_a_chain_survives_bit_for_bit(tmp_path: Path) -> None:
    data = load({"kind": "markov", "source": "random", "states": 3, "length": 5, "draws": 10})
    data.save(tmp_path)
    back = Dataset.read(tmp_path)
    assert back.chain is not None
    assert data.chain is not None
    np.testing.assert_array_equal(back.chain.initial, data.chain.initial)
    np.testing.assert_array_equal(back.chain.transition, data.chain.transition)
    assert not back.enumerable
    bits = data.chain.entropy(5) / 5 / math.log(2)
    assert back.describe()["chain"] == {"order": 2, "entropy_bits_per_token": pytest.approx(bits)}
