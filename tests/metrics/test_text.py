from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from cdmrun.errors import UserError
from cdmrun.metrics.text import distinct_n, self_bleu


def random_texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdefghij "), 40)) for _ in range(count)]


def test_copies_score_100_and_unrelated_texts_low() -> None:
    assert self_bleu(["in the beginning was the word"] * 5) == pytest.approx(100.0)
    assert self_bleu(["aaaa bbbb", "cccc.dddd"]) < 20.0
    mixed = random_texts(10) + ["in the beginning was the word"] * 10
    assert self_bleu(random_texts(20)) < self_bleu(mixed) < 100.0


def test_order_has_no_influence_and_the_seed_picks_the_sample() -> None:
    texts = random_texts(30)
    assert self_bleu(texts, sample=10) == self_bleu(texts[::-1], sample=10)
    assert self_bleu(texts, sample=10, seed=0) != self_bleu(texts, sample=10, seed=1)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_sacrebleu_says_of_each_text_against_the_others(seed: int) -> None:
    random = np.random.default_rng(seed)
    alphabet = [*"abc ", "\u00e9", "\t", "\n", "▁"]
    texts = ["".join(random.choice(alphabet[: 2 + seed], random.integers(0, 30))) for _ in range(12)]
    shown = sorted(text.replace(" ", "\N{LOWER ONE EIGHTH BLOCK}") for text in texts)
    bleu = BLEU(tokenize="char", effective_order=True)
    scores = [bleu.sentence_score(text, shown[:i] + shown[i + 1 :]).score for i, text in enumerate(shown)]
    assert self_bleu(texts) == pytest.approx(float(np.mean(scores)), rel=1e-13)


def test_word_boundaries_count() -> None:
    assert self_bleu(["ab cd ef gh ij", "abc def ghi j "]) < 50.0


def test_too_few_texts() -> None:
    with pytest.raises(UserError, match="at least two samples, not 1"):
        self_bleu(["alone"])


def test_distinct_n_by_hand() -> None:
    tokens = np.array([[0, 1, 0, 1], [0, 1, 2, 2]])
    assert distinct_n(tokens, 1) == 3 / 8
    assert distinct_n(tokens, 2) == 4 / 6  # 01 10 12 22
    assert distinct_n(tokens, 4) == 1.0
    with pytest.raises(ValueError, match="n = 5"):
        distinct_n(tokens, 5)


def test_distinct_n_with_a_large_vocabulary_and_long_grams() -> None:
    tokens = np.random.default_rng(0).integers(0, 60_000, (20, 30)).astype(np.uint16)
    assert distinct_n(tokens, 20) == 1.0
    assert distinct_n(np.concatenate([tokens, tokens]), 20) == 0.5
