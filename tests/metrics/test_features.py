"""What is compared in frozen features: real data are near, independent positions far, and order moves nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from fcd_torch.utils import calculate_frechet_distance
from fetched import load_or_skip

from cdmrun.data import Dataset, load
from cdmrun.errors import UserError
from cdmrun.metrics import chemnet, domain_scores
from cdmrun.metrics.features import Features, make_features
from cdmrun.metrics.frechet import frechet_distance, moments
from cdmrun.metrics.scoring import SampleSet

MOLECULES = 60


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Features, Path]:
    data, folder = load({"kind": "digits"}), tmp_path_factory.mktemp("digits")
    make_features(data, {"kind": "images", "held_out": 2000, "steps": 150, "seed": 0}, folder)
    return data, Features.read(folder), folder


def test_images_real_independent_and_in_another_order(digits: tuple[Dataset, Features, Path]) -> None:
    data, features, _ = digits
    rng = np.random.default_rng(0)
    real, train = data.splits["test"], data.splits["train"][:300]

    def scores(images: np.ndarray) -> list[float]:
        found = SampleSet(images, data, None, 0, features)
        scored = (domain_scores.frechet, domain_scores.class_entropy, domain_scores.class_information)
        return [metric(found) for metric in scored]

    floor, entropy, information = scores(train)
    assert scores(rng.permutation(train)) == pytest.approx([floor, entropy, information], rel=1e-9)
    far, _, little = scores(rng.permuted(real, axis=0))
    assert far > 5 * floor
    assert little < 0.75 * information
    assert math.log2(10) * 0.95 < entropy < math.log2(10)
    assert data.labels is not None
    few = scores(data.splits["train"][data.labels["train"] < 2])  # a sampler that draws zeros and ones only
    assert few[0] > 5 * floor
    assert max(few[1:]) < 1.8


def test_what_is_written_says_which_network(digits: tuple[Dataset, Features, Path]) -> None:
    data, features, folder = digits
    meta = json.loads((folder / "features.json").read_text())
    assert len(meta["sha256"]) == 64
    assert (meta["trained_on"], meta["held_out_sequences"]) == ("train", 300)  # digits have no judge split
    assert meta["held_out_accuracy"] > 0.7
    assert features.distance(data.splits["test"], data) == pytest.approx(0.0, abs=1e-9)
    (folder / "held_out.npz").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"held_out\.npz"):
        Features.read(folder)


def test_molecules_real_independent_and_in_another_order(tmp_path: Path) -> None:
    data = load_or_skip(kind="molecules", limit=1000)
    make_features(data, {"kind": "molecules", "held_out": MOLECULES}, tmp_path)
    features = Features.read(tmp_path)
    train, rng = data.splits["train"][:MOLECULES], np.random.default_rng(0)
    floor = features.distance(train, data)
    assert features.distance(train[::-1], data) == floor
    assert features.distance(rng.permuted(data.splits["test"][:MOLECULES], axis=0), data) == math.inf
    alike = np.repeat(train[:10], 6, axis=0)  # a sampler that knows ten molecules
    assert features.distance(alike, data) > 1.3 * floor
    seen = features.activations(train, data)
    p = moments(seen)
    assert frechet_distance(p, features.held_out) == floor
    theirs = calculate_frechet_distance(*p, *features.held_out)
    assert floor == pytest.approx(theirs, rel=0.02)  # theirs is regularised where covariances are singular


def test_chemnet_sees_a_string_alike_whatever_else_is_there() -> None:
    together = chemnet.activations(["CCO", "c1ccccc1", "CCO", "CC(=O)O"])
    assert together.shape == (4, 512)
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_allclose(chemnet.activations(["c1ccccc1"])[0], together[1], atol=1e-6)
    assert chemnet.activations([]).shape == (0, 512)
