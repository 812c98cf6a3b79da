"""An Ising model on a grid: an enumerated law whose positions are the sites of an image, row by row."""

from __future__ import annotations

import numpy as np

from cdmrun.data.dataset import Dataset
from cdmrun.data.options import real, whole
from cdmrun.data.table import check_states

#: 2^14 is the last power of two below the limit on states.
MAX_SIDE = 14


def load_ising_grid(rows: int = 3, columns: int = 3, coupling: float = 0.5, field: float = 0.3) -> Dataset:
    """p_0(x) ∝ exp(coupling · Σ_{i~j} s_i s_j + field · Σ_i cos(1 + √2 i) s_i), s = 2x − 1, open boundaries.

    Sites i are counted row by row; i ~ j are neighbours in a row or in a column. The field's incommensurable cosine
    breaks the symmetries of the grid and that of the spins, which would hide errors.

    Parameters
    ----------
    rows, columns
        Positive, with 2^(rows · columns) ≤ 20,000.
    coupling, field
        Strengths, any finite numbers; a coupling below zero makes neighbours differ.
    """
    rows, columns = whole("rows", rows, 1, MAX_SIDE), whole("columns", columns, 1, MAX_SIDE)
    length = rows * columns
    check_states(2, length, "data")
    coupling, field = real("coupling", coupling), real("field", field)
    spins = 2 * np.indices((2,) * length).reshape(rows, columns, -1) - 1  # [rows, columns, 2^L]
    bonds = (spins[1:] * spins[:-1]).sum((0, 1)) + (spins[:, 1:] * spins[:, :-1]).sum((0, 1))
    tilt = np.cos(1.0 + np.sqrt(2.0) * np.arange(length)) @ spins.reshape(length, -1)
    log_weight = coupling * bonds + field * tilt
    weight = np.exp(log_weight - log_weight.max()).reshape((2,) * length)
    return Dataset(
        name="ising_grid",
        vocabulary=2,
        length=length,
        splits={},
        table=weight / weight.sum(),
        ordinal=False,
        alphabet=None,
        image_shape=(rows, columns),
        source=f"formula: Ising model on {rows} × {columns} sites, coupling {coupling:g}, field {field:g}",
        licence="none needed",
    )
