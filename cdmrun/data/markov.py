"""Sequences of a Markov chain whose law is known: fitted to a text, given as an array, or random."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cdmrun.data.chain import MarkovChain, check_size, check_transitions
from cdmrun.data.cleaning import TEXT8_ALPHABET, check_length
from cdmrun.data.dataset import Dataset, Tokens, token_dtype
from cdmrun.data.kjv import load_kjv
from cdmrun.data.options import real, whole
from cdmrun.data.table import read_array
from cdmrun.data.text import load_text
from cdmrun.errors import UserError

SOURCES = ("kjv", "text", "transitions", "random")

#: Sequences in the judge's and the test split.
HELD_OUT = 2048

#: Seeds of the splits' draws; the chain's own seed is another.
_SEEDS = {"train": 1, "judge": 2, "test": 3}

#: Characters in the windows that a chain is fitted to, whatever the length of the sequences it then makes.
_FIT_WINDOW = 64


class _Origin(NamedTuple):
    """A chain, what its tokens stand for, where it comes from and on what terms."""

    chain: MarkovChain
    alphabet: Sequence[str] | None
    source: str
    licence: str


def load_markov(
    source: str = "kjv",
    order: int = 2,
    length: int = 128,
    file: str | None = None,
    alphabet: str = TEXT8_ALPHABET,
    smoothing: float = 3.0,
    states: int = 8,
    concentration: float = 0.3,
    seed: int = 0,
    draws: int = 16_384,
) -> Dataset:
    """Draws of a chain of order k, and the chain itself.

    Parameters
    ----------
    source
        ``kjv`` or ``text``: fitted to the training split of that text (`MarkovChain.fit`). ``transitions``: given.
        ``random``: every context's law drawn from a Dirichlet.
    order, length
        k and L ≥ k; transitions say their own order.
    file
        The text, or a ``.npy`` array of shape (V, …, V) with k + 1 axes; sequences then start in its stationary law.
    alphabet
        As for ``kind: text``.
    smoothing
        Of the fit, in tokens.
    states, concentration, seed
        V, the concentration and the seed of a random chain.
    draws
        Sequences in the training split; the judge and the test split have 2,048 each, all from seeds of their own.

    Raises
    ------
    UserError
        If an option makes no sense, a file is missing or is not what it should be, or the chain is too large.
    """
    length = check_length(length)
    if source not in SOURCES:
        raise UserError(f"data.source: {source!r} is not one of {', '.join(SOURCES)}", "choose one of them")
    if source in ("text", "transitions") and file is None:
        raise UserError(f"data.file: missing; source {source} needs it", "add `file:` to the data section")
    draws, order = whole("draws", draws, 1), whole("order", order, 1)
    if source == "transitions":
        origin = _given(str(file))
    elif source == "random":
        chain = MarkovChain.random(whole("states", states, 2), order, real("concentration", concentration), seed)
        label = f"random chain: order {order}, {states} states, concentration {concentration:g}, seed {seed}"
        origin = _Origin(chain, None, label, "none needed")
    else:
        text = load_kjv(_FIT_WINDOW) if source == "kjv" else load_text(str(file), _FIT_WINDOW, alphabet)
        origin = _fitted(text, order, smoothing)
    origin.chain.check_length(length)
    return Dataset(
        name="markov",
        vocabulary=origin.chain.vocabulary,
        length=length,
        splits=_splits(origin.chain, length, {"train": draws, "judge": HELD_OUT, "test": HELD_OUT}),
        table=None,
        ordinal=False,
        alphabet=origin.alphabet,
        image_shape=None,
        source=origin.source,
        licence=origin.licence,
        chain=origin.chain,
    )


def _fitted(text: Dataset, order: int, smoothing: float) -> _Origin:
    check_size(text.vocabulary, order, "data.order")
    chain = MarkovChain.fit(text.splits["train"], text.vocabulary, order, smoothing)
    label = f"chain of order {order}, smoothing {smoothing:g}, fitted to the training split of: {text.source}"
    return _Origin(chain, text.alphabet, label, text.licence)


def _given(file: str) -> _Origin:
    path = Path(file)
    chain = MarkovChain.stationary(check_transitions(read_array(path), str(path)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return _Origin(chain, None, f"transitions of file {path.name} (sha256 {digest})", "the user's own file")


def _splits(chain: MarkovChain, length: int, sizes: dict[str, int]) -> dict[str, Tokens]:
    """Independent draws; a split's do not depend on the sizes of the others."""
    dtype = token_dtype(chain.vocabulary)
    return {
        name: chain.sample(count, length, np.random.default_rng(_SEEDS[name])).astype(dtype)
        for name, count in sizes.items()
    }
