from __future__ import annotations

import numpy as np

from cdmrun.data import load


def test_contents() -> None:
    data = load({"kind": "digits"})
    assert (data.vocabulary, data.length, data.image_shape, data.ordinal) == (17, 64, (8, 8), True)
    assert {name: len(tokens) for name, tokens in data.splits.items()} == {"train": 1497, "judge": 0, "test": 300}
    tokens = np.concatenate([data.splits["train"], data.splits["test"]])
    assert tokens.dtype == np.uint8
    assert (tokens.min(), tokens.max()) == (0, 16)
    # the corners of a centred digit are blank, its middle is not
    mean = tokens.mean(axis=0).reshape(8, 8)
    assert mean[0, 0] == 0.0
    assert mean[3:5, 3:5].min() > 7.0


def test_no_image_twice() -> None:
    data = load({"kind": "digits"})
    tokens = np.concatenate([data.splits["train"], data.splits["test"]])
    assert len(np.unique(tokens, axis=0)) == len(tokens)


def test_the_split_is_always_the_same_and_mixed() -> None:
    first, second = load({"kind": "digits"}), load({"kind": "digits"})
    np.testing.assert_array_equal(first.splits["test"], second.splits["test"])
    gap = first.splits["test"].mean() - first.splits["train"].mean()
    assert abs(gap) < 0.1


def test_every_image_has_its_digit() -> None:
    """Means of a class lie nearest to most of the test images of that class: labels and images go together."""
    data = load({"kind": "digits"})
    assert data.labels is not None
    assert set(data.labels["train"].tolist()) == set(range(10))
    means = np.stack([data.splits["train"][data.labels["train"] == digit].mean(axis=0) for digit in range(10)])
    distance = ((data.splits["test"][:, None].astype(float) - means) ** 2).sum(axis=-1)
    assert (distance.argmin(axis=1) == data.labels["test"]).mean() > 0.8
