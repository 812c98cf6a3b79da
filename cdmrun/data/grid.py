"""Laws of a point in the plane, on a grid of cells: two ordinal positions, x and y, whose table is a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from cdmrun.data.dataset import Dataset
from cdmrun.data.options import real, share, whole
from cdmrun.errors import UserError

Array = npt.NDArray[np.float64]

MAX_SIZE = 100
#: Left, right, bottom and top of the picture of the two moons: the half circles and a margin of half a radius.
BOX = (-1.5, 2.5, -1.0, 1.5)
#: Narrowest blur that the quadrature along the half circles resolves to rounding.
MIN_NOISE = 0.01
_PANELS, _NODES = 64, 16


def load_checkerboard(size: int = 32, squares: int = 4, floor: float = 0.0) -> Dataset:
    """Uniform on the dark squares of a checkerboard, (column of squares + row of squares) even.

    With an even number of squares both positions are uniform and all is in their dependence: whatever draws them
    independently puts half of its samples on light squares.

    Parameters
    ----------
    size
        V, cells along each side, at most 100 and a multiple of ``squares``.
    squares
        Squares along each side, at least 2.
    floor
        Probability in [0, 1) that is spread evenly over all cells; at 0 the light squares have none.
    """
    size, squares = whole("size", size, 2, MAX_SIZE), whole("squares", squares, 2)
    floor = share("floor", floor)
    if size % squares:
        raise UserError(
            f"data.squares: {squares} squares do not divide {size} cells", "make size a multiple of squares"
        )
    square = np.arange(size) // (size // squares)
    dark = (np.add.outer(square, square) % 2 == 0).astype(np.float64)
    table = (1.0 - floor) * dark / dark.sum() + floor / size**2
    return _points("checkerboard", table, f"{squares} × {squares} squares on {size} × {size} cells, floor {floor:g}")


def load_two_moons(size: int = 32, noise: float = 0.1) -> Dataset:
    """Two interleaved half circles of radius one, blurred by a Gaussian, as masses of the cells of a grid.

    One is (cos θ, sin θ), the other (1 − cos θ, ½ − sin θ), θ uniform in [0, π]. The Gaussian's mass in a cell is
    exact, the integral over θ is Gaussian quadrature to rounding, and what lies outside of `BOX` is left out.

    Parameters
    ----------
    size
        V, cells along each side, at most 100; position 0 is x from the left, position 1 is y from below.
    noise
        Standard deviation of the blur in radii, at least 0.01.
    """
    size, noise = whole("size", size, 2, MAX_SIZE), real("noise", noise)
    if noise < MIN_NOISE:
        raise UserError(f"data.noise: {noise:g} is less than {MIN_NOISE:g}", "write e.g. `noise: 0.1`")
    angle, weight = _half_circle()
    left, right, bottom, top = BOX
    columns, rows = np.linspace(left, right, size + 1), np.linspace(bottom, top, size + 1)
    table = np.zeros((size, size))
    for x, y in ((np.cos(angle), np.sin(angle)), (1.0 - np.cos(angle), 0.5 - np.sin(angle))):
        table += _masses(columns, x, noise).T @ (weight[:, None] * _masses(rows, y, noise))
    return _points("two_moons", table / table.sum(), f"two moons on {size} × {size} cells, noise {noise:g}")


def _half_circle() -> tuple[Array, Array]:
    """Nodes in [0, π] and weights of composite Gauss–Legendre quadrature."""
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * np.pi / _PANELS
    middles = half * (2.0 * np.arange(_PANELS) + 1.0)
    return (middles[:, None] + half * node).ravel(), np.tile(half * weight, _PANELS)


def _masses(edges: Array, centre: Array, deviation: float) -> Array:
    """Mass of a Gaussian around each centre between neighbouring edges, [centres, cells]; accurate in both tails."""
    z = (edges - centre[:, None]) / deviation
    low, high = z[:, :-1], z[:, 1:]
    return np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))


def _points(name: str, table: Array, what: str) -> Dataset:
    return Dataset(
        name=name,
        vocabulary=len(table),
        length=2,
        splits={},
        table=table,
        ordinal=True,
        alphabet=None,
        image_shape=None,
        source=f"formula: {what}",
        licence="none needed",
    )
