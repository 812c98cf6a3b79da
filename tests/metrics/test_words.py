from __future__ import annotations

import builtins
import math

import numpy as np
import pytest

from cdmrun.errors import UserError
from cdmrun.metrics.scoring import SampleSet, oov_rate, word_nll
from cdmrun.metrics.words import WordJudge, whole_words, word_judge


def test_words_that_the_window_may_have_cut_are_left_out() -> None:
    assert whole_words("nd the lord sai") == ["the", "lord"]
    assert whole_words(" and the  lord ") == ["and", "the", "lord"]
    assert whole_words("begotten") == []


def test_the_nearest_word_comes_first_and_unknown_ones_are_counted_apart() -> None:
    asked = []

    class Model:
        def prob(self, words: list[str]) -> int:
            asked.append(words)
            return -536_870_912 if words[0] == "xq" else round(-2 * math.log(2) / math.log(1.0001))

    bits, known, unknown = WordJudge(Model()).score(["a b c xq d e", "q xq"])
    assert asked == [["b"], ["c", "b"], ["xq", "c", "b"], ["d", "xq", "c"]]
    np.testing.assert_allclose(bits, [6.0, 0.0], rtol=1e-3)
    assert known.tolist() == [3, 0]
    assert unknown.tolist() == [1, 0]


def test_probabilities_of_the_model() -> None:
    """Those of the words after a context sum to no more than one, and English is likelier in its own order."""
    pytest.importorskip("pocketsphinx")
    judge = word_judge()
    words = ["the", "of", "and", "to", "in", "that", "he", "it", "was", "his", "is", "not", "with", "lord", "god"]
    for context in ([], ["of"], ["house", "of"]):
        total = sum(2.0**found for word in words if (found := judge.log2_prob(word, context)) is not None)
        assert 0.05 < total < 1.0
    forwards, known, unknown = judge.score([" in the house of the lord "])
    backwards, _, _ = judge.score([" lord the of house the in "])
    assert (known.tolist(), unknown.tolist()) == ([6], [0])
    assert forwards[0] < backwards[0] - 5


def test_no_words_give_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pocketsphinx")

    class Letters:
        def decode(self, row: object) -> str:
            return "abcdefgh"

    found = SampleSet(np.zeros((2, 8), int), Letters(), None, 0)  # type: ignore[arg-type]
    assert math.isnan(word_nll(found).value)
    assert math.isnan(oov_rate(found).value)


def test_without_the_package_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "pocketsphinx":
            raise ImportError("No module named 'pocketsphinx'")
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="No module named") as caught:
        word_judge.__wrapped__()
    assert "pip install pocketsphinx==5.1.1" in caught.value.remedy
