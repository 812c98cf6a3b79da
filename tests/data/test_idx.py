"""Images: idx files made up, MNIST and Fashion-MNIST themselves."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from fetched import load_or_skip

from cdmrun.data import load
from cdmrun.data.idx import parse_idx, quantise, read_shape
from cdmrun.errors import UserError


def idx_bytes(images: np.ndarray) -> bytes:
    head = struct.pack(f">I{images.ndim}I", 0x0800 + images.ndim, *images.shape)
    return head + images.astype(np.uint8).tobytes()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (240, 6, 4)).astype(np.uint8)


def test_levels_are_bins_of_equal_width() -> None:
    greys = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for levels in range(2, 17):
        found = quantise(greys, levels)
        assert (found.min(), found.max()) == (0, levels - 1)
        counts = np.bincount(found.ravel())
        assert counts.max() - counts.min() <= 1
        assert (np.diff(found.ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize(("size", "factor"), [(6, 1), (3, 2)])
def test_smaller_images_are_means_over_squares(images: np.ndarray, size: int, factor: int) -> None:
    found = quantise(images, 5, size)
    assert found.shape == (240, size, 4 // factor)
    for n, row, column in np.ndindex(7, *found.shape[1:]):
        square = images[n, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert found[n, row, column] == int(square.astype(float).mean() * 5 / 256)


@pytest.mark.parametrize("packed", [False, True])
def test_own_file(tmp_path: Path, images: np.ndarray, packed: bool) -> None:
    path = tmp_path / "mine"
    path.write_bytes(gzip.compress(idx_bytes(images)) if packed else idx_bytes(images))
    assert read_shape(path) == (240, 6, 4)
    data = load({"kind": "idx", "file": str(path), "levels": 4})
    assert (data.vocabulary, data.length, data.image_shape, data.ordinal) == (4, 24, (6, 4), True)
    sizes = {name: len(tokens) for name, tokens in data.splits.items()}
    assert sum(sizes.values()) == 240
    assert sizes["test"] == pytest.approx(24, abs=3)
    assert sizes["judge"] == pytest.approx(36, abs=4)
    together = np.concatenate(list(data.splits.values()))
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(quantise(images, 4).reshape(240, 24), axis=0))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no idx file"),
        (b"some text, not an idx file", "no idx file"),
        (idx_bytes(np.zeros(20, np.uint8)), "no idx file"),
        (idx_bytes(np.zeros((2, 3, 4), np.uint8))[:-1], "23 bytes for 2 × 3 × 4"),
        (b"\x1f\x8bno gzip", "damaged gzip"),
        (gzip.compress(idx_bytes(np.zeros((2, 3, 4), np.uint8)), mtime=0)[:-12], "damaged gzip"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        load({"kind": "idx", "file": str(path)})


def test_wrong_options(tmp_path: Path, images: np.ndarray) -> None:
    path = tmp_path / "mine"
    path.write_bytes(idx_bytes(images))
    for options, reason in (
        ({"levels": 1}, "levels"),
        ({"levels": 17}, "levels"),
        ({"size": 4}, r"choose from \[6, 3\]"),
    ):
        with pytest.raises(UserError) as caught:
            load({"kind": "idx", "file": str(path), **options})
        assert reason.replace("\\", "") in str(caught.value)
    with pytest.raises(UserError, match="No such file"):
        load({"kind": "idx", "file": str(tmp_path / "nowhere")})


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
def test_the_real_ones(kind: str) -> None:
    data = load_or_skip(kind=kind, levels=8, size=14)
    assert data.labels is not None
    assert {name: tokens.shape for name, tokens in data.splits.items()} == {
        "train": (50_000, 196),
        "judge": (10_000, 196),
        "test": (10_000, 196),
    }
    assert data.image_shape == (14, 14)
    assert np.bincount(data.labels["test"]).min() >= 850
    # images of a class resemble their mean more than that of other classes: labels belong to images
    means = np.stack([data.splits["train"][data.labels["train"] == c].mean(axis=0) for c in range(10)])
    distance = ((data.splits["test"][:500, None] - means) ** 2).sum(axis=2)
    assert (distance.argmin(axis=1) == data.labels["test"][:500]).mean() > 0.6


def test_labels_start_as_published() -> None:
    data = load_or_skip(kind="mnist", limit=100)
    assert data.labels is not None
    assert parse_idx(idx_bytes(data.labels["test"]), 1).tolist() == data.labels["test"].tolist()
    assert data.labels["train"][:5].tolist() == [5, 0, 4, 1, 9]
    assert data.labels["test"][:5].tolist() == [7, 2, 1, 0, 4]
