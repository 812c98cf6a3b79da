"""Data sets: how their shapes follow from their options, and what can be said of them before they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdmrun.registry import DataMember


def _chain_values(data: Mapping[str, Any]) -> int | None:
    """V of ``kind: markov``; with source transitions the file tells."""
    if data["source"] == "text":
        return len(data["alphabet"])
    return 27 if data["source"] == "kjv" else data.get("states")


MEMBERS = (
    DataMember(
        name="kjv",
        implementation="cdmrun.data.kjv:load_kjv",
        shape=lambda data: (27, data["length"]),
        content="text",
    ),
    DataMember(
        name="text",
        implementation="cdmrun.data.text:load_text",
        shape=lambda data: (len(data["alphabet"]), data["length"]),
        content="text",
    ),
    DataMember(
        name="digits",
        implementation="cdmrun.data.digits:load_digits",
        shape=lambda data: (17, 64),
        ordinal=True,
        labelled=True,
        content="images",
    ),
    DataMember(
        name="sotu",
        implementation="cdmrun.data.sotu:load_sotu",
        shape=lambda data: (27, data["length"]),
        content="text",
    ),
    DataMember(
        name="mnist",
        implementation="cdmrun.data.mnist:load_mnist",
        shape=lambda data: (data["levels"], data["size"] ** 2),
        ordinal=True,
        content="images",
        labelled=True,
    ),
    DataMember(
        name="fashion_mnist",
        implementation="cdmrun.data.fashion_mnist:load_fashion_mnist",
        shape=lambda data: (data["levels"], data["size"] ** 2),
        ordinal=True,
        content="images",
        labelled=True,
    ),
    DataMember(
        name="molecules",
        implementation="cdmrun.data.molecules:load_molecules",
        shape=lambda data: (25, data["length"]),
        content="molecules",
    ),
    DataMember(
        name="chorales",
        implementation="cdmrun.data.chorales:load_chorales",
        shape=lambda data: (48, 4 * data["steps"]),
        content="chorales",
    ),
    DataMember(
        name="array",
        implementation="cdmrun.data.array:load_array",
        shape=lambda data: (data.get("vocabulary"), None),
    ),
    DataMember(
        name="idx",
        implementation="cdmrun.data.idx:load_idx",
        shape=lambda data: (data["levels"], None),
        ordinal=True,
        content="images",
    ),
    DataMember(
        name="table",
        implementation="cdmrun.data.table:load_table",
        shape=lambda data: (None, None),
        enumerable=True,
    ),
    DataMember(
        name="potts_ring",
        implementation="cdmrun.data.potts:load_potts_ring",
        shape=lambda data: (data["states"], data["length"]),
        enumerable=True,
    ),
    DataMember(
        name="ising_grid",
        implementation="cdmrun.data.ising:load_ising_grid",
        shape=lambda data: (2, data["rows"] * data["columns"]),
        enumerable=True,
    ),
    DataMember(
        name="checkerboard",
        implementation="cdmrun.data.grid:load_checkerboard",
        shape=lambda data: (data["size"], 2),
        enumerable=True,
        ordinal=True,
    ),
    DataMember(
        name="two_moons",
        implementation="cdmrun.data.grid:load_two_moons",
        shape=lambda data: (data["size"], 2),
        enumerable=True,
        ordinal=True,
    ),
    DataMember(
        name="sentences",
        implementation="cdmrun.data.sentences:load_sentences",
        shape=lambda data: (data["states"], data["length"]),
        enumerable=True,
    ),
    DataMember(
        name="markov",
        implementation="cdmrun.data.markov:load_markov",
        shape=lambda data: (_chain_values(data), data["length"]),
    ),
)
