"""The laws that are known exactly: tables of the user's and the Potts ring."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cdmrun.data import load
from cdmrun.errors import UserError


def saved(folder: Path, array: npt.NDArray[Any]) -> str:
    np.save(folder / "p.npy", array)
    return str(folder / "p.npy")


def test_table_is_read_and_normalised(tmp_path: Path) -> None:
    law = np.random.default_rng(0).random((3, 3, 3))
    law /= law.sum() * (1 - 5e-7)
    data = load({"kind": "table", "file": saved(tmp_path, law)})
    assert (data.vocabulary, data.length, data.enumerable, data.splits) == (3, 3, True, {})
    assert data.table is not None
    assert data.table.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(data.table, law, rtol=1e-6)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.full((2, 3), 1 / 6), r"shape \(2, 3\)"),
        (np.array(1.0), r"shape \(\)"),
        (np.ones((1, 1)), r"shape \(1, 1\)"),
        (np.full((3, 3), 0.1), "sum to 0.9"),
        (np.zeros((3, 3)), "sum to 0"),
        (np.array([[0.7, 0.5], [-0.2, 0.0]]), r"entry \(1, 0\) is -0.2"),
        (np.array([0.5, np.nan]), r"entry \(1,\) is nan"),
        (np.array([0.5 + 0j, 0.5]), "complex128"),
        (np.full((28, 28, 28), 1 / 28**3), "28\\^3 = 21952 states"),
    ],
)
def test_bad_tables_are_refused_with_numbers(tmp_path: Path, array: npt.NDArray[Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        load({"kind": "table", "file": saved(tmp_path, array)})
    assert "p.npy" in caught.value.message
    assert caught.value.remedy


def test_unreadable_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npy"
    with pytest.raises(UserError, match="no such file"):
        load({"kind": "table", "file": str(path)})
    for content in (b"", b"1 2 3", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a readable"):
            load({"kind": "table", "file": str(path)})
    with open(path, "wb") as stream:
        np.savez(stream, p=np.ones(2))
    with pytest.raises(UserError, match="several arrays"):
        load({"kind": "table", "file": str(path)})


def test_potts_ring_is_its_formula() -> None:
    data = load({"kind": "potts_ring", "states": 3, "length": 4, "coupling": 0.8, "field": -0.4})
    weights = {
        x: math.exp(
            0.8 * sum(x[i] == x[(i + 1) % 4] for i in range(4))
            - 0.4 * sum(math.cos(1 + x[i] + math.sqrt(2) * i) for i in range(4))
        )
        for x in itertools.product(range(3), repeat=4)
    }
    total = sum(weights.values())
    assert data.table is not None
    for x, weight in weights.items():
        assert data.table[x] == pytest.approx(weight / total, rel=1e-12)


def test_potts_ring_by_default_has_dependence_and_no_symmetry() -> None:
    data = load({"kind": "potts_ring"})
    assert data.table is not None
    assert data.table.shape == (4, 4, 4, 4)
    assert len(np.unique(data.table)) == data.table.size
    sites = [data.table.sum(axis=tuple(set(range(4)) - {i})) for i in range(4)]
    independent = np.einsum("a,b,c,d->abcd", *sites)
    assert np.abs(data.table - independent).sum() / 2 > 0.3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"states": 1}, "data.states"),
        ({"states": 2.0}, "data.states"),
        ({"length": 0}, "data.length"),
        ({"states": 10, "length": 5}, "10\\^5 = 100000 states"),
        ({"coupling": float("nan")}, "data.coupling"),
        ({"field": "strong"}, "data.field"),
    ],
)
def test_bad_rings_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        load({"kind": "potts_ring"} | options)
