"""A sparse law: a few sequences have all the probability, as the sentences of a language have among strings."""

from __future__ import annotations

import numpy as np

from cdmrun.data.cleaning import check_length
from cdmrun.data.dataset import Dataset
from cdmrun.data.options import share, whole
from cdmrun.data.table import check_states
from cdmrun.errors import UserError


def load_sentences(states: int = 6, length: int = 4, sentences: int = 12, seed: int = 0, noise: float = 0.0) -> Dataset:
    """A law on ``sentences`` distinct sequences, picked at random, with unequal shares.

    Positions depend on each other as strongly as they can: of V^L sequences all but a few are impossible, and a
    sampler that draws positions independently mixes the possible ones up.

    Parameters
    ----------
    states, length
        V ≥ 2 and L ≥ 1, with V^L ≤ 20,000.
    sentences
        From 1 to V^L.
    seed
        Which sequences, and which shares: between 1 and 10 before they are made to sum to one.
    noise
        Probability in [0, 1) that is spread evenly over all sequences; at 0 most have none.
    """
    states, length = whole("states", states, 2), check_length(length)
    check_states(states, length, "data")
    count = states**length
    sentences, seed, noise = whole("sentences", sentences, 1), whole("seed", seed, 0), share("noise", noise)
    if sentences > count:
        raise UserError(
            f"data.sentences: {sentences} sequences of the {states}^{length} = {count} there are", "ask for fewer"
        )
    random = np.random.default_rng(seed)  # uniform doubles only: their stream is the same in every version of numpy
    chosen = np.argsort(random.random(count))[:sentences]
    weight = np.zeros(count)
    weight[chosen] = 10.0 ** random.random(sentences)
    table = (1.0 - noise) * weight / weight.sum() + noise / count
    return Dataset(
        name="sentences",
        vocabulary=states,
        length=length,
        splits={},
        table=table.reshape((states,) * length),
        ordinal=False,
        alphabet=None,
        image_shape=None,
        source=f"{sentences} of {states}^{length} sequences by seed {seed}, noise {noise:g}",
        licence="none needed",
    )
