"""Arrays of the user's own, and splits by blocks of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cdmrun.data import load
from cdmrun.data.blocks import split_blockwise
from cdmrun.errors import UserError


def save(tmp_path: Path, array: np.ndarray) -> str:
    np.save(tmp_path / "mine.npy", array)
    return str(tmp_path / "mine.npy")


def test_sequences(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 300, (1000, 5))
    data = load({"kind": "array", "file": save(tmp_path, rows)})
    assert (data.vocabulary, data.length, data.image_shape, data.ordinal) == (300, 5, None, False)
    assert data.splits["train"].dtype == np.uint16
    assert [len(data.splits[name]) for name in ("train", "judge", "test")] == [750, 150, 100]
    assert sorted(map(tuple, np.concatenate(list(data.splits.values())))) == sorted(map(tuple, rows))


def test_images(tmp_path: Path) -> None:
    file = save(tmp_path, np.random.default_rng(0).integers(0, 3, (50, 2, 3)).astype(np.uint8))
    data = load({"kind": "array", "file": file, "vocabulary": 4, "ordinal": True, "judge": 0})
    assert (data.vocabulary, data.length, data.image_shape, data.ordinal) == (4, 6, (2, 3), True)
    assert data.splits["judge"].shape == (0, 6)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 4)), "float64, not whole numbers"),
        (np.zeros(4, int), "neither"),
        (np.zeros((0, 4), int), "neither"),
        (np.array([[0, -1]]), "number -1"),
        (np.zeros((9, 4), int), "all numbers are 0"),
        (np.array([[0, 1]]), "leave none of 1 rows"),
        (np.array([[0, 70_000]] * 9), "too large"),
        (np.array([["a"]]), "not whole numbers"),
        (np.array([[None]]), "not a readable"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        load({"kind": "array", "file": save(tmp_path, array)})


def test_wrong_options(tmp_path: Path) -> None:
    file = save(tmp_path, np.arange(40).reshape(20, 2))
    for options in ({"vocabulary": 39}, {"vocabulary": 1}, {"test": 0}, {"test": 1}, {"judge": -0.1}, {"test": 0.9}):
        with pytest.raises(UserError, match=r"data\."):
            load({"kind": "array", "file": file, **options})
    with pytest.raises(UserError, match="No such file"):
        load({"kind": "array", "file": str(tmp_path / "nowhere.npy")})


@pytest.mark.parametrize("rows", [4, 99, 100, 101, 5000])
def test_blocks_are_neighbours_and_lose_nothing(rows: int) -> None:
    splits = split_blockwise(np.arange(rows)[:, None], 0.1, 0.2)
    assert sorted(np.concatenate(list(splits.values())).ravel()) == list(range(rows))
    assert all(len(tokens) for tokens in splits.values())
    runs = np.split(splits["test"].ravel(), np.flatnonzero(np.diff(splits["test"].ravel()) > 1) + 1)
    assert min(map(len, runs)) >= rows // 100


def test_splits_do_not_depend_on_content() -> None:
    one, other = (split_blockwise(np.arange(500)[:, None] + shift, 0.1, 0.2) for shift in (0, 7))
    for name, tokens in one.items():
        np.testing.assert_array_equal(tokens + 7, other[name])
