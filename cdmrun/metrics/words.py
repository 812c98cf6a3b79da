"""A word trigram as judge of text: the language model of English that comes with package pocketsphinx.

It knows 72,000 words and nothing of our data, so it judges every text by the same measure. A word that it does not know
has no probability at all; those are counted apart, for a text of invented words would otherwise be a perfect one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cdmrun.errors import UserError

#: The package with the model, as pip knows it; an optional dependency.
REQUIREMENT = "pocketsphinx==5.1.1"
MODEL = "en-us.lm.bin"
#: Nats of one unit of the model's logarithms.
_UNIT = math.log(1.0001)
#: Logarithms below this are those of words that are not in the model.
_IMPOSSIBLE = -1e8

Floats = npt.NDArray[np.float64]


class WordJudge:
    """A trigram model of words.

    Parameters
    ----------
    model
        What gives the logarithm of a word's probability, in units of log 1.0001, for a list that begins with the word
        and goes on with those before it, the nearest first.
    """

    def __init__(self, model: Any) -> None:
        self._prob = model.prob

    def log2_prob(self, word: str, before: Sequence[str]) -> float | None:
        """Bits of a word after up to two others, the nearest last; None for a word that is not in the model."""
        units = self._prob([word, *reversed(before[-2:])])
        return None if units < _IMPOSSIBLE else units * _UNIT / math.log(2.0)

    def score(self, texts: Sequence[str]) -> tuple[Floats, Floats, Floats]:
        """Bits of the known words of each text, their number, and the number of unknown ones: three arrays [n]."""
        rows = np.zeros((len(texts), 3))
        for row, text in zip(rows, texts, strict=True):
            words = whole_words(text)
            for place, word in enumerate(words):
                found = self.log2_prob(word, words[max(0, place - 2) : place])
                row += (0.0, 0.0, 1.0) if found is None else (-found, 1.0, 0.0)
        return rows[:, 0], rows[:, 1], rows[:, 2]


def whole_words(text: str) -> list[str]:
    """The words of a window that has been cut out of a text, without those that its two ends may have cut."""
    return [word for word in text.lower().split(" ")[1:-1] if word]


@cache
def word_judge() -> WordJudge:
    """The judge; its model is read once in the life of a process.

    Raises
    ------
    UserError
        If the package is not installed, or has no such model.
    """
    remedy = f"python -m pip install {REQUIREMENT}, or leave word_nll and oov_rate out of the metrics"
    try:
        from pocketsphinx import NGramModel, get_model_path
    except ImportError as error:
        raise UserError(f"the word judge is in a package that cannot be imported: {error}", remedy) from error
    path = Path(get_model_path("en-us")) / MODEL
    if not path.is_file():
        raise UserError(f"{path}: package pocketsphinx has no such model", remedy)
    return WordJudge(NGramModel.readfile(str(path)))
