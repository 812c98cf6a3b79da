"""Handwritten digits, 8×8 pixels of 17 grey levels, bundled with scikit-learn."""

from __future__ import annotations

import numpy as np

from cdmrun.data.dataset import Dataset

LEVELS = 17
SIDE = 8
TEST_IMAGES = 300
_PERMUTATION_SEED = 1797


def load_digits() -> Dataset:
    """The 1,797 images as 64 ordinal tokens, row by row: 300 test, the rest train, none for a judge.

    Should an image occur more than once, its copies are dropped, so that no test image is in train.
    """
    from sklearn.datasets import load_digits as load_bundled  # 1 s to import: only where it is used

    bundled = load_bundled()
    images, classes = np.asarray(bundled.data).astype(np.uint8), np.asarray(bundled.target).astype(np.uint8)
    _, first = np.unique(images, axis=0, return_index=True)
    images, classes = images[np.sort(first)], classes[np.sort(first)]
    order = np.random.default_rng(_PERMUTATION_SEED).permutation(len(images))
    return Dataset(
        name="digits",
        vocabulary=LEVELS,
        length=SIDE * SIDE,
        splits={
            "train": images[order[TEST_IMAGES:]],
            "judge": np.empty((0, SIDE * SIDE), np.uint8),
            "test": images[order[:TEST_IMAGES]],
        },
        table=None,
        ordinal=True,
        alphabet=None,
        image_shape=(SIDE, SIDE),
        source="scikit-learn load_digits: optical recognition of handwritten digits, E. Alpaydin and C. Kaynak, UCI",
        licence="data CC BY 4.0; scikit-learn BSD-3-Clause",
        labels={
            "train": classes[order[TEST_IMAGES:]],
            "judge": np.empty(0, np.uint8),
            "test": classes[order[:TEST_IMAGES]],
        },
    )
