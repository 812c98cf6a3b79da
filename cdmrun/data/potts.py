"""A ring of coupled sites: the enumerated law used to check methods against exact numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from cdmrun.data.cleaning import check_length
from cdmrun.data.dataset import Dataset
from cdmrun.data.registry import register
from cdmrun.data.table import check_states
from cdmrun.errors import UserError


@register("potts_ring")
def load_potts_ring(states: int = 4, length: int = 4, coupling: float = 1.5, field: float = 0.5) -> Dataset:
    """p_0(x) ∝ exp(coupling · Σ_i 1[x_i = x_{i+1 mod L}] + field · Σ_i cos(1 + x_i + √2 · i)).

    The field's incommensurable cosine gives every site a law of its own, so that no symmetry hides an error;
    the coupling makes sites depend on each other, which is what a factorised one-step sampler loses.

    Parameters
    ----------
    states, length
        V ≥ 2 and L ≥ 1, with V^L ≤ 20,000.
    coupling, field
        Strengths, any finite numbers.
    """
    length = check_length(length)
    if isinstance(states, bool) or not isinstance(states, int) or states < 2:
        raise UserError(f"data.states: {states!r} is not a whole number of at least 2", "write e.g. `states: 4`")
    check_states(states, length, "data")
    coupling, field = _finite("coupling", coupling), _finite("field", field)
    sites = np.indices((states,) * length)
    bonds = (sites == np.roll(sites, -1, axis=0)).sum(axis=0)
    position = np.arange(length).reshape((length,) + (1,) * length)
    log_weight = coupling * bonds + field * np.cos(1.0 + sites + np.sqrt(2.0) * position).sum(axis=0)
    weight = np.exp(log_weight - log_weight.max())
    return Dataset(
        name="potts_ring",
        vocabulary=states,
        length=length,
        splits={},
        table=weight / weight.sum(),
        ordinal=False,
        alphabet=None,
        image_shape=None,
        source=f"formula: Potts ring of {length} sites, {states} states, coupling {coupling:g}, field {field:g}",
        licence="none needed",
    )


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise UserError(f"data.{name}: {value!r} is not a finite number", f"write e.g. `{name}: 1.0`")
    return float(value)
