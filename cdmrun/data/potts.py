"""A ring of coupled sites: the enumerated law used to check methods against exact numbers."""

from __future__ import annotations

import numpy as np

from cdmrun.data.cleaning import check_length
from cdmrun.data.dataset import Dataset
from cdmrun.data.options import real, whole
from cdmrun.data.table import check_states


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
    states = whole("states", states, 2)
    check_states(states, length, "data")
    coupling, field = real("coupling", coupling), real("field", field)
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
