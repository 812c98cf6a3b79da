from __future__ import annotations

import numpy as np

from cdmrun.metrics.entropy import sample_unigram_entropy


def test_by_hand() -> None:
    tokens = np.array([[0, 0, 0, 0], [0, 1, 2, 3], [7, 7, 2, 2], [7, 7, 7, 2]])
    expected = [0.0, 2.0, 1.0, 2.0 - 0.75 * np.log2(3)]
    np.testing.assert_allclose(sample_unigram_entropy(tokens), expected, atol=1e-15)


def test_it_is_of_each_sample_by_itself() -> None:
    assert sample_unigram_entropy(np.array([[3, 3], [5, 5]])).tolist() == [0.0, 0.0]


def test_order_of_samples_and_of_tokens_has_no_influence() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 27, (50, 64)).astype(np.uint8)
    order = rng.permutation(50)
    np.testing.assert_allclose(sample_unigram_entropy(tokens[order][:, ::-1]), sample_unigram_entropy(tokens)[order])


def test_uniform_noise_is_near_log_v_from_below() -> None:
    tokens = np.random.default_rng(1).integers(0, 16, (100, 500))
    assert 3.9 < sample_unigram_entropy(tokens).mean() < 4.0


def test_empty() -> None:
    assert sample_unigram_entropy(np.empty((0, 4), np.uint8)).shape == (0,)
