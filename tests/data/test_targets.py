"""Targets given by a formula: Ising grid, checkerboard, two moons, sparse sentences."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from cdmrun.data import load
from cdmrun.errors import UserError


def table_of(kind: str, **options: Any) -> np.ndarray:
    data = load({"kind": kind} | options)
    assert data.table is not None
    assert data.splits == {}
    assert data.table.dtype == np.float64
    assert data.table.sum() == pytest.approx(1.0, abs=1e-14)
    assert (data.table >= 0).all()
    return data.table


def test_ising_grid_is_its_formula() -> None:
    rows, columns, coupling, field = 2, 3, 0.7, -0.4
    weights = {}
    for x in itertools.product(range(2), repeat=rows * columns):
        spin = [2 * value - 1 for value in x]
        energy = sum(field * math.cos(1 + math.sqrt(2) * i) * s for i, s in enumerate(spin))
        for i in range(rows * columns):
            if i % columns < columns - 1:
                energy += coupling * spin[i] * spin[i + 1]
            if i + columns < rows * columns:
                energy += coupling * spin[i] * spin[i + columns]
        weights[x] = math.exp(energy)
    table = table_of("ising_grid", rows=rows, columns=columns, coupling=coupling, field=field)
    total = sum(weights.values())
    for x, weight in weights.items():
        assert table[x] == pytest.approx(weight / total, rel=1e-12)


def test_ising_grid_is_an_image_without_symmetry() -> None:
    data = load({"kind": "ising_grid", "rows": 2, "columns": 4})
    assert (data.vocabulary, data.length, data.image_shape, data.ordinal) == (2, 8, (2, 4), False)
    assert data.table is not None
    assert len(np.unique(data.table)) == data.table.size
    assert table_of("ising_grid", rows=1, columns=1).shape == (2,)


@pytest.mark.parametrize(("size", "squares", "floor"), [(6, 2, 0.0), (12, 4, 0.25), (9, 3, 0.5), (4, 4, 0.0)])
def test_checkerboard_is_even_on_dark_squares(size: int, squares: int, floor: float) -> None:
    table = table_of("checkerboard", size=size, squares=squares, floor=floor)
    side = size // squares
    dark = np.array([[(x // side + y // side) % 2 == 0 for y in range(size)] for x in range(size)])
    np.testing.assert_allclose(table[~dark], floor / size**2, rtol=1e-13)
    np.testing.assert_allclose(table[dark], (1 - floor) / dark.sum() + floor / size**2, rtol=1e-13)
    assert table[0, 0] == table.max()


def test_an_even_checkerboard_is_all_dependence() -> None:
    table = table_of("checkerboard")
    assert (table == 0).sum() == table.size // 2
    np.testing.assert_allclose(table.sum(0), 1 / 32, rtol=1e-13)
    np.testing.assert_allclose(table.sum(1), 1 / 32, rtol=1e-13)
    data = load({"kind": "checkerboard"})
    assert (data.vocabulary, data.length, data.ordinal, data.image_shape) == (32, 2, True, None)


@pytest.mark.parametrize(("size", "noise"), [(5, 0.1), (40, 0.02), (100, 0.01), (16, 0.8)])
def test_two_moons_are_blurred_half_circles(size: int, noise: float) -> None:
    """Against Simpson's rule with 20,000 panels along the half circles."""
    angle = np.linspace(0, math.pi, 20_001)
    weight = np.where(np.arange(len(angle)) % 2, 4.0, 2.0)
    weight[[0, -1]] = 1.0
    edges = np.linspace(-1.5, 2.5, size + 1), np.linspace(-1.0, 1.5, size + 1)
    expected = np.zeros((size, size))
    for x, y in ((np.cos(angle), np.sin(angle)), (1 - np.cos(angle), 0.5 - np.sin(angle))):
        in_x, in_y = (
            np.diff(norm.cdf(edge, loc=at[:, None], scale=noise), axis=1)
            for edge, at in zip(edges, (x, y), strict=True)
        )
        expected += in_x.T @ (weight[:, None] * in_y)
    table = table_of("two_moons", size=size, noise=noise)
    np.testing.assert_allclose(table, expected / expected.sum(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(table, table[::-1, ::-1], rtol=1e-9, atol=1e-16)  # turned half-way, each is the other


def test_two_moons_have_faint_tails_and_no_noise_of_their_own() -> None:
    table = table_of("two_moons")
    assert 0 < table.min() < 1e-20
    assert np.array_equal(table, table_of("two_moons"))
    assert load({"kind": "two_moons"}).ordinal


def test_sentences_are_few_and_unequal() -> None:
    table = table_of("sentences", states=5, length=3, sentences=7, seed=3)
    shares = table[table > 0]
    assert shares.size == len(np.unique(shares)) == 7
    assert shares.max() < 10 * shares.min()
    assert np.array_equal(table, table_of("sentences", states=5, length=3, sentences=7, seed=3))
    others = table_of("sentences", states=5, length=3, sentences=7, seed=4)
    assert ((table > 0) != (others > 0)).any()


def test_noise_reaches_every_sequence() -> None:
    clean, noisy = (table_of("sentences", noise=noise) for noise in (0.0, 0.1))
    np.testing.assert_allclose(noisy, 0.9 * clean + 0.1 / clean.size, rtol=1e-13)


def test_the_default_sentences_stay_what_they_are() -> None:
    """Results on them are kept and compared: the choice may not depend on a version of numpy."""
    codes = np.flatnonzero(table_of("sentences"))
    assert codes.tolist() == [11, 196, 269, 403, 600, 608, 850, 855, 921, 1185, 1271, 1273]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kind": "ising_grid", "rows": 0}, "data.rows: 0 is not a whole number from 1 to 14"),
        ({"kind": "ising_grid", "columns": 2.0}, "data.columns"),
        ({"kind": "ising_grid", "rows": 3, "columns": 5}, r"2\^15 = 32768 states"),
        ({"kind": "ising_grid", "coupling": math.inf}, "data.coupling"),
        ({"kind": "ising_grid", "field": "strong"}, "data.field"),
        ({"kind": "checkerboard", "size": 101}, "data.size: 101 is not a whole number from 2 to 100"),
        ({"kind": "checkerboard", "size": 30}, "data.squares: 4 squares do not divide 30 cells"),
        ({"kind": "checkerboard", "squares": 1}, "data.squares: 1"),
        ({"kind": "checkerboard", "floor": 1.0}, r"data.floor: 1 is not a share in \[0, 1\)"),
        ({"kind": "checkerboard", "floor": math.nan}, "data.floor"),
        ({"kind": "two_moons", "size": 1}, "data.size"),
        ({"kind": "two_moons", "noise": 0.001}, "data.noise: 0.001 is less than 0.01"),
        ({"kind": "two_moons", "noise": True}, "data.noise"),
        ({"kind": "sentences", "states": 1}, "data.states"),
        ({"kind": "sentences", "states": 10, "length": 5}, r"10\^5 = 100000 states"),
        ({"kind": "sentences", "states": 2, "length": 2, "sentences": 5}, r"5 sequences of the 2\^2 = 4"),
        ({"kind": "sentences", "sentences": 0}, "data.sentences"),
        ({"kind": "sentences", "seed": -1}, "data.seed"),
        ({"kind": "sentences", "noise": -0.1}, "data.noise"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        load(options)
    assert caught.value.remedy
