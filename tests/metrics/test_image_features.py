"""The feature network on real digits: it sees what they are, and tells them from pixels drawn independently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cdmrun.data import Dataset, load
from cdmrun.errors import UserError
from cdmrun.metrics.frechet import frechet_distance, moments
from cdmrun.metrics.image_features import ImageFeatures, train_features

STEPS = 120


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load({"kind": "digits"})


@pytest.fixture(scope="module")
def network(digits: Dataset) -> ImageFeatures:
    assert digits.labels is not None
    return train_features(digits.splits["train"], digits.labels["train"], (8, 8), 17, STEPS, seed=0)


def test_it_names_digits_it_has_not_seen(digits: Dataset, network: ImageFeatures) -> None:
    assert digits.labels is not None
    assert (network.classify(digits.splits["test"]) == digits.labels["test"]).mean() > 0.7


@pytest.mark.parametrize("labelled", [True, False])
def test_independent_pixels_are_far_away(digits: Dataset, network: ImageFeatures, labelled: bool) -> None:
    if not labelled:
        network = train_features(digits.splits["train"], None, (8, 8), 17, STEPS, seed=0)
    real, train = digits.splits["test"], digits.splits["train"][:300]
    rng = np.random.default_rng(0)
    independent = np.stack([rng.permutation(column) for column in real.T], axis=1)
    floor, ceiling = (
        frechet_distance(moments(network.activations(images)), moments(network.activations(real)))
        for images in (train, independent)
    )
    assert ceiling > 5 * floor > 0


def test_other_images_in_the_batch_do_not_matter(digits: Dataset, network: ImageFeatures) -> None:
    images = digits.splits["test"]
    together = network.activations(images)
    alone = np.concatenate([network.activations(image[None]) for image in images[:20]])
    np.testing.assert_allclose(together[:20], alone, atol=1e-5)


def test_the_same_training_gives_the_same_bytes_and_leaves_randomness_alone(digits: Dataset) -> None:
    state = torch.random.get_rng_state()
    one, same, other = (train_features(digits.splits["train"], None, (8, 8), 17, 3, seed) for seed in (0, 0, 1))
    assert one.to_bytes() == same.to_bytes() != other.to_bytes()
    assert torch.equal(state, torch.random.get_rng_state())


def test_saved_and_read_back_sees_the_same(tmp_path: Path, digits: Dataset, network: ImageFeatures) -> None:
    path = tmp_path / "network.safetensors"
    assert network.save(path) == network.save(tmp_path / "again.safetensors")
    back = ImageFeatures.load(path, network.size)
    images = digits.splits["test"][:10]
    np.testing.assert_array_equal(back.activations(images), network.activations(images))
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="not the weights"):
        ImageFeatures.load(path, network.size)


@pytest.mark.parametrize("shape", [(28, 28), (3, 5), (1, 2)])
def test_any_size_of_image(shape: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 4, (20, shape[0] * shape[1]))
    network = train_features(images, None, shape, 4, 2, seed=0)
    assert network.activations(images).shape == (20, 64)
    with pytest.raises(ValueError, match="without classes"):
        network.classify(images)
