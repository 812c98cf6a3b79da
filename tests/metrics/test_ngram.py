from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cdmrun.data import load
from cdmrun.errors import UserError
from cdmrun.metrics.ngram import NgramJudge

V = 5


@pytest.fixture(scope="module")
def windows() -> npt.NDArray[np.uint8]:
    """A noisy cycle over five tokens: strongly predictable, and with contexts that never occur."""
    rng = np.random.default_rng(0)
    steps = np.where(rng.random((200, 20)) < 0.9, 1, 2)
    return (np.cumsum(steps, axis=1) % V).astype(np.uint8)


def witten_bell(rows: list[list[int]], context: tuple[int, ...], token: int, vocabulary: int) -> float:
    """The definition, word for word, slowly."""
    size = len(context)
    seen = Counter(row[i + size] for row in rows for i in range(len(row) - size) if tuple(row[i : i + size]) == context)
    lower = witten_bell(rows, context[1:], token, vocabulary) if context else 1 / vocabulary
    if not seen:
        return lower
    return (seen[token] + len(seen) * lower) / (seen.total() + len(seen))


def test_agrees_with_the_definition(windows: npt.NDArray[np.uint8]) -> None:
    train, rows = windows[:20], windows[:20].tolist()
    judge = NgramJudge.fit(train, V, order=3)
    sample = np.random.default_rng(1).integers(0, V, (4, 6))
    expected = [
        [np.log2(witten_bell(rows, tuple(row[max(0, i - 2) : i]), row[i], V)) for i in range(6)]
        for row in sample.tolist()
    ]
    np.testing.assert_allclose(judge.log2_prob(sample), expected, rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 4, 6])
def test_probabilities_sum_to_one_after_seen_and_unseen_contexts(windows: npt.NDArray[np.uint8], order: int) -> None:
    judge = NgramJudge.fit(windows, V, order)
    rng = np.random.default_rng(2)
    contexts = [windows[i, :n] for i, n in enumerate([0, 1, 2, 5, 9])] + [rng.integers(0, V, 8) for _ in range(20)]
    for context in contexts:
        law = judge.probabilities(context)
        assert law.sum() == pytest.approx(1.0, abs=1e-12)
        assert law.min() > 0.0


def test_a_whole_sequence_law_sums_to_one(windows: npt.NDArray[np.uint8]) -> None:
    judge = NgramJudge.fit(windows, V, 3)
    every = np.indices((V,) * 4).reshape(4, -1).T
    assert np.exp2(judge.log2_prob(every).sum(axis=1)).sum() == pytest.approx(1.0, abs=1e-12)


def test_each_sample_is_scored_on_its_own(windows: npt.NDArray[np.uint8]) -> None:
    judge = NgramJudge.fit(windows[:100], V, 4)
    bits = judge.bits_per_token(windows[100:])
    order = np.random.default_rng(3).permutation(100)
    np.testing.assert_array_equal(judge.bits_per_token(windows[100:][order]), bits[order])
    np.testing.assert_array_equal(judge.bits_per_token(windows[100:101]), bits[:1])
    assert judge.bits_per_token(windows[:0]).shape == (0,)


def test_sequences_shorter_than_the_order(windows: npt.NDArray[np.uint8]) -> None:
    judge = NgramJudge.fit(windows[:, :3], V, 6)
    assert judge.log2_prob(windows[:, :2]).shape == (200, 2)
    assert judge.probabilities(windows[0]).sum() == pytest.approx(1.0)


def test_saved_and_loaded_scores_the_same(windows: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    judge = NgramJudge.fit(windows, V, 4)
    judge.save(tmp_path / "judge.npz")
    again = NgramJudge.load(tmp_path / "judge.npz")
    np.testing.assert_array_equal(again.log2_prob(windows), judge.log2_prob(windows))


def test_damaged_judges_are_named(tmp_path: Path) -> None:
    path = tmp_path / "judge.npz"
    with pytest.raises(UserError, match="no such file"):
        NgramJudge.load(path)
    path.write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"judge\.npz"):
        NgramJudge.load(path)
    np.savez(path, order=np.array(2), vocabulary=np.array(3))
    with pytest.raises(UserError, match="codes_1"):
        NgramJudge.load(path)


def test_bad_arguments(windows: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(UserError, match="nothing to learn from"):
        NgramJudge.fit(windows[:0], V, 3)
    for order in (0, 40):
        with pytest.raises(UserError, match="order"):
            NgramJudge.fit(windows, V, order)
    with pytest.raises(ValueError, match="outside a vocabulary"):
        NgramJudge.fit(windows, 4, 3)
    with pytest.raises(ValueError, match="outside a vocabulary"):
        NgramJudge.fit(windows, V, 3).bits_per_token(np.full((1, 3), V))


def test_on_the_bible_it_tells_text_from_worse_and_worse_noise() -> None:
    try:
        data = load({"kind": "kjv", "length": 64})
    except UserError as error:
        pytest.skip(error.message)
    judge = NgramJudge.fit(data.splits["judge"], data.vocabulary, 6)
    real = data.splits["test"][::16]
    rng = np.random.default_rng(0)
    assert data.alphabet is not None
    words = [" ".join(rng.permutation(data.decode(row).split(" "))) for row in real]
    scores = [
        judge.bits_per_token(rows).mean()
        for rows in (
            real,
            np.array([[data.alphabet.index(c) for c in text] for text in words]),
            rng.permuted(real, axis=1),
            rng.integers(0, data.vocabulary, real.shape),
        )
    ]
    assert scores[0] == pytest.approx(1.89, abs=0.05)
    assert scores[1] > scores[0] + 0.7
    assert scores[2] > scores[1] + 4.0
    assert scores[3] > scores[2] + 1.5
